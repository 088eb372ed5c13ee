"""
The command `review`: decides conflicts, from a file or by asking about one mentor after another.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.csv.decisions import parse_decisions
from proxy_orchestration.cli.csv.problems import printable
from proxy_orchestration.cli.exits import ExitCode, code_of_batch
from proxy_orchestration.cli.layout_options import (
    ColumnsOption,
    EncodingOption,
    IgnoreOption,
    SheetOption,
    layout_of,
)
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    ActorOption,
    AppOption,
    BatchArgument,
    Common,
    ConcurrencyOption,
    ExpectedRunOption,
    JsonOption,
    StoreOption,
)
from proxy_orchestration.cli.output import Output
from proxy_orchestration.cli.ownership import check_batch
from proxy_orchestration.cli.progress import drive
from proxy_orchestration.cli.rendering import reason_of, shown_name, waiting_of, waiting_sentence, words
from proxy_orchestration.cli.session import (
    Session,
    do_in_session,
    ending_on_errors,
    ending_on_interrupt,
    run_command,
)
from proxy_orchestration.errors import BatchStateError, StaleRunError
from proxy_orchestration.registration.batches import BulkSubmissionResult, MentorOutcome
from proxy_orchestration.registration.conflicts import ConflictDecision
from proxy_orchestration.registration.requests import SubmissionMode

DecisionsOption = Annotated[
    Path | None,
    typer.Option(
        "--decisions",
        metavar="FILE",
        help="CSV in UTF-8 with the columns mentor_id and decision (override or skip), instead of questions.",
    ),
]

_DECISIONS: Final = {each.value: each for each in (ConflictDecision.OVERRIDE, ConflictDecision.SKIP)}
_UNCHANGED: Final = "Nothing was changed."
_NO_TERMINAL: Final = (
    "There is no terminal to ask questions on. Pass a file with the columns mentor_id,decision (override or "
    "skip) with --decisions."
)
_LATER: Final = "later"
_QUIT: Final = "quit"
_EXPLAINED: Final = (
    "override registers the mentor anyway, beside the existing activity; skip leaves the mentor out "
    "for good; "
)
_LATER_EXPLAINED: Final = "later lets the mentor wait; quit leaves everything as it is."
_ATOMIC_EXPLAINED: Final = (
    "quit leaves everything as it is. The batch is all or nothing, so every conflict needs a decision now."
)


def review(  # noqa: PLR0913 - a command's parameters are its options
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    app: AppOption = None,
    decisions: DecisionsOption = None,
    expected_run: ExpectedRunOption = None,
    concurrency: ConcurrencyOption = 5,
    encoding: EncodingOption = None,
    sheet: SheetOption = None,
    columns: ColumnsOption = None,
    ignore_columns: IgnoreOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Decide about each mentor who waits because of a conflict.
    """
    common = Common(store=store, as_json=as_json, actor=actor, concurrency=concurrency, app=app)
    if decisions is None:
        # The questions are put between two sessions, not within one: a store is not kept open,
        # and Ctrl-C not kept waiting, while somebody thinks. Answers count for the run that was seen.
        seen, mode = _look_first(common, batch, actor, expected_run)
        expected_run = seen.run
        with ending_on_interrupt(common.output, _UNCHANGED):
            decided = ask(common.output, seen, mode)
    else:
        layout = layout_of(
            common, encoding=encoding, sheet=sheet, columns=columns, ignore_columns=ignore_columns
        )
        with ending_on_errors(common.output):
            decided = parse_decisions(decisions, name=str(decisions), layout=layout)
    work = partial(_carry_out, batch_id=batch, actor=actor, decisions=decided, expected_run=expected_run)
    run_command(common, work, if_interrupted=common.carry_on)


async def _carry_out(
    session: Session,
    *,
    batch_id: str,
    actor: Actor,
    decisions: Mapping[str, ConflictDecision],
    expected_run: int | None,
) -> ExitCode:
    await check_batch(session, batch_id, actor)
    before = await session.repository.get(batch_id)
    after = await session.orchestrator.resolve_conflicts(
        batch_id, decisions, actor=actor, expected_run=expected_run, drive=False
    )
    if before is not None and before.run == after.run:
        session.output.say("These decisions were already carried out; nothing was changed.")
    return await drive(session, batch_id, title="Carrying out")


def at_terminal() -> bool:
    """
    Tell whether somebody can answer.
    """
    return sys.stdin.isatty()


