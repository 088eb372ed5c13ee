"""
A run tells each mentor and coordinator once per tier, whatever happens to it.
"""

from datetime import UTC, datetime, timedelta

import anyio
import attrs
import pytest

from proxy_orchestration.errors import RecordRefusedError, RepositoryUnavailableError
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.notice_building import UnreadableRecordError
from proxy_orchestration.notification.notices import Audience, PushState
from proxy_orchestration.notification.records import DraftFate, DraftState, MentorRecipients, RecordedChunk
from proxy_orchestration.notification.results import RecordProblem, SkipReason
from proxy_orchestration.notification.settings import NotificationSettings
from proxy_orchestration.notification.tiers import ExpiryPolicy, NotificationThresholdTier, WindowPolicy
from proxy_orchestration.storage.memory import MemoryVisibilityRegistry
from proxy_orchestration.testing import fail, hang

TIERS = list(NotificationThresholdTier)
ADVANCE, WARNING, URGENT, LAPSED = TIERS
GONE = RepositoryUnavailableError("It is gone.", advice="Wait.")


async def test_one_notice_and_one_push_for_each_tier(scene):
    """
    Four certificates in four tiers, one far from its end; the coordinator is told of each.
    """
    result = await scene.run(*(scene.certificate(n, days) for n, days in enumerate([61, 60, 30, 7, -1])))

    assert scene.added_up(result)
    assert dict.fromkeys(TIERS, 1) == dict(result.by_tier)
    assert {SkipReason.NOT_DUE: 1} == dict(result.skipped_by_reason)
    assert 4 == result.queued
    assert [1] * 4 == [len(await scene.repository.notifications_for(f"mentor-{n}")) for n in range(1, 5)]
    told = await scene.repository.notifications_for("coord-1")
    assert (4, {Audience.COORDINATOR}) == (len(told), {notice.audience for notice in told})
    assert {PushState.QUEUED: 5} == dict(await scene.repository.count_pushes())


async def test_a_second_run_tells_nobody(scene):
    """
    The same night again: everything is a duplicate, and nothing is queued.
    """
    certificates = [scene.certificate(n) for n in range(5)]
    await scene.run(*certificates)

    again = await scene.run(*certificates)

    assert (0, 0, {SkipReason.DUPLICATE: 5}) == (again.created, again.queued, dict(again.skipped_by_reason))
    assert {PushState.QUEUED: 6} == dict(await scene.repository.count_pushes())


async def test_two_runs_at_once_tell_once(scene):
    """
    Both finish, and together they created each notice once.
    """
    certificates = [scene.certificate(n) for n in range(20)]
    results = []

    async def run():
        results.append(await scene.run(*certificates))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        tasks.start_soon(run)

    assert 20 == sum(result.created for result in results)


async def test_thirty_one_nights_are_one_notice_per_tier(scene):
    """
    Ranges, and a window per tier: daily runs do not repeat themselves.
    """
    certificate = scene.certificate(1, 35)
    created = {}
    for day in range(40):
        result = await scene.run(certificate, day=day)
        created.update(dict.fromkeys(result.by_tier, day))
        assert scene.added_up(result)

    assert {ADVANCE: 0, WARNING: 5, URGENT: 28, LAPSED: 36} == created
    assert 4 == len(await scene.repository.notifications_for("mentor-1"))


async def test_daily_windows_remind_every_day_and_stop_when_it_is_stale(scene):
    """
    For hosts that want it; lapsed for more than thirty days, nobody is reminded any more.
    """
    scene.policy = ExpiryPolicy(window=WindowPolicy.DAILY)
    certificate = scene.certificate(1, -29)

    results = [await scene.run(certificate, day=day) for day in range(3)]

    assert [1, 1, 0] == [result.created for result in results]
    assert {SkipReason.STALE: 1} == dict(results[-1].skipped_by_reason)


