"""
Which of a mentor's certificates is told of: corrected, revoked, withdrawn, erased, in one chunk or in two.
"""

from datetime import UTC, timedelta

import anyio
import attrs
import pytest
from waits import LONGEST_WAIT

from proxy_orchestration.errors import RecordRefusedError, RepositoryUnavailableError
from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.planned_chunks import PlannedChunks
from proxy_orchestration.notification.records import CertificateEnd, DraftState
from proxy_orchestration.notification.results import RecordProblem, SkipReason
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.tiers import ExpiryPolicy, NotificationThresholdTier
from proxy_orchestration.notification.visibility import certificate_end
from proxy_orchestration.registration.erasure import pseudonym_of
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.testing.contracts.notification.samples import (
    ANOTHER,
    GUARD,
    MORNING,
    chunk_of,
    draft_of,
    end_of,
)

ADVANCE, WARNING, URGENT, LAPSED = NotificationThresholdTier
GONE = RepositoryUnavailableError("It is gone.", advice="Wait.")


def codes(result):
    """
    Return what somebody should fix.
    """
    return [problem.code for problem in result.data_quality]


@pytest.mark.parametrize("wrong", [700, 2_000_000])
async def test_a_corrected_end_is_told(scene, wrong):
    """
    A typo, and a sentinel of the year 7000: the next run tells the right one.
    """
    await scene.run(scene.certificate(1, wrong))

    result = await scene.run(scene.certificate(1, 20), day=1)

    assert ({WARNING: 1}, ()) == (result.by_tier, result.data_quality)


async def test_a_renewal_that_is_revoked_leaves_the_valid_certificate(scene):
    """
    Seen once, and taken back: the mentor is told of the one that is left.
    """
    old, renewal = scene.certificate(1, 20), scene.certificate(1, 700, certificate_id="renewal")
    await scene.run(old, renewal)

    result = await scene.run(old, attrs.evolve(renewal, revoked=True), day=1)

    assert {WARNING: 1} == result.by_tier


@pytest.mark.parametrize("size", [1, 2])
async def test_a_renewal_before_or_after_the_old_one_silences_it(scene, size):
    """
    Whether a chunk ends between the two or not, in both orders.
    """
    scene.settings = NotificationSettings(chunk_size=size)
    for number, later_first in enumerate([False, True]):
        pair = [
            scene.certificate(number, 5),
            scene.certificate(number, 700, certificate_id="renewal"),
        ]
        await scene.run(*(reversed(pair) if later_first else pair))
        waiting = await scene.repository.notifications_for(f"mentor-{number}", unacknowledged_only=True)

        assert [] == waiting
    assert PushState.SENT not in await scene.repository.count_pushes()


async def test_a_stale_certificate_that_is_due_is_to_be_fixed(scene):
    """
    Another id with an earlier end is told to nobody; one that is lapsed for long is nobody's task.
    """
    await scene.run(*(scene.certificate(number, 700) for number in range(4)))
    others = [
        scene.certificate(number, days, certificate_id="other")
        for number, days in enumerate([20, -30, -31, 100])
    ]

    result = await scene.run(*others)

    assert {SkipReason.STALE: 3, SkipReason.NOT_DUE: 1} == result.skipped_by_reason
    expected = [RecordProblem(f"mentor-{number}", "stale_certificate") for number in range(2)]
    assert expected == list(result.data_quality)


async def test_of_two_records_of_one_certificate_the_last_counts_and_it_is_told(scene):
    """
    An id that stands twice in a chunk: with one end it is nothing, with two somebody should look.
    """
    same = [scene.certificate(1, 20), scene.certificate(1, 20)]
    differ = [scene.certificate(2, 700), scene.certificate(2, 20)]
    revoked = [scene.certificate(3, 20), scene.certificate(3, 20, revoked=True)]

    result = await scene.run(*same, *differ, *revoked)

    assert {WARNING: 2} == result.by_tier
    assert {SkipReason.SUPERSEDED: 3, SkipReason.REVOKED: 1} == result.skipped_by_reason
    assert {"mentor-2", "mentor-3"} == {
        problem.mentor_id for problem in result.data_quality if problem.code == "repeated_certificate"
    }


