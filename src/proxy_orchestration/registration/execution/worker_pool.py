"""
The workers of one run: item by item, chunk by chunk, or all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

import anyio
import attrs
from anyio.lowlevel import checkpoint

from proxy_orchestration._concurrency import Tasks, WorkQueue
from proxy_orchestration._system_tasks import TURNS, SystemTask
from proxy_orchestration.errors import AtomicModeError
from proxy_orchestration.registration.execution.atomic_worker import AtomicWorker
from proxy_orchestration.registration.execution.attempts import Attempt
from proxy_orchestration.registration.execution.item_worker import ItemWorker
from proxy_orchestration.registration.execution.limits import CombinedLimiter, Limiter
from proxy_orchestration.registration.execution.page_worker import PageWorker
from proxy_orchestration.registration.execution.run_context import RunContext, window_of
from proxy_orchestration.registration.execution.service_calls import Chunk, ServiceCalls, ends_soon
from proxy_orchestration.registration.ports import SupportsBulk
from proxy_orchestration.registration.runs import ItemOutcome

_MOST_PER_COMMIT: Final = 500


@attrs.define(eq=False, kw_only=True)
class WorkerPool:
    """
    The workers of one run, and the queues between them and its driver.

    Attributes:
        context: the run.
        on_failure: called with what a worker raises.
        items: items to ask about one by one, and everything that finished.
        chunks: items to ask about together.
        window: how many items may be claimed and not yet durable.
        most_per_commit: how many outcomes one commit takes; all or nothing is one commit.
        calls: those of every worker.
    """

    context: RunContext
    on_failure: Callable[[BaseException], None]
    items: WorkQueue[Attempt, ItemOutcome] = attrs.field(factory=WorkQueue, init=False)
    chunks: WorkQueue[Chunk, None] = attrs.field(factory=WorkQueue, init=False)
    window: int = attrs.field(init=False)
    most_per_commit: int = attrs.field(default=_MOST_PER_COMMIT, init=False)
    calls: Sequence[ServiceCalls] = attrs.field(default=(), init=False)
    _workers: list[ItemWorker | PageWorker | AtomicWorker] = attrs.field(factory=list, init=False)
    _limiter: Limiter = attrs.field(init=False)
    _item_workers: dict[ItemWorker, SystemTask] = attrs.field(factory=dict, init=False)
    _whole: list[Attempt] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.context.settings
        self.window = window_of(settings, is_bulk=self.context.bulk is not None)
        self._limiter = self.context.limiter
        if self.context.is_atomic:
            self.window = self.most_per_commit = self.context.lease.run_items
        elif self.context.bulk is not None:
            # Workers for chunks and workers for items stand beside each other; together they keep the cap.
            self._limiter = CombinedLimiter(anyio.CapacityLimiter(settings.max_concurrency), self._limiter)

    def start(self, tasks: Tasks) -> None:
        """
        Set the workers to work.

        Raises:
            AtomicModeError: all or nothing, and the service cannot.
        """
        bulk = self.context.bulk
        if self.context.is_atomic:
            if bulk is None:
                raise AtomicModeError
            self._start_atomic(tasks, bulk)
            return
        # Those that call item by item come as they are needed: `add_workers`.
        if bulk is not None:
            for _ in range(self._most):
                self._start_page_worker(tasks, bulk)

    @property
    def _most(self) -> int:
        lease = self.context.lease
        left = lease.base + lease.run_items - lease.tail
        return min(self.context.settings.max_concurrency, left)

    async def add_workers(self) -> None:
        """
        Set further workers to work while items are queued that nobody takes.
        """
        # One at a time: where the service answers at once the first one takes them all, and a task for
        # each would be a quarter of what a batch of ten costs; decision 298.
        while self.items.waiting > self.items.idle and len(self._item_workers) < self._most:
            worker = ItemWorker(context=self.context, calls=self._new_calls())
            self._workers.append(worker)
            self._start_item_worker(worker)
            await checkpoint()

    def _start_item_worker(self, worker: ItemWorker) -> None:
        worker.calls.on_left_behind = partial(self._replace, worker)
        task = SystemTask(partial(worker.run, self.items), on_end=self._note_end)
        self._item_workers[worker] = task
        task.start()

    def _replace(self, worker: ItemWorker) -> None:
        """
        Let a worker go on in another task, since its call does not end.
        """
        task = self._item_workers[worker]
        worker.calls.leave_behind(task)
        task.cancel()
        worker.calls.go_on()
        self._start_item_worker(worker)

    def _note_end(self, task: SystemTask) -> None:
        if task.error is not None and task in self._item_workers.values():
            self.on_failure(task.error)

    def dismiss(self) -> None:
        """
        End the workers of a settled run: none of them is in a call, so nobody has to wait for them.
        """
        for task in self._item_workers.values():
            task.cancel()

    async def end(self) -> None:
        """
        End all workers of items; those that do not end are left behind.
        """
        with anyio.CancelScope(shield=True):
            await self._end_item_workers()

    async def _end_item_workers(self) -> None:
        self.dismiss()
        # Nearly all of them end within a few turns of the loop, without a clock.
        for _ in range(TURNS):
            if all(task.has_ended for task in self._item_workers.values()):
                return
            await checkpoint()
        await ends_soon(self.context.clock, self._await_item_workers)
        for worker, task in self._item_workers.items():
            if not task.has_ended:
                worker.calls.leave_behind(task)

    async def _await_item_workers(self) -> None:
        for task in self._item_workers.values():
            await task.wait()

    def _start_atomic(self, tasks: Tasks, bulk: SupportsBulk) -> None:
        worker = AtomicWorker(context=self.context, calls=self._new_calls(), bulk=bulk, outcomes=self.items)
        self._workers.append(worker)
        tasks.start_soon(worker.run, self.chunks)

    def _start_page_worker(self, tasks: Tasks, bulk: SupportsBulk) -> None:
        worker = PageWorker(context=self.context, calls=self._new_calls(), bulk=bulk, singles=self.items)
        self._workers.append(worker)
        tasks.start_soon(worker.run, self.chunks)

    def _new_calls(self) -> ServiceCalls:
        calls = ServiceCalls(context=self.context, limiter=self._limiter)
        self.calls = (*self.calls, calls)
        return calls

    def assign(self, attempts: Iterable[Attempt], *, unclaimed: int) -> None:
        """
        Queue items, where `unclaimed` further ones are to come.
        """
        if self.context.is_atomic:
            self._whole += attempts
            if self._whole and not unclaimed:
                self.chunks.put([self._whole])
                self._whole = []
        elif self.context.bulk is not None:
            self._assign_in_chunks(attempts)
        else:
            self.items.put(attempts)

    def _assign_in_chunks(self, attempts: Iterable[Attempt]) -> None:
        fresh: list[Attempt] = []
        for attempt in attempts:
            # What is in doubt is looked up, and that goes one by one; decision 26.
            if attempt.in_doubt and self.context.lookup is not None:
                self.items.put([attempt])
            else:
                fresh.append(attempt)
        size = self.context.abilities.most_per_call
        self.chunks.put(fresh[first : first + size] for first in range(0, len(fresh), size))

    def drain(self) -> list[Attempt]:
        """
        Take back every item that no worker has taken yet.
        """
        chunked = [attempt for chunk in self.chunks.take_back() for attempt in chunk]
        whole, self._whole = self._whole, []
        return [*chunked, *whole, *self.items.take_back()]

    def interrupted(self) -> list[Attempt]:
        """
        Return how far what was under way, or queued, has come, once the workers were cancelled.
        """
        found = self.drain()
        for worker in self._workers:
            attempts = worker.interrupted()
            found += [attempts] if isinstance(attempts, Attempt) else attempts or []
        return found

    @property
    def queued(self) -> int:
        """
        Return how many items no worker has taken yet.
        """
        return self.items.waiting + self.chunks.waiting * self.step

    @property
    def step(self) -> int:
        """
        Return how many items go into one call.
        """
        if self.context.is_atomic:
            return self.window
        return 1 if self.context.bulk is None else self.context.abilities.most_per_call

    def is_busy(self, active: int, *, held_back: int) -> bool:
        """
        Tell whether a claim can wait, so that not every item that finishes leads to one.

        Args:
            active: items that are claimed, have not finished and do not wait.
            held_back: those of them that may not be called yet.
        """
        if self.context.is_atomic or self.context.bulk is not None:
            return active > 0
        return self.items.waiting + held_back >= self.context.settings.max_concurrency
