"""
Who asks the service during one run: one by one, by the page, or all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import anyio
import attrs
from anyio.abc import TaskGroup

from proxy_orchestration._concurrency import WorkQueue
from proxy_orchestration.clock import Clock
from proxy_orchestration.errors import AtomicModeError
from proxy_orchestration.registration.execution.atomic_worker import AtomicAttendant
from proxy_orchestration.registration.execution.attempts import Attempt, StopReason
from proxy_orchestration.registration.execution.item_worker import Attendant
from proxy_orchestration.registration.execution.limits import Places, PlacesOfBoth
from proxy_orchestration.registration.execution.page_worker import Page, PageAttendant
from proxy_orchestration.registration.execution.service_calls import BulkCaller
from proxy_orchestration.registration.ports import ProxyRegistrationService, SupportsBulk, SupportsLookup
from proxy_orchestration.registration.requests import SubmissionMode
from proxy_orchestration.registration.runs import ItemOutcome, Lease
from proxy_orchestration.registration.settings import BulkSettings


@attrs.define(eq=False, kw_only=True)
class Workforce:
    """
    The workers of one run, and the queues between them and its driver.

    Attributes:
        pool: items to attend to one by one, and everything that finished.
        pages: items to attend to by the page.
        window: how many items may be claimed and not yet durable.
        most_per_commit: how many outcomes one commit takes; all or nothing is one commit.
    """

    lease: Lease
    service: ProxyRegistrationService
    clock: Clock
    settings: BulkSettings
    limiter: anyio.CapacityLimiter
    stop: Callable[[], StopReason | None]
    on_call: Callable[[], None]
    pool: WorkQueue[Attempt, ItemOutcome] = attrs.field(factory=WorkQueue, init=False)
    pages: WorkQueue[Page, None] = attrs.field(factory=WorkQueue, init=False)
    window: int = attrs.field(init=False)
    most_per_commit: int = attrs.field(default=500, init=False)
    _places: Places = attrs.field(init=False)
    _singles: tuple[Attendant, ...] = attrs.field(default=(), init=False)
    _bulk: tuple[PageAttendant | AtomicAttendant, ...] = attrs.field(default=(), init=False)
    _whole: list[Attempt] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.window = self.settings.window
        self._places = self.limiter
        if self.atomic:
            self.window = self.most_per_commit = self.lease.run_items
        elif isinstance(self.service, SupportsBulk):
            self.window = self.settings.max_undurable
            own = anyio.CapacityLimiter(self.settings.max_concurrency)
            self._places = PlacesOfBoth(own, self.limiter)

    def recruit(self) -> None:
        """
        Appoint the workers.

        Raises:
            AtomicModeError: all or nothing, and the service cannot.
        """
        if self.atomic:
            self._bulk = (self._atomic_attendant(),)
            return
        workers = range(self.settings.max_concurrency)
        self._singles = tuple(self._attendant() for _ in workers)
        if isinstance(self.service, SupportsBulk):
            self._bulk = tuple(self._page_attendant(self.service) for _ in workers)

    @property
    def atomic(self) -> bool:
        """
        Return whether all items share one fate.
        """
        return self.lease.mode is SubmissionMode.ATOMIC

    @property
    def members(self) -> Sequence[Attendant | PageAttendant | AtomicAttendant]:
        """
        Return every worker.
        """
        return (*self._singles, *self._bulk)

    def start(self, crew: TaskGroup) -> None:
        """
        Set all workers to work.
        """
        for attendant in self._singles:
            crew.start_soon(attendant.run, self.pool)
        for member in self._bulk:
            crew.start_soon(member.run, self.pages)

    def assign(self, attempts: Iterable[Attempt], *, unclaimed: int) -> None:
        """
        Queue items, where `unclaimed` further ones are to come.
        """
        if self.atomic:
            self._whole += attempts
            if self._whole and not unclaimed:
                self.pages.put([self._whole])
                self._whole = []
        elif self._bulk:
            self._assign_by_page(attempts)
        else:
            self.pool.put(attempts)

    def _assign_by_page(self, attempts: Iterable[Attempt]) -> None:
        looks_up = isinstance(self.service, SupportsLookup)
        fresh: list[Attempt] = []
        for attempt in attempts:
            if attempt.in_doubt and looks_up:
                self.pool.put([attempt])
            else:
                fresh.append(attempt)
        size = self.settings.max_per_call
        self.pages.put([fresh[first : first + size] for first in range(0, len(fresh), size)])

    def withdraw(self) -> list[Attempt]:
        """
        Take back every item that no worker has taken yet.
        """
        paged = [attempt for page in self.pages.take_back() for attempt in page]
        whole, self._whole = self._whole, []
        return [*paged, *whole, *self.pool.take_back()]

    def is_busy(self, held: int) -> bool:
        """
        Tell whether a claim can wait, so that not every item that finishes leads to one.

        Args:
            held: items that are claimed and have not finished.
        """
        if self._bulk:
            return held > 0
        return self.pool.waiting >= self.settings.max_concurrency

    def _attendant(self) -> Attendant:
        return Attendant(
            batch_id=self.lease.batch_id,
            actor=self.lease.actor,
            service=self.service,
            clock=self.clock,
            settings=self.settings,
            limiter=self._places,
            on_conflict=self.lease.on_conflict,
            stop=self.stop,
            on_call=self.on_call,
        )

    def _page_attendant(self, service: SupportsBulk) -> PageAttendant:
        return PageAttendant(
            caller=self._caller(service),
            clock=self.clock,
            retry=self.settings.retry,
            on_conflict=self.lease.on_conflict,
            stop=self.stop,
            singles=self.pool,
        )

    def _atomic_attendant(self) -> AtomicAttendant:
        if not isinstance(self.service, SupportsBulk):
            raise AtomicModeError
        return AtomicAttendant(
            caller=self._caller(self.service),
            clock=self.clock,
            retry=self.settings.retry,
            stop=self.stop,
            outcomes=self.pool,
        )

    def _caller(self, service: SupportsBulk) -> BulkCaller:
        return BulkCaller(
            batch_id=self.lease.batch_id,
            actor=self.lease.actor,
            service=service,
            clock=self.clock,
            settings=self.settings,
            limiter=self._places,
            on_call=self.on_call,
        )
