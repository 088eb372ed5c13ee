"""
What a service raises, or answers wrongly, is logged by type and place, and says what it can.
"""

import logging

import anyio
import attrs
import pytest

from proxy_orchestration import (
    BulkSettings,
    BulkStatus,
    ErrorKind,
    ItemState,
    OutcomeUnknownError,
    RegistrationReceipt,
    RetryPolicy,
)
from proxy_orchestration.registration.service_errors import lone, place_of
from proxy_orchestration.testing import (
    BulkLookupRegistrationService,
    BulkRegistrationService,
    CheckingRegistrationService,
    fail,
    hang,
    lose_reply,
    reject,
    succeed,
)

DRIVER = "proxy_orchestration.registration.driver"
ONCE = RetryPolicy(max_attempts=1)


class ReadTimeout(Exception):  # noqa: N818 - named as clients name theirs
    """
    An HTTP client's own class, which is no TimeoutError.
    """


class Foreign(BaseException):
    """
    A class that is no Exception and ends no process.
    """


@attrs.define(eq=False)
class Coded:
    """
    A service of somebody who made a mistake; every call of it raises.
    """

    error: BaseException
    calls: int = 0

    async def register(self, registration, /):
        """
        Count the call, and raise.
        """
        self.calls += 1
        return self._look(registration)

    def _look(self, _registration):
        raise self.error


def submit(scene, mentors=1, **hooks):
    """
    Submit while time passes, with an orchestrator that has these hooks.
    """
    orchestrator = scene.orchestrator()
    orchestrator = type(orchestrator)(
        registration_service=scene.service,
        repository=scene.repository,
        audit_logger=scene.audit,
        clock=scene.clock,
        settings=scene.settings,
        **hooks,
    )
    return scene.while_time_passes(
        lambda: orchestrator.submit_bulk_registration(scene.request(mentors), actor=scene.actor)
    )


def said(caplog):
    """
    Return what the driver's logger said at ERROR.
    """
    return [record for record in caplog.records if (record.name, record.levelno) == (DRIVER, logging.ERROR)]


async def test_an_error_is_logged_by_type_and_place_and_not_by_its_text(scene, caplog):
    """
    Batch, run, mentor, and the line of the host's code; no message, no value.
    """
    scene.service = Coded(KeyError("personal"))

    result = await submit(scene)

    (record,) = said(caplog)
    line = Coded._look.__code__.co_firstlineno + 1
    assert f"register raised KeyError at {__file__}:{line}:Coded._look" in record.getMessage()
    assert "mentor-0" in record.getMessage()
    assert "personal" not in str(vars(record))
    assert (result.batch_id, 1, "mentor-0", "KeyError") == (
        record.batch_id,
        record.run,
        record.mentor_id,
        record.error,
    )


async def test_the_same_error_at_the_same_line_is_logged_once_and_counted(scene, caplog):
    """
    Thirty mentors and one mistake are two lines.
    """
    scene.service = Coded(KeyError("personal"))

    await submit(scene, 30)

    first, last = said(caplog)
    assert "30 times in run 1" in last.getMessage()
    assert "times" not in first.getMessage()


async def test_coordinators_see_a_sentence_and_no_type(scene):
    """
    The code says unexpected; the rest is for the log.
    """
    scene.service = Coded(KeyError("personal"))

    (failure,) = [outcome.failure for outcome in (await submit(scene)).outcomes]

    assert "unexpected" == failure.code
    assert failure.message.endswith("nothing is registered twice.")
    assert "KeyError" not in failure.message


async def test_the_words_of_the_contract_are_answers_and_not_logged(scene, caplog):
    """
    A refusal, or a lost reply that the service says is one, is no mistake of anybody.
    """
    scene.service.script = lambda one, _: (
        reject() if one.mentor_id == "mentor-0" else fail(OutcomeUnknownError())
    )

    await submit(scene, 2)

    assert [] == said(caplog)


