"""
Small batches that one set of statements accepts, and one ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
from sqlalchemy import Engine

from proxy_orchestration.registration.ledger import Acceptance, NewBatch
from proxy_orchestration.registration.runs import Commit, Lease
from proxy_orchestration.registration.states import ItemState
from proxy_orchestration.storage.sql.database.waiting_writes import Refused
from proxy_orchestration.storage.sql.registration.accepting_together import accept_all, joint_acceptance
from proxy_orchestration.storage.sql.registration.committing_together import commit_all, joint_commit
from proxy_orchestration.storage.sql.registration.finishing_together import joint_end
from proxy_orchestration.storage.sql.registration.first_leases import Beginning
from proxy_orchestration.testing.contracts.registration.samples import LONG, batch_of, ended, later

BEGIN: Final = Beginning(ttl=LONG, claim=5, called=3)
_STATES: Final = (ItemState.SUCCEEDED, ItemState.FAILED, ItemState.NEEDS_REVIEW, ItemState.UNKNOWN)


def new_batch(number: int, count: int = 10, **changes: Any) -> NewBatch:
    """
    Return a batch that has its id already.
    """
    return batch_of(count, **{"batch_id": f"batch-{number}", "label": f"Visits {number}"} | changes)


def accept_together(engine: Engine, new: Sequence[NewBatch]) -> Sequence[Acceptance | Refused]:
    """
    Accept them in one transaction, each with its first lease.
    """
    joints = [joint_acceptance(each, BEGIN) for each in new]
    with engine.begin() as connection:
        return accept_all(connection, [joint.part for joint in joints if joint is not None])


@attrs.frozen
class Ending:
    """
    How a run ends.
    """

    lease: Lease
    commit: Commit
    how: dict[str, Any]


def ending_of(new: NewBatch, *, fence: int = 1, **how: Any) -> Ending:
    """
    Return how the batch's first run ends under this fence: with one item after the other in another state.
    """
    whole = Beginning(ttl=LONG, claim=len(new.entries), called=len(new.entries))
    lease = attrs.evolve(whole.lease(new, str(new.batch_id)), fence=fence)
    outcomes = tuple(
        ended(one, _STATES[place % len(_STATES)], in_doubt=place % 3 == 0)
        for place, one in enumerate(lease.claimed_now)
    )
    commit = Commit(outcomes=outcomes, ttl=LONG, driven_for=0.25, since_first_call=0.125)
    return Ending(lease, commit, {"settled_at": later(9), "audit_hold": 30.0, "tell": False} | how)


def parts_of(ending: Ending, first: int) -> tuple[Ending, Ending]:
    """
    Return an end in two writes: so many outcomes by a commit, and the others with the end.
    """
    outcomes = ending.commit.outcomes
    begun = attrs.evolve(ending.commit, outcomes=outcomes[:first], called=first)
    last = attrs.evolve(ending.commit, outcomes=outcomes[first:], called=len(outcomes))
    return Ending(ending.lease, begun, {}), Ending(ending.lease, last, ending.how)


def commit_together(engine: Engine, given: Sequence[Ending]) -> Sequence[Any]:
    """
    Commit them in one transaction, and end none of the runs.
    """
    joints = [joint_commit(each.lease, each.commit) for each in given]
    with engine.begin() as connection:
        return commit_all(connection, [joint.part for joint in joints if joint is not None])


def finish_together(engine: Engine, endings: Sequence[Ending]) -> Sequence[Any]:
    """
    End them in one transaction: all by whole runs, or all by the last outcomes of runs.
    """
    joints = [joint_end(each.lease, each.commit, **each.how) for each in endings]
    (do_all,) = {joint.do_all for joint in joints if joint is not None}
    with engine.begin() as connection:
        return do_all(connection, [joint.part for joint in joints if joint is not None])
