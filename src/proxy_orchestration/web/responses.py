"""
The problem responses of endpoints, for the OpenAPI document.
"""

from __future__ import annotations

from typing import Final

from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.web.problems import BODY_TOO_LARGE, INVALID_REQUEST, MALFORMED_BODY

ALWAYS: Final = (INVALID_REQUEST, RepositoryUnavailableError)
"""Of whatever has a parameter and asks a store."""

WITH_BODY: Final = (*ALWAYS, BODY_TOO_LARGE, MALFORMED_BODY)
"""Of whatever takes a body as well."""
