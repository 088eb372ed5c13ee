"""
One activity for one mentor, outside any batch: what came of it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TypeAlias

import attrs

from proxy_orchestration.access import Actor
from proxy_orchestration.registration.activities import ProxyActivity
from proxy_orchestration.registration.batches import Failure


@attrs.frozen(kw_only=True)
class ActivityRegistered:
    """
    The record exists.

    Attributes:
        activity_id: the record.
        mentor_id: on whose behalf.
        recorded_at: when it was written; aware, UTC. A repeated call tells the first moment.
    """

    activity_id: str
    mentor_id: str
    recorded_at: datetime


@attrs.frozen(kw_only=True)
class DuplicateWarning:
    """
    Nothing was written: an activity of this kind is registered. Hand it to `confirm_despite_duplicate`.

    Attributes:
        existing_activity_id: the record in the way.
        mentor_id, activity, idempotency_key: what was asked for.
    """

    existing_activity_id: str
    mentor_id: str
    activity: ProxyActivity
    idempotency_key: str


@attrs.frozen(kw_only=True)
class RegistrationRefused:
    """
    Nothing was written, and repeating will not help.

    Attributes:
        reasons: everything that speaks against it; at least one.
    """

    reasons: tuple[Failure, ...]


ProxyActivityResult: TypeAlias = ActivityRegistered | DuplicateWarning | RegistrationRefused
"""What came of registering one activity."""


def single_registration_id(actor: Actor, idempotency_key: str) -> str:
    """
    Return the id of the one registration of that key; it stands for its batch too.

    The key belongs to the pair of coordinator and organization.
    """
    digest = hashlib.sha256()
    for part in (actor.organization_id, actor.user_id, idempotency_key):
        digest.update(f"{len(part)}:{part}".encode())
    return f"single-{digest.hexdigest()[:32]}"
