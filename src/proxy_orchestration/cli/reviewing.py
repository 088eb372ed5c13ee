"""
Gets conflicts decided: by a file, or by a person who is asked about one after another.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn

import attrs
import typer

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.conflicts import reason_of, waiting_of, waiting_sentence, words
from proxy_orchestration.cli.csv_decisions import read_decisions
from proxy_orchestration.cli.csv_problems import printable
from proxy_orchestration.cli.exits import ExitCode, code_of_batch
from proxy_orchestration.cli.json_output import result_document
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.output import Output
from proxy_orchestration.cli.session import Session, do_in_session, ending_on_errors, ending_on_interrupt
from proxy_orchestration.errors import BatchStateError, StaleRunError
from proxy_orchestration.registration.batches import BulkSubmissionResult, MentorOutcome
from proxy_orchestration.registration.conflicts import ConflictDecision
from proxy_orchestration.registration.requests import SubmissionMode

_DECISIONS: Final[Mapping[str, ConflictDecision]] = MappingProxyType(
    {"override": ConflictDecision.OVERRIDE, "skip": ConflictDecision.SKIP}
)
_UNCHANGED: Final = "Nothing was changed."
_NO_TERMINAL: Final = (
    "There is no terminal to ask at. Give a file with the columns mentor_id,decision (override or skip) "
    "with --decisions."
)
_LATER: Final = "later"
_QUIT: Final = "quit"
_EXPLAINED: Final = (
    "override registers the mentor all the same, beside the existing activity; skip leaves the mentor out "
    "for good; "
)
_LATER_EXPLAINED: Final = "later lets the mentor wait; quit leaves everything as it is."
_ATOMIC_EXPLAINED: Final = (
    "quit leaves everything as it is. All or nothing: every conflict gets its decision now."
)


@attrs.frozen(kw_only=True)
class Review:
    """
    A batch whose conflicts are to be decided about.

    Attributes:
        result: the batch as it was seen.
        atomic: whether every conflict needs a decision at once.
    """

    result: BulkSubmissionResult
    atomic: bool


@attrs.frozen(kw_only=True)
class Decided:
    """
    What was decided about a batch.

    Attributes:
        decisions: by mentor id, at least one.
        expected_run: the run that they are about; `None` for whichever is current.
    """

    decisions: Mapping[str, ConflictDecision]
    expected_run: int | None


async def look(session: Session, batch_id: str, *, actor: Actor, expected_run: int | None) -> Review:
    """
    Read a settled batch for a review.

    Raises:
        StaleRunError: another run than the expected one is current.
        BatchStateError: the batch is not settled.
        NotAuthorizedError, BatchNotFoundError.
    """
    result = await session.orchestrator.get_bulk_submission_status(batch_id, actor=actor)
    if expected_run is not None and expected_run != result.run:
        raise StaleRunError(batch_id, expected_run=expected_run, current_run=result.run)
    if result.settled_at is None:
        reason = "it is not settled yet. Watch it, or carry on with resume, and review it after its end."
        raise BatchStateError(batch_id, reason)
    record = await session.repository.get(batch_id)
    return Review(result=result, atomic=record is not None and record.mode is SubmissionMode.ATOMIC)


def at_terminal() -> bool:
    """
    Tell whether somebody can answer.
    """
    return sys.stdin.isatty()


def decide(
    common: Common, batch_id: str, *, actor: Actor, file: Path | None, expected_run: int | None
) -> Decided:
    """
    Return what the file says, or what a person answers; end the program where nothing is decided.

    The questions are put between two sessions, not within one: a store is not
    kept open, and Ctrl-C not kept waiting, while somebody thinks. Answers
    count for the run that was seen.
    """
    if file is not None:
        with ending_on_errors(common.output):
            return Decided(decisions=read_decisions(file), expected_run=expected_run)
    if not at_terminal():
        common.output.end(ExitCode.BAD_INPUT, _NO_TERMINAL)
        raise typer.Exit(ExitCode.BAD_INPUT)
    work = partial(look, batch_id=batch_id, actor=actor, expected_run=expected_run)
    review = do_in_session(common, work, if_interrupted=_UNCHANGED)
    with ending_on_interrupt(common.output, _UNCHANGED):
        return Decided(decisions=ask(common.output, review), expected_run=review.result.run)


def ask(output: Output, review: Review) -> Mapping[str, ConflictDecision]:
    """
    Ask about each mentor who waits, then once about all of it; return the decisions, at least one.

    Where nothing comes of it, says so and ends the program with the batch's code.
    """
    waiting = waiting_of(review.result)
    if not waiting:
        _leave(output, review, "Nobody of this batch waits for a decision.")
    answers = _ask_all(output, review, waiting)
    decisions = {
        mentor_id: _DECISIONS[answer] for mentor_id, answer in answers.items() if answer in _DECISIONS
    }
    if not decisions or not _confirmed(output, waiting, answers):
        _leave(output, review, _UNCHANGED)
    return decisions


def _leave(output: Output, review: Review, why: str) -> NoReturn:
    if output.as_json:
        output.document(result_document(review.result))
    output.conclude(why)
    raise typer.Exit(code_of_batch(review.result))


def _ask_all(output: Output, review: Review, waiting: Sequence[MentorOutcome]) -> Mapping[str, str]:
    """
    Return the answer for each mentor; none at all after a quit.
    """
    output.say(waiting_sentence(review.result))
    output.say(_EXPLAINED + (_ATOMIC_EXPLAINED if review.atomic else _LATER_EXPLAINED))
    choices = (*_DECISIONS, *(() if review.atomic else (_LATER,)), _QUIT)
    answers: dict[str, str] = {}
    for number, outcome in enumerate(waiting, 1):
        output.say("")
        output.say(f"{number} of {len(waiting)}: {_described(outcome)}")
        answer = _choose(output, choices)
        if answer == _QUIT:
            return {}
        answers[outcome.mentor_id] = answer
    return answers


def _described(outcome: MentorOutcome) -> str:
    existing = outcome.conflicting_activity_id
    told = f"{outcome.mentor_id}, {words(reason_of(outcome))}"
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
            return choices[-1]
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
        output.say(f"{answers[outcome.mentor_id]:>8}  {_described(outcome)}")
    counts = Counter(answers.values())
    told = ", ".join(f"{number} {answer}" for answer, number in counts.items())
    return _choose(output, ("yes", "no"), about=f"{told}. Carry this out? ") == "yes"
