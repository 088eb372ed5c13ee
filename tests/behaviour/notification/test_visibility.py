import logging
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import anyio
import attrs
import pytest
from waits import LONGEST_WAIT

from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.notification.certificates import PeerMentorCertificate
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.results import RecordProblem
from proxy_orchestration.notification.visibility import certificate_end, is_hidden, track_ends

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
OSLO = ZoneInfo("Europe/Oslo")


class RecordingRegistry:
    """
    Keeps what it is told, or raises what it was given.
    """

    def __init__(self, failure=None):
        self.failure = failure
        self.told = []

    async def track(self, ends, /, *, at, statuses, withdrawn):
        """
        Take note, then fail as scripted.
        """
        self.told.append((ends, at))
        if self.failure is not None:
            raise self.failure
        return len(ends)

    async def hidden(self, mentor_ids, /, *, at):
        """
        Hide nobody.
        """
        return ()


def end(mentor_id="m1", certificate_type="first_aid", ends_at=NOON):
    """
    Return an end.
    """
    return CertificateEnd(mentor_id=mentor_id, certificate_type=certificate_type, ends_at=ends_at)


@pytest.mark.parametrize(
    ("expires", "revoked", "ends_at"),
    [
        (date(2026, 9, 1), False, datetime(2026, 9, 1, 22, tzinfo=UTC)),
        (NOON.astimezone(OSLO), False, NOON),
        (date(2026, 9, 1), True, None),
    ],
)
def test_a_certificate_ends_with_its_day_in_the_zone_or_at_its_moment(expires, revoked, ends_at):
    """
    In UTC; a revoked one has no end to speak of.
    """
    certificate = PeerMentorCertificate(
        certificate_id="c1", mentor_id="m1", certificate_type=" First_Aid", expires=expires, revoked=revoked
    )

    assert attrs.evolve(end(ends_at=ends_at), certificate_id="c1") == certificate_end(certificate, OSLO)


def test_a_naive_expiry_has_no_end():
    """
    Its record fails; see the run.
    """
    certificate = PeerMentorCertificate(
        certificate_id="c1", mentor_id="m1", certificate_type="talk", expires=NOON.replace(tzinfo=None)
    )

    with pytest.raises(ValueError, match="aware"):
        certificate_end(certificate, UTC)


@pytest.mark.parametrize(
    ("ends", "hidden"),
    [
        ([], False),
        ([end(ends_at=NOON + timedelta(microseconds=1))], False),
        ([end()], True),
        ([end(ends_at=NOON.astimezone(OSLO))], True),
        ([end(ends_at=NOON + timedelta(days=9)), end(certificate_type="talk", ends_at=NOON)], True),
        ([end(ends_at=None)], False),
    ],
)
def test_a_mentor_is_hidden_from_the_moment_at_which_any_certificate_ends(ends, hidden):
    """
    Whether or not a run noticed; a revocation alone hides nobody.
    """
    assert hidden is is_hidden(ends, at=NOON)


async def test_the_registry_is_told_once_of_all_ends():
    """
    Those that count no more included.
    """
    registry = RecordingRegistry()
    problem = await track_ends(registry, [end(), end("m2", ends_at=None), end("m3")], at=NOON)

    assert problem is None
    assert [((end(), end("m2", ends_at=None), end("m3")), NOON)] == registry.told


async def test_without_ends_the_registry_is_not_asked():
    """
    Nothing is to be written.
    """
    registry = RecordingRegistry()

    assert await track_ends(registry, [], at=NOON) is None
    assert [] == registry.told


async def test_without_a_registry_nobody_is_hidden():
    """
    And nothing is wrong.
    """
    assert await track_ends(None, [end()], at=NOON) is None


@pytest.mark.parametrize(
    "failure",
    [RepositoryUnavailableError("Kari Canary is gone.", advice="Wait."), OSError("Kari Canary"), KeyError()],
)
async def test_a_registry_that_fails_stops_nothing(failure, caplog):
    """
    It is an error in the log, without the registry's words, and in the data-quality report.
    """
    problem = await track_ends(RecordingRegistry(failure), [end()], at=NOON)

    assert RecordProblem("", "visibility_unknown") == problem
    assert [type(failure).__name__] == [
        record.error for record in caplog.records if record.levelno == logging.ERROR
    ]
    assert "Canary" not in caplog.text


async def test_a_cancelled_run_is_cancelled():
    """
    A cancellation is no failure of the registry.
    """

    class Hanging(RecordingRegistry):
        async def track(self, ends, /, *, at, statuses, withdrawn):
            scope.cancel()
            await anyio.sleep_forever()

    reached = False
    with anyio.fail_after(LONGEST_WAIT), anyio.CancelScope() as scope:
        await track_ends(Hanging(), [end()], at=NOON)
        reached = True

    assert not reached


async def test_a_cancellation_that_the_registry_makes_up_is_its_failure():
    """
    Nobody cancelled the run; where an event loop refuses such a thing, its refusal is the failure.
    """

    class Confused(RecordingRegistry):
        async def track(self, ends, /, *, at, statuses, withdrawn):
            raise anyio.get_cancelled_exc_class()

    assert RecordProblem("", "visibility_unknown") == await track_ends(Confused(), [end()], at=NOON)
