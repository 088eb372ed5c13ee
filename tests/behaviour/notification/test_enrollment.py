import logging
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest

from proxy_orchestration.notification.enrollment import (
    FALLBACK_CONTEXT,
    LINK_LIFETIME,
    LINK_VERSION,
    EnrollmentLinks,
)
from proxy_orchestration.notification.tiers import NotificationThresholdTier as Tier
from proxy_orchestration.testing import FakeClock

SECRET = "an invented secret that is long enough"  # noqa: S105 - invented
OTHER = "another invented secret, long enough too"
ROOT = "https://courses.example.org/renew"
SIGNATURE = "184d2115df88d440b2b2b53e69f8ba6324fa25a5c37dd068294120da2da2b790"
COURSES = {
    "first_aid": "first-aid",
    "Talk": "https://learn.example.org/talk?lang=nb",
    "skrive": "kurs/å skrive",
}


def links(**changes):
    """
    Return links with these fields changed.
    """
    fields = {"secret": SECRET, "base_url": ROOT, "courses": COURSES, "clock": FakeClock(), **changes}
    return EnrollmentLinks(**fields)


def link(of, **changes):
    """
    Return a mentor's link.
    """
    fields = {"tier": Tier.URGENT_7, "mentor_id": "m1", "certificate_type": "first_aid", **changes}
    return of.link_for(fields.pop("tier"), **fields)


def test_a_link_holds_the_shared_format():
    """
    The contract with the course feature: version, mentor, type, end, signature, in that order.
    """
    clock = FakeClock()
    parts = urlsplit(link(links(clock=clock)))
    fields = parse_qs(parts.query)
    end = int((clock.now() + timedelta(hours=48)).timestamp())

    assert "https://courses.example.org/renew/first-aid" == f"{parts.scheme}://{parts.netloc}{parts.path}"
    assert ["v", "mentorId", "certType", "exp", "sig"] == list(fields)
    assert [["1"], ["m1"], ["first_aid"], [str(end)]] == list(fields.values())[:4]
    assert "1" == LINK_VERSION
    assert timedelta(hours=48) == LINK_LIFETIME


def test_the_signature_is_the_one_that_the_course_feature_computes():
    """
    HMAC-SHA256 over version, target, mentor, type, context and end, each after its length in bytes.
    """
    # Computed once with openssl, so that a change of the format shows.
    url = link(links())

    assert SIGNATURE == url.rpartition("&sig=")[2]


@pytest.mark.parametrize("tier", [Tier.ADVANCE_60, Tier.WARNING_30])
def test_early_notices_carry_no_link(tier):
    """
    Only the last week and the time after it do.
    """
    assert link(links(), tier=tier) is None


@pytest.mark.parametrize("tier", [Tier.URGENT_7, Tier.LAPSED])
@pytest.mark.parametrize(
    "certificate_type", ["first_aid", " FIRST_AID", "talk", "skrive", "unknown", "a&b=c?d#e"]
)
@pytest.mark.parametrize("mentor_id", ["m1", "m/1?&=#%", "Å", "%41"])
@pytest.mark.parametrize("base_url", [ROOT, ROOT + "/", "example-app://", "example-app://courses"])
def test_what_is_signed_verifies(tier, certificate_type, mentor_id, base_url):
    """
    Whatever the ids hold, and wherever the link leads.
    """
    ours = links(base_url=base_url)
    url = link(ours, tier=tier, certificate_type=certificate_type, mentor_id=mentor_id)

    assert ours.verify(url)
    assert [mentor_id] == parse_qs(urlsplit(url).query)["mentorId"]


def test_a_target_may_be_a_whole_address_with_a_query():
    """
    The signed fields follow what it has.
    """
    assert link(links(), certificate_type="TALK").startswith(
        "https://learn.example.org/talk?lang=nb&v=1&mentorId="
    )


def test_a_target_is_written_as_addresses_are():
    """
    Letters and blanks are escaped.
    """
    assert link(links(), certificate_type="skrive").startswith(f"{ROOT}/kurs/%C3%A5%20skrive?v=1&")


def test_a_link_is_good_for_48_hours():
    """
    To the second.
    """
    clock = FakeClock()
    url = link(links(clock=clock))

    for seconds, good in {0: True, 48 * 3600 - 1: True, 48 * 3600: False}.items():
        later = links(clock=FakeClock(clock.now() + timedelta(seconds=seconds)))
        assert good is later.verify(url)


def test_another_secret_does_not_verify():
    """
    Only who signs knows what signs.
    """
    assert not links(secret=OTHER).verify(link(links()))


def test_secrets_rotate():
    """
    The first one signs; links of the older one are good until it is gone.
    """
    old, both, new = links(), links(secret=[OTHER, SECRET.encode()]), links(secret=OTHER.encode())

    assert both.verify(link(old))
    assert both.verify(link(new))
    assert new.verify(link(both))
    assert not old.verify(link(both))
    assert not new.verify(link(old))


