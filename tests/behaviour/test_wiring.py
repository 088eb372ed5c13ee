"""
What a host wires wrongly is refused when it is put together, with what was given and what to do.
"""

import functools
import inspect
from collections.abc import Awaitable
from unittest.mock import AsyncMock, MagicMock

import pytest

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkSettings,
    CoordinatorAccess,
    DispatchSettings,
    MisconfiguredError,
    NotificationOrchestrator,
    NotificationSettings,
    OrchestrationError,
    PushDispatcher,
    RegistrationReceipt,
    StandardRegistrationService,
    SystemClock,
)
from proxy_orchestration.ports import ProxyRegistrationService, SupportsLookup
from proxy_orchestration.storage.memory import MemoryActivityRepository, MemoryNotificationRepository
from proxy_orchestration.testing import ScriptedRegistrationService


async def _register(registration, /):
    return RegistrationReceipt(registration_id=registration.registration_id, activity_id="activity-1")


def _plain_hook(_summary):
    return None


class Service:
    """
    The smallest service that fits.
    """

    async def register(self, registration, /):
        """
        Answer with a receipt.
        """
        return await _register(registration)


class Sender:
    """
    The smallest sender that fits.
    """

    async def send(self, messages, /):
        """
        Send nothing.
        """
        return ()


def _service_with(**methods):
    """
    Return a service with these as its methods.
    """
    return type("Service", (Service,), methods)()


def _policy_with(**methods):
    return type("Policy", (CoordinatorAccess,), methods)()


async def _allows(_self, _actor, _action, /):
    return True


def _plain(_self, *_args, **_kwargs):
    return None


async def _without_arguments(_self):
    return None


class Unfinished(ProxyRegistrationService):
    """
    Names the port and does not write its method.
    """


class WithoutLookup(Service, SupportsLookup):
    """
    Names an ability and does not write its method.
    """


BULK = {"registration_service": Service(), "repository": MemoryActivityRepository()}
STANDARD = {"repository": MemoryActivityRepository()}
NOTICES = {"repository": MemoryNotificationRepository()}
PUSHES = {"repository": MemoryNotificationRepository(), "sender": Sender()}

