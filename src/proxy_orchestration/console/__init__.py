"""
The coordinators' console: pages that a host mounts, or that a command serves. Needs the extra `web`.

They are made on the server and work without scripts; one small script of our own makes them live.
"""

from proxy_orchestration._extras import needs_extra

with needs_extra("web", "fastapi", "starlette", "jinja2", "babel", needed_by="proxy_orchestration.console"):
    from proxy_orchestration.console.app import create_console
    from proxy_orchestration.console.ports import (
        ActivityTypes,
        ConflictingEntry,
        ExistingRecord,
        ExistingRecords,
        Mentor,
        MentorDirectory,
    )
    from proxy_orchestration.web.certificates import CertificateSource

__all__ = [
    "ActivityTypes",
    "CertificateSource",
    "ConflictingEntry",
    "ExistingRecord",
    "ExistingRecords",
    "Mentor",
    "MentorDirectory",
    "create_console",
]
