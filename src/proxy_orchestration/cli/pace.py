"""
Adds a pause before each call of a registration service, so that people can watch a run (decision 20).
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.activities import (
    ProxyRegistration,
    RegistrationFailure,
    RegistrationReceipt,
)
from proxy_orchestration.registration.conflicts import Conflict
from proxy_orchestration.registration.standard.service import StandardRegistrationService


@attrs.define(eq=False, kw_only=True)
class PacedRegistrationService:
    """
    The standard service, one registration at a time, after a pause before each.

    Attributes:
        service: who registers.
        clock: whose time the pause takes.
        seconds: the pause.
    """

    service: StandardRegistrationService
    clock: Clock
    seconds: float

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Pause, then register.
        """
        await self.clock.sleep(self.seconds)
        return await self.service.register(registration)

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Look the registration up, without a pause.
        """
        return await self.service.find_registration(registration_id)

    async def find_conflicts(self, registrations: Sequence[ProxyRegistration], /) -> Sequence[Conflict]:
        """
        Find the conflicts, without a pause.
        """
        return await self.service.find_conflicts(registrations)


class PacedBulkService(PacedRegistrationService):
    """
    The standard service, after a pause before each call, which may be for many.
    """

    async def register_many(
        self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool
    ) -> Sequence[RegistrationReceipt | RegistrationFailure]:
        """
        Pause, then register them all.
        """
        await self.clock.sleep(self.seconds)
        return await self.service.register_many(registrations, atomic=atomic)
