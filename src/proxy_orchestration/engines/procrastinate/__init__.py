"""
Drives batches and nightly runs with Procrastinate. Needs the extra `procrastinate`; asyncio only.

A job is only a wake-up: it holds a batch's id and its run. Who may drive, what
was done and what is in doubt stay where they are, in the store; so a job that is
lost, doubled or late costs time and nothing else.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra(
    "procrastinate", "procrastinate", "psycopg", needed_by="proxy_orchestration.engines.procrastinate"
):
    import procrastinate as _procrastinate  # noqa: F401 - the parts that need it may be loaded already
    import psycopg as _psycopg  # noqa: F401 - as for procrastinate

    from proxy_orchestration.engines.procrastinate.driving import register
    from proxy_orchestration.engines.procrastinate.nights import CATCH_UP, schedule_expiry
    from proxy_orchestration.engines.procrastinate.wake_ups import WakeUps

__all__ = ["CATCH_UP", "WakeUps", "register", "schedule_expiry"]
