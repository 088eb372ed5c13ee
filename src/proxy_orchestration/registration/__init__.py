"""
Bulk registration on behalf of others: what happens to a request, and in which file.

One mentor, from `submit_bulk_registration` to the commit, in eight files:

1. `orchestrator.py`: the verb asks whether the actor may, and hands on.
2. `submission/submit.py`: the request is checked and becomes a stored batch
   with its first run.
3. `execution/coordinator.py`: the run's lease is acquired, here or by whoever
   is faster, until the run is settled.
4. `execution/run_driver.py`: items are claimed, which is the intent, stored
   before any call; what comes back is committed, and published after that.
5. `execution/worker_pool.py`: claimed items are queued for a fixed number of
   workers, under one limit.
6. `execution/item_worker.py`: a worker takes the item, asks, and hands it back
   if it has to wait. A service that writes many has `execution/page_worker.py`, an
   all-or-nothing batch `execution/atomic_worker.py`.
7. `execution/service_calls.py`: the one way to call the service: a slot, a
   deadline, a cut.
8. `execution/attempts.py`: what the answer means: an outcome, another attempt,
   or none left. The outcome goes back to 4 and is committed.

Around it:

- before a run: `submission/authorization.py` asks the host's access policy,
  `submission/conflict_check.py` the service, `submission/run_plan.py` decides
  who is sent; `submission/retry.py` and `submission/review.py` choose what
  `submission/further_run.py` takes up again.
- while it is driven: `progress.py` watches, `driven_blocks.py` drives for as long
  as a block of the host lasts, `execution/limits.py` and
  `execution/run_context.py` hold what all workers share, `execution/waiting.py`
  who is asked about again later, `execution/look_ahead.py` how far calls may go
  before the next commit, and `execution/suspects.py` whom a dead driver may have
  been calling; `execution/run_writer.py` writes for the driver, and
  `execution/cancel_watch.py` looks for a cancel or a pause while it has nothing to write;
  `execution/run_pause.py` begins no further call then, and `execution/failure_streak.py`
  counts calls that fail alike;
  `execution/recovery.py` takes up what another process left, and
  `execution/health.py` tells how that goes.
- afterwards: `reading.py` and `queries.py` read results, `stopping.py` stops what is under way, and
  `execution/endings.py` tells the host that a run has settled; `retention.py` lets go of what is
  old, and of one mentor's data.
- models without I/O: `activities.py`, `batches.py`, `conflicts.py`, `erasure.py`, `reasons.py`,
  `requests.py`, `settings.py` and `states.py`, whose table of states is asked
  wherever one is left. `runs.py` and `ledger.py` are what a driver and a store
  say to each other, through the protocols in `ports/ledger.py`.
- on top: `standard/service.py` is the service for hosts without one of their
  own, `flow/` what a coordinator's screen goes through, step by step.
"""
