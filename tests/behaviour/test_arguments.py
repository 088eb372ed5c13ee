"""
Every verb refuses what makes no sense under an argument's name: typed, and before anything is touched.
"""

import inspect
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime

import pytest

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    ConflictDecision,
    InvalidInputError,
    InvalidTypeError,
    InvalidValueError,
    ItemState,
    NotificationOrchestrator,
    ProxyActivity,
    PushDispatcher,
    RegistrationEntry,
    Role,
    StandardRegistrationService,
)
from proxy_orchestration.registration.standard.single import DuplicateWarning
from proxy_orchestration.storage.memory import MemoryActivityRepository, MemoryNotificationRepository

pytestmark = pytest.mark.dateless

ACTOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
VISIT = ProxyActivity(activity_type="visit", activity_date=date(2026, 1, 1), duration_minutes=45)
NOW = "2026-01-01T00:00:00+00:00"
ODD = ["cut\0off", "half \ud800"]

RIGHT = {
    "request": BulkRegistrationRequest.for_mentors(["mentor-1"], VISIT),
    "actor": ACTOR,
    "connection": object(),
    "batch_id": "batch-1",
    "decisions": {"mentor-1": ConflictDecision.OVERRIDE},
    "settled_before": datetime(2026, 1, 1, tzinfo=UTC),
    "accepted_before": datetime(2026, 1, 1, tzinfo=UTC),
    "created_before": datetime(2026, 1, 1, tzinfo=UTC),
    "due_before": datetime(2026, 1, 1, tzinfo=UTC),
    "started_before": datetime(2026, 1, 1, tzinfo=UTC),
    "changed_before": datetime(2026, 1, 1, tzinfo=UTC),
    "label": "label",
    "mentor_id": "mentor-1",
    "organization_id": "oslo",
    "activity": VISIT,
    "idempotency_key": "key",
    "warning": DuplicateWarning(
        existing_activity_id="activity-1", mentor_id="mentor-1", activity=VISIT, idempotency_key="key"
    ),
    "certificates": [],
    "notification_id": "notice-1",
    "recipient_id": "coord-1",
    "activity_id": "activity-1",
    "note": "It was an hour.",
}

NO_IDS = ["mentor-1", b"mentor-1", 5, [5], ["mentor-1", None], (name for name in ["mentor-1"])]
WRONG = {
    "connection": [],  # the store says what it takes, in tests of its own
    "request": [None, {}, [RegistrationEntry("mentor-1", VISIT)], "mentor-1", BulkRegistrationRequest],
    "actor": [None, "coord-1", {"user_id": "coord-1"}, Actor],
    "drive": [None, "no", 1],
    "batch_id": [None, 5, b"batch-1", ["batch-1"]],
    "mentor_ids": NO_IDS,
    "activities": [[], {5: VISIT}, {"mentor-1": {}}, {"mentor-1": None}],
    "expected_run": ["1", 1.0, True],
    "run": ["1", 1.0, True],
    "decisions": [None, "skip", ["mentor-1"], {5: ConflictDecision.SKIP}, {"mentor-1": "perhaps"}],
    "reason": [5, ["no"], *ODD],
    "label": [5, ["label"], "x" * 201, *ODD],
    "after": [None, "0", -1, 1.5, True, 10**18],
    "page": [None, "1", 0, -1, 1.5, True, 10**18],
    "limit": [None, "20", 0, 1001, True, 10**18],
    "statuses": ["success", BulkStatus.SUCCESS, ["success"], [ItemState.FAILED], 5],
    "states": ["failed", ItemState.FAILED, ["failed"], [BulkStatus.SUCCESS], 5],
    "needs_review": ["yes", 1],
    "coordinator_id": [5, ["coord-1"]],
    "submitted_from": ["2026-01-01", date(2026, 1, 1), datetime(2026, 1, 1)],  # noqa: DTZ001 - naive
    "submitted_before": ["2026-01-01", date(2026, 1, 1), datetime(2026, 1, 1)],  # noqa: DTZ001 - naive
    "cursor": [5, "", "page-2", "2026-01-01T00:00:00+00:00~x", "2026-01-01T00:00:00~1", f"{NOW}~{10**18}"],
    "with_open_reviews": [None, "yes", 1],
    "with_untold": [None, "yes", 1],
    "accepted_before": [None, "2026-01-01", date(2026, 1, 1), datetime(2026, 1, 1), 5],  # noqa: DTZ001 - naive
    "settled_before": [None, "2026-01-01", date(2026, 1, 1), datetime(2026, 1, 1), 5],  # noqa: DTZ001 - naive
    "created_before": [None, "2026-01-01", date(2026, 1, 1), datetime(2026, 1, 1), 5],  # noqa: DTZ001 - naive
    "due_before": [None, "2026-01-01", date(2026, 1, 1), datetime(2026, 1, 1), 5],  # noqa: DTZ001 - naive
    "started_before": [None, "2026-01-01", date(2026, 1, 1), datetime(2026, 1, 1), 5],  # noqa: DTZ001 - naive
    "changed_before": [None, "2026-01-01", date(2026, 1, 1), datetime(2026, 1, 1), 5],  # noqa: DTZ001 - naive
    "mentor_id": [None, 5, "", " ", "x" * 201, *ODD],
    "organization_id": [None, 5, "", " ", "x" * 201, *ODD],
    "certificate_type": [5, "", " ", "x" * 201, *ODD],
    "activity": [None, {}, "visit"],
    "idempotency_key": [None, 5, "", "x" * 201, *ODD],
    "warning": [None, "warning", {}],
    "certificates": [None, 5, "certificate", b"certificate", {"mentor-1": 1}],
    "as_of": ["today", date(2026, 1, 1), datetime(2026, 1, 1)],  # noqa: DTZ001 - naive
    "allow_future": [None, "yes", 1],
    "complete": [None, "yes", 1],
    "notification_id": [None, 5],
    "recipient_id": [None, 5, "", " ", "x" * 201, *ODD],
    "note": [None, 5, "x" * 501, *ODD],
    "message_ids": NO_IDS,
    "activity_id": [None, 5, b"activity-1"],
    "activity_from": ["2026-01-01", datetime(2026, 1, 1, tzinfo=UTC), 5],
    "activity_through": ["2026-01-01", datetime(2026, 1, 1, tzinfo=UTC), 5],
}

