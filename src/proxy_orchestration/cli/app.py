"""
The Typer application: what can be said on the command line, and nothing else.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import typer

from proxy_orchestration.cli import driving, looking, notice_commands, reviewing
from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    PROGRAM,
    ActorOption,
    AfterOption,
    AtomicOption,
    BatchArgument,
    Common,
    ConcurrencyOption,
    DecisionsOption,
    ExpectedRunOption,
    FileArgument,
    IfAbsent,
    JsonOption,
    KeyOption,
    LabelOption,
    LimitOption,
    MentorsOption,
    PaceOption,
    PageOption,
    PolicyOption,
    ReasonOption,
    StatusesOption,
    StoreOption,
)
from proxy_orchestration.cli.session import run_command
from proxy_orchestration.cli.submissions import read_request
from proxy_orchestration.registration.conflicts import ConflictPolicy

_NOTHING_CHANGED: Final = "Nothing was changed by this."

_HELP: Final = f"""
Register activities on behalf of many mentors. Every outcome is durable, nothing is registered twice.

Tell mentors and coordinators that certificates run out: once per tier, however often it is run.

All of it lives in a SQLite file (--db). Stop the program at any moment: "{PROGRAM} resume" carries on.
"""

_EPILOG: Final = "\n".join(
    ("\b", "Exit codes:", *(f"{int(code):>5}  {code.meaning}" for code in ExitCode))  # \b keeps the lines
)

app: typer.Typer = typer.Typer(
    name=PROGRAM,
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def preview(
    file: FileArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """
    Show which mentors of a CSV file have such an activity already; stores nothing.
    """
    common = Common(store=store, as_json=as_json, actor=actor, if_absent=IfAbsent.PRETEND)
    request = read_request(common, file, actor=actor)
    work = partial(looking.preview, request=request, actor=actor, file=file)
    run_command(common, work, if_interrupted=_NOTHING_CHANGED)


@app.command()
def register(  # noqa: PLR0913 - a command's parameters are its options
    file: FileArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    label: LabelOption = None,
    key: KeyOption = None,
    on_conflict: PolicyOption = ConflictPolicy.REVIEW,
    atomic: AtomicOption = False,
    concurrency: ConcurrencyOption = 5,
    pace: PaceOption = 0.0,
    as_json: JsonOption = False,
) -> None:
    """
    Register every mentor of a CSV file as one batch.
    """
    common = Common(
        store=store,
        as_json=as_json,
        actor=actor,
        concurrency=concurrency,
        pace=pace,
        atomic=atomic,
        if_absent=IfAbsent.CREATE,
    )
    request = read_request(common, file, actor=actor, label=label, key=key, on_conflict=on_conflict)
    work = partial(driving.register, request=request, actor=actor, own_key=key is not None)
    run_command(common, work, if_interrupted=_carry_on(common))


@app.command()
def status(
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """
    Show every mentor of a batch and how the batch stands.
    """
    common = Common(store=store, as_json=as_json, actor=actor)
    run_command(common, partial(looking.status, batch_id=batch, actor=actor), if_interrupted=_NOTHING_CHANGED)


@app.command()
def retry(  # noqa: PLR0913 - a command's parameters are its options
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    mentors: MentorsOption = None,
    expected_run: ExpectedRunOption = None,
    concurrency: ConcurrencyOption = 5,
    as_json: JsonOption = False,
) -> None:
    """
    Try the failed and unknown mentors of a batch again; what succeeded is not touched.
    """
    common = Common(store=store, as_json=as_json, actor=actor, concurrency=concurrency)
    work = partial(
        driving.retry, batch_id=batch, actor=actor, mentor_ids=mentors or None, expected_run=expected_run
    )
    run_command(common, work, if_interrupted=_carry_on(common))


@app.command()
def review(  # noqa: PLR0913 - a command's parameters are its options
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    decisions: DecisionsOption = None,
    expected_run: ExpectedRunOption = None,
    concurrency: ConcurrencyOption = 5,
    as_json: JsonOption = False,
) -> None:
    """
    Decide, mentor by mentor, about those who wait since they have such an activity already.
    """
    common = Common(store=store, as_json=as_json, actor=actor, concurrency=concurrency)
    decided = reviewing.decide(common, batch, actor=actor, file=decisions, expected_run=expected_run)
    work = partial(
        driving.review,
        batch_id=batch,
        actor=actor,
        decisions=decided.decisions,
        expected_run=decided.expected_run,
    )
    run_command(common, work, if_interrupted=_carry_on(common))


@app.command()
def cancel(
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Cancel what has not begun; calls in flight may finish.
    """
    common = Common(store=store, as_json=as_json, actor=actor)
    look = f"The batch may be cancelled already. Look:  {common.command('status', batch)}"
    run_command(
        common, partial(looking.cancel, batch_id=batch, actor=actor, reason=reason), if_interrupted=look
    )


@app.command()
def watch(
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    after: AfterOption = 0,
    as_json: JsonOption = False,
) -> None:
    """
    Look on, mentor by mentor, until the batch is settled; drives nothing.
    """
    common = Common(store=store, as_json=as_json, actor=actor)
    work = partial(looking.watch, batch_id=batch, actor=actor, after=after)
    run_command(common, work, if_interrupted=_NOTHING_CHANGED)


@app.command("list")
def list_batches(  # noqa: PLR0913 - a command's parameters are its options
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    page: PageOption = 1,
    limit: LimitOption = 20,
    statuses: StatusesOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List batches, newest first.
    """
    common = Common(store=store, as_json=as_json, actor=actor)
    work = partial(looking.list_batches, actor=actor, page=page, limit=limit, statuses=statuses or None)
    run_command(common, work, if_interrupted=_NOTHING_CHANGED)


@app.command()
def resume(
    *,
    store: StoreOption = DEFAULT_STORE,
    concurrency: ConcurrencyOption = 5,
    as_json: JsonOption = False,
) -> None:
    """
    Carry on with every batch of the store that was interrupted.
    """
    common = Common(store=store, as_json=as_json, concurrency=concurrency)
    run_command(common, driving.resume, if_interrupted=_carry_on(common))


app.command()(notice_commands.notify)
app.command()(notice_commands.dispatch)
app.command()(notice_commands.inbox)
app.command()(notice_commands.acknowledge)
app.add_typer(notice_commands.reports, name="report")


def _carry_on(common: Common) -> str:
    return f"What is settled stays settled. Carry on:  {common.resume_command}"
