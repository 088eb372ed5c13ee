"""
Asks the directory for the languages of recipients.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from functools import partial
from typing import Final

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee, is_being_cancelled
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration.clock import Clock
from proxy_orchestration.notification.dependency_answers import locales_in
from proxy_orchestration.notification.ports import RecipientLocales

LOCALES_UNKNOWN: Final[str] = "locales_unknown"
"""
The directory did not say who reads which language; what is known otherwise counts, or the default.
"""

_log = logging.getLogger(_loggers.RECIPIENTS)


async def find_locales(
    locales: RecipientLocales | None, recipient_ids: Collection[str], *, clock: Clock, seconds: float
) -> Mapping[str, str]:
    """
    Ask once about these recipients; whoever has no locale of their own is absent.

    A directory that fails, or takes longer than that many seconds, stops nothing.
    """
    recipients = tuple(dict.fromkeys(recipient_ids))
    if locales is None or not recipients:
        return {}
    try:
        answer: object = await ask(partial(locales.locales_of, recipients), clock=clock, seconds=seconds)
        return locales_in(answer, recipients)
    except NoAnswerError:
        name = "TimeoutError"
    except BaseException as error:
        if not comes_from_callee(error) or is_being_cancelled():
            raise
        name = type(error).__name__
    _log.error(
        "the directory did not tell the languages of the recipients: %s",
        name,
        extra={"code": LOCALES_UNKNOWN, "error": name, "recipients": len(recipients)},
    )
    return {}
