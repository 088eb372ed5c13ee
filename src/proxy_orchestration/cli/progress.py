"""
Progress of runs: a bar for each run on a terminal, a line for each tenth of a run elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.output import Output
from proxy_orchestration.cli.rendering import show_result, tally
from proxy_orchestration.cli.session import Session
from proxy_orchestration.registration.batches import BulkProgressUpdate
from proxy_orchestration.registration.progress import BatchRun
from proxy_orchestration.registration.states import ItemState

_STEPS: Final = 10


@attrs.define(eq=False, kw_only=True)
class RunView:
    """
    One run as a person sees it.

    Attributes:
        show: is given the number of settled mentors, and how many ended in which state.
        after: the newest update that was shown.
    """

    show: Callable[[int, str], None]
    after: int
    _states: dict[str, ItemState] = attrs.field(factory=dict)
    _counts: Counter[ItemState] = attrs.field(factory=Counter)

    def take(self, update: BulkProgressUpdate) -> None:
        """
        Show that one more item is settled; an item counts with the newest state.
        """
        item_key, state = update.outcome.item_key, update.outcome.state
        if (before := self._states.get(item_key)) is not None:  # a retry settles an item a second time
            self._counts[before] -= 1
        self._states[item_key] = state
        self._counts[state] += 1
        self.after = update.sequence
        self.show(update.settled, tally(self._counts))


@attrs.define(eq=False, kw_only=True)
class Board:
    """
    Where views of runs are put up: as `bars`, or as lines where there are none.
    """

    output: Output
    bars: Progress | None

    def view(self, title: str, *, total: int, settled: int = 0, after: int = 0) -> RunView:
        """
        Put up a view of a run over so many mentors, of whom so many are settled after that update.
        """
        return RunView(show=self.meter(title, total=total, done=settled, verb="settled"), after=after)

    def meter(self, title: str, *, total: int, verb: str, done: int = 0) -> Callable[[int, str], None]:
        """
        Put up a view of anything that can be counted; return what shows its number and words beside it.

        Of `total`, at least 1, so many are `done` already; `verb` is what has become of those, for a line.
        """
        if self.bars is None:
            return self._lines(title, total=total, verb=verb, done=done)
        bars, task = self.bars, self.bars.add_task(title, total=total, completed=done, tally="")
        return lambda done, words: bars.update(task, completed=done, tally=words)

    def _lines(self, title: str, *, total: int, verb: str, done: int) -> Callable[[int, str], None]:
        said, last = done * _STEPS // total, ""

        def show(done: int, words: str) -> None:
            nonlocal said, last
            before, step = said, done * _STEPS // total
            said = step  # which goes back where a further run takes up what was settled
            # A log is not filled with a line per mentor, and its last line is how it ended.
            if step > before or (done == total and words != last):
                last = words
                self.output.say(f"{title}: {done} of {total} {verb}{f' ({words})' if words else ''}")

        return show


@contextmanager
def show_progress(output: Output) -> Iterator[Board]:
    """
    Show runs on standard error for as long as the context lasts.
    """
    if not output.err.is_terminal or output.err.is_dumb_terminal:
        yield Board(output=output, bars=None)
        return
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tally]}", markup=False),
        TimeElapsedColumn(),
        console=output.err,
    )
    with bars:
        yield Board(output=output, bars=bars)


async def show_run(output: Output, run: BatchRun, *, title: str) -> None:
    """
    Show a run, update by update, to its end.
    """
    with show_progress(output) as board:
        view = board.view(title, total=run.total)
        async for update in run:
            view.take(update)


async def drive(session: Session, batch_id: str, *, title: str) -> ExitCode:
    """
    Drive a batch to its end, show it, and return how the command ends.
    """
    async with session.orchestrator.drive_batch(batch_id) as run:
        await show_run(session.output, run, title=title)
    return show_result(session.common, run.result)
