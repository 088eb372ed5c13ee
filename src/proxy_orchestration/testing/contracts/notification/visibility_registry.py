"""
What a visibility registry promises.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.visibility_port import VisibilityRegistry
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, at_once, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    ENDS,
    INSTANT,
    MORNING,
    OTHER_TYPE,
    RENEWED,
    end_of,
)

hiding: list[Check[VisibilityRegistry]] = []

_MENTORS = ("mentor-1", "mentor-2", "mentor-3")
_AFTER = ENDS + timedelta(days=1)


async def _hidden(registry: VisibilityRegistry, *, at: datetime = _AFTER) -> set[str]:
    return set(await registry.hidden(_MENTORS, at=at))


def _lapsed(mentor_id: str = "mentor-1", of_type: str = "first_aid") -> CertificateEnd:
    return end_of(mentor_id, ENDS, of_type)


@rule_of(hiding)
async def nobody_is_hidden_who_was_not_tracked(registry: VisibilityRegistry) -> None:
    expect("no end", expected=0, actual=await registry.track([], at=_AFTER))
    await registry.track([_lapsed("mentor-9")], at=_AFTER)

    expect("of those asked for", expected=set(), actual=await _hidden(registry))
    expect("nobody asked for", expected=set(), actual=set(await registry.hidden([], at=_AFTER)))


@rule_of(hiding)
async def a_mentor_is_suppressed_from_the_end_on(registry: VisibilityRegistry) -> None:
    expect("before", expected=0, actual=await registry.track([_lapsed()], at=ENDS - INSTANT))
    expect("exactly", expected=1, actual=await registry.track([_lapsed()], at=ENDS))

    expect("hidden", expected={"mentor-1"}, actual=await _hidden(registry))


@rule_of(hiding)
async def who_is_suppressed_stays_so(registry: VisibilityRegistry) -> None:
    ends = [_lapsed("mentor-1"), _lapsed("mentor-2"), end_of("mentor-3", RENEWED)]
    expect("two", expected=2, actual=await registry.track(ends, at=_AFTER))
    expect("none anew", expected=0, actual=await registry.track(ends, at=_AFTER))

    expect("both", expected={"mentor-1", "mentor-2"}, actual=await _hidden(registry))


@rule_of(hiding)
async def an_earlier_moment_restores_nobody(registry: VisibilityRegistry) -> None:
    moments = (_AFTER, ENDS - INSTANT, _AFTER)
    counted = [await registry.track([_lapsed()], at=moment) for moment in moments]

    expect("suppressed once", expected=[1, 0, 0], actual=counted)


@rule_of(hiding)
async def of_tracks_at_once_one_suppresses(registry: VisibilityRegistry) -> None:
    # Rows that another call is about to insert are covered by no row lock; decision 48.
    ends = [_lapsed("mentor-1"), _lapsed("mentor-2")]
    answers = await at_once(*[lambda: registry.track(ends, at=_AFTER)] * 3)

    expect("each once", expected=2, actual=sum(answers))


@rule_of(hiding)
async def hiding_compares_the_ends_with_the_moment(registry: VisibilityRegistry) -> None:
    # A run that comes late would otherwise hide late.
    await registry.track([_lapsed()], at=MORNING)
    moments = [ENDS - INSTANT, ENDS, _AFTER]
    hidden = [await _hidden(registry, at=moment) for moment in moments]
    expect("though no run came since", expected=[set(), {"mentor-1"}, {"mentor-1"}], actual=hidden)
    await registry.track([_lapsed()], at=_AFTER)

    expect("not before the end", expected=set(), actual=await _hidden(registry, at=MORNING))


@rule_of(hiding)
async def a_later_end_restores_who_was_suppressed(registry: VisibilityRegistry) -> None:
    await registry.track([_lapsed("mentor-1"), _lapsed("mentor-2")], at=_AFTER)
    expect("none anew", expected=0, actual=await registry.track([end_of("mentor-1", RENEWED)], at=_AFTER))

    expect("the other stays", expected={"mentor-2"}, actual=await _hidden(registry))
    again = await registry.track([end_of("mentor-1", RENEWED)], at=RENEWED)
    expect("it may lapse again", expected=1, actual=again)


@rule_of(hiding)
async def a_later_end_that_is_over_too_restores_nobody(registry: VisibilityRegistry) -> None:
    await registry.track([_lapsed()], at=_AFTER)
    later = end_of("mentor-1", ENDS + INSTANT)
    expect("none anew", expected=0, actual=await registry.track([later], at=_AFTER))

    expect("hidden", expected={"mentor-1"}, actual=await _hidden(registry))


@rule_of(hiding)
async def an_end_that_is_corrected_backwards_hides(registry: VisibilityRegistry) -> None:
    # A typo, or a sentinel of 9999: the end that counts is what is told, not the latest ever seen.
    await registry.track([end_of("mentor-1", RENEWED)], at=_AFTER)
    expect("lapsed", expected=1, actual=await registry.track([_lapsed()], at=_AFTER))

    expect("hidden", expected={"mentor-1"}, actual=await _hidden(registry))


@rule_of(hiding)
async def who_has_no_certificate_that_counts_is_restored(registry: VisibilityRegistry) -> None:
    # The lapsed one was revoked since, or withdrawn: it must not hide for ever.
    await registry.track([_lapsed(), _lapsed(of_type=OTHER_TYPE), _lapsed("mentor-2")], at=_AFTER)
    await registry.track([end_of("mentor-1", None), end_of("mentor-2", None)], at=_AFTER)
    expect("the other type", expected={"mentor-1"}, actual=await _hidden(registry))
    await registry.track([end_of("mentor-1", None, OTHER_TYPE), end_of("mentor-3", None)], at=_AFTER)
    expect("shown", expected=set(), actual=await _hidden(registry))

    expect("it may lapse again", expected=1, actual=await registry.track([_lapsed()], at=_AFTER))


@rule_of(hiding)
async def two_types_of_a_mentor_are_one_suppression(registry: VisibilityRegistry) -> None:
    both = [_lapsed(), _lapsed(of_type=OTHER_TYPE)]
    expect("one mentor", expected=1, actual=await registry.track(both, at=_AFTER))

    expect("hidden", expected={"mentor-1"}, actual=await _hidden(registry))


@rule_of(hiding)
async def a_second_type_that_ends_suppresses_nobody_anew(registry: VisibilityRegistry) -> None:
    await registry.track([_lapsed()], at=_AFTER)
    answer = await registry.track([_lapsed(of_type=OTHER_TYPE)], at=_AFTER)

    expect("suppressed already", expected=0, actual=answer)


@rule_of(hiding)
async def a_mentor_is_restored_when_no_type_has_ended(registry: VisibilityRegistry) -> None:
    await registry.track([_lapsed(), _lapsed(of_type=OTHER_TYPE)], at=_AFTER)
    await registry.track([end_of("mentor-1", RENEWED)], at=_AFTER)
    expect("the other type", expected={"mentor-1"}, actual=await _hidden(registry))
    again = await registry.track([_lapsed(of_type=OTHER_TYPE)], at=_AFTER)
    expect("suppressed all along", expected=0, actual=again)
    await registry.track([end_of("mentor-1", RENEWED, OTHER_TYPE)], at=_AFTER)

    expect("shown", expected=set(), actual=await _hidden(registry))
    expect("anew", expected=1, actual=await registry.track([end_of("mentor-1", RENEWED)], at=RENEWED))


@rule_of(hiding)
async def a_type_that_is_valid_restores_nobody(registry: VisibilityRegistry) -> None:
    await registry.track([_lapsed()], at=_AFTER)
    await registry.track([end_of("mentor-1", RENEWED, OTHER_TYPE)], at=_AFTER)

    expect("hidden", expected={"mentor-1"}, actual=await _hidden(registry))
    expect("suppressed all along", expected=0, actual=await registry.track([_lapsed()], at=_AFTER))


@rule_of(hiding)
async def ends_of_a_mentor_that_cannot_be_kept_are_refused_whole(registry: VisibilityRegistry) -> None:
    for odd in UNKEEPABLE:
        call = registry.track([_lapsed(), _lapsed(odd)], at=_AFTER)
        await error_of(RecordRefusedError, f"track {odd!r}", call)
        expect("not asked about either", expected=set(), actual=set(await registry.hidden([odd], at=_AFTER)))

    expect("nobody is hidden", expected=set(), actual=await _hidden(registry))
