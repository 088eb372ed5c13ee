"""
The commands that read a file of mentors: preview and register.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.csv.layouts import Layout
from proxy_orchestration.cli.csv.mentors import parse_mentors
from proxy_orchestration.cli.exits import ExitCode, code_of_report
from proxy_orchestration.cli.layout_options import (
    ColumnsOption,
    EncodingOption,
    IgnoreOption,
    SheetOption,
    layout_of,
    words_of,
)
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    ActorOption,
    AppOption,
    Common,
    ConcurrencyOption,
    IfAbsent,
    JsonOption,
    StoreOption,
)
from proxy_orchestration.cli.ownership import check_request
from proxy_orchestration.cli.progress import show_run
from proxy_orchestration.cli.rendering import counted, show_conflicts, show_result, shown_name
from proxy_orchestration.cli.session import (
    NOTHING_CHANGED,
    Session,
    ending_on_errors,
    run_command,
    settings_for,
)
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.errors import BatchNotFoundError, IdempotencyKeyReusedError
from proxy_orchestration.registration.activities import (
    ActivityRecord,
    ProxyRegistration,
    idempotency_key_of,
    registration_id_of,
)
from proxy_orchestration.registration.conflicts import ConflictPolicy, ConflictReport
from proxy_orchestration.registration.requests import (
    BulkRegistrationRequest,
    RegistrationEntry,
    SubmissionMode,
    fingerprint_of,
)
from proxy_orchestration.registration.standard.checks import same_mentor_type_and_day
from proxy_orchestration.registration.states import ItemState

_NAMED: Final = 10

FileArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="CSV, or a workbook (.xlsx), with the columns mentor_id, activity_type, activity_date "
        "(YYYY-MM-DD, DD.MM.YYYY, today or today-3), duration_minutes and optionally notes.",
        show_default=False,
    ),
]
LabelOption = Annotated[str | None, typer.Option("--label", help="A label for the batch.")]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        help="Idempotency key. Default: derived from actor, file, --on-conflict and --atomic, so that the "
        "same file joins its batch.",
    ),
]
PolicyOption = Annotated[
    ConflictPolicy,
    typer.Option(
        "--on-conflict",
        help="What to do with mentors who already have such an activity on that day: review lets them wait "
        "for a decision, skip leaves them out, override registers them anyway.",
    ),
]
AtomicOption = Annotated[
    bool, typer.Option("--atomic", help="All or nothing: every mentor is registered, or none is.")
]
PaceOption = Annotated[
    float,
    typer.Option(
        "--pace",
        min=0.0,
        max=10.0,
        metavar="SECONDS",
        help="Pause before each call, so that you can watch or interrupt a run.",
    ),
]


def preview(  # noqa: PLR0913 - a command's parameters are its options
    file: FileArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    app: AppOption = None,
    encoding: EncodingOption = None,
    sheet: SheetOption = None,
    columns: ColumnsOption = None,
    ignore_columns: IgnoreOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Show which mentors of a CSV file already have such an activity; stores nothing.
    """
    common = Common(store=store, as_json=as_json, actor=actor, if_absent=IfAbsent.PRETEND, app=app)
    layout = layout_of(common, encoding=encoding, sheet=sheet, columns=columns, ignore_columns=ignore_columns)
    request, _ = _read_request(common, file, actor, layout=layout)
    said = words_of(encoding=encoding, sheet=sheet, columns=columns, ignore_columns=ignore_columns)

    async def work(session: Session) -> ExitCode:
        if app is None and store.is_missing:
            session.output.say(f"There is no store at {store} yet, so there is nothing to conflict with.")
        report = await session.orchestrator.preview(request, actor=actor)
        _show_report(session, report, common.command("register", str(file), *said))
        return code_of_report(report)

    run_command(common, work, if_interrupted=NOTHING_CHANGED)


