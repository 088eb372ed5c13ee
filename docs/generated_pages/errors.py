"""
The page of all errors: classes, codes, statuses and meanings from the code, what to do from here.
"""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from generated_pages.markdown import TEXTS, first_sentence, table
from proxy_orchestration import Actor, ProxyActivity, ProxyRegistration, RegistrationRules, Role
from proxy_orchestration.errors import OrchestrationError, RecordRefusedError
from proxy_orchestration.registration import batches, reasons
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.standard import checks
from proxy_orchestration.web.problems import KINDS, OWN_KINDS, ProblemKind

MODULES = ("proxy_orchestration", "proxy_orchestration.ports", "proxy_orchestration.push.fcm")
"""Where a host finds the errors that it catches."""

_ADVICE = tomllib.loads((Path(__file__).parent / "errors.toml").read_text(encoding="utf-8"))

ERRORS: Mapping[str, tuple[str, str]] = _ADVICE["errors"]
"""By code: when or how to repeat, where it is not just later, and what to do."""

_HELPS: Mapping[bool | None, str] = {True: "yes", False: "no", None: "\N{EN DASH}"}

REQUESTS: Mapping[str, tuple[str, str]] = _ADVICE["requests"]
"""The same for problems of a request that the library was not asked about."""

ITEMS: Mapping[str, str] = _ADVICE["items"]
"""By the code of an item's failure: what to do."""


def error_classes() -> dict[str, type[OrchestrationError]]:
    """
    Return every public error by its code.
    """
    found: dict[str, type[OrchestrationError]] = {}
    for module in MODULES:
        loaded = importlib.import_module(module)
        for name in loaded.__all__:
            value = getattr(loaded, name)
            if isinstance(value, type) and issubclass(value, OrchestrationError):
                found[value.error_code] = value
    return found


def failures() -> dict[str, Failure]:
    """
    Return every failure of an item whose reason is this library's own, by its code.
    """
    modules = (reasons, batches)
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Failure)]
    return {failure.code: failure for failure in (*found, *_refused_by_the_standard_service())}


def _refused_by_the_standard_service() -> Iterator[Failure]:
    """
    Yield what the standard service says against a registration too late, too early, and by nobody's right.
    """
    today = date(2026, 11, 30)
    for day in (date(2026, 12, 24), date(2026, 6, 24)):
        registration = ProxyRegistration(
            registration_id="batch:mentor",
            idempotency_key="batch:mentor:1",
            batch_id="batch",
            mentor_id="mentor",
            activity=ProxyActivity(activity_type="visit", activity_date=day, duration_minutes=45),
            registered_by=Actor(user_id="anna", roles={Role.PEER_MENTOR}, organization_id="oslo"),
        )
        rules = RegistrationRules()
        yield from checks.failing_checks(registration, may=False, in_scope=True, today=today, rules=rules)
    yield Failure(code=checks.RECORD_REFUSED, message=str(RecordRefusedError()), retryable=False)


def status_of(error: type[OrchestrationError]) -> int:
    """
    Return the HTTP status; a class without a problem of its own has that of its base.
    """
    return next(KINDS[base].status for base in error.__mro__ if base in KINDS)


def _error_rows() -> Iterator[Sequence[str]]:
    classes = error_classes()
    for code in sorted(classes):
        cls = classes[code]
        how, advice = ERRORS[code]
        repeat = ", ".join(filter(None, (_HELPS[cls.repeat_helps], how)))
        yield f"`{code}` `{cls.__name__}`", str(status_of(cls)), first_sentence(cls), repeat, advice


def _request_rows() -> Iterator[Sequence[str]]:
    for kind in sorted(OWN_KINDS, key=_code_of):
        yield f"`{kind.code}`", str(kind.status), f"{kind.title}.", *REQUESTS[kind.code]


def _code_of(kind: ProblemKind) -> str:
    return kind.code


def _item_rows() -> Iterator[Sequence[str]]:
    found = failures()
    for code in sorted(found):
        yield f"`{code}`", found[code].message, "yes" if found[code].retryable else "no", ITEMS[code]


def page() -> str:
    """
    Return the whole page.
    """
    parts = [
        TEXTS["errors"],
        table(["Code and class", "HTTP", "What happened", "Repeat", "What to do"], _error_rows()),
        TEXTS["requests"],
        table(["Code", "HTTP", "What happened", "Repeat", "What to do"], _request_rows()),
        TEXTS["items"],
        table(["Code", "What the coordinator reads", "Helps", "What to do"], _item_rows()),
    ]
    return "\n\n".join(parts) + "\n"