async def test_a_host_s_tracker_is_handed_each_error_itself(scene):
    """
    With the registrations of the call that raised it.
    """
    error, handed = KeyError("personal"), []
    scene.service = Coded(error)

    await submit(scene, 2, on_service_error=lambda *about: handed.append(about))

    assert [error, error] == [each for each, _ in handed]
    assert {"mentor-0", "mentor-1"} == {one.mentor_id for _, (one,) in handed}


async def test_a_tracker_that_raises_is_logged_and_ignored(scene, caplog):
    """
    The mentor ends as without it.
    """

    def broken(_error, _registrations):
        raise ZeroDivisionError

    scene.service = Coded(KeyError())
    result = await submit(scene, on_service_error=broken)

    assert "unexpected" == result.outcomes[0].failure.code
    assert any("on_service_error raised ZeroDivisionError" in each.getMessage() for each in said(caplog))


async def test_errors_of_a_look_up_and_of_a_conflict_check_are_logged_and_handed_on(scene_with, caplog):
    """
    Whatever method they come from.
    """
    handed = []
    looking = scene_with(BulkLookupRegistrationService())
    looking.service.script = lambda *_: lose_reply()
    looking.service.lookup_script = lambda *_: fail(PermissionError("personal"))
    await submit(looking, on_service_error=lambda error, _: handed.append(error))
    checking = scene_with(CheckingRegistrationService())
    checking.service.conflict_reply = fail(IndexError("personal"))
    await submit(checking, on_service_error=lambda error, _: handed.append(error))

    text = "\n".join(record.getMessage() for record in said(caplog))
    assert "find_registration raised PermissionError at" in text
    assert "find_conflicts raised IndexError at" in text
    assert {TimeoutError, PermissionError, IndexError} == {type(error) for error in handed}


@pytest.mark.parametrize(
    ("mentors", "told"), [(1, "register did not"), (2, "register_many did not")], ids=["one", "many"]
)
async def test_a_call_that_does_not_end_in_its_time_is_logged(scene_with, caplog, mentors, told):
    """
    Which method, and how long it had.
    """
    scene = scene_with(BulkRegistrationService())
    scene.settings = BulkSettings(call_timeout=5.0, retry=ONCE)
    scene.service.script = scene.service.chunk_script = lambda *_: hang()

    await submit(scene, mentors)

    (record,) = said(caplog)
    assert f"{told} answer within 5 s" in record.getMessage()


@pytest.mark.parametrize(
    ("kind", "state", "code", "calls"),
    [
        (ErrorKind.TRANSIENT, ItemState.FAILED, "unavailable", 3),
        (ErrorKind.DEFINITE, ItemState.FAILED, "refused", 1),
        (ErrorKind.IN_DOUBT, ItemState.UNKNOWN, "outcome_unknown", 3),
        (None, ItemState.FAILED, "unexpected", 1),
        ("in_doubt", ItemState.FAILED, "unexpected", 1),
    ],
)
async def test_a_host_says_what_its_client_s_error_means(scene, kind, state, code, calls):
    """
    What is no word of ours counts as nothing said.
    """
    scene.service = Coded(ReadTimeout())

    (outcome,) = (await submit(scene, classify_error=lambda _error: kind)).outcomes

    assert (state, code, calls) == (outcome.state, outcome.failure.code, scene.service.calls)


async def test_a_classification_that_raises_is_logged_and_our_rules_hold(scene, caplog):
    """
    FAILED with code unexpected, as without it.
    """

    def broken(_error):
        raise ZeroDivisionError

    scene.service = Coded(ReadTimeout())
    result = await submit(scene, classify_error=broken)

    assert "unexpected" == result.outcomes[0].failure.code
    assert any("classify_error raised ZeroDivisionError" in each.getMessage() for each in said(caplog))


async def test_a_group_of_one_is_that_one(scene):
    """
    A service with a task group of its own raises its refusals in groups.
    """
    scene.service.script = lambda *_: fail(ExceptionGroup("a", [ExceptionGroup("b", [reject("no").error])]))

    result = await submit(scene)

    assert "no" == result.outcomes[0].failure.code
    assert 1 == len(scene.service.calls)


