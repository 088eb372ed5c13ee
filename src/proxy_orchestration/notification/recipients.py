"""
Who is told besides the mentor: the coordinator, or the chapter admins where there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import date, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import attrs

from proxy_orchestration import _loggers
from proxy_orchestration._cancellation import comes_from_callee, is_being_cancelled
from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.errors import RepositoryUnavailableError
from proxy_orchestration.ids import IdFlaw, IdRule, usual_id_rule
from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.ports import RecipientDirectory
from proxy_orchestration.notification.records import CoordinatorAssignment, MentorRecipients
from proxy_orchestration.notification.results import RecordProblem

MISSING_COORDINATOR: Final[str] = "missing_coordinator_assignment"
"""
A mentor has no coordinator; chapter admins are told instead.
"""

RECIPIENTS_UNKNOWN: Final[str] = "recipients_unknown"
"""
The directory failed, or its answer about a mentor made no sense; only the mentor is told.
"""

EMPTY_RECIPIENT: Final[str] = "empty_recipient_id"
"""
The directory named somebody without an id, or by a filler; nobody can be told under it.
"""

INVALID_RECIPIENT: Final[str] = "invalid_recipient_id"
"""
The directory named somebody by what is nobody's id, such as a spreadsheet's error; it is not told.
"""

_FLAWS: Final[Mapping[IdFlaw, str]] = MappingProxyType(
    {IdFlaw.MISSING: EMPTY_RECIPIENT, IdFlaw.MALFORMED: INVALID_RECIPIENT}
)

_log = logging.getLogger(_loggers.RECIPIENTS)


class Recipient(NamedTuple):
    """
    Somebody who is told, and in which capacity.
    """

    audience: Audience
    recipient_id: str


@attrs.frozen(kw_only=True)
class Recipients:
    """
    Who is told about the mentors of a chunk, besides themselves.

    Attributes:
        others: by mentor, each recipient once, in an order that does not change;
            mentors without any are absent.
        problems: what somebody should fix, for the data-quality report.
    """

    others: Mapping[str, tuple[Recipient, ...]] = attrs.field(factory=dict)
    problems: tuple[RecordProblem, ...] = ()

    def of(self, mentor_id: str) -> tuple[Recipient, ...]:
        """
        Return who is told about that mentor.
        """
        return self.others.get(mentor_id, ())


async def find_recipients(
    directory: RecipientDirectory | None, mentor_ids: Collection[str], id_rule: IdRule = usual_id_rule
) -> Recipients:
    """
    Ask the directory once about these mentors, and return who is told.

    A directory that fails stops nothing: the mentors are told, a later run
    tells the others. Without a directory nobody else is told.
    """
    mentors = tuple(dict.fromkeys(mentor_ids))
    if directory is None or not mentors:
        return Recipients()
    try:
        answer = _checked(await directory.resolve(mentors))
    except BaseException as error:
        if not comes_from_callee(error) or is_being_cancelled():
            raise
        _log.error(
            "the directory failed (%s); only the mentors are notified",
            RECIPIENTS_UNKNOWN,
            extra={"code": RECIPIENTS_UNKNOWN, "error": type(error).__name__, "mentors": len(mentors)},
        )
        return Recipients(problems=tuple(RecordProblem(mentor, RECIPIENTS_UNKNOWN) for mentor in mentors))
    return choose_recipients(mentors, answer, id_rule)


async def who_answers_for(
    mentor_id: str, directory: RecipientDirectory, id_rule: IdRule = usual_id_rule
) -> frozenset[str]:
    """
    Return the mentor's coordinator, or the chapter admins where none is assigned.

    Raises:
        RepositoryUnavailableError: the directory failed, or its answer made no sense.
    """
    try:
        answer = _checked(await directory.resolve([mentor_id]))
    except BaseException as error:
        if not comes_from_callee(error) or is_being_cancelled():
            raise
        _log.error(
            "the directory failed (%s); nothing is acknowledged",
            type(error).__name__,
            extra={"code": RECIPIENTS_UNKNOWN, "error": type(error).__name__, "mentor_id": mentor_id},
        )
        raise directory_unavailable() from None
    entry = _readable(answer.get(mentor_id, MentorRecipients()))
    if entry is None:
        _report(mentor_id, RECIPIENTS_UNKNOWN)
        raise directory_unavailable()
    told, _ = _told(mentor_id, entry, id_rule)
    return frozenset(each.recipient_id for each in told)


def directory_unavailable() -> RepositoryUnavailableError:
    """
    Return the error of a question that needs the directory's answer.
    """
    reason = "The directory did not tell who is responsible for the mentor; nothing was changed."
    return RepositoryUnavailableError(reason, advice="Try again, or check the recipient directory.")


def choose_recipients(
    mentor_ids: Collection[str], answer: Mapping[str, object], id_rule: IdRule = usual_id_rule
) -> Recipients:
    """
    Return who is told by a directory's answer; its entries may be of any kind.
    """
    others: dict[str, tuple[Recipient, ...]] = {}
    problems: list[RecordProblem] = []
    nobody, rule = MentorRecipients(), cache(id_rule)  # one coordinator answers for many mentors
    for mentor_id in mentor_ids:
        told, codes = _told(mentor_id, answer.get(mentor_id, nobody), rule)
        if told:
            others[mentor_id] = told
        for code in codes:
            _report(mentor_id, code)
            problems.append(RecordProblem(mentor_id, code))
    return Recipients(others=others, problems=tuple(problems))


def _checked(answer: object) -> Mapping[str, object]:
    if not isinstance(answer, Mapping):
        msg = "a RecipientDirectory must return a mapping from mentor ids to MentorRecipients"
        raise TypeError(msg)
    return dict(answer)


def _told(mentor_id: str, entry: object, id_rule: IdRule) -> tuple[tuple[Recipient, ...], tuple[str, ...]]:
    """
    Return who is told about one mentor, and what is wrong with the entry.
    """
    recipients = _readable(entry)
    if recipients is None:
        return (), (RECIPIENTS_UNKNOWN,)
    audience, codes = Audience.COORDINATOR, list[str]()
    ordered = _coordinators(recipients)
    usable, flaws = _sorted_out(ordered, id_rule)
    # Nobody looks after themselves: who is their own coordinator has none; decision 207.
    others = _others(usable, mentor_id)
    told = [each for each in ordered if each in others][:1]
    if not told:
        audience, codes = Audience.CHAPTER_ADMIN, [MISSING_COORDINATOR]
        known, of_admins = _sorted_out(recipients.chapter_admin_ids, id_rule)
        flaws |= of_admins
        told = sorted(_others(known, mentor_id))
    if flaws:
        codes += [code for flaw, code in _FLAWS.items() if flaw in flaws]
    return tuple(Recipient(audience, each) for each in told), tuple(codes)


def _coordinators(recipients: MentorRecipients) -> list[str]:
    """
    Return the mentor's active coordinators, the one who is to be told first.
    """
    if recipients.coordinator_id is not None:
        return [recipients.coordinator_id]
    ordered = sorted(
        (each for each in recipients.assignments if each.is_active),
        key=lambda each: (not each.is_primary, each.since or date.max, each.coordinator_id),
    )
    return [each.coordinator_id for each in ordered]


def _others(known: set[str], mentor_id: str) -> set[str]:
    own = id_form(mentor_id)
    return {each for each in known if id_form(each) != own}


def _sorted_out(named: Collection[str], id_rule: IdRule) -> tuple[set[str], set[IdFlaw]]:
    """
    Return who can be told, and what is wrong with the others.
    """
    found = {each: id_rule(each) if each.strip() else IdFlaw.MISSING for each in named}
    return {each for each, flaw in found.items() if flaw is None}, {flaw for flaw in found.values() if flaw}


def _readable(entry: object) -> MentorRecipients | None:
    """
    Return an entry whose ids are texts, in collections where there may be several; `None` for any other.
    """
    if not isinstance(entry, MentorRecipients):
        return None
    coordinator: object = entry.coordinator_id
    ids, assignments = _members(entry.chapter_admin_ids), _members(entry.assignments)
    if ids is None or assignments is None or not isinstance(coordinator, str | None):
        return None
    if not all(isinstance(each, str) for each in ids) or not all(map(_is_assignment, assignments)):
        return None
    return MentorRecipients(coordinator_id=coordinator, chapter_admin_ids=ids, assignments=assignments)


def _members(answer: object) -> tuple[Any, ...] | None:
    if isinstance(answer, str) or not isinstance(answer, Collection):
        return None
    try:
        return tuple(answer)
    except Exception:  # noqa: BLE001 - a host's own collection, of this mentor alone
        return None


def _is_assignment(entry: object) -> bool:
    if not isinstance(entry, CoordinatorAssignment):
        return False
    kinds = {"coordinator_id": str, "is_primary": bool, "since": date | None, "is_active": bool}
    # A moment is a date to Python, and does not compare with one.
    return not isinstance(entry.since, datetime) and all(
        isinstance(getattr(entry, name), kind) for name, kind in kinds.items()
    )


def _report(mentor_id: str, code: str) -> None:
    about = {"mentor_id": mentor_id, "code": code}
    if code == RECIPIENTS_UNKNOWN:
        _log.error("the directory's entry for a mentor is invalid and was ignored: %s", code, extra=about)
    else:
        _log.warning("the directory's entry for a mentor must be corrected: %s", code, extra=about)
