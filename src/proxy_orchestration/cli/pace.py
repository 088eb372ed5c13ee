"""
Slows a registration service down, so that a person can watch or interrupt a run.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.activities import ProxyRegistration, RegistrationReceipt
from proxy_orchestration.registration.service import StandardRegistrationService


@attrs.define(eq=False, kw_only=True)
class PacedRegistrationService:
    """
    The standard service, after a pause before each call.

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
