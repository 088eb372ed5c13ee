"""
The kits find what is wrong with a service: each one here breaks one promise, and the check for it says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import attrs
import pytest
from anyio.lowlevel import checkpoint

from proxy_orchestration.errors import RegistrationUnavailable
from proxy_orchestration.registration.activities import (
    ProxyRegistration,
    RegistrationFailure,
    RegistrationReceipt,
)
from proxy_orchestration.registration.conflicts import Conflict, ConflictKind
from proxy_orchestration.registration.ports import ProxyRegistrationService
from proxy_orchestration.registration.standard.checks import DuplicateRule
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import ScriptedRegistrationService
from proxy_orchestration.testing.contracts import Check, Opener, bulk_registration, conflict_check

Asked: TypeAlias = Sequence[ProxyRegistration]
Answers: TypeAlias = Sequence[RegistrationReceipt | RegistrationFailure]


def _numbered(asked: Asked, numbers: Sequence[int]) -> list[RegistrationReceipt]:
    return [
        RegistrationReceipt(registration_id=one.registration_id, activity_id=f"activity-{number}")
        for one, number in zip(asked, numbers, strict=True)
    ]


def _is_ancient(registration: ProxyRegistration) -> bool:
    return registration.activity.activity_date.year < 2000


class _Shuffling(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        answers = await super().register_many(registrations, atomic=atomic)
        return sorted(answers, key=lambda answer: answer.registration_id)


class _AnsweringTooFew(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        return (await super().register_many(registrations, atomic=atomic))[:-1]


class _MixingUp(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        answers = await super().register_many(registrations, atomic=atomic)
        return [attrs.evolve(answer, registration_id=answers[0].registration_id) for answer in answers]


class _PromisingOnly(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        return _numbered(registrations, range(len(registrations)))


class _OneRecordPerKey(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        by_key = [attrs.evolve(one, registration_id=one.idempotency_key) for one in registrations]
        answers = await super().register_many(by_key, atomic=atomic)
        return [
            attrs.evolve(answer, registration_id=one.registration_id)
            for answer, one in zip(answers, registrations, strict=True)
        ]


class _KeepingManyApart(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        apart = [attrs.evolve(one, registration_id=f"many-{one.registration_id}") for one in registrations]
        answers = await super().register_many(apart, atomic=atomic)
        return [
            attrs.evolve(answer, registration_id=one.registration_id)
            for answer, one in zip(answers, registrations, strict=True)
        ]


class _CheckingFirst(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        if any(_is_ancient(one) for one in registrations):
            return [
                RegistrationFailure(registration_id=one.registration_id, code="old", message="Too old.")
                for one in registrations
            ]
        return await super().register_many(registrations, atomic=atomic)


class _Racing(StandardRegistrationService):
    calls = 0

    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        await super().register_many(registrations, atomic=atomic)
        await checkpoint()
        self.calls += 1
        return _numbered(registrations, [self.calls * 10 + place for place in range(len(registrations))])


class _WritingBeforeItRaises(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        answers = await super().register_many(registrations, atomic=atomic)
        if any(isinstance(answer, RegistrationFailure) for answer in answers):
            msg = "a row is bad"
            raise ValueError(msg)
        return answers


class _PostponingABadRow(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        if any(_is_ancient(one) for one in registrations):
            raise RegistrationUnavailable
        return await super().register_many(registrations, atomic=atomic)


class _AlwaysAtomic(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        return await super().register_many(registrations, atomic=True)


class _NeverAtomic(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        return await super().register_many(registrations, atomic=False)


class _HidingThatItWrote(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        answers = await super().register_many(registrations, atomic=atomic)
        if atomic and any(isinstance(answer, RegistrationFailure) for answer in answers):
            await super().register_many(registrations, atomic=False)
        return answers


class _GivingNoReasons(StandardRegistrationService):
    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        return [
            attrs.evolve(answer, code="failed") if isinstance(answer, RegistrationFailure) else answer
            for answer in await super().register_many(registrations, atomic=atomic)
        ]


class _BearingAGrudge(StandardRegistrationService):
    failed = False

    async def register_many(self, registrations: Asked, /, *, atomic: bool) -> Answers:
        if self.failed:
            return [
                RegistrationFailure(registration_id=one.registration_id, code="again", message="No.")
                for one in registrations
            ]
        answers = await super().register_many(registrations, atomic=atomic)
        self.failed = any(isinstance(answer, RegistrationFailure) for answer in answers)
        return answers


class _SeeingNothing(StandardRegistrationService):
    async def find_conflicts(self, registrations: Asked, /) -> Sequence[Conflict]:
        return []


class _AccusingAll(StandardRegistrationService):
    async def find_conflicts(self, registrations: Asked, /) -> Sequence[Conflict]:
        return [Conflict(mentor_id=one.mentor_id, kind=ConflictKind.DUPLICATE) for one in registrations]


class _NamingNoRecord(StandardRegistrationService):
    async def find_conflicts(self, registrations: Asked, /) -> Sequence[Conflict]:
        found = await super().find_conflicts(registrations)
        return [attrs.evolve(conflict, existing_activity_id=None) for conflict in found]


class _MeetingItself(StandardRegistrationService):
    async def find_conflicts(self, registrations: Asked, /) -> Sequence[Conflict]:
        return await super().find_conflicts(
            [attrs.evolve(one, registration_id=f"{one.registration_id}?") for one in registrations]
        )


class _MeetingItsOtherKey(StandardRegistrationService):
    async def find_conflicts(self, registrations: Asked, /) -> Sequence[Conflict]:
        return await super().find_conflicts(
            [
                one
                if one.idempotency_key.endswith(":0")
                else attrs.evolve(one, registration_id=one.idempotency_key)
                for one in registrations
            ]
        )


class _Repeating(StandardRegistrationService):
    async def find_conflicts(self, registrations: Asked, /) -> Sequence[Conflict]:
        return [*await super().find_conflicts(registrations)] * 2


class _Gossiping(StandardRegistrationService):
    async def find_conflicts(self, registrations: Asked, /) -> Sequence[Conflict]:
        found = list(await super().find_conflicts(registrations))
        others = Conflict(mentor_id="mentor-2", kind=ConflictKind.DUPLICATE, existing_activity_id="x")
        return [*found, others] if len(found) > 1 else found


class _DoubtingDecisions(StandardRegistrationService):
    async def find_conflicts(self, registrations: Asked, /) -> Sequence[Conflict]:
        return await super().find_conflicts([attrs.evolve(one, override_of=None) for one in registrations])


class _WritingWhenAsked(StandardRegistrationService):
    async def find_conflicts(self, registrations: Asked, /) -> Sequence[Conflict]:
        found = await super().find_conflicts(registrations)
        await self.register_many(registrations, atomic=False)
        return found


def _one_a_day(registration: ProxyRegistration) -> str:
    return f"{registration.mentor_id} {registration.activity.activity_date}"


def _one_of_a_type(registration: ProxyRegistration) -> str:
    return f"{registration.mentor_id} {registration.activity.activity_type}"


@pytest.mark.parametrize(
    ("service", "promise"),
    [
        (_Shuffling, "answers_come_in_the_order_asked"),
        (_AnsweringTooFew, "answers_come_in_the_order_asked"),
        (_MixingUp, "answers_come_in_the_order_asked"),
        (_PromisingOnly, "answers_come_in_the_order_asked"),
        (_OneRecordPerKey, "many_repeated_are_the_same_records"),
        (_KeepingManyApart, "many_and_single_calls_share_their_records"),
        (_CheckingFirst, "many_with_records_are_answered_before_any_other_check"),
        (_Racing, "many_at_once_are_one_record_each"),
        (_WritingBeforeItRaises, "one_bad_row_fails_alone_or_nothing_is_written"),
        (_PostponingABadRow, "one_bad_row_fails_alone_or_nothing_is_written"),
        (_AlwaysAtomic, "one_bad_row_fails_alone_or_nothing_is_written"),
        (_AnsweringTooFew, "one_bad_row_fails_alone_or_nothing_is_written"),
        (_PromisingOnly, "all_or_nothing_is_all"),
        (_NeverAtomic, "all_or_nothing_with_a_bad_row_is_nothing"),
        (_HidingThatItWrote, "all_or_nothing_with_a_bad_row_is_nothing"),
        (_GivingNoReasons, "all_or_nothing_with_a_bad_row_is_nothing"),
        (_BearingAGrudge, "all_or_nothing_goes_through_once_it_is_mended"),
    ],
)
async def test_the_kit_for_many_finds_the_service_that_breaks_a_promise(
    service: type[StandardRegistrationService], promise: str
) -> None:
    """
    The check that is named for the promise fails with an assertion.
    """
    await _is_caught(bulk_registration, promise, service(repository=MemoryActivityRepository()))


@pytest.mark.parametrize(
    ("service", "promise"),
    [
        (_AccusingAll, "nothing_registered_is_no_conflict"),
        (_SeeingNothing, "a_record_of_another_registration_is_told_by_its_id"),
        (_NamingNoRecord, "a_record_of_another_registration_is_told_by_its_id"),
        (_MeetingItself, "its_own_record_is_no_conflict"),
        (_MeetingItsOtherKey, "its_own_record_is_no_conflict"),
        (_Repeating, "each_mentor_asked_about_has_one_conflict_at_most"),
        (_Gossiping, "each_mentor_asked_about_has_one_conflict_at_most"),
        (_DoubtingDecisions, "the_record_that_is_overridden_is_no_conflict"),
        (_WritingWhenAsked, "asking_writes_nothing"),
    ],
)
async def test_the_kit_for_conflicts_finds_the_service_that_breaks_a_promise(
    service: type[StandardRegistrationService], promise: str
) -> None:
    """
    The check that is named for the promise fails with an assertion.
    """
    await _is_caught(conflict_check, promise, service(repository=MemoryActivityRepository()))


@pytest.mark.parametrize("rule", [_one_a_day, _one_of_a_type])
async def test_the_kit_for_conflicts_finds_a_rule_that_is_too_wide(rule: DuplicateRule) -> None:
    """
    A service that takes another type or another day for the same activity.
    """
    service = StandardRegistrationService(repository=MemoryActivityRepository(), duplicate_rule=rule)

    await _is_caught(conflict_check, "another_mentor_type_or_day_is_no_conflict", service)


@pytest.mark.parametrize(
    ("kit", "method"), [(bulk_registration, "register_many"), (conflict_check, "find_conflicts")]
)
async def test_a_missing_ability_is_told(kit: Sequence[Check[ProxyRegistrationService]], method: str) -> None:
    """
    The kit of an optional ability says so instead of passing by itself.
    """
    for check in kit:
        with pytest.raises(AssertionError, match=f"no {method}"):
            await check(_opener(ScriptedRegistrationService()))


def _opener(service: ProxyRegistrationService) -> Opener[ProxyRegistrationService]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[ProxyRegistrationService]:
        yield service

    return opened


async def _is_caught(
    kit: Sequence[Check[ProxyRegistrationService]], promise: str, service: ProxyRegistrationService
) -> None:
    (check,) = (check for check in kit if check.name == promise)

    with pytest.raises(AssertionError):
        await check(_opener(service))
