"""
Checks that a batch belongs to this orchestrator's service before the service is called.
"""

from __future__ import annotations

from proxy_orchestration.errors import WrongServiceError
from proxy_orchestration.registration.ledger import BatchRecord


def check_service(record: BatchRecord, service_name: str | None) -> None:
    """
    Accept a batch for which the service of that name may be called.

    Raises:
        WrongServiceError: it was accepted under another name.
    """
    # Without a name on either side nobody can tell, and everything goes ahead; decision 230.
    accepted_by = record.service_name
    if service_name is not None and accepted_by is not None and accepted_by != service_name:
        raise WrongServiceError(record.batch_id, accepted_by=accepted_by, service_name=service_name)


def is_of_another_service(record: BatchRecord, service_name: str | None) -> bool:
    """
    Tell a batch that `check_service` would refuse.
    """
    try:
        check_service(record, service_name)
    except WrongServiceError:
        return True
    return False
