"""
The plan of a run before it opens: which items are sent, override a record, or are not sent. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from proxy_orchestration.errors import AtomicModeError
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.conflicts import Conflict, ConflictKind, ConflictPolicy, Override
from proxy_orchestration.registration.ledger import StoredItem, Verdict
from proxy_orchestration.registration.ports import ProxyRegistrationService, SupportsBulk, call_limit_of
from proxy_orchestration.registration.reasons import (
    AWAITING_DECISIONS,
    CHECK_FAILED,
    DUPLICATE,
    IN_BATCH,
    MAYBE_OWN,
    ROLLED_BACK,
)
from proxy_orchestration.registration.requests import RegistrationEntry, SubmissionMode
from proxy_orchestration.registration.states import ItemState

_REASONS: Final[Mapping[ConflictKind, Failure]] = MappingProxyType(
    {
        ConflictKind.DUPLICATE: DUPLICATE,
        ConflictKind.IN_BATCH: IN_BATCH,
        ConflictKind.CHECK_FAILED: CHECK_FAILED,
        ConflictKind.MAYBE_OWN: MAYBE_OWN,
    }
)

_FOR_A_PERSON: Final = frozenset({ConflictKind.CHECK_FAILED, ConflictKind.MAYBE_OWN})
"""Conflicts that no policy decides about: what was found is not what it looks like, or nothing was."""


def check_can_be_whole(service: ProxyRegistrationService, size: int) -> None:
    """
    Accept a service that can register that many in one call, all or nothing.

    Raises:
        AtomicModeError: it cannot.
    """
    if not isinstance(service, SupportsBulk):
        raise AtomicModeError
    limit = call_limit_of(service)
    if limit is not None and size > limit:
        raise AtomicModeError(limit=limit)


@attrs.frozen(kw_only=True)
class RunPlan:
    """
    What becomes of the items of a run; who is in neither is sent.

    Attributes:
        verdicts: items that are not sent, by item key.
        overrides: items that are sent over an existing record, by item key.
    """

    verdicts: Mapping[str, Verdict]
    overrides: Mapping[str, Override]


def plan_run(
    item_keys: Iterable[str],
    *,
    mode: SubmissionMode,
    verdicts: Mapping[str, Verdict],
    overrides: Mapping[str, Override],
) -> RunPlan:
    """
    Return what becomes of all of them, where each has its own verdict or none.

    All or nothing: one that is refused takes all others with it, and one that
    waits makes all others wait; only who is skipped concerns nobody.
    """
    if mode is SubmissionMode.ATOMIC:
        states = {verdict.state for verdict in verdicts.values()}
        if ItemState.FAILED in states:
            return _shared(item_keys, verdicts, overrides, ItemState.FAILED, ROLLED_BACK)
        if ItemState.NEEDS_REVIEW in states:
            return _shared(item_keys, verdicts, overrides, ItemState.NEEDS_REVIEW, AWAITING_DECISIONS)
    return RunPlan(verdicts=verdicts, overrides=overrides)


def _shared(
    item_keys: Iterable[str],
    verdicts: Mapping[str, Verdict],
    overrides: Mapping[str, Override],
    result: ItemState,
    failure: Failure,
) -> RunPlan:
    shared: dict[str, Verdict] = {}
    for item_key in item_keys:
        own = verdicts.get(item_key)
        if own is not None and own.state in {result, ItemState.SKIPPED}:
            shared[item_key] = own
        elif result is ItemState.NEEDS_REVIEW and item_key in overrides:
            # All decisions of such a batch come in one call, so this one comes again; decision 25.
            shared[item_key] = _waiting_again(overrides[item_key])
        else:
            shared[item_key] = Verdict(state=result, failure=failure)
    return RunPlan(verdicts=shared, overrides={})


def _waiting_again(override: Override) -> Verdict:
    """
    Return the verdict on an item that was decided about, and has to be again.
    """
    return Verdict(
        state=ItemState.NEEDS_REVIEW,
        failure=DUPLICATE if override.activity_id else CHECK_FAILED,
        conflicting_activity_id=override.activity_id,
    )


def refusals(
    entries: Iterable[RegistrationEntry | StoredItem], failures: Mapping[str, Failure]
) -> dict[str, Verdict]:
    """
    Return the verdicts, by item key, on those of mentors whom the actor may not register for.

    Args:
        entries: what is asked for.
        failures: the reasons, by mentor id.
    """
    return {
        entry.item_key: Verdict(state=ItemState.FAILED, failure=failures[entry.mentor_id])
        for entry in entries
        if entry.mentor_id in failures
    }


def apply_policy(
    conflicts: Mapping[str, Conflict], policy: ConflictPolicy, override: Override
) -> tuple[dict[str, Verdict], dict[str, Override]]:
    """
    Return the conflicts' verdicts, and the overrides that the policy makes of them.

    Args:
        conflicts: by item key.
        policy: what becomes of them.
        override: who overrides, and when; each gets its own record.
    """
    verdicts: dict[str, Verdict] = {}
    overrides: dict[str, Override] = {}
    for item_key, conflict in conflicts.items():
        sure = conflict.kind not in _FOR_A_PERSON and conflict.existing_activity_id is not None
        if policy is ConflictPolicy.OVERRIDE and sure:
            overrides[item_key] = attrs.evolve(override, activity_id=conflict.existing_activity_id)
        else:
            verdicts[item_key] = verdict_on(conflict, policy)
    return verdicts, overrides


def verdict_on(conflict: Conflict, policy: ConflictPolicy) -> Verdict:
    """
    Return how an item with that conflict ends when it is not sent.
    """
    # A failed check names no record, so no policy may skip over it or override it; decision 21.
    skip = policy is ConflictPolicy.SKIP and conflict.kind not in _FOR_A_PERSON
    return Verdict(
        state=ItemState.SKIPPED if skip else ItemState.NEEDS_REVIEW,
        failure=_REASONS[conflict.kind],
        conflicting_activity_id=conflict.existing_activity_id,
    )
