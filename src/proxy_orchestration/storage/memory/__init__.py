"""
A store in this process's memory, by the same rules as a durable one.
"""

from proxy_orchestration.storage.memory._repository import MemoryActivityRepository

__all__ = ["MemoryActivityRepository"]
