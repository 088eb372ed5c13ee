"""
The options of the commands about certificates, and what people write in them.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Final

import typer

from proxy_orchestration.access import Role
from proxy_orchestration.cli.csv_dates import relative_days
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.notification.tiers import zone

FCM: Final = "https://fcm.googleapis.com"


def as_of(text: str) -> datetime:
    """
    Return the moment that `today+3` or an ISO moment with an offset means; `today` is now.
    """
    days = relative_days(text)
    try:
        moment = datetime.fromisoformat(text) if days is None else _days_from_now(days)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    msg = f"{text!r} is no moment. Write today, today+3, or a moment with its offset: 2026-11-21T00:05Z."
    raise typer.BadParameter(msg)


def _days_from_now(days: int) -> datetime:
    return SystemClock().now() + timedelta(days=days)


def _zone(text: str) -> tzinfo:
    try:
        return zone(text)
    except ValueError as error:
        msg = f"{error}."
        raise typer.BadParameter(msg) from None


class Standing(enum.Enum):
    """
    In which role somebody takes note of a notice.
    """

    COORDINATOR = "coordinator"
    CHAPTER_ADMIN = "chapter_admin"

    @property
    def role(self) -> Role:
        """
        Return the role itself.
        """
        return Role(self.value)


CertificatesArgument = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="CSV in UTF-8 with the columns certificate_id, mentor_id, certificate_type and expires "
        "(YYYY-MM-DD, today+30, today-3, or a moment with its offset); optional: revoked (yes or no), "
        "holder_name, organization_id, chapter_id, locale, coordinator_id, chapter_admin_ids (separated "
        "by blanks).",
        show_default=False,
    ),
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="MOMENT",
        parser=as_of,
        help="Run as if it were then: 2026-11-21T00:05Z, or today+3. Default: now.",
        show_default=False,
    ),
]
PlanOption = Annotated[bool, typer.Option("--plan", help="Show what would be written, and write nothing.")]
ZoneOption = Annotated[
    tzinfo | None,
    typer.Option(
        "--zone",
        metavar="ZONE",
        parser=_zone,
        help="Whose calendar days count, for example Europe/Oslo. Default: UTC.",
        show_default=False,
    ),
]
DailyOption = Annotated[bool, typer.Option("--daily", help="A notice each day instead of one for each tier.")]
TargetsOption = Annotated[
    Path,
    typer.Option(
        "--targets",
        metavar="FILE",
        help="CSV in UTF-8 with the devices: recipient_id, kind (fid or token), value, if wanted platform.",
        show_default=False,
    ),
]
CredentialsOption = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        metavar="FILE",
        help="A service account's JSON key. Default: what FCM_SERVICE_ACCOUNT_JSON holds, or the file that "
        "GOOGLE_APPLICATION_CREDENTIALS names.",
        show_default=False,
    ),
]
EndpointOption = Annotated[str, typer.Option("--endpoint", metavar="URL", help="Where FCM is.")]
ReplayOption = Annotated[
    bool, typer.Option("--replay-dead", help="Queue again first what was given up, and send it too.")
]
RecipientArgument = Annotated[
    str, typer.Argument(metavar="RECIPIENT", help="Whose inbox.", show_default=False)
]
AllOption = Annotated[
    bool, typer.Option("--all", help="Also what was acknowledged, and what a renewal cleared.")
]
NoticeArgument = Annotated[
    str, typer.Argument(metavar="NOTIFICATION", help="The notice's id.", show_default=False)
]
RoleOption = Annotated[Standing, typer.Option("--role", help="In which role the actor takes note.")]
NoteOption = Annotated[
    str, typer.Option("--note", help="What was done about it, up to 500 characters; kept with the audit row.")
]