async def test_an_organization_that_no_store_keeps_is_no_part_of_an_end(scene):
    """
    A certificate that is not due does not fail for it.
    """
    result = await scene.run(scene.certificate(1, 700, organization_id="\0"))

    assert {SkipReason.NOT_DUE: 1} == result.skipped_by_reason


async def test_who_was_erased_is_not_told(scene):
    """
    Nor is an end of theirs kept; the record fails alone.
    """
    result = await scene.run(scene.certificate(1, mentor_id=pseudonym_of("mentor-1")), scene.certificate(2))

    assert [(pseudonym_of("mentor-1"), "erased_mentor")] == [
        (each.mentor_id, each.code) for each in result.failures
    ]
    assert 1 == result.created


async def _feed(scene, *numbers, days=700):
    return [scene.certificate(number, days) for number in numbers]


async def test_what_a_whole_feed_lacks_counts_no_more(scene):
    """
    And the plan before says the same; the next night the certificate that is left is told.
    """
    rest = await _feed(scene, *range(2, 9))
    old, later = scene.certificate(1, 20), scene.certificate(1, 700, certificate_id="later")
    await scene.run(old, later, *rest, day=0)
    scene.clock.advance(86_400)

    planned = await scene.orchestrator().plan([old, *rest], complete=True)
    result = await scene.orchestrator().run([old, *rest], complete=True)
    scene.clock.advance(86_400)
    told = await scene.orchestrator().run([old, *rest], complete=True)

    assert planned.result == result
    assert (1, ["stale_certificate"]) == (result.withdrawn, codes(result))
    assert ({WARNING: 1}, 0, ()) == (told.by_tier, told.withdrawn, told.data_quality)


async def test_a_feed_that_is_not_said_to_be_whole_withdraws_nothing(scene):
    """
    The renewed ones of the day, for example.
    """
    await scene.run(*await _feed(scene, *range(10)))
    scene.clock.advance(86_400)

    result = await scene.orchestrator().run(await _feed(scene, *range(9)))

    assert (0, ()) == (result.withdrawn, result.data_quality)


async def test_a_whole_feed_that_lacks_more_than_a_fifth_is_refused(scene):
    """
    A fifth goes, more does not; a plan says so too.
    """
    await scene.run(*await _feed(scene, *range(10)))
    scene.clock.advance(86_400)
    too_few, enough = await _feed(scene, *range(7)), await _feed(scene, *range(8))

    for verb in (scene.orchestrator().plan, scene.orchestrator().run):
        answer = await verb(too_few, complete=True)
        result = getattr(answer, "result", answer)
        assert (0, ["too_many_withdrawn"]) == (result.withdrawn, codes(result))
    assert 2 == (await scene.orchestrator().run(enough, complete=True)).withdrawn


async def test_of_an_empty_feed_nothing_is_withdrawn(scene):
    """
    It is of no organization and no type.
    """
    await scene.run(scene.certificate(1, 700))
    scene.clock.advance(86_400)

    assert 0 == (await scene.orchestrator().run([], complete=True)).withdrawn


@pytest.mark.parametrize("odd", ["x", {"expires": None}, {"mentor_id": ""}])
async def test_a_feed_with_a_record_that_failed_is_not_whole(scene, odd):
    """
    What could not be read may be what seems to be lacking.
    """
    await scene.run(*await _feed(scene, *range(10)))
    scene.clock.advance(86_400)
    bad = odd if isinstance(odd, str) else scene.certificate(9, 700, **odd)

    result = await scene.orchestrator().run([*await _feed(scene, *range(9)), bad], complete=True)

    assert (0, ["feed_not_whole"]) == (result.withdrawn, codes(result))


@pytest.mark.parametrize("error", [GONE, RecordRefusedError()])
async def test_a_chunk_that_the_store_did_not_take_is_not_lacking(scene, error):
    """
    Its certificates were in the feed, and not noted.
    """
    await scene.run(*await _feed(scene, *range(10)))
    scene.clock.advance(86_400)
    scene.settings = NotificationSettings(chunk_size=9)
    record, scene.repository.record = scene.repository.record, None

    async def away(chunk, /):
        if chunk.ends[0].mentor_id == "mentor-9":
            raise error
        return await record(chunk)

    scene.repository.record = away
    result = await scene.orchestrator().run(await _feed(scene, *range(10)), complete=True)

    assert (0, ["feed_not_whole"]) == (result.withdrawn, codes(result))