WRONG = [
    (BulkRegistrationOrchestrator, BULK, "registration_service", object(), "a object, which has no register"),
    (BulkRegistrationOrchestrator, BULK, "registration_service", None, "a NoneType, which has no register"),
    (BulkRegistrationOrchestrator, BULK, "registration_service", Service, r"Give an instance: Service\("),
    (BulkRegistrationOrchestrator, BULK, "registration_service", Unfinished(), "is not implemented"),
    (
        BulkRegistrationOrchestrator,
        BULK,
        "registration_service",
        _service_with(register=_plain),
        "plain function.*`async def`",
    ),
    (
        BulkRegistrationOrchestrator,
        BULK,
        "registration_service",
        _service_with(register=5),
        "has no register",
    ),
    (
        BulkRegistrationOrchestrator,
        BULK,
        "registration_service",
        _service_with(register=_without_arguments),
        r"cannot be called as register\(registration\)",
    ),
    (BulkRegistrationOrchestrator, BULK, "registration_service", MagicMock(), "plain function"),
    *(
        (
            BulkRegistrationOrchestrator,
            BULK,
            "registration_service",
            _service_with(**{name: _plain}),
            f"Service.{name} is a plain function",
        )
        for name in ("find_registration", "register_many", "find_conflicts")
    ),
    (
        BulkRegistrationOrchestrator,
        BULK,
        "registration_service",
        _service_with(find_registration=True),
        "find_registration is not implemented",
    ),
    (BulkRegistrationOrchestrator, BULK, "registration_service", WithoutLookup(), "or remove it"),
    (
        BulkRegistrationOrchestrator,
        BULK,
        "registration_service",
        _service_with(register_many=_register),
        r"register_many\(registrations, atomic=\.\.\.\)",
    ),
    (BulkRegistrationOrchestrator, BULK, "repository", MemoryNotificationRepository(), "has no accept"),
    (BulkRegistrationOrchestrator, BULK, "repository", MemoryActivityRepository, "the class"),
    (BulkRegistrationOrchestrator, BULK, "repository", "sqlite:///store.db", "a str, which has no"),
    (BulkRegistrationOrchestrator, BULK, "audit_logger", print, "has no log_bulk_submission"),
    (BulkRegistrationOrchestrator, BULK, "clock", SystemClock, "the class SystemClock"),
    (BulkRegistrationOrchestrator, BULK, "access_policy", {}, "has no allows"),
    (
        BulkRegistrationOrchestrator,
        BULK,
        "access_policy",
        _policy_with(allows=_allows),
        "plain `def`",
    ),
    (
        BulkRegistrationOrchestrator,
        BULK,
        "access_policy",
        _policy_with(out_of_scope=_plain),
        "out_of_scope is a plain function",
    ),
    (BulkRegistrationOrchestrator, BULK, "settings", {}, r"a dict. Give a BulkSettings\("),
    (BulkRegistrationOrchestrator, BULK, "settings", BulkSettings, "the class BulkSettings"),
    (BulkRegistrationOrchestrator, BULK, "settings", NotificationSettings(), "a NotificationSettings"),
    (BulkRegistrationOrchestrator, BULK, "settings", None, "a NoneType"),
    (BulkRegistrationOrchestrator, BULK, "on_run_settled", {}, "Give an `async def`"),
    (BulkRegistrationOrchestrator, BULK, "on_run_settled", _plain_hook, "Give an `async def`"),
    (BulkRegistrationOrchestrator, BULK, "classify_error", {}, "Give a function"),
    (BulkRegistrationOrchestrator, BULK, "classify_error", _register, "Give a plain function"),
    (BulkRegistrationOrchestrator, BULK, "on_service_error", "sentry", "Give a function"),
    (BulkRegistrationOrchestrator, BULK, "id_rule", "digits", "Give a function"),
    (StandardRegistrationService, STANDARD, "repository", MemoryNotificationRepository(), "has no "),
    (StandardRegistrationService, STANDARD, "rules", {"days_back": 3}, "Give a RegistrationRules"),
    (StandardRegistrationService, STANDARD, "duplicate_rule", "same day", "Give a function"),
    (StandardRegistrationService, STANDARD, "duplicate_rule", _register, "Give a plain function"),
    (StandardRegistrationService, STANDARD, "id_rule", None, "Give a function"),
    (StandardRegistrationService, STANDARD, "audit_logger", object(), "has no log_proxy_registration"),
    (StandardRegistrationService, STANDARD, "clock", None, "has no monotonic"),
    (StandardRegistrationService, STANDARD, "access_policy", CoordinatorAccess, "the class"),
    (NotificationOrchestrator, NOTICES, "repository", MemoryActivityRepository(), "has no "),
    (NotificationOrchestrator, NOTICES, "recipients", {}, "has no resolve"),
    (NotificationOrchestrator, NOTICES, "id_rule", _register, "Give a plain function"),
    (NotificationOrchestrator, NOTICES, "clock", 5, "has no monotonic"),
    (NotificationOrchestrator, NOTICES, "policy", (60, 30, 7), "Give a ExpiryPolicy"),
    (NotificationOrchestrator, NOTICES, "messages", {"title": "x"}, "has no render"),
    (NotificationOrchestrator, NOTICES, "enrollment", "https://courses.example", "Give a EnrollmentLinks"),
    (NotificationOrchestrator, NOTICES, "visibility", object(), "has no changes, "),
    (NotificationOrchestrator, NOTICES, "statuses", {}, "has no current"),
    (NotificationOrchestrator, NOTICES, "settings", {}, "Give a NotificationSettings"),
    (PushDispatcher, PUSHES, "repository", MemoryActivityRepository(), "has no claim_pushes"),
    (PushDispatcher, PUSHES, "sender", Sender, r"Sender\("),
    (PushDispatcher, PUSHES, "clock", object(), "has no monotonic, now, sleep"),
    (PushDispatcher, PUSHES, "settings", BulkSettings(), "Give a DispatchSettings"),
    (PushDispatcher, PUSHES, "eligibility", print, "has no check"),
    (PushDispatcher, PUSHES, "digests", {}, "Give a DigestTexts"),
    (PushDispatcher, PUSHES, "enrollment", "https://courses.example.org", "Give a EnrollmentLinks"),
    (PushDispatcher, PUSHES, "words", NotificationOrchestrator, "Give a NoticeWords"),
    (PushDispatcher, PUSHES, "locales", {}, "has no locales_of"),
]