def _look_first(
    common: Common, batch_id: str, actor: Actor, expected_run: int | None
) -> tuple[BulkSubmissionResult, SubmissionMode]:
    """
    Return the settled batch that a person is asked about, and its mode.

    Ends the program where nobody can be asked.
    """
    if not at_terminal():
        common.output.end(ExitCode.BAD_INPUT, _NO_TERMINAL)
        raise typer.Exit(ExitCode.BAD_INPUT)

    async def look(session: Session) -> tuple[BulkSubmissionResult, SubmissionMode]:
        await check_batch(session, batch_id, actor)
        result = await session.orchestrator.get_bulk_submission_status(batch_id, actor=actor)
        if expected_run is not None and expected_run != result.run:
            raise StaleRunError(batch_id, expected_run=expected_run, current_run=result.run)
        if result.settled_at is None:
            reason = (
                "it is not settled yet. Watch it, or continue it with resume, and review it once it is "
                "settled."
            )
            raise BatchStateError(batch_id, reason)
        record = await session.repository.get(batch_id)
        return result, SubmissionMode.INDEPENDENT if record is None else record.mode

    return do_in_session(common, look, if_interrupted=_UNCHANGED)


def ask(output: Output, result: BulkSubmissionResult, mode: SubmissionMode) -> Mapping[str, ConflictDecision]:
    """
    Ask about each mentor who waits, then once about all of it; return the decisions, at least one.

    Where nothing comes of it, says so and ends the program with the batch's code.
    """
    waiting = waiting_of(result)
    if not waiting:
        _leave(output, result, "No mentor of this batch waits for a decision.")
    answers = _ask_all(output, result, mode)
    decisions = {item_key: _DECISIONS[answer] for item_key, answer in answers.items() if answer in _DECISIONS}
    if not decisions or not _confirmed(output, waiting, answers):
        _leave(output, result, _UNCHANGED)
    return decisions


def _leave(output: Output, result: BulkSubmissionResult, why: str) -> NoReturn:
    if output.as_json:
        output.document(result)
    output.conclude(why)
    raise typer.Exit(code_of_batch(result))


def _ask_all(output: Output, result: BulkSubmissionResult, mode: SubmissionMode) -> Mapping[str, str]:
    """
    Return the answer for each who waits, by item key; none at all after a quit.
    """
    waiting = waiting_of(result)
    output.say(waiting_sentence(result))
    atomic = mode is SubmissionMode.ATOMIC
    output.say(_EXPLAINED + (_ATOMIC_EXPLAINED if atomic else _LATER_EXPLAINED))
    choices = (*_DECISIONS, *(() if atomic else (_LATER,)), _QUIT)
    answers: dict[str, str] = {}
    for number, outcome in enumerate(waiting, 1):
        output.say("")
        output.say(f"{number} of {len(waiting)}: {_described(outcome)}")
        answer = _choose(output, choices)
        if answer == _QUIT:
            return {}
        answers[outcome.item_key] = answer
    return answers


def _described(outcome: MentorOutcome) -> str:
    existing = outcome.conflicting_activity_id
    told = f"{shown_name(outcome.mentor_id, outcome.item_key)}, {words(reason_of(outcome))}"
    return printable(f"{told}, existing activity {existing}" if existing else told)


def _choose(output: Output, choices: Sequence[str], *, about: str = "") -> str:
    """
    Ask until one of the choices, or its first letter, is typed; the end of input is the last choice.
    """
    initials = "/".join(choice[0] for choice in choices)
    question = f"{about}{', '.join(choices[:-1])} or {choices[-1]}? [{initials}] "
    while True:
        try:
            answer = output.ask(question).casefold()
        except EOFError:
            output.say("")
            return choices[-1]  # leaving is always the last choice
        for choice in choices:
            if answer in {choice, choice[0]}:
                return choice
        output.say(f"Type one of: {', '.join(f'{choice[0]} for {choice}' for choice in choices)}.")


def _confirmed(output: Output, waiting: Sequence[MentorOutcome], answers: Mapping[str, str]) -> bool:
    """
    Show what was decided about whom, and ask once whether to carry it out.
    """
    output.say("")
    for outcome in waiting:
        output.say(f"{answers[outcome.item_key]:>8}  {_described(outcome)}")
    counts = Counter(answers.values())
    told = ", ".join(f"{number} {answer}" for answer, number in counts.items())
    return _choose(output, ("yes", "no"), about=f"{told}. Carry this out? ") == "yes"
