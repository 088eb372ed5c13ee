"""
Errors about the state of a batch, and about the driver of its run.
"""

from __future__ import annotations

from proxy_orchestration.errors.base import OrchestrationError


class BatchStateError(OrchestrationError, error_code="batch_state", repeat_helps=False):
    """
    The batch's current state does not allow this; nothing changed.

    Attributes:
        batch_id: the batch.
        reason: what prevents the call, and what to do.
    """

    def __init__(self, batch_id: str, reason: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.reason = reason
        super().__init__(f"Batch {batch_id}: {reason}")


class StaleRunError(BatchStateError, error_code="stale_run"):
    """
    A newer run was opened since the caller read the batch; nothing changed.

    Attributes:
        expected_run: the number of the run that the caller expected.
        current_run: the number of the batch's current run.
    """

    def __init__(self, batch_id: str, *, expected_run: int, current_run: int) -> None:
        self.expected_run = expected_run
        self.current_run = current_run
        super().__init__(
            batch_id,
            f"run {expected_run} was expected, but run {current_run} is current. Read the status again and "
            "decide on that basis.",
        )


class BatchLeasedError(BatchStateError, error_code="batch_leased", repeat_helps=True):
    """
    Another driver holds the lease of this batch's run.

    Attributes:
        retry_after: seconds until the lease ends if it is not renewed.
    """

    def __init__(self, batch_id: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(
            batch_id,
            f"another driver holds its lease for up to {retry_after:.1f} s more. Watch the batch instead, or "
            "try again after that time.",
        )


class WrongServiceError(OrchestrationError, error_code="wrong_service", repeat_helps=False):
    """
    Another registration service accepted the batch; nothing was called, and nothing changed.

    Attributes:
        batch_id: the batch.
        accepted_by: the `service_name` of the orchestrator that accepted the batch.
        service_name: the `service_name` of the orchestrator that was called.
    """

    def __init__(self, batch_id: str, *, accepted_by: str, service_name: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.accepted_by = accepted_by
        self.service_name = service_name
        super().__init__(
            f"Batch {batch_id} was accepted by the service {accepted_by!r}, so {service_name!r} would write "
            f"to the wrong tables. Use an orchestrator whose service_name is {accepted_by!r}. Here you can "
            "still read, pause and cancel the batch.",
        )


class LeaseLostError(OrchestrationError, error_code="lease_lost", repeat_helps=False):
    """
    A driver no longer holds the lease of its run; its write changed nothing.

    Attributes:
        batch_id: the batch.
        run: the number of the run, which another driver took over or which is settled.
    """

    def __init__(self, batch_id: str, run: int) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.run = run
        super().__init__(
            f"Run {run} of batch {batch_id} was taken over by another driver. Stop driving it, and watch the "
            "batch instead."
        )


class CallsAbandonedError(OrchestrationError, error_code="calls_abandoned", repeat_helps=True):
    """
    Too many cancelled calls of this process have not ended, so it starts no new calls.

    Attributes:
        count: the number of cancelled calls that have not ended.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(
            f"{count} calls to the registration service were cancelled but have not ended, so this process "
            "starts no new calls. The batch is resumable: drive it in another process, or restart this one. "
            "Fix the service so that its calls end when they are cancelled."
        )


class WrongTaskError(OrchestrationError, error_code="wrong_task", repeat_helps=False):
    """
    A task other than the one that entered a driving block has left it; driving was stopped.

    Streaming responses do this: a web framework may start a stream in one task and
    end it in another. The batch is resumable.

    Attributes:
        batch_id: the batch.
        verb: the method that opened the block.
    """

    def __init__(self, batch_id: str, verb: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.verb = verb
        super().__init__(
            f"The block of {verb} was left by a task other than the one that entered it, as happens in "
            f"streaming responses. Batch {batch_id} is no longer driven here. Submit with drive=False, let "
            "serve drive in the background, and follow the batch with watch_batch, whose block any task may "
            "leave."
        )


class WrongThreadError(OrchestrationError, error_code="wrong_thread", repeat_helps=False):
    """
    A blocking method was called in the thread of an event loop, which it would block; nothing was started.

    Attributes:
        verb: the method that was called.
    """

    def __init__(self, verb: str) -> None:
        self.verb = verb
        super().__init__(
            f"{verb} was called in the thread of a running event loop, which it would block. Await the same "
            "method of the async orchestrator, or call this one in a worker thread (asyncio.to_thread, "
            "anyio.to_thread.run_sync)."
        )


class OrchestratorClosedError(OrchestrationError, error_code="orchestrator_closed", repeat_helps=True):
    """
    A blocking orchestrator was closed, or its event loop ended, before or during the call.

    What was stored before that is safe, and a batch that was being driven is resumable.
    """

    def __init__(self) -> None:
        super().__init__(
            "The blocking orchestrator is closed, or its event loop ended during the call. Stored data is "
            "safe, and an open batch is resumable. Resume it, or submit again with the same idempotency key; "
            "if this orchestrator is closed, create a new one for that."
        )
