"""
The chapter's own tables: certificates, who answers for whom, wishes of people, and their devices.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import Boolean, Column, Date, Engine, Integer, MetaData, String, Table, func, insert, select

tables = MetaData()
certificates = Table(
    "certificates",
    tables,
    Column("number", Integer, primary_key=True),
    Column("mentor_id", String(200), nullable=False),
    Column("kind", String(100), nullable=False),
    Column("valid_until", Date, nullable=False),
    Column("holder_name", String(200), nullable=False),
    Column("revoked", Boolean, nullable=False),
)
assignments = Table(
    "assignments",
    tables,
    Column("mentor_id", String(200), primary_key=True),
    Column("coordinator_id", String(200)),
)
wishes = Table(
    "wishes",
    tables,
    Column("person_id", String(200), primary_key=True),
    Column("locale", String(20), nullable=False),
    Column("timezone", String(50), nullable=False),
    Column("wants_pushes", Boolean, nullable=False),
)
devices = Table(
    "devices",
    tables,
    Column("token", String(4096), primary_key=True),
    Column("person_id", String(200), nullable=False, index=True),
    Column("platform", String(20), nullable=False),
    Column("told_at", Integer, nullable=False),  # seconds since 1970
)


def fill(engine: Engine) -> None:
    """
    Make invented people with certificates that end soon, unless there are any.
    """
    today = datetime.now(UTC).date()
    ends = {"mentor-1": 3, "mentor-2": 20, "mentor-3": 50, "mentor-4": -2, "mentor-5": 400}
    with engine.begin() as connection:
        if connection.execute(select(func.count()).select_from(certificates)).scalar():
            return
        for mentor_id, days in ends.items():
            connection.execute(
                insert(certificates).values(
                    mentor_id=mentor_id,
                    kind="first_aid",
                    valid_until=today + timedelta(days=days),
                    holder_name=f"Mentor {mentor_id[-1]}",
                    revoked=False,
                )
            )
            coordinator = None if mentor_id == "mentor-2" else "anna"
            connection.execute(insert(assignments).values(mentor_id=mentor_id, coordinator_id=coordinator))
            device = {"token": f"token-of-{mentor_id}", "person_id": mentor_id, "platform": "android"}
            connection.execute(insert(devices).values(**device, told_at=1_700_000_000))
        connection.execute(
            insert(wishes).values(
                person_id="mentor-3", locale="nb-NO", timezone="Europe/Oslo", wants_pushes=False
            )
        )