async def test_an_error_that_is_no_exception_is_doubt_and_ends_nothing(scene, caplog):
    """
    The others go ahead; the one is repeated under its key.
    """
    scene.service.script = lambda one, n: (
        lose_reply(Foreign()) if (one.mentor_id, n) == ("mentor-1", 1) else succeed()
    )

    result = await submit(scene, 3)

    assert BulkStatus.SUCCESS is result.status
    assert "raised Foreign at" in said(caplog)[0].getMessage()


@pytest.mark.parametrize(
    "answer",
    [None, "activity-1", RegistrationReceipt(registration_id="somebody-else", activity_id="activity-1")],
)
async def test_a_wrong_answer_ends_unknown_as_a_bad_answer_under_one_key(scene, caplog, answer):
    """
    It was answered, so nobody is told that no answer came.
    """
    keys = []

    class Confused:
        async def register(self, registration, /):
            keys.append(registration.idempotency_key)
            return answer

    scene.service = Confused()

    (outcome,) = (await submit(scene)).outcomes

    assert (ItemState.UNKNOWN, "bad_answer") == (outcome.state, outcome.failure.code)
    assert (3, 1) == (len(keys), len(set(keys)))
    assert f"register returned a {type(answer).__name__}" in said(caplog)[0].getMessage()


async def test_a_wrong_answer_to_many_ends_as_a_bad_answer(scene_with, caplog):
    """
    Each row of it, in whatever way it does not fit.
    """
    scene = scene_with(BulkRegistrationService())
    scene.service.garble = lambda answers, _: answers[:-1]

    result = await submit(scene, 4)

    assert {"bad_answer"} == {outcome.failure.code for outcome in result.outcomes}
    assert "register_many returned a list" in said(caplog)[0].getMessage()


@pytest.mark.parametrize("mode", ["independent", "atomic"])
async def test_a_wrong_answer_of_a_look_up_is_a_look_up_that_failed(scene_with, caplog, mode):
    """
    Logged, and the call is repeated.
    """
    scene = scene_with(BulkLookupRegistrationService())
    scene.settings = BulkSettings(retry=ONCE)
    scene.service.chunk_script = scene.service.script = lambda *_: lose_reply()

    async def find_registration(_registration_id, /):
        return "activity-1"

    scene.service.find_registration = find_registration
    request = attrs.evolve(scene.request(2), mode=mode)
    result = await scene.while_time_passes(
        lambda: scene.orchestrator().submit_bulk_registration(request, actor=scene.actor)
    )

    assert {ItemState.UNKNOWN} == {outcome.state for outcome in result.outcomes}
    assert any("find_registration returned a str" in record.getMessage() for record in said(caplog))


def rows_of(service):
    """
    Return how many calls a service had, for many and alone.
    """
    return len(service.bulk_calls) + len(service.calls)


@pytest.mark.parametrize("error", [ReadTimeout(), KeyError("personal")])
async def test_two_hundred_rows_that_fail_alike_make_few_calls_with_pauses(scene_with, error):
    """
    At most 24 for many and 4 alone; the others end as the first ones did, and keep their keys.
    """
    scene = scene_with(BulkRegistrationService())
    scene.service.chunk_script = scene.service.script = lambda *_: fail(error)

    result = await submit(scene, 200)

    assert {"unexpected"} == {outcome.failure.code for outcome in result.outcomes}
    assert rows_of(scene.service) <= 28
    assert scene.clock.monotonic() > 5.0
    items = await scene.repository.read_items(result.batch_id)
    assert {True} == {item.in_doubt for item in items}


async def test_a_thousand_rows_and_a_coding_error_make_few_calls(scene_with):
    """
    What three rows showed holds for the pieces of all workers.
    """
    scene = scene_with(BulkRegistrationService())
    scene.service.chunk_script = scene.service.script = lambda *_: fail(KeyError("personal"))

    result = await submit(scene, 1000)

    assert {"unexpected"} == {outcome.failure.code for outcome in result.outcomes}
    assert rows_of(scene.service) <= 60


