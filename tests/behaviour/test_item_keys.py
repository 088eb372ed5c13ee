"""
Several activities of one mentor in one batch: each has its own key, record, outcome and decision.
"""

from datetime import timedelta

import attrs
import pytest

from proxy_orchestration import (
    BatchStateError,
    BulkRegistrationRequest,
    BulkStatus,
    Conflict,
    ConflictDecision,
    ConflictKind,
    ConflictPolicy,
    CoordinatorAccess,
    DuplicateSelectionError,
    InvalidTypeError,
    InvalidValueError,
    ItemState,
    RegistrationEntry,
    StandardRegistrationService,
    SubmissionMode,
    UnknownMentorError,
)
from proxy_orchestration.registration.requests import fingerprint_of
from proxy_orchestration.testing import CheckingBulkRegistrationService, reject, succeed

OVERRIDE, SKIP = ConflictDecision.OVERRIDE, ConflictDecision.SKIP
KEYS = ("mentor-1", "mentor-1/next", "mentor-2", "mentor-2/next")


@pytest.fixture
def scene(scene_with):
    """
    Return a scene whose service finds conflicts and writes many at once.
    """
    return scene_with(CheckingBulkRegistrationService())


def two_days(scene, **rest):
    """
    Return a request for two mentors with two days each.
    """
    next_day = attrs.evolve(scene.activity, activity_date=scene.activity.activity_date + timedelta(days=1))
    entries = [
        RegistrationEntry(key.partition("/")[0], next_day if "next" in key else scene.activity, key)
        for key in KEYS
    ]
    return BulkRegistrationRequest(entries=entries, **rest)


def states(result):
    """
    Return the state of each item by its key.
    """
    return {outcome.item_key: outcome.state for outcome in result.outcomes}


async def submitted(scene, **rest):
    """
    Return the settled batch of such a request.
    """
    return await scene.orchestrator().submit_bulk_registration(two_days(scene, **rest), actor=scene.actor)


def failing(*keys, times=1):
    """
    Return a script by which these items are refused so many times.
    """
    return lambda registration, attempt: (
        reject() if registration.item_key in keys and attempt <= times else succeed()
    )


def conflicting(*keys, by_mentor=False):
    """
    Return a script by which these conflict, told by mentor alone or by item.
    """
    return lambda registration: (
        Conflict(
            mentor_id=registration.mentor_id,
            kind=ConflictKind.DUPLICATE,
            existing_activity_id=f"existing-of-{registration.mentor_id}",
            item_key=None if by_mentor else registration.item_key,
        )
        if registration.item_key in keys
        else None
    )


async def test_two_activities_of_one_mentor_are_two_records(scene):
    """
    Each has an id of its own; without a key of its own the item's id is what it always was.
    """
    result = await submitted(scene)

    assert BulkStatus.SUCCESS is result.status
    assert KEYS == tuple(outcome.item_key for outcome in result.outcomes)
    assert ["mentor-1", "mentor-1", "mentor-2", "mentor-2"] == [
        outcome.mentor_id for outcome in result.outcomes
    ]
    assert {f"{result.batch_id}:{key}" for key in KEYS} == set(scene.service.records)
    assert len({outcome.activity_id for outcome in result.outcomes}) == len(KEYS)


async def test_the_standard_service_registers_both_days_and_knows_the_same_day_twice(scene):
    """
    Two days are two activities; one day twice waits for a decision.
    """
    scene.activity = attrs.evolve(scene.activity, activity_date=scene.clock.now().date() - timedelta(days=1))
    scene.service = StandardRegistrationService(repository=scene.repository, clock=scene.clock)
    entries = (*two_days(scene).entries, RegistrationEntry("mentor-1", scene.activity, "again"))
    orchestrator = scene.orchestrator()
    request = BulkRegistrationRequest(entries=entries)
    report = await orchestrator.preview(request, actor=scene.actor)
    result = await orchestrator.submit_bulk_registration(request, actor=scene.actor)

    assert (KEYS, [("mentor-1", "again")]) == (
        report.clean,
        [(conflict.mentor_id, conflict.item_key) for conflict in report.conflicts],
    )
    assert dict.fromkeys(KEYS, ItemState.SUCCEEDED) | {"again": ItemState.NEEDS_REVIEW} == states(result)


