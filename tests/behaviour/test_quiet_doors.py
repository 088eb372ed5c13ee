"""
The witness can tell; and a value at the wrong door is named by its field and type, never shown.
"""

import logging
from datetime import date

import attrs
import pytest

from proxy_orchestration import Actor, BulkRegistrationRequest, ProxyActivity
from proxy_orchestration.registration import flow
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.conflicts import Conflict
from proxy_orchestration.registration.requests import RegistrationEntry

pytestmark = pytest.mark.dateless

_DAY = date(2026, 1, 1)


def _activity(**fields):
    return ProxyActivity(**{"activity_type": "visit", "activity_date": _DAY, "duration_minutes": 5, **fields})


DOORS = {
    "minutes": lambda text: _activity(duration_minutes=text),
    "minutes in a list": lambda text: _activity(duration_minutes=[text]),
    "notes": lambda text: _activity(notes=[text]),
    "day": lambda text: _activity(activity_date=text),
    "type": lambda text: _activity(activity_type=f"{text}\n"),
    "details": lambda text: _activity(details={"a": {text}}),
    "keys of details": lambda text: _activity(details={(text,): 1}),
    "entry": lambda text: RegistrationEntry("mentor-1", text),
    "mentor": lambda text: RegistrationEntry([text], _activity()),
    "mode": lambda text: BulkRegistrationRequest(entries=(), mode=text),
    "policy": lambda text: BulkRegistrationRequest(entries=(), on_conflict=text),
    "label": lambda text: BulkRegistrationRequest(entries=(), label=text * 9),
    "kind of conflict": lambda text: Conflict(mentor_id="mentor-1", kind=text),
    "mentor of a conflict": lambda text: Conflict(mentor_id=[text], kind="duplicate"),
    "roles": lambda text: Actor(user_id="coord-1", roles=[text], organization_id="oslo"),
    "draft": lambda text: flow.SingleDraftEdited(draft=text),
    "notes of a draft": lambda text: flow.SingleDraft(notes=[text]),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_refused_is_not_shown(door, canaries, witness):
    """
    A column in the wrong place brings a name to any field.
    """
    with pytest.raises((TypeError, ValueError)) as refused:
        DOORS[door](canaries.PERSONAL)
    witness.caught(refused.value)

    assert [] == witness.leaks()


def test_free_text_is_in_no_repr(canaries, witness):
    """
    Of what people write and of what a service says.
    """
    text = canaries.PERSONAL
    activity = _activity(notes=text, details={text: text})
    witness.saw(activity, activity.details, Failure(code="refused", message=text, retryable=False))
    witness.saw(flow.BulkOptionsChosen(label=text), flow.SingleCallFailed(token=1, error=ValueError(text)))

    assert [] == witness.leaks()


@attrs.frozen
class Gossip:
    """
    A model that shows what it holds.
    """

    name: str


def _logs(witness, text):
    logging.getLogger("proxy_orchestration.gossip").debug("somebody came", extra={"who": text})


def _logs_a_traceback(witness, text):
    try:
        int(text)
    except ValueError:
        logging.getLogger("proxy_orchestration.gossip").exception("it failed")


def _shows(witness, text):
    witness.saw([Gossip(text)])


def _raises(witness, text):
    witness.caught(ValueError(text))


def _notes(witness, text):
    error = ValueError("quiet")
    error.add_note(text)
    witness.caught(error)


def _chains(witness, text):
    error = KeyError("quiet")
    error.__context__ = ValueError(text)
    witness.caught(error)


def _groups(witness, text):
    witness.caught(ExceptionGroup("quiet", [ValueError(text)]))


@pytest.mark.parametrize("gossip", [_logs, _logs_a_traceback, _shows, _raises, _notes, _chains, _groups])
def test_the_witness_tells_a_leak(gossip, canaries, witness):
    """
    A check that could not fail would prove nothing.
    """
    gossip(witness, canaries.PERSONAL)

    assert witness.leaks()


def test_the_witness_lets_a_host_s_own_error_pass_and_says_so(witness):
    """
    It is the host's; what this library hangs on it is not.
    """
    own = witness.host_error()
    ours = ValueError("quiet")
    ours.__cause__ = own
    witness.caught(ours)

    assert [own] == witness.returned
    assert [] == witness.leaks()