@pytest.mark.parametrize(
    ("kind", "parts", "name", "given", "told"),
    WRONG,
    ids=[f"{kind.__name__}-{name}-{number}" for number, (kind, _, name, _, _) in enumerate(WRONG)],
)
def test_a_part_that_does_not_fit_is_refused_at_construction(kind, parts, name, given, told):
    """
    Typed, naming the part, what it is and what to do.
    """
    with pytest.raises(MisconfiguredError, match=told) as error:
        kind(**{**parts, name: given})

    assert isinstance(error.value, OrchestrationError)
    assert isinstance(error.value, TypeError)
    assert (kind.__name__, name) == (error.value.owner, error.value.part)


@pytest.mark.parametrize("kind", [BulkRegistrationOrchestrator, NotificationOrchestrator, PushDispatcher])
def test_every_part_has_its_row(kind):
    """
    A part that is added later is checked too; a name is checked as arguments are.
    """
    asked = set(inspect.signature(kind).parameters) - {"service_name"}

    assert asked == {name for one, _, name, _, _ in WRONG if one is kind}


class AsyncCallable:
    """
    An object that is called like a coroutine function.
    """

    async def __call__(self, registration, /):
        """
        Answer with a receipt.
        """
        return await _register(registration)


def _hand_on(registration) -> Awaitable[RegistrationReceipt]:
    return _register(registration)


@functools.wraps(_register)
def _traced(registration):
    return _register(registration)


class Doubled:
    """
    A service whose method is an attribute of the instance.
    """

    def __init__(self, register):
        self.register = register


class Proxy:
    """
    Finds its methods in another object when they are asked for.
    """

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)


FITTING = {
    "a service": Service(),
    "a double": ScriptedRegistrationService(),
    "a proxy": Proxy(Service()),
    "a function": Doubled(_register),
    "a partial": Doubled(functools.partial(_register)),
    "a partial of a lambda": Doubled(functools.partial(lambda _world, one: _register(one), "world")),
    "an AsyncMock": Doubled(AsyncMock()),
    "an object that is called": Doubled(AsyncCallable()),
    "a lambda": Doubled(lambda one: _register(one)),  # noqa: PLW0108 - a lambda is what is meant
    "annotated": Doubled(_hand_on),
    "wrapped": Doubled(_traced),
    "a MagicMock of a service": MagicMock(spec=Service()),
    "an ability that is None": _service_with(find_registration=None),
}


@pytest.mark.parametrize("service", FITTING.values(), ids=FITTING)
def test_whatever_can_be_called_and_awaited_fits(service):
    """
    Doubles, wrappers and objects that are called; an ability that is None is none.
    """
    assert (
        BulkRegistrationOrchestrator(
            registration_service=service, repository=MemoryActivityRepository()
        ).settings
        == BulkSettings()
    )


def test_a_method_that_is_not_written_in_python_is_left_to_its_first_call():
    """
    What it takes and gives cannot be seen.
    """
    built_in = Doubled(max)

    assert BulkRegistrationOrchestrator(registration_service=built_in, repository=MemoryActivityRepository())


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: BulkSettings(retry={"max_attempts": 3}), "BulkSettings.retry must be of type RetryPolicy"),
        (lambda: DispatchSettings(retry=3), "DispatchSettings.retry must be of type RetryPolicy"),
        (lambda: DispatchSettings(quiet_hours=(22, 7)), "must be of type QuietHours"),
        (lambda: BulkSettings(lease_ttl="30"), "lease_ttl must be a finite number, not str"),
        (lambda: BulkSettings(lease_ttl=10**400), "finite"),
    ],
)
def test_settings_are_checked_where_they_are_made(build, told):
    """
    A dictionary in the place of a policy would be found at the first refusal.
    """
    with pytest.raises(OrchestrationError, match=told):
        build()
