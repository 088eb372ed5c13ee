"""
The former name of `registration.ledger`, kept for stores that import it.
"""

from proxy_orchestration.registration.ledger import (
    Acceptance,
    BatchRecord,
    NewBatch,
    NewRun,
    StoredItem,
    Verdict,
    next_key,
)

__all__ = ["Acceptance", "BatchRecord", "NewBatch", "NewRun", "StoredItem", "Verdict", "next_key"]
