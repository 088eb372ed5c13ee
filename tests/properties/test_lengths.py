"""
Whatever id is accepted can be registered, and what cannot is refused before anything is written.
"""

from __future__ import annotations

import importlib.util
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    InvalidValueError,
    ProxyActivity,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.registration.ports import ActivityRepository
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock

_LONGEST = 200
_HAS_SQL = all(importlib.util.find_spec(name) for name in ("sqlalchemy", "alembic"))
_FIELDS = ("mentor_id", "activity_type", "idempotency_key", "user_id", "organization_id")
_lengths = st.integers(1, 300) | st.sampled_from([167, 168, _LONGEST, _LONGEST + 1])


def _open_sqlite(folder: Path) -> AbstractAsyncContextManager[ActivityRepository]:
    from proxy_orchestration.storage.sql import SqlActivityRepository  # noqa: PLC0415 - an extra

    return SqlActivityRepository.open(f"sqlite:///{folder / 'store.db'}")


@pytest.fixture(
    params=[
        "memory",
        pytest.param(
            "sqlite", marks=pytest.mark.skipif(not _HAS_SQL, reason="the extra sql is not installed")
        ),
    ]
)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """
    A way to a store; the file of one test is one store for all its examples.
    """
    if request.param == "memory":
        return lambda: nullcontext(MemoryActivityRepository())
    return lambda: _open_sqlite(tmp_path)


async def _batches_and_status(opened: Any, ids: dict[str, str]) -> tuple[int, BulkStatus | None]:
    """
    Submit one mentor's visit under these ids; return how many batches there are more, and the status.
    """
    async with opened as store:
        service = StandardRegistrationService(repository=store, clock=FakeClock())
        orchestrator = BulkRegistrationOrchestrator(registration_service=service, repository=store)
        look = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
        status = None
        try:
            actor = Actor(
                user_id=ids["user_id"], roles={Role.COORDINATOR}, organization_id=ids["organization_id"]
            )
            look = actor
            activity = ProxyActivity(
                activity_type=ids["activity_type"], activity_date=date(2025, 12, 30), duration_minutes=5
            )
            request = BulkRegistrationRequest.for_mentors(
                [ids["mentor_id"]], activity, idempotency_key=ids["idempotency_key"]
            )
            status = (await orchestrator.submit_bulk_registration(request, actor=actor)).status
        except InvalidValueError as error:
            assert "1 to 200 printable characters" in str(error)  # noqa: PT017 - whether it came is told
        page = await orchestrator.list_batches(actor=look)
        return page.total, status


@given(st.sampled_from(_FIELDS), _lengths, st.sampled_from(["m", "ø", "\N{MATHEMATICAL BOLD CAPITAL A}"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_an_id_is_registered_or_refused_before_anything_is_written(
    open_store: Any, field: str, length: int, letter: str
) -> None:
    """
    Up to 200 characters it succeeds, beyond that nothing is stored.
    """
    ids = {
        "mentor_id": "mentor-1",
        "activity_type": "visit",
        "idempotency_key": f"{field}-{length}-{letter}",
        "user_id": f"coord-{field}-{length}-{letter}",
        "organization_id": f"oslo-{field}-{length}-{letter}",
    }
    ids[field] = letter * length
    batches, status = anyio.run(_batches_and_status, open_store(), ids)

    accepted = length <= _LONGEST
    assert (BulkStatus.SUCCESS if accepted else None) is status
    assert accepted == (batches > 0)


@given(_lengths)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_ids_that_are_all_long_are_registered_together(open_store: Any, length: int) -> None:
    """
    Each of them of that length, in characters of four bytes.
    """
    ids = {field: "\N{MATHEMATICAL BOLD CAPITAL A}" * (length - 1) + field[0] for field in _FIELDS}
    _, status = anyio.run(_batches_and_status, open_store(), ids)

    assert (BulkStatus.SUCCESS if length <= _LONGEST else None) is status
