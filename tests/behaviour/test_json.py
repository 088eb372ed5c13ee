"""
What a host is given goes through `json.dumps`, and no host writes a serializer.
"""

import copy
import importlib
import inspect
import json
import pickle
import re
import types
import typing
from datetime import UTC, date, datetime

import attrs
import pytest
from every_error import every_error

import proxy_orchestration
from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkSettings,
    NotificationOrchestrator,
    NotificationPlan,
    NotificationThresholdTier,
    OrchestrationError,
    ProxyActivity,
    PushDispatcher,
    RegistrationRejected,
    StandardRegistrationService,
)
from proxy_orchestration.ports import (
    AcknowledgementEvent,
    Audience,
    AuditEvent,
    NoticeKey,
    PushMessage,
    RegistrationAuditEvent,
)
from proxy_orchestration.testing import reject, succeed

DETAILS = {"places": ["Oslo", {"floor": 2}], "share": 0.5, "none": None}
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VERBS_OF = (
    BulkRegistrationOrchestrator,
    NotificationOrchestrator,
    PushDispatcher,
    StandardRegistrationService,
)
TOLD = (AuditEvent, RegistrationAuditEvent, AcknowledgementEvent, PushMessage)
"""What a host's loggers and senders are given."""


def activity(**rest: object) -> ProxyActivity:
    """
    Return a visit.
    """
    return ProxyActivity(
        **{"activity_type": "visit", "activity_date": date(2025, 12, 30), "duration_minutes": 45, **rest}
    )


def _models_in(hint: object) -> set[type]:
    """
    Return the models of attrs in a type, in those of its fields too.
    """
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) and attrs.has(hint):
        if hint.__name__ == "BatchRun":
            return set()  # a stream, not a result
        inner = typing.get_type_hints(hint)
        return {hint}.union(*(_models_in(inner[field.name]) for field in attrs.fields(hint)))
    return set().union(*(_models_in(part) for part in typing.get_args(hint)))


def _returned() -> set[type]:
    verbs = [
        inspect.unwrap(function)
        for owner in VERBS_OF
        for name, function in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_")
    ]
    return set().union(*(_models_in(typing.get_type_hints(verb)["return"]) for verb in verbs))


@pytest.mark.parametrize("model", sorted({*_returned(), *TOLD}, key=lambda model: model.__name__))
def test_whatever_a_verb_returns_or_tells_can_be_a_dictionary(model):
    """
    The models inside of it too.
    """
    assert callable(getattr(model, "to_dict", None))


def test_there_are_results_to_ask():
    """
    The search above finds them.
    """
    names = {model.__name__ for model in _returned()}

    assert {
        "BulkSubmissionResult",
        "MentorOutcome",
        "Failure",
        "ConflictReport",
        "Conflict",
        "Health",
    } <= names
    assert {
        "CancelReport",
        "BatchPage",
        "OrchestrationResult",
        "ActivityRegistered",
        "DispatchResult",
    } <= names


async def test_a_result_is_a_dictionary_of_plain_values(scene):
    """
    Its fields by name; enums by value, moments in ISO 8601, models as dictionaries.
    """
    scene.settings = BulkSettings(max_concurrency=1)
    scene.service.script = lambda registration, _: (
        reject() if registration.mentor_id == "mentor-1" else succeed()
    )
    result = await scene.orchestrator().submit_bulk_registration(scene.request(2), actor=scene.actor)
    told = json.loads(json.dumps(result.to_dict()))

    assert {field.name for field in attrs.fields(type(result))} == set(told)
    assert {"succeeded": 1, "failed": 1} == told["counts"]
    assert "partial_success" == told["status"]
    assert re.fullmatch(r"2026-01-01T\d\d:\d\d:\d\dZ", told["submitted_at"])
    assert ["succeeded", "failed"] == [outcome["state"] for outcome in told["outcomes"]]
    assert result.failed[0].failure.to_dict() == told["outcomes"][1]["failure"]
    assert result.outcomes[0].activity_id == told["outcomes"][0]["activity_id"]


async def test_a_service_sends_its_registration_as_it_is(scene):
    """
    All of it by `to_dict`, or the details alone.
    """
    scene.activity = activity(details=DETAILS, notes="short")
    await scene.orchestrator().submit_bulk_registration(scene.request(1), actor=scene.actor)
    registration = scene.service.calls[0]
    told = json.loads(json.dumps(registration.to_dict()))

    assert DETAILS == json.loads(json.dumps(registration.activity.details))
    assert DETAILS == told["activity"]["details"]
    assert "short" == told["activity"]["notes"]
    assert {"user_id": "coord-1", "roles": ["coordinator"], "organization_id": "oslo"} == told[
        "registered_by"
    ]
    assert registration.activity.activity_date.isoformat() == told["activity"]["activity_date"]


def test_a_plan_names_the_parts_of_its_keys():
    """
    A tuple whose places have names is told with them.
    """
    key = NoticeKey(
        "mentor-1",
        "first_aid",
        NotificationThresholdTier.LAPSED,
        date(2026, 1, 2),
        Audience.MENTOR,
        "mentor-1",
    )
    plan = NotificationPlan.__new__(NotificationPlan)
    object.__setattr__(plan, "result", None)
    object.__setattr__(plan, "notices", (key,))

    assert {**key._asdict(), "tier": "lapsed", "window_start": "2026-01-02", "audience": "mentor"} == (
        plan.to_dict()["notices"][0]
    )


def test_a_push_s_data_goes_through_json():
    """
    For a sender that is no FCM.
    """
    message = PushMessage(
        message_id="push-1",
        notification_id="notice-1",
        recipient_id="mentor-1",
        tier=NotificationThresholdTier.LAPSED,
        title="",
        body="",
        data={"link": "app://course"},
        collapse_key="",
        expires_at=MOMENT,
    )

    assert '{"link": "app://course"}' == json.dumps(message.data)
    assert message.data == message.to_dict()["data"]
    assert "2026-01-02T03:04:05Z" == message.to_dict()["expires_at"]


