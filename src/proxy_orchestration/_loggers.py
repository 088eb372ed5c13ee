"""
The names of the library's loggers. Hosts filter by them, so they stay the same when code moves.
"""

from __future__ import annotations

from typing import Final

AUDIT: Final = "proxy_orchestration.audit"
CONSOLE: Final = "proxy_orchestration.console"
DISPATCH: Final = "proxy_orchestration.notification.dispatch"
ENROLLMENT: Final = "proxy_orchestration.notification.enrollment"
ENGINES: Final = "proxy_orchestration.engines"
NOTIFICATION: Final = "proxy_orchestration.notification.orchestrator"
PASSES: Final = "proxy_orchestration.notification.passes"
RECIPIENTS: Final = "proxy_orchestration.notification.recipients"
VISIBILITY: Final = "proxy_orchestration.notification.visibility"
FCM: Final = "proxy_orchestration.push.fcm"
CONFLICT_CHECKS: Final = "proxy_orchestration.registration.conflict_checks"
DRIVER: Final = "proxy_orchestration.registration.driver"
DRIVES: Final = "proxy_orchestration.registration.drives"
SERVING: Final = "proxy_orchestration.registration.serving"
SINGLE_REGISTRAR: Final = "proxy_orchestration.registration.single_registrar"
SCHEMA: Final = "proxy_orchestration.storage.schema"
WEB: Final = "proxy_orchestration.web"