def register(  # noqa: PLR0913 - a command's parameters are its options
    file: FileArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    app: AppOption = None,
    label: LabelOption = None,
    key: KeyOption = None,
    on_conflict: PolicyOption = ConflictPolicy.REVIEW,
    atomic: AtomicOption = False,
    concurrency: ConcurrencyOption = 5,
    pace: PaceOption = 0.0,
    encoding: EncodingOption = None,
    sheet: SheetOption = None,
    columns: ColumnsOption = None,
    ignore_columns: IgnoreOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Register every mentor of a CSV file as one batch.
    """
    if app is not None and pace:
        msg = "The pause works with the standard service only. Give only one of the two options."
        raise typer.BadParameter(msg, param_hint="--pace")
    common = Common(
        store=store,
        as_json=as_json,
        actor=actor,
        concurrency=concurrency,
        pace=pace,
        atomic=atomic,
        if_absent=IfAbsent.CREATE,
        app=app,
    )
    layout = layout_of(common, encoding=encoding, sheet=sheet, columns=columns, ignore_columns=ignore_columns)
    request, is_relative = _read_request(
        common, file, actor, layout=layout, label=label, key=key, on_conflict=on_conflict
    )

    async def work(session: Session) -> ExitCode:
        try:
            return await _submit(session, request, actor, own_key=key is not None)
        except IdempotencyKeyReusedError as error:
            told = (
                _told_of_file(error, session.common, on_conflict)
                if key is None
                else _told_of_key(error, key, is_relative=is_relative)
            )
            session.output.end(ExitCode.BAD_INPUT, told)
            return ExitCode.BAD_INPUT

    run_command(common, work, if_interrupted=common.carry_on)


def _read_request(  # noqa: PLR0913 - a request's own fields
    common: Common,
    file: Path,
    actor: Actor,
    *,
    layout: Layout,
    label: str | None = None,
    key: str | None = None,
    on_conflict: ConflictPolicy = ConflictPolicy.REVIEW,
) -> tuple[BulkRegistrationRequest, bool]:
    """
    Return what the file asks for, and whether it depends on the day; end the program at a fault.

    The present day in UTC stands for `today`.
    """
    mode = SubmissionMode.ATOMIC if common.atomic else SubmissionMode.INDEPENDENT
    with ending_on_errors(common.output):
        today = SystemClock().now().date()
        limit = settings_for(common).max_batch_size
        mentors = parse_mentors(file, name=str(file), today=today, limit=limit, layout=layout)
    if key is None:
        key = mentors.key_for(actor, mode=mode, on_conflict=on_conflict)
    try:
        request = BulkRegistrationRequest(
            entries=mentors.entries, idempotency_key=key, label=label, mode=mode, on_conflict=on_conflict
        )
    except ValueError as error:
        msg = f"{error}."
        raise typer.BadParameter(msg, param_hint="--label or --key") from None
    return request, mentors.resolved_on is not None


def _show_report(session: Session, report: ConflictReport, command: str) -> None:
    """
    Write what a preview found: all of it as JSON, or who does not go ahead, with the counts beside it.
    """
    output = session.output
    rows = [
        (shown_name(each.mentor_id, each.item_key), each.kind.value, each.existing_activity_id)
        for each in report.conflicts
    ]
    rows += [(item_key, "refused", None) for item_key in report.refused]
    if output.as_json:
        output.document({**report.to_dict(), "total": report.total})
    elif rows:
        show_conflicts(output, rows)
    output.conclude(
        f"{counted(report.total, 'mentor', 'mentors')}: {len(report.clean)} clean, "
        f"{len(report.conflicts)} in conflict, {len(report.refused)} refused. Nothing was stored."
    )
    for step in _register_steps(report, command):
        output.conclude(step)


def _register_steps(report: ConflictReport, command: str) -> Iterator[str]:
    if not report.conflicts:
        yield f"Register:  {command}"
        return
    yield f"Register, and let those in conflict wait for a decision:  {command}"
    yield f"Register, and leave those in conflict out:  {command} --on-conflict skip"
    yield f"Register, and register those in conflict a second time:  {command} --on-conflict override"


async def _submit(
    session: Session, request: BulkRegistrationRequest, actor: Actor, *, own_key: bool
) -> ExitCode:
    """
    Submit the request, or join its batch, and show it to the end.

    An override of what the actor registered before would count somebody
    twice. It is refused, unless the submission has a key of its own.
    """
    guarded = request.on_conflict is ConflictPolicy.OVERRIDE and not own_key and session.common.app is None
    if guarded and (own := await _own_records(session, request, actor)):  # decisions 32 and 289
        session.output.end(ExitCode.BAD_INPUT, _twice(own, await _reviews(session, own, actor)))
        return ExitCode.BAD_INPUT
    await check_request(session, request, actor)
    began = session.clock.now()
    async with session.orchestrator.stream_bulk_registration(request, actor=actor) as run:
        record = await session.repository.get(run.batch_id)
        if record is not None and record.submitted_at < began:  # an older batch was joined
            when = f"{record.submitted_at:%Y-%m-%d at %H:%M:%S} UTC"
            session.output.say(f"The same request was submitted on {when}; joining its batch.")
        await show_run(session.output, run, title="Registering")
    return show_result(session.common, run.result)


async def _own_records(
    session: Session, request: BulkRegistrationRequest, actor: Actor
) -> Sequence[ActivityRecord]:
    """
    Return what the actor registered before of the request, unless its batch is joined; in file order.
    """
    if request.idempotency_key is not None:
        joined = await session.repository.find_by_key(actor, request.idempotency_key, fingerprint_of(request))
        if joined is not None:
            return ()
    keys = [same_mentor_type_and_day(_registration(entry, actor)) for entry in request.entries]
    found = await session.repository.find_duplicates(actor.organization_id, keys)
    records = [found[key] for key in dict.fromkeys(keys) if key in found]
    return [each for each in records if each.registration.registered_by.user_id == actor.user_id]


def _registration(entry: RegistrationEntry, actor: Actor) -> ProxyRegistration:
    registration_id = registration_id_of("asked", entry.mentor_id)
    return ProxyRegistration(
        registration_id=registration_id,
        idempotency_key=idempotency_key_of(registration_id, 0),
        batch_id="asked",
        mentor_id=entry.mentor_id,
        activity=entry.activity,
        registered_by=actor,
    )


async def _reviews(session: Session, own: Sequence[ActivityRecord], actor: Actor) -> Sequence[str]:
    """
    Return the steps that decide about those who wait in the records' batches, where somebody does.
    """
    steps: list[str] = []
    for batch_id in dict.fromkeys(each.registration.batch_id for each in own):
        with suppress(BatchNotFoundError):  # a record outlives its batch
            summary = await session.orchestrator.get_batch_summary(batch_id, actor=actor)
            if summary.counts.get(ItemState.NEEDS_REVIEW, 0):
                command = session.common.command("review", batch_id)
                steps.append(f"Decide about the mentors who wait in batch {batch_id}:  {command}\n")
        if len(steps) == _NAMED:
            break
    return steps


def _told_of_file(error: IdempotencyKeyReusedError, common: Common, on_conflict: ConflictPolicy) -> str:
    """
    Say which batch the file was registered as, how to continue that one, and how to submit all the same.
    """
    again = "To register it again, give the submission its own --key."
    if on_conflict is ConflictPolicy.REVIEW:
        again += " Mentors who have such an activity then wait for a decision."
    registered = f"This file was registered before as batch {error.batch_id}"
    if error.deleted:
        return f"{registered}, and the batch was deleted. Nothing was stored. {again}"
    command = common.command("resume", str(error.batch_id), with_actor=False)
    return (
        f"{registered}, and it was read in another way, perhaps by an earlier version. Nothing was stored. "
        f"Continue that batch:  {command}\n{again}"
    )


def _told_of_key(error: IdempotencyKeyReusedError, own_key: str, *, is_relative: bool) -> str:
    """
    Say which batch has the submission's own key, and how to submit all the same.
    """
    why = "which was deleted" if error.deleted else "which was submitted with different content"
    day = " A relative date in the file means another day on another day." if is_relative else ""
    return (
        f"The key {own_key!r} belongs to batch {error.batch_id}, {why}.{day} Nothing was stored. Give the "
        "submission another --key."
    )


def _twice(own: Sequence[ActivityRecord], reviews: Sequence[str]) -> str:
    named = ", ".join(
        f"{each.registration.mentor_id} ({each.registration.activity.activity_type} on "
        f"{each.registration.activity.activity_date})"
        for each in own[:_NAMED]
    )
    rest = f" and {len(own) - _NAMED} more" if len(own) > _NAMED else ""
    return (
        "You registered these before, and --on-conflict override would register them a second time: "
        f"{named}{rest}. Nothing was stored. Remove their lines from the file, or leave them out with "
        f"--on-conflict skip.\n{''.join(reviews)}To register them a second time, give the submission its own "
        "--key."
    )
