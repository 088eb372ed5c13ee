"""
An optional ability of a ledger: to lease many free runs at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

from proxy_orchestration.registration.runs import Lease


@runtime_checkable
class SupportsTakingFreeRuns(Protocol):
    """
    A ledger that can lease many free runs to `serve` in one transaction; an optional ability.

    Without it, `serve` asks `find_drivable` and acquires one run after the other, in competition
    with other processes. The ability only saves time.
    """

    async def take_free_runs(  # noqa: PLR0913 - what is asked for, by name
        self,
        /,
        *,
        limit: int,
        ttl: float,
        claim: int,
        called: int,
        except_for: Collection[str] = (),
        service_name: str | None = None,
    ) -> Sequence[Lease]:
        """
        Take the leases of up to `limit` runs that are free and due, all or nothing, as `acquire` would.

        Fewer only when no more are left, or when others take them at this
        moment, which is not waited for; of two callers at once only one gets a
        run. The batch that was accepted first comes first; where more than
        `limit` became free or due by the passing of time, any of those may. Of each the first items
        are claimed as `SupportsFusedWrites.begin` does it, with `claim` and `called` for each run.

        Left out are the batches of `except_for`, and with `service_name` those
        that were accepted under another name. What is free or due only since a
        clock was set back may be left to `find_drivable`.
        """
        ...

    async def give_back(self, lease: Lease, /) -> None:
        """
        Do what `SupportsFusedWrites.give_back` does.
        """
        ...
