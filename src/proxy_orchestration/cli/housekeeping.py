"""
The commands for operators of a store: relabel, delete, purge, upgrade and health.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final

import attrs
import typer
from anyio import to_thread

from proxy_orchestration.cli.exits import ExitCode
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    ActorOption,
    BatchArgument,
    Common,
    IfAbsent,
    JsonOption,
    StoreOption,
    moment,
)
from proxy_orchestration.cli.rendering import counted
from proxy_orchestration.cli.session import NOTHING_CHANGED, Session, run_command
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql import SqlActivityRepository
from proxy_orchestration.storage.sql.database.migrate import revision_in
from proxy_orchestration.storage.sql.database.versions import REVISIONS

_RUN_AGAIN: Final = "Run the command again; finished work is kept."

_NAMES: Final = {
    "batches": ("batch", "batches"),
    "audit_events": ("audit event", "audit events"),
    "keys": ("key", "keys"),
    "notices": ("notice", "notices"),
    "pushes": ("push", "pushes"),
    "runs": ("run", "runs"),
    "visibility_changes": ("change of visibility", "changes of visibility"),
}


@attrs.frozen(kw_only=True)
class _Old:
    """
    Before which moment each kind is old; `None`: it is kept.
    """

    batches: datetime | None
    audit_events: datetime | None
    keys: datetime | None
    notices: datetime | None
    pushes: datetime | None
    runs: datetime | None
    visibility_changes: datetime | None


LabelArgument = Annotated[
    str,
    typer.Argument(metavar="LABEL", help='The new label, up to 200 characters; "" removes the label.'),
]
OpenReviewsOption = Annotated[
    bool,
    typer.Option("--with-open-reviews", help="Also remove batches in which mentors wait for a decision."),
]
UntoldOption = Annotated[
    bool,
    typer.Option(
        "--with-untold", help="Also remove batches whose host was not yet told that a run had settled."
    ),
]


def _before(name: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        name, metavar="MOMENT", parser=moment, help=what, show_default=False
    )
    return option


SettledBeforeOption = Annotated[
    datetime | None,
    _before(
        "--settled-before",
        "Remove batches that settled before this time: today-90, or a date and time with its offset.",
    ),
]
AuditBeforeOption = Annotated[
    datetime | None,
    _before("--audit-before", "Remove delivered audit events of runs that settled before this time."),
]
KeysBeforeOption = Annotated[
    datetime | None,
    _before(
        "--keys-before",
        "Remove idempotency keys of deleted batches accepted before this time. Their requests count as "
        "new afterwards.",
    ),
]
NoticesBeforeOption = Annotated[
    datetime | None,
    _before("--notices-before", "Remove notices created before this time that nobody still has to handle."),
]
PushesBeforeOption = Annotated[
    datetime | None, _before("--pushes-before", "Remove finished pushes that were due before this time.")
]
RunsBeforeOption = Annotated[
    datetime | None,
    _before("--runs-before", "Remove runs of notify that started before this time from the log."),
]
ChangesBeforeOption = Annotated[
    datetime | None,
    _before(
        "--visibility-changes-before",
        "Remove audit rows of mentors hidden and shown again before this time. Rows of mentors still hidden "
        "stay.",
    ),
]


def relabel(
    batch: BatchArgument,
    label: LabelArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """
    Change the label of a batch, or remove it.
    """

    async def work(session: Session) -> ExitCode:
        await session.orchestrator.relabel_batch(batch, label or None, actor=actor)
        if as_json:
            session.output.document({"batch_id": batch, "label": label or None})
        session.output.conclude("Relabelled." if label else "The label was removed.")
        return ExitCode.SUCCESS

    run_command(Common(store=store, as_json=as_json, actor=actor), work, if_interrupted=_RUN_AGAIN)


def delete(
    batch: BatchArgument,
    *,
    actor: ActorOption,
    store: StoreOption = DEFAULT_STORE,
    with_open_reviews: OpenReviewsOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Delete a settled batch. Registered activities, audit events and the batch's idempotency key are kept.
    """

    async def work(session: Session) -> ExitCode:
        output = session.output
        before = await session.orchestrator.get_batch_summary(batch, actor=actor)
        waiting = before.counts.get(ItemState.NEEDS_REVIEW, 0)
        if waiting and before.settled_at is not None and not with_open_reviews:
            output.end(
                ExitCode.WRONG_STATE,
                f"{counted(waiting, 'mentor waits', 'mentors wait')} for a decision, and deleting the batch "
                f"would drop them. Decide first:  {session.common.command('review', batch)}\nOr delete the "
                "batch anyway: --with-open-reviews.",
            )
            return ExitCode.WRONG_STATE
        await session.orchestrator.delete_batch(batch, actor=actor, with_open_reviews=with_open_reviews)
        if as_json:
            output.document({"batch_id": batch, "deleted": True})
        output.conclude(
            "Deleted. Its audit events are kept, and its idempotency key cannot be used for another batch."
        )
        return ExitCode.SUCCESS

    run_command(Common(store=store, as_json=as_json, actor=actor), work, if_interrupted=_RUN_AGAIN)