def test_a_key_is_the_mentor_s_id_unless_it_is_given(scene):
    """
    `None` is not given; a request with the usual keys is the request that it always was.
    """
    entry = RegistrationEntry("mentor-1", scene.activity)
    request = BulkRegistrationRequest(entries=[entry])

    assert ("mentor-1", entry) == (entry.item_key, RegistrationEntry("mentor-1", scene.activity, None))
    assert fingerprint_of(request) == fingerprint_of(
        BulkRegistrationRequest(entries=[attrs.evolve(entry, item_key="mentor-1")])
    )
    assert fingerprint_of(request) != fingerprint_of(
        BulkRegistrationRequest(entries=[attrs.evolve(entry, item_key="else")])
    )


@pytest.mark.parametrize(
    ("key", "error"), [("", InvalidValueError), (" a", InvalidValueError), (7, InvalidTypeError)]
)
def test_a_key_is_as_an_id_is(scene, key, error):
    """
    The registration's id is made of it.
    """
    with pytest.raises(error, match=r"RegistrationEntry\.item_key"):
        RegistrationEntry("mentor-1", scene.activity, key)


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ([("mentor-1", None), ("mentor-1", None)], ("mentor-1",)),
        ([("mentor-1", "a"), ("mentor-2", "a")], ("a",)),
        ([("mentor-1", None), ("mentor-2", "mentor-1")], ("mentor-1",)),
        ([("mentor-1", "mentor-2"), ("mentor-2", "b")], ("mentor-2",)),
    ],
    ids=["a mentor twice", "a key twice", "another entry's key", "another entry's mentor"],
)
async def test_a_name_stands_for_one_mentor_or_one_item(scene, entries, named):
    """
    Or a verb that is given it would not know who is meant.
    """
    request = BulkRegistrationRequest(
        entries=[RegistrationEntry(mentor_id, scene.activity, key) for mentor_id, key in entries]
    )

    with pytest.raises(DuplicateSelectionError, match="item_key") as caught:
        await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)

    assert named == caught.value.mentor_ids
    assert 0 == (await scene.orchestrator().list_batches(actor=scene.actor)).total


@pytest.mark.parametrize(
    ("named", "retried"),
    [
        (None, {"mentor-1", "mentor-1/next", "mentor-2/next"}),
        (["mentor-1"], {"mentor-1", "mentor-1/next"}),
        (["mentor-1/next"], {"mentor-1/next"}),
        (["mentor-2"], {"mentor-2/next"}),
        (["mentor-2", "mentor-1/next"], {"mentor-2/next", "mentor-1/next"}),
    ],
)
async def test_a_mentor_stands_for_all_their_items_that_can_be_retried_and_a_key_for_one(
    scene, named, retried
):
    """
    What succeeded is never taken up.
    """
    scene.service.script = failing("mentor-1", "mentor-1/next", "mentor-2/next")
    first = await submitted(scene)
    scene.service.calls.clear()
    scene.service.script = failing()
    second = await scene.orchestrator().retry_failed_items(
        first.batch_id, actor=scene.actor, mentor_ids=named
    )

    assert retried == {
        key
        for key, state in states(second).items()
        if state is ItemState.SUCCEEDED and states(first)[key] is ItemState.FAILED
    }


@pytest.mark.parametrize(
    ("named", "error"),
    [
        (["mentor-1", "mentor-1/next"], DuplicateSelectionError),
        (["mentor-3"], UnknownMentorError),
        (["mentor-2"], BatchStateError),
        (["mentor-2/next"], BatchStateError),
    ],
)
async def test_a_name_that_cannot_be_retried_is_refused(scene, named, error):
    """
    An item named twice, nobody, and those who succeeded.
    """
    scene.service.script = failing("mentor-1", "mentor-1/next")
    first = await submitted(scene)

    with pytest.raises(error):
        await scene.orchestrator().retry_failed_items(first.batch_id, actor=scene.actor, mentor_ids=named)

    assert 1 == (await scene.repository.get(first.batch_id)).run


