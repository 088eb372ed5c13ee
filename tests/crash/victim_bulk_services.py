"""
Services that write many registrations at once, and how they lose their answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final, TypeAlias

import attrs
from victim_services import (
    CheckingService,
    DriverError,
    ForgetfulLookupService,
    ForgetfulService,
    LookupService,
    Moments,
    PlainService,
    PoisonousService,
)

from proxy_orchestration import ProxyRegistration, RegistrationReceipt
from proxy_orchestration.registration.activities import RegistrationFailure
from proxy_orchestration.registration.ports import ProxyRegistrationService
from proxy_orchestration.registration.standard.service import StandardRegistrationService

OF_TOMORROW: Final = "mentor-of-tomorrow"
"""The mentor whose activity lies in the future, so that every service refuses it."""

_Answers: TypeAlias = Sequence[RegistrationReceipt | RegistrationFailure]


@attrs.define(eq=False)
class PerKeyRegistrations:
    """
    The standard service as one that knows keys only: a new key makes a new record.
    """

    inner: StandardRegistrationService

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Register under the key.
        """
        keyed = attrs.evolve(registration, registration_id=registration.idempotency_key)
        receipt = await self.inner.register(keyed)
        return attrs.evolve(receipt, registration_id=registration.registration_id)

    async def register_many(self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool) -> _Answers:
        """
        Register each under its key.
        """
        keyed = [attrs.evolve(entry, registration_id=entry.idempotency_key) for entry in registrations]
        answers = await self.inner.register_many(keyed, atomic=atomic)
        return [
            attrs.evolve(answer, registration_id=registration.registration_id)
            for answer, registration in zip(answers, registrations, strict=True)
        ]

    async def find_registration(self, registration_id: str, /) -> RegistrationReceipt | None:
        """
        Hand the question on.
        """
        return await self.inner.find_registration(registration_id)


@attrs.define(eq=False)
class BulkService(PlainService):
    """
    The standard service's bulk writes; notes when a chunk begins and ends, and whom it is for.
    """

    async def register_many(self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool) -> _Answers:
        """
        Hand the chunk on.
        """
        names = " ".join(registration.mentor_id for registration in registrations)
        self.moments.reach("chunk begins", names)
        answers = await self.inner.register_many(registrations, atomic=atomic)
        self.moments.reach("chunk ends", names)
        return answers


@attrs.define(eq=False)
class BulkLookupService(BulkService, LookupService):
    """
    Writes in bulk, and can be asked afterwards.
    """


@attrs.define(eq=False)
class PickyBulkService(BulkService):
    """
    Refuses a whole chunk for one bad row.
    """

    async def register_many(self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool) -> _Answers:
        """
        Hand the chunk on, unless the bad row is in it.

        Raises:
            ValueError: it is; nothing was written.
        """
        if any(registration.mentor_id == OF_TOMORROW for registration in registrations):
            self.moments.reach("chunk refused")
            raise ValueError
        return await super().register_many(registrations, atomic=atomic)


@attrs.define(eq=False)
class ForgetfulBulkService(BulkService):
    """
    Loses the answer of every chunk that writes, by an error of its driver's own.
    """

    loss: ClassVar[type[Exception]] = DriverError

    async def register_many(self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool) -> _Answers:
        """
        Write, and lose the reply; answer only where some record stood before.
        """
        found = [await self.inner.find_registration(entry.registration_id) for entry in registrations]
        answers = await super().register_many(registrations, atomic=atomic)
        if not any(found):
            raise self.loss
        return answers


@attrs.define(eq=False)
class CutOffBulkService(ForgetfulBulkService):
    """
    Loses the answer of every chunk that writes, by a connection that breaks.
    """

    loss: ClassVar[type[Exception]] = ConnectionResetError


@attrs.define(eq=False)
class CutOffBulkLookupService(CutOffBulkService, LookupService):
    """
    Loses answers, and can be asked afterwards.
    """


@attrs.define(eq=False)
class MuteBulkService(BulkService):
    """
    Loses every answer, also to a single call.
    """

    async def register(self, registration: ProxyRegistration, /) -> RegistrationReceipt:
        """
        Write, and lose the reply.
        """
        await super().register(registration)
        raise ConnectionResetError

    async def register_many(self, registrations: Sequence[ProxyRegistration], /, *, atomic: bool) -> _Answers:
        """
        Write, and lose the reply.
        """
        await super().register_many(registrations, atomic=atomic)
        raise ConnectionResetError


@attrs.define(eq=False)
class CheckingBulkService(BulkService, CheckingService):
    """
    All that the standard service can do.
    """


def _per_key(
    service: Callable[[PerKeyRegistrations, Moments], ProxyRegistrationService],
) -> Callable[[StandardRegistrationService, Moments], ProxyRegistrationService]:
    return lambda inner, moments: service(PerKeyRegistrations(inner), moments)


SERVICES: Final[Mapping[str, Callable[..., ProxyRegistrationService]]] = {
    "plain": PlainService,
    "look-up": LookupService,
    "poisonous": PoisonousService,
    "forgetful": ForgetfulService,
    "forgetful with look-up": ForgetfulLookupService,
    "bulk": BulkService,
    "bulk with look-up": BulkLookupService,
    "picky bulk": PickyBulkService,
    "forgetful bulk": ForgetfulBulkService,
    "cut-off bulk": CutOffBulkService,
    "cut-off bulk with look-up": CutOffBulkLookupService,
    "bulk per key": _per_key(BulkService),
    "mute bulk per key": _per_key(MuteBulkService),
    "checking": CheckingService,
    "checking bulk": CheckingBulkService,
}
