"""
Wherever a host names a time zone, its IANA name will do and so will the zone.
"""

import io
import struct
from datetime import UTC, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest

from proxy_orchestration import DispatchSettings, ExpiryPolicy
from proxy_orchestration.errors import InvalidTypeError, InvalidValueError
from proxy_orchestration.notification.digests import DigestTexts
from proxy_orchestration.notification.records import Eligibility
from proxy_orchestration.notification.settings import QuietHours

OSLO = ZoneInfo("Europe/Oslo")


def _quiet(zone: str | tzinfo) -> object:
    return QuietHours(start=time(22), end=time(7), timezone=zone).timezone


def _digests(zone: str | tzinfo) -> object:
    return DispatchSettings(digest_timezone=zone).digest_timezone


def _wish(zone: str | tzinfo) -> object:
    return Eligibility(timezone=zone).timezone


def _policy(zone: str | tzinfo) -> object:
    return ExpiryPolicy(timezone=zone).timezone


def _texts(zone: str | tzinfo) -> object:
    return DigestTexts(timezone=zone).timezone


NAMED = (_quiet, _digests, _wish)
KEPT = (_policy, _texts)


@pytest.mark.parametrize("given", ["Europe/Oslo", OSLO], ids=["name", "zone"])
@pytest.mark.parametrize("kept", NAMED)
def test_what_is_stored_as_a_name_is_given_as_a_name_or_a_zone(kept, given):
    """
    What is kept is the name, as before.
    """
    assert "Europe/Oslo" == kept(given)


@pytest.mark.parametrize("given", ["Europe/Oslo", OSLO], ids=["name", "zone"])
@pytest.mark.parametrize("kept", KEPT)
def test_what_counts_days_is_given_as_a_name_or_a_zone(kept, given):
    """
    What is kept is the zone.
    """
    assert OSLO == kept(given)


@pytest.mark.parametrize("kept", NAMED)
def test_utc_has_a_name(kept):
    """
    It is the zone that Python itself brings.
    """
    assert "UTC" == kept(UTC)


@pytest.mark.parametrize("unfit", [7, None, timezone(timedelta(hours=1)), ZoneInfo], ids=str)
@pytest.mark.parametrize("kept", [_quiet, _digests])
def test_what_has_no_name_is_refused_when_it_is_given(kept, unfit):
    """
    An offset tells nothing of summer.
    """
    with pytest.raises(InvalidTypeError, match="an IANA name or a ZoneInfo made from one"):
        kept(unfit)


def test_a_zone_that_a_host_made_has_no_name():
    """
    It was read from a file, and may be any.
    """
    file = struct.pack(">4s16x6l", b"TZif", 0, 0, 0, 0, 1, 4) + struct.pack(">lbb4s", 3600, 0, 0, b"CET")

    with pytest.raises(InvalidTypeError, match="an IANA name or a ZoneInfo made from one"):
        _quiet(ZoneInfo.from_file(io.BytesIO(file)))


@pytest.mark.parametrize("kept", [_quiet, _digests, _policy, _texts])
def test_a_name_of_no_zone_is_refused(kept):
    """
    A slip of the pen is told at once.
    """
    with pytest.raises(InvalidValueError, match="give an IANA name such as Europe/Oslo"):
        kept("Europe/Olso")


def test_nobody_has_to_know_a_recipients_zone():
    """
    Then the settings' counts.
    """
    assert Eligibility().timezone is None