PLACES = [5, "", "notice-1", "2026-01-01T00:00:00+00:00~", "2026-01-01T00:00:00~notice-1"]
"""What no page of an inbox, of runs or of changes tells as `next_after`; elsewhere `after` is a number."""

WITH_PLACES = {"inbox", "list_runs", "list_visibility_changes"}

VERBS = [
    BulkRegistrationOrchestrator,
    NotificationOrchestrator,
    PushDispatcher,
    StandardRegistrationService,
]
OF_A_PORT = {"register", "register_many", "find_registration", "find_conflicts"}
"""What only a driver calls."""


class Untouchable:
    """
    Stands in the place of everything, and may not be called.
    """

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        async def touched(*_args, **_kwargs):
            message = f"{name} was touched"
            raise AssertionError(message)

        return touched


def _subject(kind):
    nothing = Untouchable()
    parts = {
        BulkRegistrationOrchestrator: {"registration_service": nothing, "repository": nothing},
        NotificationOrchestrator: {"repository": nothing},
        PushDispatcher: {"repository": nothing, "sender": nothing},
        StandardRegistrationService: {"repository": nothing},
    }
    return kind(**parts[kind])


def _verbs():
    """
    Yield every public verb and its arguments.
    """
    for kind in VERBS:
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_") and name not in OF_A_PORT:
                asked = [each for each in inspect.signature(method).parameters if each != "self"]
                yield kind, name, [each for each in asked if each != "task_status"]


def _cases():
    for kind, name, asked in _verbs():
        for argument in asked:
            wrong = PLACES if argument == "after" and name in WITH_PLACES else WRONG.get(argument, ())
            for number, value in enumerate(wrong):
                yield pytest.param(
                    kind, name, argument, value, id=f"{kind.__name__}.{name}-{argument}-{number}"
                )


def test_every_argument_of_every_verb_has_its_row():
    """
    A verb or an argument that is added later is checked too.
    """
    asked = {argument for _, _, arguments in _verbs() for argument in arguments}

    assert asked == set(WRONG)


@pytest.mark.parametrize(("kind", "name", "argument", "value"), list(_cases()))
async def test_what_makes_no_sense_is_refused_before_anything_is_touched(kind, name, argument, value):
    """
    The error is the library's own, says which argument, and nothing was read, stored or called.
    """
    verb = getattr(_subject(kind), name)
    asked = inspect.signature(verb).parameters
    arguments = {key: right for key, right in RIGHT.items() if key in asked} | {argument: value}

    with pytest.raises(InvalidInputError) as error:
        await _entered(verb(**arguments))

    assert argument.removesuffix("s") in error.value.name.casefold()
    assert isinstance(error.value, TypeError | ValueError)


async def _entered(call):
    if isinstance(call, AbstractAsyncContextManager):
        async with call:
            pass
    else:
        await call


async def test_what_is_accepted_reaches_the_store():
    """
    The rules stand in nobody's way: every right argument passes.
    """
    store, notices = MemoryActivityRepository(), MemoryNotificationRepository()
    service = StandardRegistrationService(repository=store)
    orchestrator = BulkRegistrationOrchestrator(registration_service=service, repository=store)

    page = await orchestrator.list_batches(
        actor=ACTOR, page=2**31 - 1, limit=100, statuses={BulkStatus.SUCCESS, BulkStatus.CANCELLED}
    )
    result = await NotificationOrchestrator(repository=notices).run(
        [], as_of=datetime(2026, 1, 1, tzinfo=UTC), allow_future=True
    )

    assert ((), 0) == (page.batches, result.processed)


@pytest.mark.parametrize(
    "changes",
    [
        {"notes": "cut\0off"},
        {"notes": "half \ud800"},
        {"details": {"name": "half \ud800"}},
        {"details": {"half \ud800": 1}},
        {"duration_minutes": 2**31},
    ],
    ids=str,
)
@pytest.mark.parametrize("verb", ["submit_bulk_registration", "preview"])
async def test_an_activity_that_some_store_cannot_keep_is_refused_with_its_field(verb, changes):
    """
    Before anything is stored, whichever store it is.
    """
    odd = ProxyActivity(
        **{"activity_type": "visit", "activity_date": date(2026, 1, 1), "duration_minutes": 5} | changes
    )
    request = BulkRegistrationRequest.for_mentors(["mentor-1"], odd)
    subject = _subject(BulkRegistrationOrchestrator)

    with pytest.raises(InvalidValueError, match=f"ProxyActivity.{next(iter(changes))}"):
        await getattr(subject, verb)(request, actor=ACTOR)


def test_one_string_is_no_list_of_mentors():
    """
    It would register m, e, n, t, o, r, - and 1.
    """
    with pytest.raises(InvalidTypeError, match="mentor_ids must be a list or a set, not str"):
        BulkRegistrationRequest.for_mentors("mentor-1", VISIT)


def test_mentors_may_come_from_a_generator():
    """
    Whatever gives ids one by one.
    """
    request = BulkRegistrationRequest.for_mentors((f"mentor-{number}" for number in range(2)), VISIT)

    assert ["mentor-0", "mentor-1"] == [entry.mentor_id for entry in request.entries]
