"""
A store of notices that fails, or lets the process die, at a chosen durable write.
"""

from __future__ import annotations

from typing import Final, Self, cast

from proxy_orchestration.notification.ports import NotificationRepository, SupportsCompleteAndClaim
from proxy_orchestration.testing.faults import FaultHook, FaultyStore, do_nothing, hooked, passed_on


class FaultyNotificationRepository(FaultyStore[NotificationRepository], NotificationRepository):
    """
    A `NotificationRepository` that fails where a test wants it to.

    Over a store that is `SupportsCompleteAndClaim` it is that too.

    Args:
        inner: the store that does the work.
        before: called before each write; an error means that nothing was written.
        after: called after each write; an error means that the answer was lost.
    """

    def __new__(
        cls,
        inner: NotificationRepository,
        before: FaultHook = do_nothing,  # noqa: ARG004 - what `__init__` takes
        after: FaultHook = do_nothing,  # noqa: ARG004 - the same
    ) -> Self:
        """
        Have the fused write where the store has it.
        """
        # A Protocol is looked for in the class, from Python 3.12 on: `__getattr__` would not be asked.
        fused = cls is FaultyNotificationRepository and isinstance(inner, SupportsCompleteAndClaim)
        return super().__new__(cast("type[Self]", _FaultyFusedRepository) if fused else cls)

    record: Final = hooked(NotificationRepository.record)
    weigh: Final = passed_on(NotificationRepository.weigh)
    renew: Final = hooked(NotificationRepository.renew)
    notifications_for: Final = passed_on(NotificationRepository.notifications_for)
    notification: Final = passed_on(NotificationRepository.notification)
    count_unseen: Final = passed_on(NotificationRepository.count_unseen)
    withdraw: Final = hooked(NotificationRepository.withdraw)
    counted_in: Final = passed_on(NotificationRepository.counted_in)
    forget_ends: Final = hooked(NotificationRepository.forget_ends)
    acknowledge: Final = hooked(NotificationRepository.acknowledge)
    acknowledgements: Final = passed_on(NotificationRepository.acknowledgements)
    log_run: Final = hooked(NotificationRepository.log_run)
    list_runs: Final = passed_on(NotificationRepository.list_runs)
    read_inbox: Final = passed_on(NotificationRepository.read_inbox)
    mark_read: Final = hooked(NotificationRepository.mark_read)
    put_off: Final = hooked(NotificationRepository.put_off)
    purge_notices: Final = hooked(NotificationRepository.purge_notices)
    purge_pushes: Final = hooked(NotificationRepository.purge_pushes)
    purge_runs: Final = hooked(NotificationRepository.purge_runs)
    export_mentor: Final = passed_on(NotificationRepository.export_mentor)
    erase_mentor: Final = hooked(NotificationRepository.erase_mentor)
    claim_pushes: Final = hooked(NotificationRepository.claim_pushes)
    complete_pushes: Final = hooked(NotificationRepository.complete_pushes)
    push_wait: Final = passed_on(NotificationRepository.push_wait)
    replay_dead: Final = hooked(NotificationRepository.replay_dead)
    count_pushes: Final = passed_on(NotificationRepository.count_pushes)
    dead_pushes: Final = passed_on(NotificationRepository.dead_pushes)


class _FaultyFusedRepository(FaultyNotificationRepository, SupportsCompleteAndClaim):
    complete_and_claim: Final = hooked(SupportsCompleteAndClaim.complete_and_claim)
