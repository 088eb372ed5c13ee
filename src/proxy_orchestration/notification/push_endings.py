"""
How an attempt to send ends, as the store is told.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime

from proxy_orchestration import _loggers
from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.records import IN_DOUBT, NO_ANSWER, LeasedPush, PushCompletion

_log = logging.getLogger(_loggers.DISPATCH)


def ended(push: LeasedPush, state: PushState, code: str) -> PushCompletion:
    """
    Return that it ended so for good, and log a dead one.
    """
    if push.message.owed is not None and state in {PushState.DEAD, PushState.EXPIRED}:
        # Some device has it: it was sent, and the others are given up.
        state, code = PushState.SENT, "devices_missed"
    if state is PushState.DEAD:
        extra = {
            "tier": push.message.tier.value,
            "code": code,
            "mentor_id": push.mentor_id or "",
            "certificate_type": push.certificate_type or "",
        }
        _log.error("a push is dead: %s", code, extra=extra)
    return PushCompletion(message_id=push.message.message_id, token=push.token, state=state, code=code)


def queued_again(push: LeasedPush, due_at: datetime, code: str, *, counted: bool) -> PushCompletion:
    """
    Return that it is sent again at that moment.
    """
    return PushCompletion(
        message_id=push.message.message_id,
        token=push.token,
        state=PushState.QUEUED,
        due_at=due_at,
        code=code,
        counted=counted,
    )


def untried(push: LeasedPush) -> PushCompletion:
    """
    Return that it was not looked at, and is due as it was.
    """
    return PushCompletion(
        message_id=push.message.message_id,
        token=push.token,
        state=PushState.QUEUED,
        code=push.code,
        counted=False,
        untried=True,
    )


def counters_of(completion: PushCompletion) -> Iterator[str]:
    """
    Yield which numbers of a `DispatchResult` count it.
    """
    is_put_back = completion.state is PushState.QUEUED
    yield "retried" if is_put_back else completion.state.value
    if is_put_back and completion.code in {IN_DOUBT, NO_ANSWER}:
        yield "in_doubt"