async def test_bad_rows_that_come_first_take_no_good_row_with_them(scene_with):
    """
    Rows far from each other are asked before anybody is given up.
    """
    scene = scene_with(BulkRegistrationService())
    bad = {f"mentor-{number}" for number in range(5)}
    scene.service.chunk_script = lambda many, _: (
        fail(ValueError("personal")) if any(one.mentor_id in bad for one in many) else succeed()
    )
    scene.service.script = lambda one, _: fail(ValueError("personal")) if one.mentor_id in bad else succeed()

    result = await submit(scene, 200)

    assert bad == {outcome.mentor_id for outcome in result.failed}


async def test_rows_are_asked_alone_where_calls_for_many_are_of_no_use(scene_with):
    """
    A broken `register_many` beside a sound `register` costs its first calls only.
    """
    scene = scene_with(BulkRegistrationService())
    scene.service.chunk_script = lambda *_: fail(NotImplementedError())

    result = await submit(scene, 200)

    assert BulkStatus.SUCCESS is result.status
    assert len(scene.service.bulk_calls) <= 30


async def test_a_failed_look_up_is_followed_by_the_call_under_the_same_key(scene_with, caplog):
    """
    Nobody knows more than before, and repeating is safe: the service answers with its record.
    """
    scene = scene_with(BulkLookupRegistrationService())
    scene.service.script = lambda _, attempt: lose_reply() if attempt == 1 else succeed()
    scene.service.lookup_script = lambda *_: fail(PermissionError("personal"))

    result = await submit(scene)

    assert BulkStatus.SUCCESS is result.status
    assert (2, 1) == (len(scene.service.calls), len(scene.service.lookups))
    assert 1 == len({call.idempotency_key for call in scene.service.calls})
    assert any("find_registration raised PermissionError" in each.getMessage() for each in said(caplog))


async def test_calls_after_failed_look_ups_stay_within_the_attempts(scene_with):
    """
    Three calls, and no fourth.
    """
    scene = scene_with(BulkLookupRegistrationService())
    scene.service.script = lambda *_: lose_reply()
    scene.service.lookup_script = lambda *_: fail(PermissionError("personal"))

    result = await submit(scene)

    assert ItemState.UNKNOWN is result.outcomes[0].state
    assert 3 == len(scene.service.calls)


async def test_after_a_cancel_a_failed_look_up_leads_to_no_call(scene_with):
    """
    A wish to stop is never answered by writing.
    """
    scene = scene_with(BulkLookupRegistrationService())
    scene.settings = BulkSettings(cancel_grace=1.0)
    scene.service.script = lambda *_: hang(written=True)
    scene.service.lookup_script = lambda *_: fail(PermissionError("personal"))
    orchestrator = scene.orchestrator()
    accepted = await orchestrator.submit_bulk_registration(scene.request(1), actor=scene.actor, drive=False)

    async def cancelled():
        async with anyio.create_task_group() as crew:
            crew.start_soon(orchestrator.resume_interrupted)
            await scene.quiet()
            await orchestrator.cancel_batch(accepted.batch_id, actor=scene.actor)
        return await orchestrator.get_bulk_submission_status(accepted.batch_id, actor=scene.actor)

    result = await scene.while_time_passes(cancelled)

    assert ItemState.UNKNOWN is result.outcomes[0].state
    assert (1, 1) == (len(scene.service.calls), len(scene.service.lookups))


def test_an_error_that_was_never_raised_has_no_place():
    """
    A part of a group may be one.
    """
    assert "an unknown place" == place_of(ValueError())


def test_of_two_errors_none_is_the_one():
    """
    A group of two stays a group.
    """
    group = ExceptionGroup("two", [ValueError(), KeyError()])

    assert group is lone(group)
