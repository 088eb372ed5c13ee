"""
Errors of a store: it is unavailable, has another schema version, or refuses a record.
"""

from __future__ import annotations

from proxy_orchestration.errors.base import OrchestrationError


class RepositoryUnavailableError(OrchestrationError, error_code="repository_unavailable", repeat_helps=True):
    """
    The store could not be read or written; everything acknowledged before is safe.

    The error is logged as it is, so an adapter must not put stored values or a vendor's text in it.

    Attributes:
        reason: what is wrong with the store.
        advice: what to do about it.
        nothing_written: whether the call was definitely not executed; `False` where that is not known.
        retry_after: seconds to wait before the next call, if the store says so, or `None`.
    """

    def __init__(
        self,
        reason: str,
        *,
        advice: str,
        nothing_written: bool = False,
        retry_after: float | None = None,
    ) -> None:
        self.reason = reason
        self.advice = advice
        self.nothing_written: bool = nothing_written
        self.retry_after: float | None = retry_after
        super().__init__(f"{reason} {advice}")


class SchemaVersionError(RepositoryUnavailableError, error_code="schema_version"):
    """
    The store's schema is missing, or its version does not fit this library.
    """


class HostTransactionError(OrchestrationError, error_code="host_transaction", repeat_helps=False):
    """
    The call cannot be made within the host's transaction; the call stored nothing.

    The transaction is unchanged. The host may continue it or roll it back.

    Attributes:
        reason: what prevents the call.
        advice: what to do about it.
    """

    def __init__(self, reason: str, *, advice: str) -> None:
        self.reason = reason
        self.advice = advice
        super().__init__(f"{reason} {advice}")


class RunHookError(OrchestrationError, error_code="run_hook", repeat_helps=False):
    """
    The host's `on_run_opened` failed, so the run was not opened; the call stored nothing.

    The exception that it raised is the cause (`__cause__`).

    Attributes:
        batch_id: the batch that was being accepted, or for which another run was being opened.
        run: the number that the run would have had.
    """

    def __init__(self, batch_id: str, run: int, *, problem: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.run = run
        super().__init__(
            f"Run {run} of batch {batch_id} was not opened, because on_run_opened {problem}. Nothing was "
            "stored. Fix the function, and repeat the call."
        )


class RecordRefusedError(OrchestrationError, error_code="record_refused", repeat_helps=False):
    """
    The store refused a record; the call stored nothing.
    """

    def __init__(self) -> None:
        super().__init__(
            "The store refused a record: a value breaks one of the store's rules, or is text that it cannot "
            "store. This call stored nothing. Correct the record and repeat the call."
        )
