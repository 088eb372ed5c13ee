"""
A store in this process's memory, by the same rules as a durable one.
"""

from proxy_orchestration.storage.memory._notices import MemoryNotificationRepository
from proxy_orchestration.storage.memory._repository import MemoryActivityRepository
from proxy_orchestration.storage.memory._visibility import MemoryVisibilityRegistry

__all__ = ["MemoryActivityRepository", "MemoryNotificationRepository", "MemoryVisibilityRegistry"]
