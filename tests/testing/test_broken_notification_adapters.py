"""
The kits of notification find what is wrong: each adapter breaks one promise, and its check says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from proxy_orchestration.notification.ends import NotedEnds, Place, certificate_about, key_of
from proxy_orchestration.notification.notices import CertificateExpiryNotification, NoticeKey, PushState
from proxy_orchestration.notification.records import (
    Acknowledged,
    AcknowledgementEvent,
    CertificateEnd,
    LeasedPush,
    NoticeChunk,
    PushCompletion,
    RecordedChunk,
    WholeFeed,
)
from proxy_orchestration.notification.visibility_records import Restoration, VisibilityChange
from proxy_orchestration.storage.memory import MemoryNotificationRepository, MemoryVisibilityRegistry
from proxy_orchestration.storage.memory.notification.outbox import StoredNotice, StoredPush
from proxy_orchestration.testing.contracts import Check, notice_book, push_outbox, visibility_registry


class _WithoutGuard(MemoryNotificationRepository):
    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        return await super().record(attrs.evolve(chunk, guard=timedelta(0)))


class _GuardingAnInstantTooLong(MemoryNotificationRepository):
    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        longer = chunk.guard + timedelta(microseconds=1)
        return await super().record(attrs.evolve(chunk, guard=longer))


class _LookingBeforeItWaits(MemoryNotificationRepository):
    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        results = await self.weigh(chunk)
        await super().record(chunk)
        return results


class _WritingWhenItWeighs(MemoryNotificationRepository):
    async def weigh(self, chunk: NoticeChunk, /) -> RecordedChunk:
        return await self.record(chunk)


class _BlindToLaterEnds(MemoryNotificationRepository):
    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        self._ends.clear()
        return await super().record(chunk)


class _CancellingNothing(MemoryNotificationRepository):
    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        return await super().record(attrs.evolve(chunk, ends=()))


class _ClearingNothing(MemoryNotificationRepository):
    def _clear(self, stored: StoredNotice) -> None:
        """
        Leave the notices as they are.
        """


class _TellingOthersOnce(MemoryNotificationRepository):
    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        told = self._notices.keys()
        drafts = (
            attrs.evolve(draft, others=()) if draft.notice.notification_id in told else draft
            for draft in chunk.drafts
        )
        return await super().record(attrs.evolve(chunk, drafts=tuple(drafts)))


class _AcknowledgingAgain(MemoryNotificationRepository):
    async def acknowledge(self, event: AcknowledgementEvent, /) -> Acknowledged:
        await super().acknowledge(event)
        return Acknowledged.NOW


class _NewestNoticeFirst(MemoryNotificationRepository):
    async def notifications_for(
        self, recipient_id: str, /, *, unacknowledged_only: bool = False
    ) -> Sequence[CertificateExpiryNotification]:
        found = await super().notifications_for(recipient_id, unacknowledged_only=unacknowledged_only)
        return found[::-1]


class _CountingClearedInDigests(MemoryNotificationRepository):
    def _clear(self, stored: StoredNotice) -> None:
        waiting = {name: dict(notices) for name, notices in self._uncovered.items()}
        super()._clear(stored)
        self._uncovered.update(waiting)


class _CoveringNothing(MemoryNotificationRepository):
    def _cover(self, push: StoredPush) -> None:
        """
        Leave all to be told again.
        """


class _CoveringWhatCameSince(MemoryNotificationRepository):
    def _settle(self, push: StoredPush, completion: PushCompletion) -> None:
        push.counted = tuple(self._uncovered[push.message.recipient_id].values())
        super()._settle(push, completion)


class _CoveringTheDead(MemoryNotificationRepository):
    def _settle(self, push: StoredPush, completion: PushCompletion) -> None:
        self._cover(push)
        super()._settle(push, completion)


class _OpeningADigestForEachRun(MemoryNotificationRepository):
    def _open_digest(self, digest: StoredPush) -> None:
        known = self._open_digests.get(digest.message.recipient_id)
        if known is not None and known.run_id != digest.run_id:
            del self._open_digests[digest.message.recipient_id]
        super()._open_digest(digest)


class _HoldingDigestsForAnHour(MemoryNotificationRepository):
    def _end_run(self, run_id: str, at: Any) -> None:
        """
        Leave them as they are.
        """


class _SendingDigestsAtOnce(MemoryNotificationRepository):
    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        return await super().record(attrs.evolve(chunk, due_at=chunk.written_at))


class _LettingAnyRunEndThem(MemoryNotificationRepository):
    def _end_run(self, run_id: str, at: Any) -> None:
        for digest in self._open_digests.values():
            digest.run_id = run_id
        super()._end_run(run_id, at)


class _ForgettingTheDead(MemoryNotificationRepository):
    def _cancel(self, end: CertificateEnd) -> int:
        dead = {name: push for name, push in self._pushes.items() if push.state is PushState.DEAD}
        cancelled = super()._cancel(end)
        for push in dead.values():
            push.state = PushState.DEAD
        return cancelled


class _BlindToItsOwnEnds(MemoryNotificationRepository):
    async def weigh(self, chunk: NoticeChunk, /) -> RecordedChunk:
        return await super().weigh(attrs.evolve(chunk, ends=()))


class _KeepingTheLatestEnd(MemoryNotificationRepository):
    def _noted(self, chunk: NoticeChunk) -> NotedEnds:
        return super()._noted(attrs.evolve(chunk, ends=tuple(map(self._latest, chunk.ends))))

    def _latest(self, end: CertificateEnd) -> CertificateEnd:
        known = self._ends.get(certificate_about(end), {}).get(key_of(end))
        if end.ends_at is None or known is None or known.ends_at is None:
            return end
        return attrs.evolve(end, ends_at=max(end.ends_at, known.ends_at))


class _ForgettingTheNext(MemoryNotificationRepository):
    def _note(self, noted: NotedEnds) -> int:
        cancelled = super()._note(noted)
        for about, end in noted.counting.items():
            self._ends[about] = {key_of(end): self._ends[about][key_of(end)]} if end.ends_at else {}
        return cancelled


class _LeavingWhatWasCleared(MemoryNotificationRepository):
    def _is_cleared(self, key: NoticeKey, noted: NotedEnds | None = None) -> bool:
        return False


class _WithdrawingWhateverIsOld(MemoryNotificationRepository):
    async def withdraw(self, feed: WholeFeed, /, *, limit: int) -> Sequence[CertificateEnd]:
        everything = {(key[0] or None, about[1]) for about, key in self._places()}
        return await super().withdraw(attrs.evolve(feed, scope=frozenset(everything)), limit=limit)


class _SeeingInWholeFeedsOnly(MemoryNotificationRepository):
    async def record(self, chunk: NoticeChunk, /) -> RecordedChunk:
        at = chunk.written_at if chunk.complete else chunk.written_at - timedelta(days=9)
        return await super().record(attrs.evolve(chunk, written_at=at))


class _ForgettingTheLapsed(MemoryNotificationRepository):
    def _is_forgettable(self, place: Place, before: datetime) -> bool:
        end = self._ends[place.about][place.key]
        return (end.ends_at or end.seen_at) < before


class _HoldingNothing(MemoryNotificationRepository):
    async def claim_pushes(self, *, now: datetime, limit: int, hold: float) -> Sequence[LeasedPush]:
        return await super().claim_pushes(now=now, limit=limit, hold=0)


class _WithoutTokens(MemoryNotificationRepository):
    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        newest = [attrs.evolve(one, token=self._pushes[one.message_id].token) for one in completions]
        return await super().complete_pushes(newest)


class _EndingAllAsTheFirst(MemoryNotificationRepository):
    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        names = ("message_id", "token")
        return await super().complete_pushes(
            [
                attrs.evolve(completions[0], **{name: getattr(one, name) for name in names})
                for one in completions
            ]
        )


class _EndingALeaseTwice(MemoryNotificationRepository):
    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        await super().complete_pushes(completions)
        return len(completions)


class _Fused(MemoryNotificationRepository):
    async def complete_and_claim(
        self, completions: Sequence[PushCompletion], /, **claim: Any
    ) -> Sequence[LeasedPush]:
        await self.complete_pushes(completions)
        return await self.claim_pushes(**claim)


class _ClaimingFirst(_Fused):
    async def complete_and_claim(
        self, completions: Sequence[PushCompletion], /, **claim: Any
    ) -> Sequence[LeasedPush]:
        found = await self.claim_pushes(**claim)
        await self.complete_pushes(completions)
        return found


class _FusedWithoutTokens(_Fused):
    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        newest = [attrs.evolve(one, token=self._pushes[one.message_id].token) for one in completions]
        return await super().complete_pushes(newest)


class _SendingWhatWasCancelled(MemoryNotificationRepository):
    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        for one in completions:
            if self._pushes[one.message_id].state is PushState.CANCELLED:
                self._pushes[one.message_id].state = PushState.LEASED
        return await super().complete_pushes(completions)


class _CountingEveryAttempt(MemoryNotificationRepository):
    async def complete_pushes(self, completions: Sequence[PushCompletion], /) -> int:
        return await super().complete_pushes([attrs.evolve(one, counted=True) for one in completions])


class _ReplayingAll(MemoryNotificationRepository):
    async def replay_dead(self, message_ids: Collection[str] | None, /, *, now: datetime) -> int:
        return await super().replay_dead(None, now=now)


class _WaitingForNothing(MemoryNotificationRepository):
    async def push_wait(self, *, now: datetime) -> float | None:
        await super().push_wait(now=now)
        return None


class _HidingByTheRun(MemoryVisibilityRegistry):
    async def hidden(self, mentor_ids: Collection[str], /, *, at: datetime) -> Collection[str]:
        return await super().suppressed(mentor_ids)


class _SuppressingAnew(MemoryVisibilityRegistry):
    async def track(self, ends: Sequence[CertificateEnd], /, *, at: datetime, **rest: Any) -> int:
        await super().track(ends, at=at, **rest)
        return len(await super().hidden({end.mentor_id for end in ends}, at=at))


class _RestoringByTheMoment(MemoryVisibilityRegistry):
    async def track(self, ends: Sequence[CertificateEnd], /, *, at: datetime, **rest: Any) -> int:
        for about, standing in self._standings.items():
            if at < standing.ends_at:
                self._standings[about] = attrs.evolve(standing, suppressed_at=None)
        return await super().track(ends, at=at, **rest)


class _HidingWhomAPersonRestored(MemoryVisibilityRegistry):
    async def restore(self, wanted: Restoration, /) -> Sequence[VisibilityChange]:
        rows = await super().restore(wanted)
        for about, standing in self._standings.items():
            self._standings[about] = attrs.evolve(standing, restored_at=None)
        return rows


class _RestoringForEverybody(MemoryVisibilityRegistry):
    async def restore(self, wanted: Restoration, /) -> Sequence[VisibilityChange]:
        everywhere = [standing.organization_id for standing in self._standings.values()]
        organization = next(filter(None, everywhere), wanted.organization_id)
        return await super().restore(attrs.evolve(wanted, organization_id=organization))


class _AskingTheHostAgain(MemoryVisibilityRegistry):
    async def suppressed(self, mentor_ids: Collection[str], /) -> Collection[str]:
        await super().suppressed(mentor_ids)
        return ()


class _ForgettingTheErasedAlone(MemoryVisibilityRegistry):
    async def erase_mentor(self, mentor_id: str, /, *, at: datetime) -> int:
        changes = list(self._changes)
        erased = await super().erase_mentor(mentor_id, at=at)
        self._changes = changes
        return erased


class _EmptyingInAnyCase(MemoryNotificationRepository):
    def _open_next(self, ended: StoredPush) -> None:
        """
        Leave it closed.
        """


class _KeepingLaterEnds(MemoryVisibilityRegistry):
    async def track(self, ends: Sequence[CertificateEnd], /, *, at: datetime, **rest: Any) -> int:
        return await super().track([end for end in ends if self._is_later(end)], at=at, **rest)

    def _is_later(self, end: CertificateEnd) -> bool:
        known = self._standings.get((end.mentor_id, end.certificate_type))
        return end.ends_at is not None and (known is None or end.ends_at > known.ends_at)


@pytest.mark.parametrize(
    ("adapter", "kit", "promise"),
    [
        (_WithoutGuard, notice_book, "of_tiers_at_once_the_guard_lets_one_pass"),
        (_WithoutGuard, notice_book, "the_guard_defers_until_it_is_exactly_over"),
        (_GuardingAnInstantTooLong, notice_book, "the_guard_defers_until_it_is_exactly_over"),
        (_LookingBeforeItWaits, notice_book, "of_records_at_once_with_one_key_one_creates"),
        (_WritingWhenItWeighs, notice_book, "weighing_answers_the_same_and_writes_nothing"),
        (_BlindToLaterEnds, notice_book, "a_draft_is_stale_once_a_later_end_is_known"),
        (_CancellingNothing, notice_book, "a_run_that_sees_a_later_end_or_a_revocation_cancels"),
        (_CancellingNothing, notice_book, "a_draft_for_a_later_end_replaces_what_is_queued"),
        (_ClearingNothing, notice_book, "a_renewal_cancels_and_clears_what_is_for_an_earlier_end"),
        (_TellingOthersOnce, notice_book, "a_later_run_completes_what_others_were_not_told"),
        (_AcknowledgingAgain, notice_book, "of_acknowledgements_at_once_one_is_now"),
        (_AcknowledgingAgain, notice_book, "what_is_not_there_or_cleared_is_not_acknowledged"),
        (_NewestNoticeFirst, notice_book, "an_inbox_has_the_oldest_first"),
        (_CountingClearedInDigests, notice_book, "a_digest_counts_as_it_is_claimed"),
        (_KeepingTheLatestEnd, notice_book, "a_corrected_end_is_told_though_a_later_one_was_known"),
        (_BlindToItsOwnEnds, notice_book, "a_draft_is_stale_once_its_own_chunk_tells_a_later_end"),
        (_KeepingTheLatestEnd, notice_book, "a_new_end_of_a_certificate_takes_the_place_of_its_old_one"),
        (_ForgettingTheNext, notice_book, "a_revoked_certificate_leaves_the_next_of_its_mentor"),
        (
            _LeavingWhatWasCleared,
            notice_book,
            "what_was_cleared_waits_again_when_its_certificate_counts_again",
        ),
        (_WithdrawingWhateverIsOld, notice_book, "a_whole_feed_is_of_its_organizations_and_types"),
        (_SeeingInWholeFeedsOnly, notice_book, "what_another_run_sees_meanwhile_is_not_withdrawn"),
        (
            _ForgettingTheLapsed,
            notice_book,
            "ends_that_no_longer_count_are_forgotten_and_wake_nothing",
        ),
        (_CoveringNothing, notice_book, "what_was_sent_is_covered"),
        (_CoveringWhatCameSince, notice_book, "a_completion_covers_what_its_claim_counted"),
        (_CoveringTheDead, notice_book, "a_dead_digest_s_notices_wait_for_the_next"),
        (_OpeningADigestForEachRun, notice_book, "of_notices_at_once_one_opens_the_digest"),
        (_HoldingDigestsForAnHour, notice_book, "a_digest_is_due_when_its_run_ends"),
        (
            _SendingDigestsAtOnce,
            notice_book,
            "a_killed_run_s_digest_is_due_after_an_hour",
        ),
        (_LettingAnyRunEndThem, notice_book, "of_two_runs_the_last_to_write_makes_a_digest_due"),
        (_ForgettingTheDead, push_outbox, "a_dead_message_of_an_end_that_is_over_is_not_replayed"),
        (_HoldingNothing, push_outbox, "of_claims_at_once_one_gets_a_message"),
        (_WithoutTokens, push_outbox, "an_old_token_changes_nothing"),
        (_ClaimingFirst, push_outbox, "what_is_put_back_may_be_leased_by_the_same_call"),
        (_FusedWithoutTokens, push_outbox, "a_lease_that_was_lost_is_not_ended_by_the_way"),
        (_EndingAllAsTheFirst, push_outbox, "each_of_several_ends_as_its_own_completion_says"),
        (_EndingALeaseTwice, push_outbox, "of_two_endings_of_one_lease_the_first_counts"),
        (_SendingWhatWasCancelled, push_outbox, "what_was_cancelled_meanwhile_is_not_sent_again"),
        (_CountingEveryAttempt, push_outbox, "an_attempt_that_does_not_count_is_given_back"),
        (_ReplayingAll, push_outbox, "only_dead_messages_that_are_named_are_replayed"),
        (_WaitingForNothing, push_outbox, "the_wait_is_for_what_is_due_first"),
        (_HidingByTheRun, visibility_registry, "hiding_compares_the_ends_with_the_moment"),
        (_SuppressingAnew, visibility_registry, "who_is_suppressed_stays_so"),
        (_SuppressingAnew, visibility_registry, "of_tracks_at_once_one_suppresses"),
        (_RestoringByTheMoment, visibility_registry, "an_earlier_moment_restores_nobody"),
        (_HidingWhomAPersonRestored, visibility_registry, "whom_a_person_restored_no_earlier_end_hides"),
        (_RestoringForEverybody, visibility_registry, "only_mentors_of_the_organization_are_restored"),
        (_AskingTheHostAgain, visibility_registry, "the_previous_status_is_kept_and_told"),
        (_ForgettingTheErasedAlone, visibility_registry, "an_erased_mentor_stands_under_a_pseudonym"),
        (_EmptyingInAnyCase, notice_book, "a_digest_is_not_emptied_while_a_notice_comes"),
        (_KeepingLaterEnds, visibility_registry, "an_end_that_is_corrected_backwards_hides"),
        (_KeepingLaterEnds, visibility_registry, "who_has_no_certificate_that_counts_is_restored"),
    ],
)
async def test_a_kit_finds_the_store_that_breaks_a_promise(
    adapter: type[Any], kit: Sequence[Check[Any]], promise: str
) -> None:
    """
    The check that is named for the promise fails with an assertion.
    """

    @asynccontextmanager
    async def open_adapter() -> AsyncIterator[Any]:
        yield adapter()

    (check,) = (check for check in kit if check.name == promise)

    with pytest.raises(AssertionError):
        await check(open_adapter)
