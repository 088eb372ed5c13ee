"""
What a notification repository promises about the log of runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.notification.ports import NotificationRepository
from proxy_orchestration.notification.run_log import RunCounts, RunEnding, RunPlace, RunRecord
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import MINUTE, MORNING, run_that_ended

logging_runs: list[Check[NotificationRepository]] = []

_OSLO = RunCounts(
    processed=2, created=1, skipped=1, by_tier={"urgent_7": 1}, skipped_by_reason={"deferred": 1}
)
_BERGEN = RunCounts(processed=1, failed=1, error_codes={"empty_id": 1})


def _run(run_id: str = "run-1", *, at: datetime = MORNING, **shares: RunCounts) -> RunRecord:
    return attrs.evolve(
        run_that_ended(run_id, at=at),
        processed=4,
        created=1,
        skipped=2,
        failed=1,
        by_tier={"urgent_7": 1},
        skipped_by_reason={"deferred": 1, "not_due": 1},
        error_codes={"empty_id": 1},
        ending=RunEnding.SOURCE_FAILED,
        error="OSError",
        shares=shares,
    )


async def _listed(
    store: NotificationRepository,
    organization_id: str | None = None,
    *,
    after: RunPlace | None = None,
    limit: int = 9,
) -> list[RunRecord]:
    found: Sequence[RunRecord] = await store.list_runs(organization_id, after=after, limit=limit)
    return list(found)


@rule_of(logging_runs)
async def a_run_is_read_as_it_was_logged_and_once(store: NotificationRepository) -> None:
    # The answer to the first attempt may have been lost.
    run = _run(oslo=_OSLO)
    for _ in range(2):
        await store.log_run(run)

    expect("all of it", expected=[attrs.evolve(run, shares={})], actual=await _listed(store))


@rule_of(logging_runs)
async def an_organization_s_runs_have_its_own_counts(store: NotificationRepository) -> None:
    both, one = _run("run-1", oslo=_OSLO, bergen=_BERGEN), _run("run-2", oslo=_OSLO)
    for run in (both, one, _run("run-3")):
        await store.log_run(run)
    found = await _listed(store, "bergen")

    expect("where it stood", expected=["run-1"], actual=[run.run_id for run in found])
    expected = attrs.evolve(both, shares={}, **attrs.asdict(_BERGEN))
    expect("its counts alone", expected=expected, actual=found[0])
    told = [run.run_id for run in await _listed(store, "oslo")]
    expect("another's", expected=["run-2", "run-1"], actual=told)
    for odd in ("tromso", *UNKEEPABLE):
        expect("nobody's", expected=[], actual=await _listed(store, odd))
    expect("all of them", expected=3, actual=len(await _listed(store)))


@rule_of(logging_runs)
async def pages_of_runs_follow_each_other(store: NotificationRepository) -> None:
    # Two of one moment, and one that is logged late.
    moments = {"run-1": MORNING, "run-2": MORNING, "run-3": MORNING + MINUTE, "run-0": MORNING - MINUTE}
    for run_id, at in moments.items():
        await store.log_run(_run(run_id, at=at, oslo=_OSLO))
    for organization_id in (None, "oslo"):
        first = await _listed(store, organization_id, limit=2)
        place = RunPlace(first[-1].started_at, first[-1].run_id)
        rest = await _listed(store, organization_id, after=place, limit=2)

        told = [run.run_id for run in (*first, *rest)]
        expect("newest first", expected=["run-3", "run-2", "run-1", "run-0"], actual=told)


@rule_of(logging_runs)
async def a_run_that_cannot_be_kept_is_refused_whole(store: NotificationRepository) -> None:
    for odd in UNKEEPABLE:
        for run in (attrs.evolve(_run(), error=odd), attrs.evolve(_run(), shares={odd: _OSLO})):
            await error_of(RecordRefusedError, f"{odd!r}", store.log_run(run))

    expect("nothing", expected=[], actual=await _listed(store))
