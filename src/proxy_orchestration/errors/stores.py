"""
What a store raises: it is not there, it is of another version, or it refuses a record.
"""

from __future__ import annotations

from proxy_orchestration.errors.base import OrchestrationError


class RepositoryUnavailableError(OrchestrationError, error_code="repository_unavailable", repeat_helps=True):
    """
    The store could not be read or written; what was acknowledged before is safe.

    It is logged as it is, so an adapter puts no value and no vendor's text in it.

    Attributes:
        reason: what is wrong with the store.
        advice: what to do about it.
        nothing_written: whether the call was definitely not executed; `False` where that is not known.
        retry_after: seconds that the store asks to be left alone, or `None`.
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
    The store's schema is missing, or older or newer than this library's.
    """


class HostTransactionError(OrchestrationError, error_code="host_transaction", repeat_helps=False):
    """
    Within a transaction of the host's this cannot be done; nothing of the call was stored.

    The transaction stands as it stood before, and is the host's to go on with or to roll back.

    Attributes:
        reason: what stands in the way.
        advice: what to do about it.
    """

    def __init__(self, reason: str, *, advice: str) -> None:
        self.reason = reason
        self.advice = advice
        super().__init__(f"{reason} {advice}")


class RunHookError(OrchestrationError, error_code="run_hook", repeat_helps=False):
    """
    The host's `on_run_opened` raised, so that the run was not opened; nothing of the call was stored.

    What it raised is the cause (`__cause__`).

    Attributes:
        batch_id: the batch that was being accepted, or that was to get another run.
        run: the number that the run would have had.
    """

    def __init__(self, batch_id: str, run: int, *, problem: str) -> None:
        self.batch_id: str = batch_id  # pyright: ignore[reportIncompatibleVariableOverride] - never unset
        self.run = run
        super().__init__(
            f"Run {run} of batch {batch_id} was not opened, since on_run_opened {problem}. Nothing was "
            "stored. Mend the function, and repeat the call."
        )


class RecordRefusedError(OrchestrationError, error_code="record_refused", repeat_helps=False):
    """
    The store refuses a record; nothing of the call was stored.
    """

    def __init__(self) -> None:
        super().__init__(
            "The store refuses a record: a value breaks one of its rules, or cannot be kept as text. "
            "Nothing of this call was stored. Correct the record and repeat."
        )
