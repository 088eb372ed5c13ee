"""
Ends that no longer count are forgotten, once no notice about them can be due any more.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee, is_being_cancelled
from proxy_orchestration.notification.ends_port import CertificateEnds
from proxy_orchestration.notification.tiers import ExpiryPolicy

_REMEMBERED_DAYS: Final = 400
"""For how long an end that does not count is kept beyond the last lapsed push: over a year's feeds."""

_log = logging.getLogger(_loggers.NOTIFICATION)


async def forget_old_ends(ends: CertificateEnds, *, policy: ExpiryPolicy, now: datetime) -> None:
    """
    Forget what counts no more since longer than the last lapsed push and over a year.

    A failure of that is logged and no more: the next run forgets them.
    """
    try:
        before = now - timedelta(days=policy.lapsed_push_days + _REMEMBERED_DAYS)
    except OverflowError:
        return
    try:
        await ends.forget_ends(before=before)
    except BaseException as error:
        if not comes_from_callee(error) or is_being_cancelled():
            raise
        _log.error("old certificate ends could not be removed", extra={"error": type(error).__name__})