def purge(  # noqa: PLR0913 - a command's parameters are its options
    *,
    store: StoreOption = DEFAULT_STORE,
    settled_before: SettledBeforeOption = None,
    audit_before: AuditBeforeOption = None,
    keys_before: KeysBeforeOption = None,
    notices_before: NoticesBeforeOption = None,
    pushes_before: PushesBeforeOption = None,
    runs_before: RunsBeforeOption = None,
    visibility_changes_before: ChangesBeforeOption = None,
    with_open_reviews: OpenReviewsOption = False,
    with_untold: UntoldOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Remove old batches, audit events, keys, notices and logs from the whole store.
    """
    old = _Old(
        batches=settled_before,
        audit_events=audit_before,
        keys=keys_before,
        notices=notices_before,
        pushes=pushes_before,
        runs=runs_before,
        visibility_changes=visibility_changes_before,
    )
    if not any(attrs.astuple(old)):
        msg = (
            "Give at least one limit, such as --settled-before today-365, --audit-before, --keys-before or "
            "--notices-before."
        )
        raise typer.BadParameter(msg)

    async def work(session: Session) -> ExitCode:
        gone = await _let_go(session, old, with_open_reviews=with_open_reviews, with_untold=with_untold)
        if as_json:
            session.output.document(gone)
        told = (counted(gone[name], *names) for name, names in _NAMES.items())
        session.output.conclude(f"Removed: {', '.join(told)}.{_told_of_left(gone)}")
        return ExitCode.SUCCESS

    run_command(Common(store=store, as_json=as_json), work, if_interrupted=_RUN_AGAIN)


def _told_of_left(gone: Mapping[str, int]) -> str:
    """
    Say how many batches stay that are old enough, why, and by which option they go all the same.
    """
    reasons = {
        "left_for_review": "because mentors wait for a decision (--with-open-reviews)",
        "left_untold": "because the host was not yet told of the end (--with-untold)",
    }
    return "".join(
        f" {counted(gone[name], 'batch stays', 'batches stay')}, {reason}."
        for name, reason in reasons.items()
        if gone[name]
    )


async def _let_go(
    session: Session, old: _Old, *, with_open_reviews: bool, with_untold: bool
) -> dict[str, int]:
    """
    Remove what is old, kind by kind; return how many of each, and how many batches stay.
    """
    batches, notices = session.orchestrator, session.notifications
    gone = dict.fromkeys((*_NAMES, "left_for_review", "left_untold"), 0)
    if old.batches is not None:
        purged = await batches.purge(
            settled_before=old.batches, with_open_reviews=with_open_reviews, with_untold=with_untold
        )
        gone["batches"] = purged.deleted
        gone["left_for_review"], gone["left_untold"] = purged.left_for_review, purged.left_untold
    if old.audit_events is not None:
        gone["audit_events"] = await batches.purge_audit_events(settled_before=old.audit_events)
    if old.keys is not None:
        gone["keys"] = await batches.purge_tombstones(accepted_before=old.keys)
    if old.pushes is not None:
        gone["pushes"] = await notices.purge_pushes(due_before=old.pushes)
    if old.notices is not None:
        gone["notices"] = await notices.purge_notices(created_before=old.notices)
    if old.runs is not None:
        gone["runs"] = await notices.purge_runs(started_before=old.runs)
    if old.visibility_changes is not None:
        gone["visibility_changes"] = await notices.purge_visibility_changes(
            changed_before=old.visibility_changes
        )
    return gone


def upgrade(*, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """
    Upgrade the store's schema to this version, or create it. Rows are kept.
    """

    async def work(session: Session) -> ExitCode:
        names = attrs.asdict(store.names)
        before = None if store.is_missing else await to_thread.run_sync(revision_in, store.url, names)
        async with SqlActivityRepository.open(store.url, **names):
            after = await to_thread.run_sync(revision_in, store.url, names)
        if as_json:
            session.output.document({"before": before, "after": after, "own": REVISIONS[-1]})
        if before == after:
            told = f"The schema is already at revision {after}; nothing was changed."
        else:
            told = (
                f"The schema was upgraded from revision {before} to {after}."
                if before
                else f"The schema was created at revision {after}."
            )
        session.output.conclude(told)
        return ExitCode.SUCCESS

    common = Common(store=None, as_json=as_json, if_absent=IfAbsent.CREATE)
    run_command(
        common, work, if_interrupted=f"The schema is either unchanged or completely upgraded. {_RUN_AGAIN}"
    )


def health(*, store: StoreOption = DEFAULT_STORE, as_json: JsonOption = False) -> None:
    """
    Show whether the store answers, and which batch has waited longest for a driver. Changes nothing.
    """

    async def work(session: Session) -> ExitCode:
        everybodys = attrs.evolve(session.orchestrator, repository=session.repository, service_name=None)
        seen = await everybodys.check_health()
        if as_json:
            session.output.document(seen)
        if not seen.store_reachable:
            session.output.conclude(f"The store does not answer ({seen.error}). Check its server or disk.")
            return ExitCode.STORE_UNAVAILABLE
        told = "no batch waits for a driver."
        if seen.oldest_undriven is not None:
            waited = f"{seen.oldest_undriven_age or 0.0:.0f} s"
            told = f"batch {seen.oldest_undriven} has waited {waited} for a driver. Start serve or resume."
        session.output.conclude(f"The store answers; {told}")
        return ExitCode.SUCCESS

    common = Common(store=store, as_json=as_json, migrates=False)
    run_command(common, work, if_interrupted=NOTHING_CHANGED)