@pytest.mark.parametrize(
    ("by_mentor", "waiting"), [(False, {"mentor-1/next"}), (True, {"mentor-1", "mentor-1/next"})]
)
async def test_a_service_that_answers_a_mentor_alone_means_all_of_theirs(scene, by_mentor, waiting):
    """
    Who knows of items answers by their keys.
    """
    scene.service.conflict_script = conflicting("mentor-1/next", by_mentor=by_mentor)
    report = await scene.orchestrator().preview(two_days(scene), actor=scene.actor)
    result = await submitted(scene)

    assert waiting == {outcome.item_key for outcome in result.needs_review}
    assert waiting == {conflict.item_key for conflict in report.conflicts}
    assert set(KEYS) - waiting == set(report.clean)


async def test_a_conflict_of_nobody_asked_about_is_no_answer(scene):
    """
    Nor is one item's key with another mentor.
    """
    scene.service.conflict_script = lambda registration: Conflict(
        mentor_id=registration.mentor_id, kind=ConflictKind.DUPLICATE, item_key="mentor-2/next"
    )
    result = await submitted(scene)

    assert {"check_failed"} == {outcome.failure.code for outcome in result.outcomes}


async def test_decisions_are_by_mentor_or_by_item(scene):
    """
    A mentor's decision holds for all of theirs that wait; the audit event names the items.
    """
    scene.service.conflict_script = conflicting("mentor-1", "mentor-1/next", "mentor-2/next")
    orchestrator = scene.orchestrator()
    first = await submitted(scene)
    decided = {"mentor-1/next": OVERRIDE, "mentor-2": SKIP}
    second = await orchestrator.resolve_conflicts(first.batch_id, decided, actor=scene.actor)
    again = await orchestrator.resolve_conflicts(first.batch_id, decided, actor=scene.actor)

    assert {
        "mentor-1": ItemState.NEEDS_REVIEW,
        "mentor-1/next": ItemState.SUCCEEDED,
        "mentor-2": ItemState.SUCCEEDED,
        "mentor-2/next": ItemState.SKIPPED,
    } == states(second)
    assert (2, states(second)) == (again.run, states(again))
    assert [("mentor-1", "mentor-1/next")] == [
        (override.mentor_id, override.item_key) for override in scene.audit.events[-1].overrides
    ]


async def test_two_decisions_about_one_item_are_refused(scene):
    """
    Nobody knows which one is meant.
    """
    scene.service.conflict_script = conflicting("mentor-1/next")
    first = await submitted(scene)

    with pytest.raises(DuplicateSelectionError):
        await scene.orchestrator().resolve_conflicts(
            first.batch_id, {"mentor-1": SKIP, "mentor-1/next": OVERRIDE}, actor=scene.actor
        )


async def test_who_may_not_be_registered_for_is_refused_with_all_items(scene):
    """
    Scope is about mentors, and each is asked about once.
    """
    scene.actor = attrs.evolve(scene.actor, user_id="mentor-2")
    asked = []

    class Asked(CoordinatorAccess):
        async def out_of_scope(self, _actor, mentor_ids):
            asked.append(tuple(mentor_ids))
            return ()

    scene.access = Asked()
    result = await submitted(scene)

    assert {"mentor-2", "mentor-2/next"} == {outcome.item_key for outcome in result.failed}
    assert ("mentor-1", "mentor-2") == asked[0]


async def test_an_all_or_nothing_batch_takes_items_by_key(scene):
    """
    With an override among them, and one refusal takes all of them back.
    """
    scene.service.conflict_script = conflicting("mentor-2/next")
    scene.service.script = failing("mentor-1/next")
    rest = {"mode": SubmissionMode.ATOMIC, "on_conflict": ConflictPolicy.OVERRIDE}
    first = await submitted(scene, **rest)
    second = await scene.orchestrator().retry_failed_items(first.batch_id, actor=scene.actor)

    assert {ItemState.FAILED} == set(states(first).values())
    assert BulkStatus.SUCCESS is second.status
    assert {"mentor-2/next"} == {
        each.item_key for chunk in scene.service.bulk_calls for each in chunk if each.override_of
    }
