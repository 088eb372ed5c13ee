"""
Readiness in the wire format.
"""

from __future__ import annotations

from proxy_orchestration.web.wire.fields import Answer


class Readiness(Answer):
    """
    Whether a process does its work.
    """

    ready: bool
    reasons: list[str]
