from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from proxy_orchestration.registration.activities import ProxyRegistration, RegistrationReceipt
from proxy_orchestration.registration.ports import ProxyRegistrationService
from proxy_orchestration.testing import ScriptedRegistrationService, contracts
from proxy_orchestration.testing.contracts import Check, registration_lookup, registration_service

KITS = [name for name in contracts.__all__ if name.islower()]


class _TwiceWritingService:
    """
    A service that breaks the law: a record for every call.
    """

    def __init__(self) -> None:
        self.records: list[ProxyRegistration] = []

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        self.records.append(registration)
        return RegistrationReceipt(
            registration_id=registration.registration_id, activity_id=f"activity-{len(self.records)}"
        )


@asynccontextmanager
async def _open_broken() -> AsyncIterator[ProxyRegistrationService]:
    yield _TwiceWritingService()


@asynccontextmanager
async def _open_scripted() -> AsyncIterator[ProxyRegistrationService]:
    yield ScriptedRegistrationService()


def _named(kit: Sequence[Check[ProxyRegistrationService]], name: str) -> Check[ProxyRegistrationService]:
    return next(check for check in kit if check.name == name)


@pytest.mark.parametrize("kit", KITS)
def test_each_check_of_a_kit_has_a_name_of_its_own(kit: str) -> None:
    """
    The names are test ids, so no two are alike.
    """
    names = [str(check) for check in getattr(contracts, kit)]

    assert len(names) > 0
    assert sorted(set(names)) == sorted(names)


async def test_a_broken_promise_is_an_assertion_error_that_names_it() -> None:
    """
    The message says the rule, what was expected and what came.
    """
    check = _named(registration_service, "a_call_repeated_under_its_key_is_one_record")

    with pytest.raises(AssertionError, match=r"the same receipt: expected .*activity-1.* got .*activity-2"):
        await check(_open_broken)


async def test_a_missing_ability_is_told() -> None:
    """
    The kit of an optional ability says so instead of passing by itself.
    """
    for check in registration_lookup:
        with pytest.raises(AssertionError, match="no find_registration"):
            await check(_open_scripted)


async def test_each_check_opens_a_subject_of_its_own() -> None:
    """
    Nothing that one check writes is there for the next.
    """
    opened: list[ProxyRegistrationService] = []

    @asynccontextmanager
    async def open_service() -> AsyncIterator[ProxyRegistrationService]:
        opened.append(ScriptedRegistrationService())
        yield opened[-1]
        await anyio.lowlevel.checkpoint()

    for check in registration_service:
        await check(open_service)

    assert len(registration_service) == len(opened)
