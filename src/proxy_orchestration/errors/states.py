"""
What stands in the way of a batch that is there, and of whoever drives it.
"""

from __future__ import annotations

from proxy_orchestration.errors.base import OrchestrationError


class BatchStateError(OrchestrationError, error_code="batch_state", repeat_helps=False):
    """
    The batch is not in a state in which this can be done; nothing changed.

    Attributes:
        batch_id: the batch.
        reason: one sentence: what stands in the way, and what to do.
    """

    def __init__(self, batch_id: str, reason: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.reason = reason
        super().__init__(f"Batch {batch_id}: {reason}")


class StaleRunError(BatchStateError, error_code="stale_run"):
    """
    Another run was opened since the caller looked; nothing changed.

    Attributes:
        expected_run: the run the caller named.
        current_run: the run the batch is in.
    """

    def __init__(self, batch_id: str, *, expected_run: int, current_run: int) -> None:
        self.expected_run = expected_run
        self.current_run = current_run
        super().__init__(
            batch_id,
            f"run {expected_run} was expected and run {current_run} is current. "
            "Read the status again and decide on that.",
        )


class BatchLeasedError(BatchStateError, error_code="batch_leased", repeat_helps=True):
    """
    Someone else is driving this batch right now.

    Attributes:
        retry_after: seconds until the lease ends if it is not renewed.
    """

    def __init__(self, batch_id: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(
            batch_id,
            f"another driver holds it for up to {retry_after:.1f} s more. "
            "Watch it instead, or try again after that time.",
        )


class WrongServiceError(OrchestrationError, error_code="wrong_service", repeat_helps=False):
    """
    Another registration service accepted the batch; nothing was called, and nothing changed.

    Attributes:
        batch_id: the batch.
        accepted_by: the `service_name` of the orchestrator that accepted it.
        service_name: that of the one that was asked.
    """

    def __init__(self, batch_id: str, *, accepted_by: str, service_name: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.accepted_by = accepted_by
        self.service_name = service_name
        super().__init__(
            f"Batch {batch_id} was accepted by the service {accepted_by!r}, and {service_name!r} would "
            "register it into tables that are not its own. Ask an orchestrator whose service_name is "
            f"{accepted_by!r}; reading, pausing and cancelling it is possible here, too.",
        )


class LeaseLostError(OrchestrationError, error_code="lease_lost", repeat_helps=False):
    """
    A driver's fence is no longer the run's; its write changed nothing.

    Attributes:
        batch_id: the batch.
        run: the run that somebody else has taken over, or that is settled.
    """

    def __init__(self, batch_id: str, run: int) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.run = run
        super().__init__(
            f"Run {run} of batch {batch_id} was taken over by another driver. Stop; watch the batch instead."
        )


class CallsAbandonedError(OrchestrationError, error_code="calls_abandoned", repeat_helps=True):
    """
    Too many calls of this process do not end although they were cancelled; no further one begins.

    Attributes:
        count: how many there are.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            f"{count} calls of the registration service do not end although they were cancelled, so this "
            "process begins no further one. The batch is resumable: drive it in another process, or "
            "restart this one, and mend the service."
        )


class WrongTaskError(OrchestrationError, error_code="wrong_task", repeat_helps=False):
    """
    A block that drives a run was not left by the task that entered it; driving was stopped.

    A streaming response does that: a web framework may take up what it streams in one task, and
    end it in another. The batch is resumable.

    Attributes:
        batch_id: the batch.
        verb: the verb whose block it is.
    """

    def __init__(self, batch_id: str, verb: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.verb = verb
        super().__init__(
            f"The block of {verb} was not left by the task that entered it, as happens in streaming "
            f"responses, so batch {batch_id} is driven here no longer. Submit with drive=False, let serve "
            "drive in the background, and look on with watch_batch, whose block any task may leave."
        )


class WrongThreadError(OrchestrationError, error_code="wrong_thread", repeat_helps=False):
    """
    A blocking verb was called where an event loop runs, which would stand still meanwhile; nothing began.

    Attributes:
        verb: the verb.
    """

    def __init__(self, verb: str) -> None:
        self.verb = verb
        super().__init__(
            f"{verb} was called in a thread whose event loop would stand still until it is done. Await the "
            "verb of the async orchestrator there, or call this one in a worker thread "
            "(asyncio.to_thread, anyio.to_thread.run_sync)."
        )


class OrchestratorClosedError(OrchestrationError, error_code="orchestrator_closed", repeat_helps=True):
    """
    A blocking orchestrator was closed, or its event loop ended, before or during the call.

    What was stored before that is safe, and a batch that was being driven is resumable.
    """

    def __init__(self) -> None:
        super().__init__(
            "The blocking orchestrator is closed, or its event loop ended during the call. What is stored is "
            "safe, and an open batch is resumable: resume it, or submit again under the same key, on a new "
            "one if this one is closed."
        )