@pytest.mark.parametrize("name", ["count_unseen", "withdraw"])
async def test_a_store_that_fails_at_a_withdrawal_is_reported_and_the_next_run_withdraws(scene, name):
    """
    What was told is told.
    """
    await scene.run(*await _feed(scene, *range(10)))
    scene.clock.advance(86_400)
    whole = [*await _feed(scene, *range(1, 10)), scene.certificate(11)]
    ability = getattr(scene.repository, name)

    async def away(*_, **__):
        raise GONE

    setattr(scene.repository, name, away)
    first = await scene.orchestrator().run(whole, complete=True)
    setattr(scene.repository, name, ability)
    second = await scene.orchestrator().run(whole, complete=True)

    assert (1, 0, ["withdrawal_failed"]) == (first.created, first.withdrawn, codes(first))
    assert (1, ()) == (second.withdrawn, second.data_quality)


async def test_a_stream_that_is_left_early_withdraws_nothing(scene):
    """
    It did not read its feed to the end; one that did withdraws.
    """
    scene.settings = NotificationSettings(chunk_size=2)
    await scene.run(*await _feed(scene, *range(10)))
    scene.clock.advance(86_400)
    whole = await _feed(scene, *range(9))

    async with scene.orchestrator().stream(whole, complete=True) as outcomes:
        async for _outcome in outcomes:
            break
    before = [end.mentor_id for end in await scene.repository.counted_in(SCOPE, after=None, limit=99)]
    async with scene.orchestrator().stream(whole, complete=True) as outcomes:
        assert 9 == len([outcome async for outcome in outcomes])
    after = [end.mentor_id for end in await scene.repository.counted_in(SCOPE, after=None, limit=99)]

    assert (10, 9) == (len(before), len(after))


SCOPE = {(None, "first_aid")}


async def test_a_clock_that_goes_back_in_a_run_withdraws_nothing_that_was_seen(scene):
    """
    What a run saw is never older than the run.
    """
    scene.settings = NotificationSettings(chunk_size=5)
    await scene.run(*await _feed(scene, *range(10)))
    began = scene.clock.now() + timedelta(days=1)
    scene.clock.set_now(began)

    def feed():
        for number in range(10):
            if number == 5:
                scene.clock.set_now(began - timedelta(days=2))
            yield scene.certificate(number, 700)

    assert 0 == (await scene.orchestrator().run(feed(), complete=True)).withdrawn


async def test_a_whole_feed_shows_whom_a_withdrawn_certificate_hid(scene):
    """
    The registry is given the end that counts, and of none there is none.
    """
    rest = await _feed(scene, *range(2, 9))
    given = []

    async def track(ends, /, *, at, **_rest):
        given.append({end.mentor_id: end.ends_at for end in ends})
        return 0

    scene.visibility.track = track
    lapsed, valid = scene.certificate(1, -5), scene.certificate(1, 300, certificate_id="valid")
    await scene.run(lapsed, valid, *rest)
    await scene.run(lapsed)

    assert given[0]["mentor-1"] == given[1]["mentor-1"] > scene.clock.now()


async def test_old_ends_are_forgotten_and_nobody_is_told_again(scene):
    """
    After a year and the time of the last push; of the certificate that counts nothing is forgotten.
    """
    old, new = scene.certificate(1, -5), scene.certificate(1, 3000, certificate_id="new")
    await scene.run(old)
    await scene.run(old, new)
    scene.clock.advance(86_400 * 426)
    assert (0, 2) == (sum(map(len, scene.repository._ends.values())) - 2, 2)
    await scene.run(new)
    assert 1 == sum(map(len, scene.repository._ends.values()))

    result = await scene.run(old, day=427)

    assert (0, {SkipReason.STALE: 1}) == (result.created, result.skipped_by_reason)


