"""
The page of all settings: names, defaults and meanings from the code, units and advice from here.
"""

from __future__ import annotations

import enum
import importlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, timedelta
from pathlib import Path

import attrs

from generated_pages.markdown import TEXTS, attributes_of, first_sentence, table

ADVICE: Mapping[str, Mapping[str, tuple[str, str]]] = tomllib.loads(
    (Path(__file__).parent / "settings.toml").read_text(encoding="utf-8")
)
"""By class and field: the unit, and when to change it."""

MODULES = (
    "proxy_orchestration",
    "proxy_orchestration.registration.flow",
    "proxy_orchestration.blocking",
    "proxy_orchestration.console",
    "proxy_orchestration.storage.sql",
    "proxy_orchestration.storage.postgrest",
    "proxy_orchestration.push.fcm",
    "proxy_orchestration.web",
    "proxy_orchestration.i18n",
    "proxy_orchestration.telemetry",
    "proxy_orchestration.engines.procrastinate",
    "proxy_orchestration.engines.temporal",
)
"""Where a host finds what it tunes."""

ENDINGS = ("Settings", "Policy", "Hours", "Rules", "Options")
"""How the name of a class ends that holds nothing but settings."""

GIVEN_TO: Mapping[str, str] = {
    "BulkSettings": "`BulkRegistrationOrchestrator(settings=…)`",
    "RetryPolicy": "`BulkSettings(retry=…)` and `DispatchSettings(retry=…)`",
    "RegistrationRules": "`StandardRegistrationService(rules=…)`",
    "ExpiryPolicy": "`NotificationOrchestrator(policy=…)`",
    "NotificationSettings": "`NotificationOrchestrator(settings=…)`",
    "DispatchSettings": "`PushDispatcher(settings=…)`",
    "QuietHours": "`DispatchSettings(quiet_hours=…)`",
    "FcmSettings": "`FcmPushSender(settings=…)`",
    "FcmOptions": "`FcmPushSender(options=…)`",
    "WebSettings": "`create_router(settings=…)`",
    "PostgrestSettings": "`PostgrestActivityRecords(settings=…)`",
}
"""What each class is given to, in the order of the page."""


def settings_classes() -> dict[str, tuple[str, type]]:
    """
    Return every public class of settings with the module that it is imported from, by name.
    """
    found: dict[str, tuple[str, type]] = {}
    for module in MODULES:
        loaded = importlib.import_module(module)
        for name in loaded.__all__:
            value = getattr(loaded, name)
            if isinstance(value, type) and attrs.has(value) and name.endswith(ENDINGS):
                found.setdefault(name, (module, value))
    return found


def shown(default: object) -> str:
    """
    Return a default as a host would write it.
    """
    if default is attrs.NOTHING:
        return "required"
    if isinstance(default, attrs.Factory):
        return _shown_object(default.factory())
    if default is UTC:
        return "`UTC`"
    if isinstance(default, timedelta):
        return f"`timedelta(hours={default.total_seconds() / 3600:g})`"
    if isinstance(default, enum.Enum):
        return f"`{type(default).__name__}.{default.name}`"
    return f"`{default!r}`"


def _shown_object(value: object) -> str:
    """
    Return how a settings object is made, with what differs from its own defaults.
    """
    own = [
        f"{field.name}={getattr(value, field.name)!r}"
        for field in attrs.fields(type(value))
        if getattr(value, field.name) != field.default
    ]
    return f"`{type(value).__name__}({', '.join(own)})`"


def rows(name: str, cls: type) -> Iterator[Sequence[str]]:
    """
    Yield a row for each field of a class.
    """
    meanings = attributes_of(cls)
    for field in attrs.fields(cls):
        unit, when = ADVICE[name][field.name]
        yield f"`{field.name}`", shown(field.default), unit, meanings[field.name], when


def page() -> str:
    """
    Return the whole page.
    """
    parts = [TEXTS["settings"]]
    classes = settings_classes()
    for name in GIVEN_TO:
        module, cls = classes[name]
        parts += [
            f"## `{name}`",
            f"{first_sentence(cls)} Imported from `{module}`, given to {GIVEN_TO[name]}.",
            table(["Name", "Default", "Unit", "Meaning", "When to change it"], rows(name, cls)),
        ]
    return "\n\n".join(parts) + "\n"
