"""
A trigger or a policy of the host's that refuses one row of many: that row alone is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")
pytest.importorskip("psycopg")

from sqlalchemy import URL

from proxy_orchestration.errors import RecordRefusedError, RepositoryUnavailableError
from proxy_orchestration.notification.records import DraftState
from proxy_orchestration.storage.sql import SqlActivityRepository, SqlNotificationRepository
from proxy_orchestration.testing.contracts.notification.samples import chunk_of, draft_of
from proxy_orchestration.testing.contracts.registration.samples import activity_record

if TYPE_CHECKING:
    from postgres_server.databases import Databases

pytestmark = pytest.mark.postgresql(asyncio_only=True)

_FUNCTION: Final = (
    "CREATE FUNCTION own_rule() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF new.attributed_to = 'mentor-7' THEN RAISE {what}; END IF; RETURN new; END $$"
)
_TRIGGER: Final = (
    "CREATE TRIGGER own_rule BEFORE INSERT ON activities FOR EACH ROW EXECUTE FUNCTION own_rule()"
)
_RULES: Final[dict[str, tuple[LiteralString, ...]]] = {
    "a trigger": (_FUNCTION.replace("{what}", "EXCEPTION 'canary'"), _TRIGGER),
    "a trigger that names a missing right": (
        _FUNCTION.replace("{what}", "insufficient_privilege USING MESSAGE = 'canary'"),
        _TRIGGER,
    ),
    "a policy": (
        "ALTER TABLE activities ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE activities FORCE ROW LEVEL SECURITY",
        "CREATE POLICY all_rows ON activities USING (true)",
        "CREATE POLICY own ON activities AS RESTRICTIVE FOR INSERT WITH CHECK (attributed_to <> 'mentor-7')",
        "CREATE ROLE writer_of_a_host",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO writer_of_a_host",
    ),
}


def _as_role(url: URL, role: str) -> URL:
    return url.update_query_dict({"options": f"-c role={role}"})


@pytest.mark.parametrize("rule", _RULES)
async def test_a_row_that_the_host_refuses_is_refused_and_nothing_is_said_of_it(
    postgresql: Databases, rule: str
) -> None:
    """
    As a row that a constraint refuses: whoever wrote many of them finds out which.
    """
    url = postgresql.new()
    postgresql.execute(url.database, *_RULES[rule])
    if rule == "a policy":
        url = _as_role(url, "writer_of_a_host")  # whoever made the tables may do everything
    records = [activity_record(number, f"mentor-{number}", f"batch-{number}") for number in range(20)]
    async with SqlActivityRepository.open(url, migrate=False) as store:
        with pytest.raises(RecordRefusedError) as refused:
            await store.add_activities(records, atomic=False)
        none = await store.find_activities([each.registration.registration_id for each in records])
        good = [each for each in records if each.registration.mentor_id != "mentor-7"]
        written = await store.add_activities(good, atomic=False)

    assert "canary" not in f"{refused.value!r} {refused.value.__context__!r}"
    assert [] == list(none)
    assert good == list(written)


async def test_a_notice_that_the_host_refuses_is_refused_like_any_other(postgresql: Databases) -> None:
    """
    The run then writes each by itself, and counts this one as an error.
    """
    url = postgresql.new()
    function = _FUNCTION.replace("{what}", "EXCEPTION 'canary'").replace("attributed_to", "mentor_id")
    postgresql.execute(url.database, function, _TRIGGER.replace("activities", "notifications"))
    async with SqlNotificationRepository.open(url, migrate=False) as store:
        with pytest.raises(RecordRefusedError):
            await store.record(chunk_of(draft_of("mentor-6"), draft_of("mentor-7")))
        recorded = await store.record(chunk_of(draft_of("mentor-6")))

    assert [DraftState.CREATED] == [each.state for each in recorded.fates]


async def test_a_role_without_the_right_to_write_is_no_fault_of_a_row(postgresql: Databases) -> None:
    """
    Otherwise a forgotten grant would be two hundred records to correct.
    """
    url = postgresql.new()
    postgresql.execute(
        url.database,
        "CREATE ROLE reader_of_a_host",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader_of_a_host",
    )
    async with SqlActivityRepository.open(_as_role(url, "reader_of_a_host"), migrate=False) as store:
        with pytest.raises(RepositoryUnavailableError, match="may not do that"):
            await store.add_activities([activity_record(1)], atomic=False)
