"""
A store in this process's memory, with the same rules as a durable one.
"""

from proxy_orchestration.storage.memory.notification.repository import MemoryNotificationRepository
from proxy_orchestration.storage.memory.notification.visibility import MemoryVisibilityRegistry
from proxy_orchestration.storage.memory.registration.repository import MemoryActivityRepository

__all__ = ["MemoryActivityRepository", "MemoryNotificationRepository", "MemoryVisibilityRegistry"]
