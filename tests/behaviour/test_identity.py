"""
One mentor and one activity, however their letters are composed and whatever the case of a code.
"""

from datetime import timedelta
from unicodedata import normalize

import attrs
import pytest

from proxy_orchestration import (
    BulkRegistrationRequest,
    BulkStatus,
    Conflict,
    ConflictDecision,
    ConflictKind,
    CoordinatorAccess,
    DuplicateSelectionError,
    IdempotencyKeyReusedError,
    ItemState,
    RegistrationEntry,
    StandardRegistrationService,
)
from proxy_orchestration.notification.certificates import type_code
from proxy_orchestration.testing import CheckingBulkRegistrationService, reject, succeed

COMPOSED, DECOMPOSED = "r\u00f8d-\u00e5se", "r\u00f8d-a\u030ase"


@pytest.fixture
def standard(scene):
    """
    A scene whose service is the standard one, over the scene's own store.
    """
    scene.activity = attrs.evolve(
        scene.activity, activity_date=scene.clock.now().date(), activity_type="group_meeting"
    )
    scene.service = StandardRegistrationService(repository=scene.repository, clock=scene.clock)
    return scene


def _like(scene, mentor_id, **changes):
    return BulkRegistrationRequest.for_mentors([mentor_id], attrs.evolve(scene.activity, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"activity_type": "Group_Meeting"},
        {"activity_type": "GROUP_MEETING"},
        {"notes": "The same again."},
    ],
)
async def test_a_code_in_another_case_registers_the_same(standard, changes):
    """
    The second one waits for a person, and each is shown as it was given.
    """
    orchestrator = standard.orchestrator()
    first = await orchestrator.submit_bulk_registration(standard.request(["m1"]), actor=standard.actor)
    second = await orchestrator.submit_bulk_registration(
        _like(standard, "m1", **changes), actor=standard.actor
    )
    (item,) = (await orchestrator.read_items(second.batch_id, actor=standard.actor)).items

    assert (BulkStatus.SUCCESS, BulkStatus.NEEDS_REVIEW) == (first.status, second.status)
    assert changes.items() <= item.activity.to_dict().items()
    assert first.outcomes[0].activity_id == second.outcomes[0].conflicting_activity_id


@pytest.mark.parametrize(
    ("one", "other"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), ("\u212b", "A\u030a")]
)
async def test_a_mentor_is_one_however_letters_are_composed(standard, one, other):
    """
    In type and id alike; the ids are stored and shown as given.
    """
    orchestrator = standard.orchestrator()
    for name in (one, other):
        request = BulkRegistrationRequest.for_mentors(
            [name], attrs.evolve(standard.activity, activity_type=f"Besøk {name}")
        )
        result = await orchestrator.submit_bulk_registration(request, actor=standard.actor)
        assert [name] == [outcome.mentor_id for outcome in result.outcomes]

    assert BulkStatus.NEEDS_REVIEW is result.status


async def test_case_is_part_of_an_id(standard):
    """
    Many systems draw ids in both cases.
    """
    orchestrator = standard.orchestrator()
    results = [
        await orchestrator.submit_bulk_registration(standard.request([name]), actor=standard.actor)
        for name in ("mentor-a", "mentor-A")
    ]

    assert [BulkStatus.SUCCESS] * 2 == [result.status for result in results]


async def test_two_spellings_in_one_request_conflict_within_it(standard):
    """
    Found before anything is sent: the second is one of its batch.
    """
    entries = [
        RegistrationEntry(name, attrs.evolve(standard.activity, activity_type=kind), item_key=key)
        for name, kind, key in (
            (COMPOSED, "visit", "one"),
            (DECOMPOSED, "Visit", "two"),
            (DECOMPOSED, "call", "three"),
        )
    ]

    report = await standard.orchestrator().preview(
        BulkRegistrationRequest(entries=entries), actor=standard.actor
    )

    assert [(DECOMPOSED, "two", ConflictKind.IN_BATCH)] == [
        (each.mentor_id, each.item_key, each.kind) for each in report.conflicts
    ]
    assert ("one", "three") == report.clean


async def test_a_mentor_stands_in_a_request_once(scene):
    """
    By whichever spelling; the names are told as they were given.
    """
    with pytest.raises(DuplicateSelectionError) as twice:
        await scene.orchestrator().submit_bulk_registration(
            scene.request([COMPOSED, "m1", DECOMPOSED]), actor=scene.actor
        )
    taken = [RegistrationEntry(COMPOSED, scene.activity), RegistrationEntry("m1", scene.activity, DECOMPOSED)]
    with pytest.raises(DuplicateSelectionError):
        await scene.orchestrator().submit_bulk_registration(
            BulkRegistrationRequest(entries=taken), actor=scene.actor
        )

    assert (COMPOSED, DECOMPOSED) == twice.value.mentor_ids