@pytest.mark.parametrize("days", [30, 10**9])
async def test_a_store_that_cannot_forget_takes_no_result_away(scene, days):
    """
    The next run forgets; pushes of lapsed certificates that never stop leave nothing to forget.
    """

    async def forget_ends(*, before):
        raise GONE

    scene.repository.forget_ends = forget_ends
    scene.policy = ExpiryPolicy(lapsed_push_days=days)

    assert 1 == (await scene.run(scene.certificate(1))).created


async def test_the_end_of_a_refused_notice_is_kept(scene):
    """
    Its text is not; so another certificate is known to be the one that counts.
    """
    record = scene.repository.record

    async def refuse(chunk, /):
        if chunk.drafts:
            raise RecordRefusedError
        return await record(chunk)

    scene.repository.record = refuse
    await scene.run(scene.certificate(1, 30))
    scene.repository.record = record

    result = await scene.run(scene.certificate(1, 5, certificate_id="other"))

    assert {SkipReason.STALE: 1} == result.skipped_by_reason


async def test_a_plan_knows_what_a_run_would_reopen():
    """
    A mentor who is told again in the plan's first chunk is held back in its second.
    """
    store = MemoryNotificationRepository()
    await store.record(chunk_of(draft_of()))
    await store.record(chunk_of(ends=[end_of(of=ANOTHER)]))
    await store.record(chunk_of(ends=[end_of(ends_at=None, of=ANOTHER)]))
    plan = PlannedChunks(store)
    at = MORNING + GUARD

    first = await plan.weigh(chunk_of(draft_of(), at=at))
    second = await plan.weigh(chunk_of(draft_of(tier=URGENT), at=at))

    assert (True, DraftState.DEFERRED) == (first.fates[0].reopened, second.fates[0].state)


async def test_a_dispatcher_beside_a_run_sends_nothing_that_a_later_chunk_supersedes(scene):
    """
    The renewal stands one chunk after the certificate that it renews.
    """
    scene.settings = NotificationSettings(chunk_size=1)
    renewal = scene.certificate(1, 700, certificate_id="renewal")

    async with scene.orchestrator().stream([scene.certificate(1, 5), renewal]) as outcomes:
        beside = [(await scene.dispatcher().drain()).sent async for _outcome in outcomes]
    afterwards = (await scene.dispatcher().drain()).sent

    assert ([0, 0], 0) == (beside, afterwards)


async def test_a_corrected_end_hides_and_a_revocation_shows(scene):
    """
    Visibility is derived from the same ends as the notices.
    """

    async def hidden():
        return set(await scene.visibility.hidden(["mentor-1"], at=scene.clock.now()))

    await scene.run(scene.certificate(1, 2_000_000))
    await scene.run(scene.certificate(1, -5))
    assert {"mentor-1"} == await hidden()
    await scene.run(scene.certificate(1, -5, revoked=True))
    assert set() == await hidden()
    await scene.run(scene.certificate(1, -5))
    await scene.orchestrator().record_renewals([scene.certificate(1, -5, revoked=True)])

    assert set() == await hidden()


async def test_a_plan_counts_an_end_without_an_id_as_a_run_does(scene):
    """
    It is lacking where another end of its mentor was read, and that one's own where they are the same.
    """
    await scene.run(*await _feed(scene, *range(2, 9)))
    for number, days in enumerate([600, 700, 700]):
        ends_at = certificate_end(scene.certificate(number, days), UTC).ends_at
        unnamed = CertificateEnd(mentor_id=f"mentor-{number}", certificate_type="first_aid", ends_at=ends_at)
        await scene.repository.renew([unnamed], at=scene.clock.now())
    scene.clock.advance(86_400)
    whole = await _feed(scene, 0, 1, *range(3, 9))

    planned = await scene.orchestrator().plan(whole, complete=True)
    result = await scene.orchestrator().run(whole, complete=True)

    assert planned.result == result
    assert 2 == result.withdrawn


async def test_a_run_that_is_cancelled_while_it_withdraws_is_cancelled(scene):
    """
    A cancellation is no failure of the store.
    """
    reached = False
    with anyio.fail_after(LONGEST_WAIT), anyio.CancelScope() as scope:

        async def count_unseen(_feed, /):
            scope.cancel()
            await anyio.sleep_forever()

        scene.repository.count_unseen = count_unseen
        await scene.orchestrator().run([scene.certificate(1)], complete=True)
        reached = True

    assert not reached
