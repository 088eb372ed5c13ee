"""
What an id may look like is one rule, asked where ids come in and never about what is stored.
"""

from datetime import date

import attrs
import pytest

from proxy_orchestration import (
    Actor,
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkStatus,
    IdFlaw,
    InvalidValueError,
    MisconfiguredError,
    ProxyActivity,
    RegistrationEntry,
    Role,
    StandardRegistrationService,
    usual_id_rule,
)
from proxy_orchestration.registration.standard.single import ActivityRegistered
from proxy_orchestration.storage.memory import MemoryActivityRepository
from proxy_orchestration.testing import FakeClock, reject, succeed

MISSING = [
    *("", " ", "-", "--", "\u2013", "\u2014", "?", "...", "…", "*", "0", "00", "0.0", "0,0", "-0"),
    *("N/A", "n/a", " NA ", "n.a.", "NULL", "null", "(null)", "<NA>", "None", "nil", "NaN", "NaT"),
    *("undefined", "unknown", "TBD", "(blank)", "\\N"),
]
MALFORMED = [
    *("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#I/T", "#VERDI!"),
    *("#NAVN?", "#NV", "#BEZUG!", "#ERROR!", "#GETTING_DATA", "####", "#", "Err:502", "#n/a n/a"),
    *("1.23457E+11", "1,23457E+11", "1E+11", "1.23457e+11", "1.5e7", "1017.0", "1017,00", "-1017.0"),
    *('="00123"', "=A1", "'00123", '"00123"', "-1.#IND", "1.#QNAN", "-nan", "inf", "TRUE", "False"),
    "[object Object]",
]
IDS = [
    *("mentor-1", "1017", "00123", "7", "10", "1e5", "12E5", "e10", "#1017", "#abc", "1017.5", "0-1", "0a"),
    *("Å", "人-1", "nora", "nan-7", "null-1", "n/a-3", "o'hara", "+4712345678", "0e8f", "c0ffee.0", "a=b"),
    "8e2f9c1e-0f7b-4d43-8f0e-000000000000",
]
ACTIVITY = ProxyActivity(activity_type="visit", activity_date=date(2025, 12, 30), duration_minutes=45)


@pytest.mark.parametrize("text", MISSING)
def test_a_filler_stands_for_no_id(text):
    """
    What people, files and databases write where there is nothing.
    """
    assert IdFlaw.MISSING is usual_id_rule(text)


@pytest.mark.parametrize("text", MALFORMED)
def test_what_a_spreadsheet_made_is_no_id(text):
    """
    Errors, rounded numbers, formulas.
    """
    assert IdFlaw.MALFORMED is usual_id_rule(text)


@pytest.mark.parametrize("text", IDS)
def test_what_may_be_an_id_is_one(text):
    """
    The rule takes whatever is not surely none.
    """
    assert usual_id_rule(text) is None


@pytest.mark.parametrize(
    "text", ["-", "0", "N/A", "NULL", "#N/A", "#REF!", "1.23457E+11", "1017.0", '="00123"']
)
async def test_a_request_with_an_id_that_is_none_is_refused_before_anything_is_stored(scene, text):
    """
    The error names the place, and no text, since a column in the wrong place may hold a name.
    """
    orchestrator = scene.orchestrator()
    request = scene.request(["mentor-1", text, "mentor-2"])

    with pytest.raises(InvalidValueError, match=r"entries\[1\]\.mentor_id") as submitted:
        await orchestrator.submit_bulk_registration(request, actor=scene.actor)
    with pytest.raises(InvalidValueError, match=r"entries\[1\]\.mentor_id"):
        await orchestrator.preview(request, actor=scene.actor)
    with pytest.raises(InvalidValueError, match=r"entries\[1\]\.mentor_id"):
        async with orchestrator.stream_bulk_registration(request, actor=scene.actor):
            pass

    assert text == "-" or text not in str(submitted.value)
    assert [] == scene.service.calls
    assert 0 == (await orchestrator.list_batches(actor=scene.actor)).total


async def test_a_refusal_counts_the_others(scene):
    """
    Who reads it knows whether one cell is wrong, or a column.
    """
    request = scene.request(["#REF!", "mentor-1", "1017.0", "NULL"])

    with pytest.raises(InvalidValueError, match=r"entries\[0\]\.mentor_id .*2 more"):
        await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)


async def test_an_item_key_is_the_host_s_own(scene):
    """
    Rows of a form may be numbered from zero.
    """
    entries = [RegistrationEntry("mentor-1", ACTIVITY, item_key=str(number)) for number in range(2)]
    request = BulkRegistrationRequest(entries=entries)

    result = await scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)

    assert BulkStatus.SUCCESS is result.status


def _with_rule(scene, rule):
    return BulkRegistrationOrchestrator(
        registration_service=scene.service, repository=scene.repository, clock=scene.clock, id_rule=rule
    )


async def test_a_host_replaces_the_rule(scene):
    """
    Its ids may look like a spreadsheet's numbers, and others are none to it.
    """

    def rule(text):
        return None if text.endswith(".0") else IdFlaw.MALFORMED

    orchestrator = _with_rule(scene, rule)

    result = await orchestrator.submit_bulk_registration(scene.request(["1017.0"]), actor=scene.actor)
    with pytest.raises(InvalidValueError):
        await orchestrator.submit_bulk_registration(scene.request(["mentor-1"]), actor=scene.actor)

    assert BulkStatus.SUCCESS is result.status


def test_a_rule_that_is_none_is_refused(scene):
    """
    Said when the orchestrator is made.
    """
    with pytest.raises(MisconfiguredError, match="id_rule"):
        _with_rule(scene, None)


async def test_what_was_accepted_is_never_asked_about_again(scene):
    """
    A batch of before the rule is joined, driven, retried, read and found.
    """
    request = scene.request(["#N/A", "0"], key="key-1")
    before = _with_rule(scene, lambda _text: None)
    accepted = await before.submit_bulk_registration(request, actor=scene.actor, drive=False)
    after = scene.orchestrator()
    scene.service.script = lambda *_: reject()

    joined = await after.submit_bulk_registration(request, actor=scene.actor)
    scene.service.script = lambda *_: succeed()
    retried = await after.retry_failed_items(accepted.batch_id, actor=scene.actor, mentor_ids=["0"])
    page = await after.read_items(accepted.batch_id, actor=scene.actor)

    assert accepted.batch_id == joined.batch_id
    assert BulkStatus.PARTIAL_SUCCESS is retried.status
    assert ["#N/A", "0"] == [item.outcome.mentor_id for item in page.items]


async def test_a_single_registration_is_asked_about_once():
    """
    Its record answers first, whatever the rule became.
    """
    coordinator = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
    clock = FakeClock()
    activity = attrs.evolve(ACTIVITY, activity_date=clock.now().date())
    repository = MemoryActivityRepository(clock)
    before = StandardRegistrationService(repository=repository, clock=clock, id_rule=lambda _text: None)
    after = StandardRegistrationService(repository=repository, clock=clock)

    async def register(service, key):
        return await service.register_proxy_activity(
            "1017.0", activity, actor=coordinator, idempotency_key=key
        )

    first = await register(before, "key-1")
    again = await register(after, "key-1")
    with pytest.raises(InvalidValueError, match="mentor_id"):
        await register(after, "key-2")

    assert isinstance(first, ActivityRegistered)
    assert first == again