async def test_fingerprints_stay(scene):
    """
    Another spelling under one key is another request, as it always was.
    """
    orchestrator = scene.orchestrator()
    await orchestrator.submit_bulk_registration(scene.request([COMPOSED], key="k"), actor=scene.actor)

    with pytest.raises(IdempotencyKeyReusedError):
        await orchestrator.submit_bulk_registration(scene.request([DECOMPOSED], key="k"), actor=scene.actor)


async def test_nobody_registers_for_themselves_by_another_spelling(scene):
    """
    In a batch and by the standard service.
    """
    scene.actor = attrs.evolve(scene.actor, user_id=COMPOSED)
    result = await scene.orchestrator().submit_bulk_registration(
        scene.request([DECOMPOSED, "m1"]), actor=scene.actor
    )
    standard = StandardRegistrationService(repository=scene.repository, clock=scene.clock)
    single = await standard.register_proxy_activity(
        DECOMPOSED,
        attrs.evolve(scene.activity, activity_date=scene.clock.now().date()),
        actor=scene.actor,
        idempotency_key="k",
    )

    assert [ItemState.FAILED, ItemState.SUCCEEDED] == [outcome.state for outcome in result.outcomes]
    assert ["self_attribution"] == [outcome.failure.code for outcome in result.failed]
    assert ["self_attribution"] == [reason.code for reason in single.reasons]


class Composing(CoordinatorAccess):
    """
    A host whose database composes letters.
    """

    async def out_of_scope(self, actor, mentor_ids):
        """
        Answer about everybody, in the database's own spelling.
        """
        return {normalize("NFC", mentor_id) for mentor_id in mentor_ids} - {"m1"}


async def test_a_host_may_answer_in_another_spelling(scene):
    """
    Who is out of scope is refused.
    """
    scene.access = Composing()

    result = await scene.orchestrator().submit_bulk_registration(
        scene.request([DECOMPOSED, "m1"]), actor=scene.actor
    )

    assert [(DECOMPOSED, "out_of_scope")] == [(each.mentor_id, each.failure.code) for each in result.failed]


async def test_a_conflict_may_be_told_in_another_spelling(scene):
    """
    It is about the mentor who was asked about, by the id that was given.
    """
    conflict = Conflict(mentor_id=COMPOSED, kind=ConflictKind.DUPLICATE, existing_activity_id="a-1")
    scene.service = CheckingBulkRegistrationService(
        conflict_script=lambda registration: None if registration.mentor_id == "m1" else conflict
    )
    scene.service.clock = scene.clock
    report = await scene.orchestrator().preview(scene.request([DECOMPOSED, "m1"]), actor=scene.actor)

    assert [DECOMPOSED] == [conflict.mentor_id for conflict in report.conflicts]


async def test_a_verb_finds_a_mentor_by_another_spelling(scene):
    """
    Retried and edited by either.
    """
    scene.service.script = lambda *_: reject()
    orchestrator = scene.orchestrator()
    failed = await orchestrator.submit_bulk_registration(scene.request([DECOMPOSED, "m1"]), actor=scene.actor)
    scene.service.script = lambda *_: succeed()
    other = attrs.evolve(scene.activity, activity_date=scene.activity.activity_date - timedelta(days=1))
    retried = await orchestrator.retry_failed_items(
        failed.batch_id, actor=scene.actor, mentor_ids=[COMPOSED], activities={COMPOSED: other}
    )

    assert [DECOMPOSED] == [outcome.mentor_id for outcome in retried.succeeded]
    assert other == scene.service.calls[-1].activity


async def test_a_decision_finds_a_mentor_by_another_spelling(standard):
    """
    Whoever types it, or copies it from another system.
    """
    orchestrator = standard.orchestrator()
    await orchestrator.submit_bulk_registration(standard.request([COMPOSED]), actor=standard.actor)
    waiting = await orchestrator.submit_bulk_registration(
        standard.request([DECOMPOSED]), actor=standard.actor
    )

    decided = await orchestrator.resolve_conflicts(
        waiting.batch_id, {COMPOSED: ConflictDecision.SKIP}, actor=standard.actor
    )

    assert [(DECOMPOSED, ItemState.SKIPPED)] == [(each.mentor_id, each.state) for each in decided.outcomes]


@pytest.mark.parametrize(
    "spelling", [" F\u00f8rstehj\u00c5lp", "f\u00f8rstehja\u030alp ", "F\u00d8RSTEHJA\u030aLP"]
)
def test_a_certificate_s_type_is_one_by_any_spelling(spelling):
    """
    As it always was for case and blanks.
    """
    assert "f\u00f8rstehj\u00e5lp" == type_code(spelling)
