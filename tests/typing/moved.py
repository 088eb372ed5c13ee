"""
What a type checker says of a name that moved from the root: it is not there; nothing here is run.
"""

from __future__ import annotations

from typing import assert_type

import proxy_orchestration
from proxy_orchestration.ports import Acquisition, Clock, ItemState, Lease, LeaseHeld, RunSettled

moved = proxy_orchestration.NoticeBook  # type: ignore[attr-defined]  # it is forwarded at run time only
misspelt = proxy_orchestration.ItemStat  # type: ignore[attr-defined]  # the forwarding hides no mistake

clock: Clock = proxy_orchestration.SystemClock()
assert_type(proxy_orchestration.ItemState.PENDING is ItemState.PENDING, bool)


def outcome_of(acquisition: Acquisition) -> str:
    """
    Tell the three answers apart; `ports` has all of them.
    """
    match acquisition:
        case Lease():
            return "driving"
        case LeaseHeld():
            return "another drives"
        case RunSettled():
            return "settled"
