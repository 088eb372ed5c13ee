"""
What a registration service that writes many at once promises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs

from proxy_orchestration.errors import (
    DuplicateActivityError,
    OutcomeUnknownError,
    RegistrationRejected,
    RegistrationUnavailable,
)
from proxy_orchestration.registration.activities import (
    ProxyRegistration,
    RegistrationFailure,
    RegistrationReceipt,
)
from proxy_orchestration.registration.ports import ProxyRegistrationService, SupportsBulk
from proxy_orchestration.testing.contracts.checks import Check, at_once, broken, expect, rule_of
from proxy_orchestration.testing.contracts.registration.samples import refusable, registration_of

writing_many: list[Check[ProxyRegistrationService]] = []

_Answers: TypeAlias = Sequence[RegistrationReceipt | RegistrationFailure]

_MENTORS = (2, 3, 1)
_SAYS_NOTHING_ABOUT_THE_ROW = (TimeoutError, OSError, OutcomeUnknownError, RegistrationUnavailable)


def _many(*, epoch: int = 0) -> list[ProxyRegistration]:
    """
    Return three registrations, in an order that is not the alphabet's.
    """
    return [registration_of(mentor, epoch=epoch) for mentor in _MENTORS]


def _with_a_bad_row() -> list[ProxyRegistration]:
    first, second, third = _many()
    return [first, refusable(second), third]


def _bulk(service: ProxyRegistrationService) -> SupportsBulk:
    if not isinstance(service, SupportsBulk):
        broken("the service has no register_many: leave out this kit")
    return service


def _named(registrations: Sequence[ProxyRegistration]) -> list[str]:
    return [registration.registration_id for registration in registrations]


def _receipts(answers: _Answers) -> list[RegistrationReceipt]:
    receipts = [answer for answer in answers if isinstance(answer, RegistrationReceipt)]
    expect("receipts only", expected=list(answers), actual=receipts)
    return receipts


def _failures(answers: _Answers) -> list[RegistrationFailure]:
    failures = [answer for answer in answers if isinstance(answer, RegistrationFailure)]
    expect("failures only", expected=list(answers), actual=failures)
    return failures


async def _recorded(
    service: ProxyRegistrationService, registrations: Sequence[ProxyRegistration]
) -> list[str]:
    """
    Return which of them have records: only those get a receipt for a day that is refused otherwise.
    """
    found: list[str] = []
    for registration in registrations:
        try:
            receipt = await service.register(refusable(registration))
        except (RegistrationRejected, DuplicateActivityError):
            continue
        found.append(receipt.registration_id)
    return found


@rule_of(writing_many)
async def answers_come_in_the_order_asked(service: ProxyRegistrationService) -> None:
    # Receipts name their registration as well, since an answer in the wrong place attaches one mentor's
    # record to another; decision 6.
    asked = _many()
    receipts = _receipts(await _bulk(service).register_many(asked, atomic=False))

    expect("one each, in order", expected=_named(asked), actual=[one.registration_id for one in receipts])
    expect("a record each", expected=3, actual=len({receipt.activity_id for receipt in receipts}))
    expect("which are there", expected=_named(asked), actual=await _recorded(service, asked))


@rule_of(writing_many)
async def many_repeated_are_the_same_records(service: ProxyRegistrationService) -> None:
    bulk = _bulk(service)
    first = list(await bulk.register_many(_many(), atomic=False))

    expect("the same key", expected=first, actual=list(await bulk.register_many(_many(), atomic=False)))
    expect("a new key", expected=first, actual=list(await bulk.register_many(_many(epoch=1), atomic=False)))


@rule_of(writing_many)
async def many_and_single_calls_share_their_records(service: ProxyRegistrationService) -> None:
    # A chunk that went wrong is finished one by one; decision 26.
    bulk = _bulk(service)
    asked = _many()
    single = await service.register(asked[1])
    receipts = _receipts(await bulk.register_many(asked, atomic=False))

    expect("the single call's record", expected=single, actual=receipts[1])
    singles = [await service.register(registration) for registration in asked]
    expect("the many's records", expected=receipts, actual=singles)


@rule_of(writing_many)
async def many_with_records_are_answered_before_any_other_check(service: ProxyRegistrationService) -> None:
    bulk = _bulk(service)
    first = list(await bulk.register_many(_many(), atomic=False))
    ancient = [refusable(registration) for registration in _many()]
    again = await bulk.register_many(ancient, atomic=False)

    expect("their receipts, whatever else is asked", expected=first, actual=list(again))


@rule_of(writing_many)
async def many_at_once_are_one_record_each(service: ProxyRegistrationService) -> None:
    bulk = _bulk(service)
    answers = await at_once(*[lambda: bulk.register_many(_many(), atomic=False)] * 3)
    records = {receipt.activity_id for some in answers for receipt in _receipts(some)}

    expect("one record for each registration", expected=3, actual=len(records))


@rule_of(writing_many)
async def one_bad_row_fails_alone_or_nothing_is_written(service: ProxyRegistrationService) -> None:
    # Both let the driver go on, the second by halving; decision 26.
    asked = _with_a_bad_row()
    bulk = _bulk(service)
    try:
        answers = await bulk.register_many(asked, atomic=False)
    except _SAYS_NOTHING_ABOUT_THE_ROW as error:
        broken(f"a bad row is refused by an error that says so, not by {type(error).__name__}")
    except Exception:  # noqa: BLE001 - any other error refuses some row
        expect("nothing was written", expected=[], actual=await _recorded(service, asked))
        return

    expect("in order", expected=_named(asked), actual=[answer.registration_id for answer in answers])
    _failures(answers[1:2])
    _receipts([answers[0], answers[2]])
    good = [asked[0], asked[2]]
    expect("the others' records", expected=_named(good), actual=await _recorded(service, asked))


@rule_of(writing_many)
async def all_or_nothing_is_all(service: ProxyRegistrationService) -> None:
    asked = _many()
    bulk = _bulk(service)
    receipts = _receipts(await bulk.register_many(asked, atomic=True))

    expect("one each, in order", expected=_named(asked), actual=[one.registration_id for one in receipts])
    expect("all are there", expected=_named(asked), actual=await _recorded(service, asked))
    again = _receipts(await bulk.register_many(asked, atomic=True))
    expect("and the same when repeated whole", expected=receipts, actual=again)


@rule_of(writing_many)
async def all_or_nothing_with_a_bad_row_is_nothing(service: ProxyRegistrationService) -> None:
    # All share one result, so that no kill leaves a part of them; decision 25.
    asked = _with_a_bad_row()
    failures = _failures(await _bulk(service).register_many(asked, atomic=True))

    expect("one each, in order", expected=_named(asked), actual=[one.registration_id for one in failures])
    rolled_back = [failure.code == "rolled_back" for failure in failures]
    expect("the others are rolled back", expected=[True, False, True], actual=rolled_back)
    expect("nothing was written", expected=[], actual=await _recorded(service, asked))


@rule_of(writing_many)
async def all_or_nothing_goes_through_once_it_is_mended(service: ProxyRegistrationService) -> None:
    bulk = _bulk(service)
    await bulk.register_many(_with_a_bad_row(), atomic=True)
    fixed = [
        attrs.evolve(registration, idempotency_key=f"{registration.registration_id}:1")
        for registration in _many()
    ]
    _receipts(await bulk.register_many(fixed, atomic=True))

    expect("all are there", expected=_named(fixed), actual=await _recorded(service, fixed))
