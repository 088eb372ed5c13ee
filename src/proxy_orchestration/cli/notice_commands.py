"""
What can be said on the command line about certificates, notices and pushes.
"""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import Final

import attrs
import typer

from proxy_orchestration.cli import dispatching, inboxes, notifying
from proxy_orchestration.cli.notice_options import (
    FCM,
    AllOption,
    AsOfOption,
    CertificatesArgument,
    CredentialsOption,
    DailyOption,
    EndpointOption,
    NoteOption,
    NoticeArgument,
    PlanOption,
    RecipientArgument,
    ReplayOption,
    RoleOption,
    Standing,
    TargetsOption,
    ZoneOption,
)
from proxy_orchestration.cli.notice_session import run_notice_command, run_without_store
from proxy_orchestration.cli.options import (
    DEFAULT_STORE,
    ActorOption,
    Common,
    IfAbsent,
    JsonOption,
    StoreOption,
)
from proxy_orchestration.notification.tiers import ExpiryPolicy, WindowPolicy

_NOTHING_CHANGED: Final = "Nothing was changed by this."
_RUN_AGAIN: Final = "What is written stays written. Run the command again: nobody is told twice."
_SEND_AGAIN: Final = (
    "What was sent stays sent. Run the command again: pushes that were under way are free in two minutes at "
    "most, and are then sent once more under the same key."
)
_TAKE_NOTE_AGAIN: Final = "The notice may be acknowledged already. Run the command again: it counts once."

reports: typer.Typer = typer.Typer(
    help="Say what somebody should mend; writes nothing.", no_args_is_help=True, add_completion=False
)


@reports.callback()
def _reports() -> None:
    """
    Say what somebody should mend; writes nothing.
    """  # a callback keeps the name of a group that has one command


def notify(  # noqa: PLR0913 - a command's parameters are its options
    file: CertificatesArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    as_of: AsOfOption = None,
    plan: PlanOption = False,
    zone: ZoneOption = None,
    daily: DailyOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Tell mentors and coordinators whose certificates of a CSV file run out, and queue pushes.
    """
    common = Common(store=store, as_json=as_json, if_absent=IfAbsent.PRETEND if plan else IfAbsent.CREATE)
    policy = ExpiryPolicy(
        timezone=zone or UTC, window=WindowPolicy.DAILY if daily else WindowPolicy.ONCE_PER_TIER
    )
    content = notifying.read_file(common, file, policy.timezone)
    work = notifying.Work(file=content, policy=policy, as_of=as_of)
    if plan:
        run_notice_command(common, partial(notifying.plan, work=work), if_interrupted=_NOTHING_CHANGED)
    run_notice_command(common, partial(notifying.notify, work=work), if_interrupted=_RUN_AGAIN)


def dispatch(  # noqa: PLR0913 - a command's parameters are its options
    *,
    targets: TargetsOption,
    store: StoreOption = DEFAULT_STORE,
    credentials: CredentialsOption = None,
    endpoint: EndpointOption = FCM,
    replay_dead: ReplayOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Send the pushes that are due through Firebase Cloud Messaging.
    """
    common = Common(store=store, as_json=as_json)
    channel = dispatching.open_channel(common, targets, credentials=credentials, endpoint=endpoint)
    work = partial(dispatching.dispatch, channel=channel, replay_dead=replay_dead)
    run_notice_command(common, work, if_interrupted=_SEND_AGAIN)


def inbox(
    recipient: RecipientArgument,
    *,
    store: StoreOption = DEFAULT_STORE,
    whole: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """
    Show the notices that wait to be acknowledged by somebody.
    """
    common = Common(store=store, as_json=as_json)
    work = partial(inboxes.inbox, recipient_id=recipient, whole=whole)
    run_notice_command(common, work, if_interrupted=_NOTHING_CHANGED)


def acknowledge(  # noqa: PLR0913 - a command's parameters are its options
    notification: NoticeArgument,
    *,
    actor: ActorOption,
    role: RoleOption = Standing.COORDINATOR,
    note: NoteOption = "",
    store: StoreOption = DEFAULT_STORE,
    as_json: JsonOption = False,
) -> None:
    """
    Take note of a notice in one's inbox; repeating it changes nothing.
    """
    common = Common(store=store, as_json=as_json, actor=actor)
    standing = attrs.evolve(actor, roles={role.role})
    work = partial(inboxes.acknowledge, notification_id=notification, actor=standing, note=note)
    run_notice_command(common, work, if_interrupted=_TAKE_NOTE_AGAIN)


@reports.command("data-quality")
def data_quality(
    file: CertificatesArgument,
    *,
    zone: ZoneOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List mentors without a coordinator, and certificates that no run can deal with.
    """
    common = Common(store=DEFAULT_STORE, as_json=as_json)
    policy = ExpiryPolicy(timezone=zone or UTC)
    content = notifying.read_file(common, file, policy.timezone)
    work = partial(notifying.report, work=notifying.Work(file=content, policy=policy))
    run_without_store(common, work, if_interrupted=_NOTHING_CHANGED)
