"""
What failed is corrected and retried: under a new key, with everything asked anew, and the history shows both.
"""

import attrs
import pytest

from proxy_orchestration import (
    BatchStateError,
    BulkRegistrationRequest,
    BulkStatus,
    Conflict,
    ConflictDecision,
    ConflictKind,
    DuplicateSelectionError,
    InvalidTypeError,
    InvalidValueError,
    ItemState,
    RegistrationEntry,
    StaleRunError,
    SubmissionMode,
    UnknownMentorError,
)
from proxy_orchestration.testing import (
    CheckingBulkRegistrationService,
    CheckingRegistrationService,
    duplicate,
    fail,
    lose_reply,
    reject,
    succeed,
)

OVERRIDE = ConflictDecision.OVERRIDE


@pytest.fixture
def scene(scene_with):
    """
    Return a scene whose service finds conflicts and registers one by one.
    """
    return scene_with(CheckingRegistrationService())


def longer(scene):
    """
    Return the activity as somebody corrects it.
    """
    return attrs.evolve(scene.activity, duration_minutes=90, notes="corrected")


def only_if_longer(scene):
    """
    Return a script that refuses every activity but the corrected one.
    """
    return lambda registration, _: succeed() if registration.activity == longer(scene) else reject()


async def failed(scene, mentors=3, key=None, **rest):
    """
    Return a settled batch in which everybody was refused.
    """
    scene.service.script = only_if_longer(scene)
    request = attrs.evolve(scene.request(mentors, key), **rest)
    return await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)


async def edited(scene, batch, **rest):
    """
    Retry the batch with an edit for mentor 1 alone; return its result.
    """
    named = {"activities": {"mentor-1": longer(scene)}, "mentor_ids": ["mentor-1"]} | rest
    return await scene.orchestrator().retry_failed_items(batch.batch_id, actor=scene.actor, **named)


async def test_an_edited_item_is_registered_as_corrected_under_a_new_key(scene):
    """
    The record is one of the same registration; the others keep theirs.
    """
    first = await failed(scene)
    second = await edited(scene, first)
    call = scene.service.calls[-1]

    assert ["mentor-1"] == [outcome.mentor_id for outcome in second.succeeded]
    assert (f"{first.batch_id}:mentor-1", longer(scene)) == (call.registration_id, call.activity)
    assert len({each.idempotency_key for each in scene.service.calls}) == len(scene.service.calls)


async def test_without_names_the_others_are_retried_too(scene):
    """
    As a plain retry does, and with what each has.
    """
    first = await failed(scene)
    scene.service.calls.clear()
    await edited(scene, first, mentor_ids=None)

    assert [(0, scene.activity), (1, longer(scene)), (2, scene.activity)] == [
        (int(call.mentor_id[-1]), call.activity) for call in scene.service.calls
    ]


async def test_the_same_request_again_is_this_batch_still(scene):
    """
    The submitted activity and the fingerprint stay.
    """
    first = await failed(scene, key="autumn")
    second = await edited(scene, first)
    again = await scene.orchestrator().submit_bulk_registration(scene.request(3, "autumn"), actor=scene.actor)

    assert (second, 2) == (again, again.run)


async def test_an_edit_holds_for_later_runs_until_the_next(scene):
    """
    Who retries what was corrected does not undo the correction.
    """
    first = await failed(scene)
    scene.service.script = lambda registration, attempt: reject()
    await edited(scene, first)
    scene.service.script = only_if_longer(scene)
    third = await edited(scene, first, activities=None)

    assert ["mentor-1"] == [outcome.mentor_id for outcome in third.succeeded]


async def test_the_history_shows_both_activities(scene):
    """
    What was submitted, and what was registered.
    """
    first = await failed(scene)
    await edited(scene, first)
    page = await scene.orchestrator().read_items(first.batch_id, actor=scene.actor, after=1, limit=1)

    assert longer(scene) == page.items[0].activity
    assert [(1, ItemState.FAILED, scene.activity), (2, ItemState.SUCCEEDED, longer(scene))] == [
        (attempt.run, attempt.outcome.state, attempt.activity) for attempt in page.items[0].history
    ]


async def test_conflicts_are_asked_about_anew_and_with_the_new_activity(scene):
    """
    And the edit waits with its item for the decision.
    """
    first = await failed(scene)
    scene.service.conflict_script = lambda registration: (
        Conflict(
            mentor_id=registration.mentor_id, kind=ConflictKind.DUPLICATE, existing_activity_id="existing"
        )
        if registration.activity == longer(scene)
        else None
    )
    second = await edited(scene, first)
    third = await scene.orchestrator().resolve_conflicts(
        first.batch_id, {"mentor-1": OVERRIDE}, actor=scene.actor
    )
    call = scene.service.calls[-1]

    assert ["mentor-1"] == [outcome.mentor_id for outcome in second.needs_review]
    assert ["mentor-1"] == [outcome.mentor_id for outcome in third.succeeded]
    assert (longer(scene), "existing") == (call.activity, call.override_of)


async def test_an_override_was_about_the_old_activity(scene):
    """
    It does not let the new one past the service's rule.
    """
    scene.service.script = lambda registration, attempt: (
        reject() if registration.override_of else duplicate("existing")
    )
    orchestrator = scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor)
    await orchestrator.resolve_conflicts(first.batch_id, {"mentor-1": OVERRIDE}, actor=scene.actor)
    third = await edited(scene, first)

    assert ["existing", None] == [call.override_of for call in scene.service.calls[-2:]]
    assert ItemState.NEEDS_REVIEW is third.outcomes[1].state


