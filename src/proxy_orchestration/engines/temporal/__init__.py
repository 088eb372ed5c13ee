"""
Drives batches and nightly runs with Temporal. Needs the extra `temporal`; asyncio only, like its SDK.

A workflow is a wake-up that lasts: it holds a batch's id and its run, calls
`drive_if_free` in an activity, and comes back when that says so. Who may drive,
what was done and what is in doubt stay where they are, in the store.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra("temporal", "temporalio", needed_by="proxy_orchestration.engines.temporal"):
    import temporalio as _temporalio  # noqa: F401 - the parts that need it may be loaded already

    from proxy_orchestration.engines.temporal.expiry import TemporalExpiry
    from proxy_orchestration.engines.temporal.registrations import TemporalRegistrations

__all__ = ["TemporalExpiry", "TemporalRegistrations"]