async def test_the_guard_defers_and_consumes_nothing(scene):
    """
    Two tiers within twenty hours: the second waits for a later run. Exactly twenty hours pass.
    """
    certificate = scene.certificate(1, expires=datetime(2026, 1, 2, 3, 0, tzinfo=UTC))
    at = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)

    async def run(hours):
        return await scene.orchestrator().run(
            [certificate], as_of=at + timedelta(hours=hours), allow_future=True
        )

    first, early, late = await run(0), await run(19.99), await run(20)

    assert {URGENT: 1} == dict(first.by_tier)
    assert {SkipReason.DEFERRED: 1} == dict(early.skipped_by_reason)
    assert {LAPSED: 1} == dict(late.by_tier)


async def test_a_gap_gives_one_notice_and_counts_what_was_missed(scene):
    """
    From 61 to 5 days: urgent, and neither of the tiers that passed.
    """
    certificate = scene.certificate(1, 61)
    await scene.run(certificate)

    result = await scene.run(certificate, day=56)

    assert {URGENT: 1} == dict(result.by_tier)
    assert {ADVANCE: 1, WARNING: 1} == dict(result.missed_tiers)


async def test_a_renewal_starts_afresh_and_cancels_what_is_queued(scene):
    """
    A later end in a later run: nothing of the earlier one is sent.
    """
    await scene.run(scene.certificate(1, 7))

    result = await scene.run(scene.certificate(1, 700), day=1)

    assert {SkipReason.NOT_DUE: 1} == dict(result.skipped_by_reason)
    assert {PushState.CANCELLED: 1, PushState.QUEUED: 1} == dict(await scene.repository.count_pushes())
    later = await scene.run(scene.certificate(1, 700), day=645)
    assert {ADVANCE: 1} == dict(later.by_tier)


async def test_a_revoked_certificate_tells_nobody_and_cancels_what_is_queued(scene):
    """
    Taken away since.
    """
    await scene.run(scene.certificate(1, 7))

    result = await scene.run(scene.certificate(1, 7, revoked=True), day=1)

    assert {SkipReason.REVOKED: 1} == dict(result.skipped_by_reason)
    assert 1 == (await scene.repository.count_pushes())[PushState.CANCELLED]


async def test_of_two_certificates_of_a_type_the_later_counts(scene):
    """
    In whatever order they come; other spellings of the type are the same type.
    """
    earlier = scene.certificate(1, 5)
    later = scene.certificate(1, 25, certificate_id="later", certificate_type=" First_Aid ")

    for certificates in ([earlier, later], [later, earlier]):
        scene.__attrs_post_init__()
        result = await scene.run(*certificates)
        assert {WARNING: 1} == dict(result.by_tier)
        assert {SkipReason.SUPERSEDED: 1} == dict(result.skipped_by_reason)


async def test_an_older_certificate_in_a_later_chunk_is_stale(scene):
    """
    The store knows the later end.
    """
    scene.settings = NotificationSettings(chunk_size=1)

    older = scene.certificate(1, 5, certificate_id="older")
    result = await scene.run(scene.certificate(1, 25), older)

    assert {SkipReason.STALE: 1} == dict(result.skipped_by_reason)


@pytest.mark.parametrize("size", [1, 2, 7, 20])
async def test_a_record_that_the_store_refuses_is_found_by_halving(scene, size):
    """
    Look-up and insert together; it alone fails, and the rest is written.
    """
    record, bad = scene.repository.record, f"mentor-{size // 2}"

    async def refuse(chunk, /):
        if any(draft.notice.mentor_id == bad for draft in chunk.drafts):
            raise RecordRefusedError
        return await record(chunk)

    scene.repository.record = refuse

    result = await scene.run(*(scene.certificate(n) for n in range(size)))

    assert scene.added_up(result)
    assert [RecordProblem(bad, "record_refused")] == list(result.failures)
    assert size - 1 == result.created


