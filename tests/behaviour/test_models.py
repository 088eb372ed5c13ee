import pickle
from datetime import UTC, date, datetime, time

import attrs
import pytest

from proxy_orchestration import (
    Actor,
    BulkRegistrationRequest,
    BulkSettings,
    Conflict,
    DigestTexts,
    DispatchSettings,
    DuplicateActivityError,
    DuplicateWarning,
    ExpiryPolicy,
    InvalidInputError,
    InvalidTypeError,
    InvalidValueError,
    NotificationSettings,
    ProxyActivity,
    QuietHours,
    RegistrationEntry,
    RegistrationReceipt,
    RegistrationRejected,
    RegistrationRules,
    RetryPolicy,
    Role,
)
from proxy_orchestration._frozen_json import FrozenMapping, freeze
from proxy_orchestration.ports import RegistrationFailure
from proxy_orchestration.registration.activities import decode_activity, encode_activity

DAY = date(2026, 1, 1)


def activity(**changes):
    """
    Return an activity with these fields changed.
    """
    fields = {"activity_type": "visit", "activity_date": DAY, "duration_minutes": 30, **changes}
    return ProxyActivity(**fields)


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"activity_type": ""}, ValueError, "activity_type"),
        ({"activity_type": " visit"}, ValueError, "without spaces"),
        ({"activity_type": "x" * 201}, ValueError, "200"),
        ({"activity_type": 7}, TypeError, "string"),
        ({"activity_date": datetime(2026, 1, 1, tzinfo=UTC)}, TypeError, "a date, not a datetime"),
        ({"activity_date": "2026-01-01"}, TypeError, "not a str"),
        ({"duration_minutes": 0}, ValueError, "at least 1"),
        ({"duration_minutes": True}, ValueError, "at least 1"),
        ({"duration_minutes": 1.5}, ValueError, "at least 1"),
        ({"notes": None}, TypeError, "notes must be a string"),
        ({"details": {"when": DAY}}, TypeError, "not a JSON value"),
        ({"details": {1: "x"}}, TypeError, "keys are strings"),
        ({"details": {"share": float("nan")}}, ValueError, "NaN"),
        ({"details": {"share": [float("inf")]}}, ValueError, "infinity"),
        ({"details": None}, TypeError, "details must be a mapping, not NoneType"),
        ({"details": "note"}, TypeError, "not str"),
        ({"details": [("a", 1)]}, TypeError, "not list"),
        ({"details": {"number": 10**5000}}, ValueError, "1024 bits"),
        ({"details": {"ids": {1, 2}}}, TypeError, "set, which is not a JSON value"),
    ],
)
def test_an_activity_refuses_what_makes_no_sense(changes, error, told):
    """
    The error names the field and what it must be.
    """
    with pytest.raises(error, match=told) as refusal:
        activity(**changes)

    assert isinstance(refusal.value, InvalidInputError)


def test_notes_and_details_never_show_in_a_repr():
    """
    They are personal data.
    """
    shown = repr(activity(notes="Kari's notes", details={"phone": "555"}))

    assert "Kari" not in shown
    assert "555" not in shown


def test_details_are_kept_immutable():
    """
    Lists become tuples, mappings frozen ones; changing the source changes nothing.
    """
    source = {"places": ["a", {"b": 1}], "none": None, "half": 0.5}
    kept = activity(details=source).details
    source["places"].append("c")

    assert ("a", {"b": 1}) == kept["places"]
    assert 3 == len(kept)
    assert pickle.loads(pickle.dumps(kept)) == kept  # noqa: S301 - our own bytes
    assert hash(freeze({"a": 1})) == hash(FrozenMapping({"a": 1}))
    assert "FrozenMapping(keys=1)" == repr(FrozenMapping({"half": 0.5}))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"call_timeout": 0}, "above 0"),
        ({"call_timeout": float("inf")}, "finite"),
        ({"cancel_grace": -1}, "0 or more"),
        ({"time_budget": 0}, "above 0"),
        ({"lease_ttl": True}, "finite number"),
    ],
)
def test_settings_refuse_what_cannot_work(settings, told):
    """
    Before anything is started.
    """
    with pytest.raises(ValueError, match=told):
        BulkSettings(**settings)


