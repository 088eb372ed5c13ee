from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from proxy_orchestration.notification.ends import EndKey, KnownEnd, counting_end, note_ends
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.messages import MessageCatalogue, NoticeContext
from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.recipients import choose_recipients
from proxy_orchestration.notification.records import CertificateEnd, MentorRecipients
from proxy_orchestration.notification.tiers import NotificationThresholdTier
from proxy_orchestration.testing import FakeClock

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)
CATALOGUE = MessageCatalogue()
LINKS = EnrollmentLinks(
    secret="s" * 32,
    base_url="https://courses.example.org/",
    courses={"first_aid": "first-aid?lang=nb"},
    clock=FakeClock(),
)

_ids = st.sampled_from(["", " ", "m1", "m2", "c1", "c2", "a1"])
_entries = st.builds(
    MentorRecipients, coordinator_id=st.none() | _ids, chapter_admin_ids=st.lists(_ids, max_size=4).map(tuple)
)
_ends = st.builds(
    CertificateEnd,
    mentor_id=st.sampled_from(["m1", "m2"]),
    certificate_type=st.sampled_from(["first_aid", "talk"]),
    ends_at=st.none() | st.integers(-3, 3).map(lambda days: NOON + timedelta(days=days)),
    certificate_id=st.sampled_from(["a", "b", "c"]),
)
_notices = st.builds(
    NoticeContext,
    mentor_id=st.text(),
    holder_name=st.text(st.characters()),
    certificate_type=st.text(st.characters()),
    tier=st.sampled_from(NotificationThresholdTier),
    expires=st.dates(),
    days_left=st.integers(-10_000, 10_000),
    audience=st.sampled_from(Audience),
    locale=st.none() | st.text() | st.sampled_from(["nb-NO", "nn", "en-GB", "de"]),
)


@given(_notices)
def test_every_notice_has_words_that_every_store_can_keep(notice: NoticeContext) -> None:
    """
    Whatever the names, the days and the locale are.
    """
    text = CATALOGUE.render(notice)

    for part in (text.title, text.body):
        assert part.encode()
        assert "\0" not in part
        assert len(part) < 500
    assert str(notice.expires.year) in text.body


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
    st.text(min_size=1, max_size=40),
)
def test_every_link_verifies_and_no_cut_of_it_does(mentor_id: str, certificate_type: str) -> None:
    """
    Ids of any characters, as far as they make a link.
    """
    url = LINKS.link_for(
        NotificationThresholdTier.LAPSED, mentor_id=mentor_id, certificate_type=certificate_type
    )
    if url is None:
        assert not certificate_type.strip() or len(mentor_id) + len(certificate_type) > 100
        return

    assert LINKS.verify(url)
    assert not any(LINKS.verify(url[:length]) for length in range(0, len(url), 7))


@given(st.sampled_from(["first_aid", "talk"]), st.data())
def test_no_link_verifies_with_one_character_changed(certificate_type: str, data: st.DataObject) -> None:
    """
    Any character of it, to any other.
    """
    url = LINKS.link_for(NotificationThresholdTier.LAPSED, mentor_id="m1", certificate_type=certificate_type)
    assert url is not None
    place = data.draw(st.integers(0, len(url) - 1))
    other = data.draw(st.characters().filter(lambda character: character != url[place]))

    assert not LINKS.verify(url[:place] + other + url[place + 1 :])


@given(st.text(st.characters()) | st.from_regex(r"https://x/[?]v=1&mentorId=.*&sig=[0-9a-f]{64}"))
def test_nothing_made_up_verifies(url: str) -> None:
    """
    Nor does it raise.
    """
    assert not LINKS.verify(url)


@given(st.dictionaries(st.sampled_from(["m1", "m2", "m3"]), _entries | st.none() | st.integers()))
def test_recipients_are_told_once_and_never_as_somebody_else(answer: dict[str, object]) -> None:
    """
    Never the mentor, never nobody, never twice; and one capacity per mentor.
    """
    logging.disable()
    try:
        found = choose_recipients(["m1", "m2", "m3"], answer)
    finally:
        logging.disable(logging.NOTSET)

    for mentor_id, told in found.others.items():
        assert told == tuple(sorted(set(told), key=lambda each: each.recipient_id))
        assert 1 == len({each.audience for each in told})
        assert all(each.recipient_id.strip() and each.recipient_id != mentor_id for each in told)
    assert {problem.mentor_id for problem in found.problems} <= {"m1", "m2", "m3"}


@given(st.lists(st.lists(_ends)), st.booleans())
def test_the_end_that_counts_is_the_latest_of_those_that_were_told_last(
    calls: list[list[CertificateEnd]], by_host: bool
) -> None:
    """
    By whatever calls, in whatever order: what a register would say that keeps the last word on each id.
    """
    known: dict[tuple[str, str], dict[EndKey, KnownEnd]] = {}
    register: dict[tuple[str, str], dict[str, datetime | None]] = {}
    for call in calls:
        noted = note_ends(known, call, at=NOON, by_host=by_host)
        for about, key in noted.forgotten:
            known[about].pop(key, None)
        for (about, key), end in noted.written.items():
            known.setdefault(about, {})[key] = end
        for end in call:
            register.setdefault((end.mentor_id, end.certificate_type), {})[end.certificate_id] = end.ends_at

        assert {(end.mentor_id, end.certificate_type) for end in call} == noted.counting.keys()
        for about, end in noted.counting.items():
            valid = [ends_at for ends_at in register[about].values() if ends_at is not None]
            assert (
                max(valid, default=None) == end.ends_at == counting_end(about, known.get(about, {})).ends_at
            )