async def test_a_record_that_tells_nothing_is_skipped_although_the_store_refuses_its_end(scene):
    """
    Nothing was to be told, so nothing failed; the next run hands the end over again.
    """

    async def refuse(_chunk, /):
        raise RecordRefusedError

    scene.repository.record = refuse

    result = await scene.run(scene.certificate(1, revoked=True))

    assert {SkipReason.REVOKED: 1} == result.skipped_by_reason
    assert (0, ()) == (result.failed, result.failures)


async def test_a_store_that_answers_nonsense_fails_the_records(scene):
    """
    Results that are not one for each draft are no results.
    """

    async def record(_chunk, /):
        return RecordedChunk(fates=(DraftFate(state=DraftState.CREATED),) * 2)

    scene.repository.record = record

    result = await scene.run(scene.certificate(1))

    assert ["record_refused"] == [each.code for each in result.failures]


async def test_a_store_that_goes_away_between_chunks_fails_a_chunk_and_a_re_run_completes_it(scene):
    """
    The run goes on, says what it could not do, and nobody is told twice.
    """
    scene.settings = NotificationSettings(chunk_size=2)
    record, calls = scene.repository.record, []

    async def away(chunk, /):
        calls.append(chunk)
        if len(calls) == 2:
            raise GONE
        return await record(chunk)

    scene.repository.record = away
    certificates = [scene.certificate(n) for n in range(6)]

    first = await scene.run(*certificates)
    second = await scene.run(*certificates)

    assert (4, {"repository_unavailable"}) == (first.created, {each.code for each in first.failures})
    assert (2, 4) == (second.created, second.skipped)


async def test_a_constant_number_of_calls_per_chunk(scene):
    """
    One question to the directory, one write to the store, whatever the chunk's size.
    """
    scene.settings = NotificationSettings(chunk_size=100)
    record, writes = scene.repository.record, []

    async def counted(chunk, /):
        writes.append(len(chunk.drafts))
        return await record(chunk)

    scene.repository.record = counted

    await scene.run(*(scene.certificate(n) for n in range(250)))

    assert [100, 100, 50] == writes == [len(asked) for asked in scene.directory.asked]


async def test_without_a_coordinator_the_chapter_admins_are_told_and_it_is_reported(scene):
    """
    With a warning that names the mentor.
    """
    scene.directory.recipients = {"mentor-1": MentorRecipients(chapter_admin_ids=("admin-1", "admin-2"))}

    result = await scene.run(scene.certificate(1))

    assert [RecordProblem("mentor-1", "missing_coordinator_assignment")] == list(result.data_quality)
    for admin in ("admin-1", "admin-2"):
        (notice,) = await scene.repository.notifications_for(admin)
        assert Audience.CHAPTER_ADMIN is notice.audience


@pytest.mark.parametrize("failure", [fail(RuntimeError()), hang()])
async def test_a_directory_that_fails_stops_nothing_and_a_later_run_tells_the_coordinator(scene, failure):
    """
    Mentors are told at once, the coordinator when the directory works again.
    """
    reply, scene.directory.reply = scene.directory.reply, failure

    result = await scene.while_time_passes(lambda: scene.run(scene.certificate(1)))
    assert (1, ["recipients_unknown"]) == (result.created, [each.code for each in result.data_quality])

    scene.directory.reply = reply
    await scene.run(scene.certificate(1))

    assert 1 == len(await scene.repository.notifications_for("coord-1"))
    assert 1 == len(await scene.repository.notifications_for("mentor-1"))


async def test_without_a_directory_only_mentors_are_told(scene):
    """
    And nothing is wrong with the data.
    """
    scene.directory = None

    result = await scene.run(scene.certificate(1))

    assert (1, ()) == (result.created, result.data_quality)


