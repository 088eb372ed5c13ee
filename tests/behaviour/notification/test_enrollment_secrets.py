import pytest

from proxy_orchestration.clock import SystemClock
from proxy_orchestration.notification.enrollment import SECRET_VARIABLE, EnrollmentLinks
from proxy_orchestration.notification.tiers import NotificationThresholdTier as Tier
from proxy_orchestration.testing import FakeClock

SECRET = "an invented secret that is long enough"  # noqa: S105 - invented
OTHER = "another invented secret, long enough too"
ROOT = "https://courses.example.org/renew"
COURSES = {"first_aid": "first-aid"}


def links(**changes):
    """
    Return links with these fields changed.
    """
    fields = {"secret": SECRET, "base_url": ROOT, "courses": COURSES, "clock": FakeClock(), **changes}
    return EnrollmentLinks(**fields)


def link(of):
    """
    Return a mentor's link.
    """
    return of.link_for(Tier.LAPSED, mentor_id="m1", certificate_type="first_aid")


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        (None, "there is no secret"),
        ("", "there is no secret"),
        ([], "there is no secret"),
        (b"", "there is no secret"),
        ("x" * 31, "too short"),
        ([SECRET, "short"], "too short"),
        ([SECRET, ""], "too short"),
    ],
)
def test_without_a_proper_secret_nothing_starts(secret, told):
    """
    The error says what to set, and does not show what was given.
    """
    with pytest.raises(ValueError, match=f"{told}.*ENROLLMENT_URL_SIGNING_SECRET.*32 random bytes") as failed:
        links(secret=secret)

    assert "x" * 31 not in str(failed.value)
    assert SECRET not in str(failed.value)


def test_the_secret_never_shows():
    """
    In no repr, and in none of its spellings.
    """
    shown = repr(links(secret=[SECRET, OTHER.encode()]))

    assert SECRET not in shown
    assert OTHER not in shown
    assert ROOT in shown


def test_secrets_come_from_the_environment(monkeypatch):
    """
    The newest first, separated by blanks.
    """
    clock = FakeClock()
    monkeypatch.setenv(SECRET_VARIABLE, f" {'n' * 43}\n{'o' * 43} ")
    ours = EnrollmentLinks.from_environment(base_url=ROOT, courses=COURSES, clock=clock)

    assert ours.verify(link(links(secret="o" * 43, clock=clock)))
    assert links(secret="n" * 43, clock=clock).verify(link(ours))


@pytest.mark.parametrize("value", [None, "", "  ", "short"])
def test_an_environment_without_a_proper_secret_is_refused(value, monkeypatch):
    """
    Before the first notice, not with it.
    """
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(SECRET_VARIABLE, value)

    with pytest.raises(ValueError, match="Set ENROLLMENT_URL_SIGNING_SECRET"):
        EnrollmentLinks.from_environment(base_url=ROOT, courses=COURSES)


def test_the_machines_clock_is_the_default(monkeypatch):
    """
    For hosts that give none.
    """
    monkeypatch.setenv(SECRET_VARIABLE, "e" * 43)
    ours = EnrollmentLinks.from_environment(base_url=ROOT, courses=COURSES)

    assert isinstance(ours.clock, SystemClock)
    assert ours.verify(link(ours))
