"""
Items that a dead driver may have been calling; one of them may have killed it.

They are called last and one at a time over the whole process. Before each it
is stored that this one, alone, is being called; who dies then knows by whom.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import anyio
import attrs

from proxy_orchestration._concurrency import wait_at_most
from proxy_orchestration.clock import Clock
from proxy_orchestration.registration.execution.attempts import Attempt, reason_of
from proxy_orchestration.registration.execution.waiting import Chunk
from proxy_orchestration.registration.runs import Lease, UnfinishedItem


@attrs.define(eq=False)
class SuspectTurns:
    """
    Who may call suspects: one run at a time, after the healthy work of the others.

    Attributes:
        clock: whose seconds count.
        patience: how long the healthy work of other runs is waited for.
    """

    clock: Clock
    patience: float
    _busy: set[object] = attrs.field(factory=set, init=False)
    _lock: anyio.Lock = attrs.field(factory=anyio.Lock, init=False)
    _calm: anyio.Event | None = attrs.field(default=None, init=False)

    def note(self, run: object, *, busy: bool) -> None:
        """
        Note whether a run has healthy work now.
        """
        if busy:
            self._busy.add(run)
            return
        self._busy.discard(run)
        if not self._busy and self._calm is not None:
            self._calm.set()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """
        Be the one who calls suspects.
        """
        async with self._lock:
            # Bounded: where new batches never cease to come, suspects would wait for ever; decision 104.
            ends = self.clock.monotonic() + self.patience
            while self._busy and self.clock.monotonic() < ends:
                self._calm = anyio.Event()
                await wait_at_most(self.clock, ends - self.clock.monotonic(), self._calm.wait)
            yield


@attrs.define(eq=False, kw_only=True)
class SuspectQueue:
    """
    The suspects of one run that are still to be called, and the one that is called alone now.

    Attributes:
        turns: whose turn it is in this process.
        run: the run, as `turns` knows it.
        chunks: who is left; those in one chunk share one result.
        alone: who is called now, or was until a moment ago.
    """

    turns: SuspectTurns
    run: object
    chunks: deque[Chunk] = attrs.field(factory=deque)
    alone: Chunk = attrs.field(default=(), init=False)
    _has_turn: bool = attrs.field(default=False, init=False)
    _wants_turn: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _is_over: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    @property
    def count(self) -> int:
        """
        Return how many items are left.
        """
        return sum(map(len, self.chunks)) if self.chunks else 0

    def next(self) -> Chunk:
        """
        Return who is called next, once it is this run's turn; asks for the turn.
        """
        if self._has_turn:
            return self.chunks[0]
        self.turns.note(self.run, busy=False)
        self._wants_turn.set()
        return ()

    def note_stored(self, alone: Chunk) -> None:
        """
        Note that it is stored who is called alone from now on, or that nobody is.
        """
        if alone:
            self.chunks.popleft()
        self.alone = alone
        if not self.chunks and not alone:
            self._is_over.set()

    def drain(self) -> list[Attempt]:
        """
        Take all that are left.
        """
        attempts = [attempt for chunk in self.chunks for attempt in chunk]
        self.chunks.clear()
        return attempts

    async def hold_turn(self, on_turn: Callable[[], None]) -> None:
        """
        Wait for the turn, say so, and keep it until nobody is left.
        """
        await self._wants_turn.wait()
        async with self.turns.turn():
            self._has_turn = True
            on_turn()
            await self._is_over.wait()


@attrs.define(eq=False)
class LeftBehind:
    """
    What earlier drivers of a run left without an outcome, by what may be done with it.

    Attributes:
        uncalled: claimed, and never called.
        waiting: with the seconds until each is due.
        suspects: those that fewer drivers died of come first.
        lost: those that too many died of.
    """

    uncalled: list[Attempt]
    waiting: list[tuple[Chunk, float]]
    suspects: deque[Chunk]
    lost: list[Attempt]

    @classmethod
    def of(cls, lease: Lease, *, max_takeovers: int, together: bool) -> LeftBehind:
        """
        Return what a lease tells; where all share one result, they are one suspect.
        """
        batch_id = lease.batch_id
        uncalled = [Attempt.at(work, batch_id=batch_id) for work in lease.uncalled]
        waiting = [item for item in lease.unfinished if not item.is_called]
        suspects = [UnfinishedItem(work=work) for work in lease.begun]
        suspects += [item for item in lease.unfinished if item.is_called]
        suspects.sort(key=lambda item: (item.deaths, item.work.place))
        if together and suspects:
            return cls._together(uncalled, [*suspects, *waiting], batch_id, max_takeovers)
        lost = [item for item in suspects if item.deaths >= max_takeovers]
        return cls(
            uncalled,
            _chunks(waiting, batch_id, together=together),
            deque([_suspect(item, batch_id)] for item in suspects[: len(suspects) - len(lost)]),
            [_suspect(item, batch_id) for item in lost],
        )

    @classmethod
    def _together(
        cls, uncalled: list[Attempt], items: list[UnfinishedItem], batch_id: str, max_takeovers: int
    ) -> LeftBehind:
        whole = [_suspect(item, batch_id) for item in items] + [attempt.doubted() for attempt in uncalled]
        whole.sort(key=lambda attempt: attempt.work.place)
        if max(item.deaths for item in items) >= max_takeovers:
            return cls([], [], deque(), whole)
        return cls([], [], deque([whole]), [])


def _chunks(items: Iterable[UnfinishedItem], batch_id: str, *, together: bool) -> list[tuple[Chunk, float]]:
    found = [(_known(item, batch_id), item.due_in) for item in items]
    if together and found:
        return [([attempt for attempt, _ in found], max(due_in for _, due_in in found))]
    return [([attempt], due_in) for attempt, due_in in found]


def _known(item: UnfinishedItem, batch_id: str) -> Attempt:
    attempt = Attempt.at(item.work, batch_id=batch_id)
    return attempt._replace(
        in_doubt=item.in_doubt or item.work.in_doubt,
        calls=item.calls,
        rounds=item.rounds,
        not_seen=item.not_seen,
        reason=reason_of(item.reason),
    )


def _suspect(item: UnfinishedItem, batch_id: str) -> Attempt:
    return _known(item, batch_id).doubted()._replace(not_seen=False)