async def test_lapsed_mentors_are_hidden_whatever_became_of_their_notice(scene):
    """
    And shown again when a run sees the renewal.
    """

    async def refuse(_chunk, /):
        raise RecordRefusedError

    record, scene.repository.record = scene.repository.record, refuse
    await scene.run(scene.certificate(1, -1))
    assert {"mentor-1"} == set(await scene.visibility.hidden(["mentor-1"], at=NIGHT_AFTER))

    scene.repository.record = record
    await scene.run(scene.certificate(1, 300), day=1)
    assert set() == set(await scene.visibility.hidden(["mentor-1"], at=NIGHT_AFTER))


NIGHT_AFTER = datetime(2026, 1, 2, 0, 5, tzinfo=UTC)


async def test_a_registry_that_hangs_stops_nothing(scene):
    """
    It is reported, and the next run updates it.
    """

    class Hanging(MemoryVisibilityRegistry):
        async def track(self, _ends, /, **_rest):
            await anyio.sleep_forever()

    scene.visibility = Hanging()

    result = await scene.while_time_passes(lambda: scene.run(scene.certificate(1)))

    assert (1, [RecordProblem("", "visibility_unknown")]) == (result.created, list(result.data_quality))


async def test_nothing_personal_is_logged_or_shown(scene, caplog):
    """
    Names and certificate numbers stay out of logs and reprs.
    """
    caplog.set_level(0)
    certificate = PeerMentorCertificate(
        certificate_id="number-canary",
        mentor_id="mentor-1",
        certificate_type="first_aid",
        expires=NIGHT_AFTER,
        holder_name="Kari Canary",
    )

    result = await scene.run(certificate, attrs.evolve(certificate, mentor_id=""))
    plan = await scene.orchestrator().plan([certificate])

    inbox = await scene.repository.notifications_for("mentor-1")
    shown = f"{caplog.text}{result!r}{plan!r}{certificate!r}{inbox!r}"
    assert "Canary" not in shown
    assert "number-canary" not in caplog.text


async def test_a_chunk_of_nonsense_asks_the_store_nothing(scene):
    """
    There is nothing to write.
    """

    async def record(_chunk, /):
        raise AssertionError

    scene.repository.record = record

    result = await scene.run("x", "y")

    assert (0, 2) == (result.created, result.failed)


async def test_a_problem_is_reported_once_and_reports_are_bounded(scene):
    """
    The same mentor in two chunks is one entry; a register full of problems does not fill the memory.
    """
    scene.settings = NotificationSettings(chunk_size=1, most_problems=2)
    scene.directory.recipients = {}

    result = await scene.run(
        scene.certificate(1),
        scene.certificate(1, certificate_type="other"),
        *(scene.certificate(n) for n in range(2, 6)),
    )

    assert ["mentor-1", "mentor-2"] == [problem.mentor_id for problem in result.data_quality]


@pytest.mark.parametrize(
    ("mentor_id", "code"),
    [
        ("-", "empty_id"),
        ("0", "empty_id"),
        ("N/A", "empty_id"),
        ("#REF!", "invalid_id"),
        ("1017.0", "invalid_id"),
    ],
)
async def test_nobody_is_told_under_an_id_that_is_none(scene, mentor_id, code):
    """
    The record fails alone; a filler is reported as missing.
    """
    result = await scene.run(scene.certificate(1, mentor_id=mentor_id), scene.certificate(2))

    assert [(mentor_id, code)] == [(each.mentor_id, each.code) for each in result.failures]
    assert 1 == result.created


async def test_a_host_replaces_the_rule_for_ids(scene):
    """
    Its ids may look like a spreadsheet's; renewals are asked about by the same rule.
    """
    odd = scene.certificate(1, mentor_id="1017.0")
    with pytest.raises(UnreadableRecordError, match="invalid_id"):
        await scene.orchestrator().record_renewals([odd])
    scene.rest["id_rule"] = lambda _text: None

    result = await scene.run(odd)
    await scene.orchestrator().record_renewals([odd])

    assert 1 == result.created
