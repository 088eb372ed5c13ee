"""
The methods as plain calls, for hosts that are not async: Django, Flask, Celery, scripts.
"""

from proxy_orchestration.blocking.registration import BlockingBatchRun, BlockingOrchestrator

__all__ = ["BlockingBatchRun", "BlockingOrchestrator"]