@pytest.mark.parametrize("policy", [{"jitter": 1.5}, {"max_attempts": 0}, {"initial": -1}, {"multiplier": 0}])
def test_a_retry_policy_refuses_what_cannot_work(policy):
    """
    Each field has its bound.
    """
    with pytest.raises(ValueError, match=r"must be|<="):
        RetryPolicy(**policy)


def test_a_delay_never_exceeds_its_maximum_however_many_attempts():
    """
    Also where the power is beyond any number.
    """
    policy = RetryPolicy(max_attempts=10_000, multiplier=1e300, jitter=0.0)

    assert 30.0 == policy.delay_before(9_999, key="k")
    assert 99.0 == policy.delay_before(2, key="k", retry_after=99.0)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Actor(user_id="", roles=[Role.COORDINATOR], organization_id="o"),
        lambda: Actor(user_id="u", roles=["emperor"], organization_id="o"),
        lambda: RegistrationEntry(" ", activity()),
        lambda: RegistrationReceipt(registration_id="r", activity_id=""),
        lambda: BulkRegistrationRequest(entries=[], label="x" * 201),
        lambda: BulkRegistrationRequest(entries=[], idempotency_key=""),
    ],
)
def test_identifiers_are_checked_at_the_door(build):
    """
    An empty id would be written for ever.
    """
    with pytest.raises(ValueError, match=r"\w"):
        build()


def test_an_entry_needs_an_activity():
    """
    Not a dictionary that looks like one.
    """
    with pytest.raises(TypeError):
        RegistrationEntry("mentor-1", {"activity_type": "visit"})


def nested(levels, kind):
    """
    Return that many levels of objects or of lists within each other, in an object.
    """
    inner = {}
    for _ in range(levels - 1):
        inner = {"inner": inner} if kind is dict else [inner]
    return {"inner": inner}


def endless():
    """
    Return an object that holds itself.
    """
    details = {}
    details["self"] = details
    return details


@pytest.mark.parametrize("kind", [dict, list])
def test_details_may_be_fifty_levels_deep(kind):
    """
    Deeper ones end in a sentence and never in a RecursionError.
    """
    deep = activity(details=nested(49, kind))

    assert deep == decode_activity(encode_activity(deep))
    assert hash(deep) == hash(pickle.loads(pickle.dumps(deep)))  # noqa: S301 - our own bytes
    for levels in (50, 51, 100_000):
        with pytest.raises(InvalidValueError, match="more than 50 levels deep"):
            activity(details=nested(levels, kind))


def test_details_that_hold_themselves_or_what_is_deep_already_are_too_deep():
    """
    Frozen details within details count too.
    """
    deep = activity(details=nested(49, dict)).details

    for details in (endless(), {"inner": deep}):
        with pytest.raises(InvalidValueError, match="flatten"):
            activity(details=details)