@pytest.mark.parametrize("reply", [lose_reply(), fail(KeyError("a bug"))], ids=["unknown", "unexpected"])
async def test_a_key_in_doubt_is_retried_unchanged_first(scene, reply):
    """
    Beside the record that may exist another one would be written.
    """
    scene.settings = attrs.evolve(scene.settings, retry=attrs.evolve(scene.settings.retry, max_attempts=1))
    scene.service.script = lambda registration, attempt: reply if attempt == 1 else succeed()
    first = await scene.orchestrator().submit_bulk_registration(scene.request(2), actor=scene.actor)

    with pytest.raises(BatchStateError, match="Retry it unchanged first"):
        await edited(scene, first)

    assert 1 == (await scene.repository.get(first.batch_id)).run
    assert BulkStatus.SUCCESS is (await edited(scene, first, activities=None, mentor_ids=None)).status


async def test_a_cancelled_item_is_edited_when_named(scene):
    """
    By its edit; its unused key is not used for another activity.
    """
    orchestrator = scene.orchestrator()
    first = await orchestrator.submit_bulk_registration(scene.request(2), actor=scene.actor, drive=False)
    await orchestrator.cancel_batch(first.batch_id, actor=scene.actor)
    second = await edited(scene, first, mentor_ids=None)

    assert [ItemState.CANCELLED, ItemState.SUCCEEDED] == [outcome.state for outcome in second.outcomes]
    assert f"{first.batch_id}:mentor-1:1" == scene.service.calls[-1].idempotency_key


@pytest.mark.parametrize("cancelled", [False, True])
async def test_all_or_nothing_is_retried_whole_with_the_edits(scene_with, cancelled):
    """
    Also where all were cancelled, and one is edited.
    """
    scene = scene_with(CheckingBulkRegistrationService())
    orchestrator = scene.orchestrator()
    scene.service.script = lambda registration, _: (
        reject()
        if registration.mentor_id == "mentor-1" and registration.activity != longer(scene)
        else succeed()
    )
    request = attrs.evolve(scene.request(3), mode=SubmissionMode.ATOMIC)
    first = await orchestrator.submit_bulk_registration(request, actor=scene.actor, drive=not cancelled)
    if cancelled:
        await orchestrator.cancel_batch(first.batch_id, actor=scene.actor)
    second = await edited(scene, first, mentor_ids=None)

    assert BulkStatus.SUCCESS is second.status
    assert [scene.activity, longer(scene), scene.activity] == [
        each.activity for each in scene.service.bulk_calls[-1]
    ]


async def test_all_or_nothing_with_one_that_waits_is_not_edited(scene_with):
    """
    Its decisions come first.
    """
    scene = scene_with(CheckingBulkRegistrationService())
    scene.service.conflict_script = lambda registration: Conflict(
        mentor_id=registration.mentor_id, kind=ConflictKind.DUPLICATE, existing_activity_id="existing"
    )
    request = attrs.evolve(scene.request(3), mode=SubmissionMode.ATOMIC)
    first = await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)

    with pytest.raises(BatchStateError, match="needs_review"):
        await edited(scene, first)


@pytest.mark.parametrize(
    ("rest", "error"),
    [
        ({"activities": {"nobody": None}}, UnknownMentorError),
        ({"mentor_ids": ["mentor-0"]}, InvalidValueError),
        ({"expected_run": 7}, StaleRunError),
    ],
)
async def test_an_edit_that_fits_nobody_changes_nothing(scene, rest, error):
    """
    Nobody of that name, somebody who is left out, a run that nobody saw.
    """
    first = await failed(scene)
    if "activities" in rest:
        rest = {"activities": {"nobody": longer(scene)}}

    with pytest.raises(error):
        await edited(scene, first, **rest)

    assert 1 == (await scene.repository.get(first.batch_id)).run


async def test_what_no_store_keeps_is_refused(scene):
    """
    As at a submission.
    """
    first = await failed(scene)

    with pytest.raises(InvalidValueError):
        await edited(scene, first, activities={"mentor-1": attrs.evolve(scene.activity, notes="\0")})
    with pytest.raises(InvalidTypeError, match="activities"):
        await edited(scene, first, activities={"mentor-1": {"notes": "no activity"}})


async def test_what_succeeded_is_not_edited(scene):
    """
    Its record stays.
    """
    first = await failed(scene)
    await edited(scene, first)

    with pytest.raises(BatchStateError, match="mentor-1 is succeeded"):
        await edited(scene, first, mentor_ids=None)


async def test_a_mentor_with_two_items_is_edited_by_item(scene):
    """
    One activity for both would be registered twice.
    """
    scene.service.script = only_if_longer(scene)
    other = attrs.evolve(scene.activity, activity_type="call")
    request = BulkRegistrationRequest(
        entries=[
            RegistrationEntry("mentor-1", scene.activity, "a"),
            RegistrationEntry("mentor-1", other, "b"),
        ]
    )
    first = await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)

    with pytest.raises(BatchStateError, match="mentor-1 has 2 items"):
        await edited(scene, first)
    with pytest.raises(DuplicateSelectionError):
        await edited(scene, first, activities=dict.fromkeys(("mentor-1", "a"), longer(scene)))

    second = await edited(scene, first, activities={"b": longer(scene)}, mentor_ids=None)

    assert ["b"] == [outcome.item_key for outcome in second.succeeded]
