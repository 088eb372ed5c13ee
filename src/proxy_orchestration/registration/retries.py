"""
How often and how late a refused call is repeated.
"""

from proxy_orchestration._backoff import RetryPolicy

__all__ = ["RetryPolicy"]
