"""
Asks the host for the statuses of mentors before they are hidden.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee, is_being_cancelled
from proxy_orchestration._concurrency import NoAnswerError, ask
from proxy_orchestration.clock import Clock
from proxy_orchestration.notification.dependency_answers import statuses_in
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.visibility_port import MentorStatuses, VisibilityRegistry

STATUSES_UNKNOWN: Final = "statuses_unknown"
"""
The host did not say which status mentors have; they are hidden, and their previous status is unknown.
"""

_log = logging.getLogger(_loggers.VISIBILITY)


@attrs.frozen(kw_only=True)
class PreviousStatuses:
    """
    Asks a host about mentors before the registry hides them.

    Attributes:
        statuses: the host, if it says anything.
        registry: who is hidden already, if anybody ever is.
        clock, seconds: how long an answer is waited for.
    """

    statuses: MentorStatuses | None
    registry: VisibilityRegistry | None
    clock: Clock
    seconds: float

    async def of(self, ends: Sequence[CertificateEnd], *, at: datetime) -> Mapping[str, str]:
        """
        Ask once about those whom these ends hide anew at that moment; who has no status is absent.

        A host that fails, or takes longer, stops nothing.
        """
        over = tuple(dict.fromkeys(each.mentor_id for each in ends if _is_over(each, at)))
        if self.statuses is None or self.registry is None or not over:
            return {}
        work = partial(_ask_both, self.statuses, self.registry, over)
        try:
            return await ask(work, clock=self.clock, seconds=self.seconds)
        except NoAnswerError:
            name = "TimeoutError"
        except BaseException as error:
            if not comes_from_callee(error) or is_being_cancelled():
                raise
            name = type(error).__name__
        _log.error(
            "the host did not tell the statuses of the mentors: %s",
            name,
            extra={"code": STATUSES_UNKNOWN, "error": name, "mentors": len(over)},
        )
        return {}


async def _ask_both(
    statuses: MentorStatuses, registry: VisibilityRegistry, mentor_ids: Sequence[str]
) -> Mapping[str, str]:
    # Of whom we hide already the host would say what we made of it.
    hidden = set(await registry.suppressed(mentor_ids))
    asked = tuple(each for each in mentor_ids if each not in hidden)
    if not asked:
        return {}
    answer: object = await statuses.current(asked)
    return statuses_in(answer, asked)


def _is_over(end: CertificateEnd, at: datetime) -> bool:
    return end.ends_at is not None and end.ends_at <= at