def test_what_an_earlier_version_stored_is_read_however_deep():
    """
    A batch that was accepted goes on.
    """
    text = encode_activity(activity()).replace('"details":{}', '"details":' + '{"a":' * 80 + "1" + "}" * 80)

    assert text == encode_activity(decode_activity(text))


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: RegistrationRejected("", "No."), "RegistrationRejected.code must not be empty"),
        (lambda: RegistrationRejected("closed", " "), "RegistrationRejected.message must not be empty"),
        (lambda: RegistrationRejected("closed", None), "message must not be empty"),
        (lambda: RegistrationRejected("\0", "No."), "code must not be empty"),
        (lambda: DuplicateActivityError(""), "existing_activity_id must not be empty"),
        (lambda: RegistrationFailure(registration_id="r", code="", message="No."), "code must have 1"),
        (
            lambda: RegistrationFailure(registration_id="r", code="no", message=""),
            "message must not be empty",
        ),
        (
            lambda: RegistrationFailure(
                registration_id="r", code="no", message="No.", existing_activity_id=""
            ),
            "existing_activity_id must not be empty",
        ),
        (lambda: Conflict(mentor_id="m", kind="duplicate", existing_activity_id=""), "must not be empty"),
    ],
)
def test_a_refusal_says_something(build, told):
    """
    An empty code or reason would stand beside the mentor for ever.
    """
    with pytest.raises(InvalidValueError, match=told):
        build()


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: Actor(user_id="u", roles="coordinator", organization_id="o"), "Actor.roles must be a list"),
        (lambda: Actor(user_id="u", roles=None, organization_id="o"), "Actor.roles must be a list"),
        (lambda: Actor(user_id=5, roles=(), organization_id="o"), "user_id must be a string"),
        (lambda: BulkRegistrationRequest(entries=None), "entries must be a list"),
        (lambda: BulkRegistrationRequest(entries="mentor-1"), "entries must be a list"),
        (lambda: BulkRegistrationRequest(entries=["mentor-1"]), "must be of type RegistrationEntry, not str"),
        (lambda: BulkRegistrationRequest(entries=[], label=5), "label must be of type str, not int"),
        (lambda: BulkRegistrationRequest(entries=[], idempotency_key=5), "must be a string, not int"),
        (lambda: Conflict(mentor_id=5, kind="duplicate"), "mentor_id must be of type str"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_name(build, told):
    """
    Where it is made, and as an error of this library.
    """
    with pytest.raises(InvalidTypeError, match=told):
        build()


@pytest.mark.parametrize("mode", [None, 5, "both", []])
def test_a_mode_that_is_none_is_refused(mode):
    """
    With those that there are.
    """
    with pytest.raises(InvalidValueError, match="SubmissionMode must be one of 'independent'"):
        BulkRegistrationRequest(entries=[], mode=mode)


def fields_of(model):
    """
    Return the fields of a model whose fields all have defaults, as they are by default.
    """
    return {field.name: getattr(model(), field.name) for field in attrs.fields(model) if field.init}


MODELS = {
    Actor: {"user_id": "u", "roles": [Role.COORDINATOR], "organization_id": "o"},
    ProxyActivity: {
        "activity_type": "visit",
        "activity_date": DAY,
        "duration_minutes": 5,
        "notes": "",
        "details": {},
    },
    RegistrationEntry: {"mentor_id": "m", "activity": activity(), "item_key": "k"},
    BulkRegistrationRequest: {
        "entries": [],
        "idempotency_key": "key",
        "label": "label",
        "mode": "atomic",
        "on_conflict": "skip",
    },
    RegistrationReceipt: {"registration_id": "r", "activity_id": "a"},
    RegistrationFailure: {
        "registration_id": "r",
        "code": "no",
        "message": "No.",
        "existing_activity_id": None,
    },
    Conflict: {"mentor_id": "m", "kind": "duplicate", "existing_activity_id": "a", "item_key": "k"},
    DuplicateWarning: {
        "existing_activity_id": "a",
        "mentor_id": "m",
        "activity": activity(),
        "idempotency_key": "key",
    },
    QuietHours: {"start": time(22), "end": time(7), "timezone": "UTC"},
    **{
        model: fields_of(model)
        for model in (
            BulkSettings,
            DigestTexts,
            DispatchSettings,
            ExpiryPolicy,
            NotificationSettings,
            RegistrationRules,
            RetryPolicy,
        )
    },
}
ANYTHING = [
    None,
    True,
    5,
    -1,
    1.5,
    float("nan"),
    10**400,
    "",
    "text",
    "\0",
    "\ud800",
    b"bytes",
    [],
    [5],
    {},
    {"key": 1},
    {1, 2},
    object(),
    DAY,
    datetime(2026, 1, 1, tzinfo=UTC),
    int,
    len,
]


@pytest.mark.parametrize(
    ("model", "field"), [(model, field) for model, fields in MODELS.items() for field in fields]
)
def test_whatever_stands_in_a_field_is_kept_or_refused_by_a_typed_error(model, field):
    """
    Never by an AttributeError or a TypeError from the inside.
    """
    for value in ANYTHING:
        try:
            model(**{**MODELS[model], field: value})
        except InvalidInputError as error:
            assert error.name  # noqa: PT017 - some values are kept


@pytest.mark.parametrize("model", MODELS)
def test_every_field_of_a_model_is_tried(model):
    """
    Those that are added later too.
    """
    assert {field.name for field in attrs.fields(model) if field.init} == set(MODELS[model])