def _altered(url):
    """
    Return that link with each of its parts changed, and other things that are no link.
    """
    target, _, query = url.partition("?")
    return {
        "mentor": url.replace("mentorId=m1", "mentorId=m2"),
        "type": url.replace("certType=first_aid", "certType=talk"),
        "end": url.replace("exp=1", "exp=2"),
        "leading zero": url.replace("exp=", "exp=0"),
        "version": url.replace("?v=1&", "?v=2&"),
        "long version": url.replace("?v=1&", "?v=01&"),
        "no version": url.replace("?v=1&", "?"),
        "host": url.replace("courses.example.org", "courses.example.net"),
        "path": url.replace("/first-aid", "/talk"),
        "scheme": url.replace("https:", "http:"),
        "context": url.replace("&exp=", f"&context={FALLBACK_CONTEXT}&exp="),
        "no signature": url.rpartition("&")[0],
        "cut signature": url[:-1],
        "other signature": url[:-1] + ("0" if url[-1] != "0" else "1"),
        "capital signature": url[:-64] + url[-64:].upper(),
        "more": url + "&utm_source=mail",
        "more before": f"{target}?utm=1&{query}",
        "twice": url.replace("&exp=", "&mentorId=m2&exp="),
        "fragment": url + "#top",
        "fragment before": f"{target}#x?{query}",
        "escaped": url.replace("mentorId=m1", "mentorId=%6D1"),
        "broken escape": url.replace("mentorId=m1", "mentorId=%ff"),
        "empty mentor": url.replace("mentorId=m1", "mentorId="),
        "separator": url.replace("?v=1", "&v=1"),
        "order": url.replace("mentorId=m1&certType=first_aid", "certType=first_aid&mentorId=m1"),
        "new line": url + "\n",
        "blank": " " + url,
        "surrogate": url.replace("?v", "\ud800v"),
        "digits of another script": url.replace("exp=1", "exp=\N{ARABIC-INDIC DIGIT ONE}"),
        "long": url.replace("mentorId=m1", "mentorId=" + "m" * 5000),
        "empty": "",
        "garbage": "?&=#%",
        "bytes": url.encode(),
        "nothing": None,
        "number": 7,
    }


KINDS = list(_altered("https://x/?v=1&sig=" + "a" * 64))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_altered_does_not_verify(kind):
    """
    Nothing passes but the link as it was made, and nothing raises.
    """
    ours = links()
    url = link(ours)
    altered = _altered(url)[kind]

    assert altered != url
    assert ours.verify(url)
    assert not ours.verify(altered)


def test_a_link_of_another_version_does_not_verify_although_it_is_signed():
    """
    What its fields mean is not known here.
    """
    ours = links()
    claim = ours._claim("m1", "first_aid")
    later = attrs.evolve(claim, version="2")

    assert ours.verify(claim.url(SECRET.encode()))
    assert not ours.verify(later.url(SECRET.encode()))


def test_parts_cannot_be_shifted_between_fields():
    """
    Each is signed with its length.
    """
    ours = links(courses={"t1": "x", "1t": "x"})
    signature = link(ours, mentor_id="m", certificate_type="1t").rpartition("=")[2]
    shifted = link(ours, mentor_id="m1", certificate_type="t").rpartition("=")[2]

    assert signature != shifted


@pytest.mark.parametrize("target", [None, "", " ", "/", "first-aid#top", 7])
def test_a_type_without_a_usable_course_leads_to_the_root_and_says_why(target, caplog):
    """
    The notice goes out; the app knows from `context` what the reader came for.
    """
    caplog.set_level(logging.WARNING)
    ours = links(courses={} if target is None else {"first_aid": target})
    url = link(ours)

    assert url.startswith(f"{ROOT}?v=1&mentorId=m1&certType=first_aid&context=certificate_renewal&exp=")
    assert ours.verify(url)
    assert ["first_aid"] == [record.certificate_type for record in caplog.records]


@pytest.mark.parametrize(
    "ids",
    [{"mentor_id": ""}, {"certificate_type": " "}, {"mentor_id": "\ud800"}, {"mentor_id": "m" * 3000}],
)
def test_ids_that_make_no_link_cost_the_link_only(ids, caplog):
    """
    An error in the log, without the ids.
    """
    assert link(links(), **ids) is None
    assert ["urgent_7"] == [record.tier for record in caplog.records if record.levelno == logging.ERROR]


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "courses",
        "/courses",
        "https://",
        "//courses.example.org",
        f"{ROOT}?a=1",
        f"{ROOT}#a",
        f"{ROOT} x",
        "https://å",
    ],
)
def test_a_root_that_is_no_address_is_refused(base_url):
    """
    Every link would be broken.
    """
    with pytest.raises(ValueError, match="base_url must be absolute"):
        links(base_url=base_url)


def test_a_root_that_is_no_text_is_refused():
    """
    With what it must be.
    """
    with pytest.raises(TypeError, match="base_url must be of type str, not bytes"):
        links(base_url=ROOT.encode())
