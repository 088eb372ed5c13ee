"""
The tables of who may do what are what the verbs do, for every role.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from proxy_orchestration import (
    Actor,
    BatchNotFoundError,
    BatchStateError,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    EmptySelectionError,
    NotAuthorizedError,
    NotificationNotFoundError,
    NotificationOrchestrator,
    ProxyActivity,
    PushDispatcher,
    Role,
)
from proxy_orchestration.ports import SupportsHostTransactions
from proxy_orchestration.storage.memory import (
    MemoryActivityRepository,
    MemoryNotificationRepository,
    MemoryVisibilityRegistry,
)
from proxy_orchestration.testing import ScriptedPushSender, ScriptedRegistrationService

pytestmark = pytest.mark.dateless

PAGE = (Path(__file__).parents[2] / "docs" / "guide-access.md").read_text(encoding="utf-8")
VISIT: Final = ProxyActivity(activity_type="visit", activity_date=date(2026, 11, 2), duration_minutes=45)
REQUEST: Final = BulkRegistrationRequest.for_mentors(["mentor-1"], VISIT)


def _told(heading: str) -> Iterator[tuple[str, Role, str]]:
    """
    Yield verb, role and cell of the table below a heading.
    """
    table = PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    header, *rows = re.findall(r"^\| (.*`.*) \|$", table, re.MULTILINE)
    roles = [Role[name] for name in re.findall(r"`([A-Z_]+)`", header)]
    for row in rows:
        verbs, *cells = row.split(" | ")
        for verb in re.findall(r"`(\w+)`", verbs):
            yield from ((verb, role, cell) for role, cell in zip(roles, cells, strict=True))


def _actor(role: Role, user_id: str = "anna") -> Actor:
    return Actor(user_id=user_id, roles={role}, organization_id="oslo")


async def _answer(called: Awaitable[Any] | AbstractAsyncContextManager[Any]) -> str:
    """
    Tell how a verb answers: allowed, not allowed, or nothing known of that.
    """
    try:
        if isinstance(called, AbstractAsyncContextManager):
            async with called:
                pass
        else:
            await called
    except NotAuthorizedError:
        return "refused"
    except (BatchNotFoundError, NotificationNotFoundError):
        return "not found"
    except (BatchStateError, EmptySelectionError):
        return "allowed"
    return "allowed"


class _Lent(MemoryActivityRepository, SupportsHostTransactions):
    """
    A store that takes part in a transaction of the host's.
    """

    def within(self, connection: object, /) -> MemoryActivityRepository:
        """
        Take part in any.
        """
        return self


def _arguments(verb: str, batch_id: str) -> tuple[Any, ...]:
    if verb == "submit_within":
        return ("a connection", REQUEST)
    if verb in {"submit_bulk_registration", "stream_bulk_registration", "preview"}:
        return (REQUEST,)
    more = {"relabel_batch": ("a label",), "resolve_conflicts": ({},)}
    return (batch_id, *more.get(verb, ()))


_EXPECTED: Final = {
    "yes": ("allowed", "allowed"),
    "all": ("allowed", "allowed"),
    "own": ("allowed", "not found"),
    "no": ("refused", "refused"),
}
"""By cell: the answer about the actor's own batch, and about a colleague's of the organization."""


@pytest.mark.parametrize(("verb", "role", "cell"), list(_told("Batches")))
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_verb_of_batches_answers_as_its_cell_says(verb: str, role: Role, cell: str) -> None:
    """
    About a batch of one's own and about a colleague's.
    """
    orchestrator = BulkRegistrationOrchestrator(
        registration_service=ScriptedRegistrationService(), repository=_Lent()
    )
    batches = [
        await orchestrator.submit_bulk_registration(REQUEST, actor=_actor(Role.COORDINATOR, user_id))
        for user_id in ("anna", "berit")
    ]
    if verb == "list_batches":
        try:
            total = (await orchestrator.list_batches(actor=_actor(role))).total
        except NotAuthorizedError:
            total = 0
        assert {"own": 1, "all": 2, "no": 0}[cell] == total
        return
    method: Callable[..., Any] = getattr(orchestrator, verb)
    told = [await _answer(method(*_arguments(verb, batch.batch_id), actor=_actor(role))) for batch in batches]

    assert _EXPECTED[cell] == tuple(told)


def _calls() -> dict[str, Callable[[Actor], Awaitable[Any]]]:
    """
    Return each verb of certificates, asked about what is not the actor's.
    """
    store = MemoryNotificationRepository()
    nightly = NotificationOrchestrator(repository=store, visibility=MemoryVisibilityRegistry())
    dispatcher = PushDispatcher(repository=store, sender=ScriptedPushSender())
    return {
        "inbox": lambda actor: nightly.inbox("berit", actor=actor),
        "mark_read": lambda actor: nightly.mark_read("notice-of-berit", actor=actor),
        "remind_later": lambda actor: nightly.remind_later("notice-of-berit", actor=actor),
        "acknowledge": lambda actor: nightly.acknowledge("notice-of-berit", actor=actor),
        "list_runs": lambda actor: nightly.list_runs(actor=actor),
        "list_visibility_changes": lambda actor: nightly.list_visibility_changes(actor=actor),
        "restore_visibility": lambda actor: nightly.restore_visibility("mentor-1", actor=actor),
        "dead_pushes": lambda actor: dispatcher.dead_pushes(actor=actor),
        "replay_pushes": lambda actor: dispatcher.replay_pushes(actor=actor),
        "mark_all_read": lambda actor: nightly.mark_all_read(actor=actor),
    }


_OF_OTHERS: Final = {
    ("inbox", "own"): "refused",
    ("mark_all_read", "own"): "allowed",  # it has no argument: always the actor's own
    "own": "not found",
    "all": "allowed",
    "no": "refused",
}
"""By verb and cell, or by cell: the answer about what is another person's."""


@pytest.mark.parametrize(("verb", "role", "cell"), list(_told("Certificates")))
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_verb_of_certificates_answers_as_its_cell_says(verb: str, role: Role, cell: str) -> None:
    """
    About what is another person's, in the same organization.
    """
    told = await _answer(_calls()[verb](_actor(role)))

    assert _OF_OTHERS.get((verb, cell), _OF_OTHERS[cell]) == told


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_data_quality_report_answers_as_its_row_says() -> None:
    """
    It is an endpoint and no verb, so its row has no name of one.
    """
    pytest.importorskip("fastapi")
    from proxy_orchestration.web.expiry import QualityEndpoint  # noqa: PLC0415 - needs an extra

    nightly = NotificationOrchestrator(repository=MemoryNotificationRepository())
    endpoint = QualityEndpoint(nightly, lambda _actor: ())
    roles = (Role.COORDINATOR, Role.CHAPTER_ADMIN, Role.PEER_MENTOR, Role.SERVICE)
    told = [await _answer(endpoint.report_data_quality(_actor(role))) for role in roles]
    cells = ["all" if answer == "allowed" else "no" for answer in told]

    assert f"| the data-quality report (`GET /expiry-data-quality`) | {' | '.join(cells)} |\n" in PAGE


def test_every_verb_with_an_actor_is_in_a_table() -> None:
    """
    A new one has to say who may.
    """
    classes = (BulkRegistrationOrchestrator, NotificationOrchestrator, PushDispatcher)
    verbs = {
        name
        for cls in classes
        for name in dir(cls)
        if not name.startswith("_") and "actor" in getattr(getattr(cls, name), "__annotations__", {})
    }

    assert verbs == {verb for heading in ("Batches", "Certificates") for verb, _, _ in _told(heading)}
