"""
Which failure of a job is one that the next job would meet too.
"""

from __future__ import annotations

from proxy_orchestration.errors import OrchestrationError


def is_final(error: BaseException) -> bool:
    """
    Tell whether it is known that the same job cannot do better later.
    """
    # What is not of this library says nothing about that, and neither does a host's own kind of it.
    return isinstance(error, OrchestrationError) and error.repeat_helps is False
