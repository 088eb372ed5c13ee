"""
Failures of an HTTP client, for the adapters that have one. Needs httpx, so nothing of the core imports it.
"""

from __future__ import annotations

from typing import Final

import httpx

NEVER_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
"""What proves that no byte of the request left; after all others it may have been executed."""
