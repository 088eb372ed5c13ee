"""
From a file and options to a request; what is wrong with either ends the program.
"""

from __future__ import annotations

from pathlib import Path

import typer

from proxy_orchestration.access import Actor
from proxy_orchestration.cli.csv_files import read_mentor_file
from proxy_orchestration.cli.options import Common
from proxy_orchestration.cli.session import ending_on_errors, settings_for
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.registration.conflicts import ConflictPolicy
from proxy_orchestration.registration.requests import BulkRegistrationRequest, SubmissionMode


def read_request(  # noqa: PLR0913 - a request's own fields
    common: Common,
    file: Path,
    *,
    actor: Actor,
    label: str | None = None,
    key: str | None = None,
    on_conflict: ConflictPolicy = ConflictPolicy.REVIEW,
) -> BulkRegistrationRequest:
    """
    Return what the file asks for; `today` in it is the present day in UTC.

    Args:
        common: what the command was told.
        file: the CSV file.
        actor: who submits.
        label: what people call the batch.
        key: the idempotency key; `None` for the file's own, see `MentorFile.key_for`.
        on_conflict: what becomes of mentors whose registration conflicts.
    """
    mode = SubmissionMode.ATOMIC if common.atomic else SubmissionMode.INDEPENDENT
    with ending_on_errors(common.output):
        today = SystemClock().now().date()
        mentors = read_mentor_file(file, today=today, limit=settings_for(common).max_batch_size)
    try:
        return BulkRegistrationRequest(
            entries=mentors.entries,
            idempotency_key=mentors.key_for(actor, mode=mode, on_conflict=on_conflict)
            if key is None
            else key,
            label=label,
            mode=mode,
            on_conflict=on_conflict,
        )
    except ValueError as error:
        msg = f"{error}."
        raise typer.BadParameter(msg, param_hint="--label or --key") from None