@pytest.mark.parametrize(
    "change",
    [
        lambda details: details.update(a=1),
        lambda details: details.__setitem__("a", 1),
        lambda details: details.__delitem__("places"),
        lambda details: details.__ior__({"a": 1}),
        lambda details: details.setdefault("a", 1),
        lambda details: details.pop("places"),
        lambda details: details.popitem(),
        lambda details: details.clear(),
        lambda details: details["places"][1].update(floor=3),
    ],
)
def test_details_stay_as_they_are(change):
    """
    However a dictionary is changed.
    """
    details = activity(details=DETAILS).details

    with pytest.raises(TypeError, match="cannot be changed"):
        change(details)

    assert activity(details=DETAILS).details == details


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda details: pickle.loads(pickle.dumps(details))],  # noqa: S301 - our own
)
def test_details_can_be_copied(again):
    """
    A copy is equal, hashes alike, and cannot be changed either.
    """
    details = activity(details=DETAILS).details
    copied = again(details)

    assert (details, hash(details), type(details)) == (copied, hash(copied), type(copied))
    assert type(details["places"][1]) is type(copied["places"][1])
    assert ProxyActivity(**{**attrs.asdict(activity()), "details": copied}).details == details


def _all_errors() -> set[type[OrchestrationError]]:
    """
    Return every public error; those of a part with an extra where that is installed.
    """
    found = set()
    for name in ("proxy_orchestration", "proxy_orchestration.ports", "proxy_orchestration.push.fcm"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        values = (getattr(module, each) for each in module.__all__)
        found |= {each for each in values if isinstance(each, type) and issubclass(each, OrchestrationError)}
    return found


def test_each_error_has_a_code_of_its_own():
    """
    Named where the class is, and different from every other.
    """
    errors = _all_errors()
    codes = [error.error_code for error in errors]

    assert len(errors) >= 24
    assert sorted(set(codes)) == sorted(codes)
    assert [] == [code for code in codes if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)]


STABLE = {
    "ActivityNotFoundError": "activity_not_found",
    "AtomicModeError": "atomic_mode",
    "BatchLeasedError": "batch_leased",
    "BatchNotFoundError": "batch_not_found",
    "BatchStateError": "batch_state",
    "BatchTooLargeError": "batch_too_large",
    "CallsAbandonedError": "calls_abandoned",
    "DuplicateActivityError": "duplicate_activity",
    "DuplicateSelectionError": "duplicate_selection",
    "EmptySelectionError": "empty_selection",
    "HostTransactionError": "host_transaction",
    "IdempotencyKeyReusedError": "idempotency_key_reused",
    "InvalidInputError": "invalid_input",
    "InvalidTypeError": "invalid_type",
    "InvalidValueError": "invalid_value",
    "LeaseLostError": "lease_lost",
    "MisconfiguredError": "misconfigured",
    "MissingExtraError": "missing_extra",
    "MissingMessageFieldError": "missing_message_field",
    "NotAuthorizedError": "not_authorized",
    "NotificationNotFoundError": "notification_not_found",
    "OrchestrationError": "orchestration_error",
    "OrchestratorClosedError": "orchestrator_closed",
    "OutcomeUnknownError": "outcome_unknown",
    "RegistrationError": "registration_error",
    "RegistrationRejected": "registration_rejected",
    "RegistrationUnavailable": "registration_unavailable",
    "RepositoryUnavailableError": "repository_unavailable",
    "RunHookError": "run_hook",
    "SchemaVersionError": "schema_version",
    "StaleRunError": "stale_run",
    "UnknownMentorError": "unknown_mentor",
    "UnreadableRecordError": "unreadable_record",
    "WrongServiceError": "wrong_service",
    "WrongTaskError": "wrong_task",
    "WrongThreadError": "wrong_thread",
}


def test_codes_stay_as_they_are():
    """
    A released code never changes; a new class adds one.
    """
    assert {**STABLE} == {name: getattr(proxy_orchestration, name).error_code for name in STABLE}


REPEATED = {
    "BatchLeasedError",
    "CallsAbandonedError",
    "OrchestratorClosedError",
    "RegistrationUnavailable",
    "RepositoryUnavailableError",
    "SchemaVersionError",
}
UNKNOWN = {"OrchestrationError", "OutcomeUnknownError", "RegistrationError"}


def test_each_error_says_whether_a_repeated_call_may_help():
    """
    Who adds one decides; engines repeat no job for ever that would meet the same one.
    """
    said = {kind.__name__: kind.repeat_helps for kind in every_error()}

    assert {name for name, helps in said.items() if helps} == REPEATED
    assert {name for name, helps in said.items() if helps is None} == UNKNOWN


def test_a_host_s_own_error_is_repeated_as_its_base_is_or_says_so():
    """
    Of a kind of its own nothing is known.
    """

    class OwnError(OrchestrationError):
        pass

    class Refused(RegistrationRejected):
        pass

    class Later(RegistrationRejected, repeat_helps=True):
        pass

    assert [None, False, True] == [each.repeat_helps for each in (OwnError, Refused, Later)]


def test_a_host_s_own_error_has_its_base_s_code_or_its_own():
    """
    So that a web layer that knows the bases needs no change.
    """

    class Refused(RegistrationRejected):
        pass

    class Named(RegistrationRejected, error_code="not_a_member"):
        pass

    assert ("registration_rejected", "not_a_member") == (Refused.error_code, Named.error_code)
    assert "not_a_member" == Named("code", "Not a member.").error_code
