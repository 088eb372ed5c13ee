"""
Stores that fail, or let the process die, at a chosen durable write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache, wraps
from typing import Any, Concatenate, Final, Generic, ParamSpec, Self, TypeAlias, TypeVar, cast

import attrs

from proxy_orchestration.registration.ports import (
    ActivityRepository,
    SupportsAcceptAndBegin,
    SupportsFusedWrites,
    SupportsGettingMany,
    SupportsMarkingMany,
    SupportsTakingFreeRuns,
)

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


@attrs.frozen
class WritePoint:
    """
    One durable write.

    Attributes:
        number: the number of the write, from 1, over all writes through one repository.
        method: the name of the port's method that writes.
    """

    number: int
    method: str


FaultHook: TypeAlias = Callable[[WritePoint], None]
"""A function that is called at a write; it may raise an error or kill the process."""


def fail_at(number: int, error: BaseException) -> FaultHook:
    """
    Return a hook that raises the error at the write with this number, and at no other.
    """

    def hook(point: WritePoint) -> None:
        if point.number == number:
            raise error

    return hook


def do_nothing(_point: WritePoint) -> None:
    """
    Let the write happen.
    """


@attrs.define(eq=False)
class FaultyStore(Generic[S]):
    """
    Hands everything to another store, with a hook around each write.

    Attributes:
        inner: the store that is wrapped.
        before: called before each write; if it raises an error, nothing is written.
        after: called after each write; if it raises an error, the write is done and its answer is
            lost.
        writes: every write begun, in order.
    """

    inner: S
    before: FaultHook = do_nothing
    after: FaultHook = do_nothing
    writes: list[WritePoint] = attrs.field(init=False, factory=list)

    async def _write(
        self, method: str, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        point = WritePoint(len(self.writes) + 1, method)
        self.writes.append(point)
        self.before(point)
        result = await call(*args, **kwargs)
        self.after(point)
        return result


def passed_on(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """
    Declare a port's method on a `FaultyStore`: handed on as it is.
    """

    @wraps(method)
    async def pass_on(self: FaultyStore[Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - R awaited
        return await getattr(self.inner, method.__name__)(*args, **kwargs)

    return pass_on  # type: ignore[return-value]  # a coroutine function stands for the port's own


def hooked(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """
    Declare a port's method on a `FaultyStore`: a durable write, with both hooks around it.
    """

    @wraps(method)
    async def write(self: FaultyStore[Any], /, *args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - R awaited
        return await self._write(method.__name__, getattr(self.inner, method.__name__), *args, **kwargs)

    return write  # type: ignore[return-value]  # a coroutine function stands for the port's own


class FaultyActivityRepository(FaultyStore[ActivityRepository], ActivityRepository):
    """
    An `ActivityRepository` that fails at the writes that a test chooses.

    `acquire` has no hook, because losing a lease loses no data. The object has the optional
    abilities of its store, such as `SupportsFusedWrites`.

    Args:
        inner: the store that is wrapped.
        before: called before each write; if it raises an error, nothing is written.
        after: called after each write; if it raises an error, the write is done and its answer is
            lost.
    """

    def __new__(
        cls,
        inner: ActivityRepository,
        before: FaultHook = do_nothing,  # noqa: ARG004 - what `__init__` takes
        after: FaultHook = do_nothing,  # noqa: ARG004 - the same
    ) -> Self:
        """
        Have the abilities that the store has.
        """
        # A Protocol is looked for in the class, from Python 3.12 on: `__getattr__` would not be asked.
        if cls is not FaultyActivityRepository:
            return super().__new__(cls)
        abilities = tuple(with_it for ability, with_it in _ABILITIES.items() if isinstance(inner, ability))
        return super().__new__(cast("type[Self]", _with_abilities(abilities)))

    # Without `Final` pyright takes the type of a declared method for a guess, in a host's code too.
    new_batch_id: Final = passed_on(ActivityRepository.new_batch_id)
    accept: Final = hooked(ActivityRepository.accept)
    find_by_key: Final = passed_on(ActivityRepository.find_by_key)
    get: Final = passed_on(ActivityRepository.get)
    read_result: Final = passed_on(ActivityRepository.read_result)
    read_summary: Final = passed_on(ActivityRepository.read_summary)
    read_item_page: Final = passed_on(ActivityRepository.read_item_page)
    read_updates: Final = passed_on(ActivityRepository.read_updates)
    list_batches: Final = passed_on(ActivityRepository.list_batches)
    relabel: Final = hooked(ActivityRepository.relabel)
    delete: Final = hooked(ActivityRepository.delete)
    purge: Final = hooked(ActivityRepository.purge)
    purge_audit_events: Final = hooked(ActivityRepository.purge_audit_events)
    purge_tombstones: Final = hooked(ActivityRepository.purge_tombstones)
    export_mentor: Final = passed_on(ActivityRepository.export_mentor)
    erase_mentor: Final = hooked(ActivityRepository.erase_mentor)
    open_run: Final = hooked(ActivityRepository.open_run)
    read_items: Final = passed_on(ActivityRepository.read_items)
    acquire: Final = passed_on(ActivityRepository.acquire)
    commit: Final = hooked(ActivityRepository.commit)
    settle: Final = hooked(ActivityRepository.settle)
    release: Final = hooked(ActivityRepository.release)
    cancel_run: Final = hooked(ActivityRepository.cancel_run)
    pause_run: Final = hooked(ActivityRepository.pause_run)
    resume_run: Final = hooked(ActivityRepository.resume_run)
    find_drivable: Final = passed_on(ActivityRepository.find_drivable)
    claim_audit_events: Final = hooked(ActivityRepository.claim_audit_events)
    audit_wait: Final = passed_on(ActivityRepository.audit_wait)
    mark_audited: Final = hooked(ActivityRepository.mark_audited)
    claim_endings: Final = hooked(ActivityRepository.claim_endings)
    endings_wait: Final = passed_on(ActivityRepository.endings_wait)
    mark_told: Final = hooked(ActivityRepository.mark_told)
    add_activities: Final = hooked(ActivityRepository.add_activities)
    find_activities: Final = passed_on(ActivityRepository.find_activities)
    find_duplicates: Final = passed_on(ActivityRepository.find_duplicates)
    void_activity: Final = hooked(ActivityRepository.void_activity)
    activities_of_batch: Final = passed_on(ActivityRepository.activities_of_batch)
    list_activities: Final = passed_on(ActivityRepository.list_activities)
    add_correction: Final = hooked(ActivityRepository.add_correction)


class _FusedWrites(SupportsFusedWrites):
    begin: Final = hooked(SupportsFusedWrites.begin)
    finish: Final = hooked(SupportsFusedWrites.finish)
    give_back: Final = hooked(SupportsFusedWrites.give_back)


class _AcceptAndBegin(SupportsAcceptAndBegin):
    accept_and_begin: Final = hooked(SupportsAcceptAndBegin.accept_and_begin)


class _MarkingMany(SupportsMarkingMany):
    mark_all_audited: Final = hooked(SupportsMarkingMany.mark_all_audited)


class _TakingFreeRuns(SupportsTakingFreeRuns):
    take_free_runs: Final = hooked(SupportsTakingFreeRuns.take_free_runs)
    give_back: Final = hooked(SupportsTakingFreeRuns.give_back)


class _GettingMany(SupportsGettingMany):
    get_many: Final = passed_on(SupportsGettingMany.get_many)


_ABILITIES: Final[dict[type, type]] = {
    SupportsFusedWrites: _FusedWrites,
    SupportsAcceptAndBegin: _AcceptAndBegin,
    SupportsMarkingMany: _MarkingMany,
    SupportsGettingMany: _GettingMany,
    SupportsTakingFreeRuns: _TakingFreeRuns,
}


@lru_cache
def _with_abilities(abilities: tuple[type, ...]) -> type:
    return type(FaultyActivityRepository.__name__, (FaultyActivityRepository, *abilities), {})
