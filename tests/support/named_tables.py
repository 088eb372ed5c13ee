"""
What tables under names of a host's choice are put to, on either database.
"""

from __future__ import annotations

from typing import Final

from proxy_orchestration.storage.sql import (
    SqlActivityRepository,
    SqlNotificationRepository,
    SqlVisibilityRegistry,
)
from proxy_orchestration.testing.contracts import (
    activity_records,
    audit_outbox,
    batch_catalogue,
    notice_book,
    push_outbox,
    run_ledger,
    visibility_registry,
)

HOSTS_OWN: Final = ("activities", "items", "runs", "work", "outcomes", "notifications")
"""Tables of a host that have the names of ours."""

OPENED: Final = [
    *((SqlActivityRepository, check) for check in (*batch_catalogue, *run_ledger)),
    *((SqlActivityRepository, check) for check in (*audit_outbox, *activity_records)),
    *((SqlNotificationRepository, check) for check in (*notice_book, *push_outbox)),
    *((SqlVisibilityRegistry, check) for check in visibility_registry),
]
"""Each store with each check of its contract."""
