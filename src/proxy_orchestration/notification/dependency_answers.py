"""
Checks the answers of the host's own parts, once for runs, dispatchers and senders.

An entry that makes no sense is no answer about what it stands for, and says
nothing about any other.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final, TypeAlias, TypeGuard, TypeVar

from proxy_orchestration import _loggers
from proxy_orchestration._texts import is_storable_id
from proxy_orchestration.notification.notices import PushMessage, PushOutcome, PushTarget, PushVerdict
from proxy_orchestration.notification.records import Eligibility

T = TypeVar("T")

Wishes: TypeAlias = Mapping[str, Eligibility | None]
"""How recipients want pushes; `None` where that could not be found out."""

Devices: TypeAlias = Mapping[str, Sequence[PushTarget] | None]
"""The devices of recipients; `None` where they could not be found out."""

WANTS_PUSHES: Final = Eligibility()
"""Of whom nobody says anything."""

_OUTCOME: Final = attrgetter("message_id", "verdict", "counted", "in_doubt")
_OUTCOME_KINDS: Final = (str, PushVerdict, bool, bool)
_LARGEST: Final = sys.float_info.max

_log = logging.getLogger(_loggers.DISPATCH)


def wishes_in(answer: object, recipient_ids: Iterable[str]) -> Wishes:
    """
    Return how each of these recipients wants it; who is absent wants pushes at any hour.

    Raises:
        TypeError: the answer is no mapping.
    """
    wishes = _each_in(answer, recipient_ids, _wish_in, absent=WANTS_PUSHES, port="PushEligibility")
    if None in wishes.values():
        _report("eligibility_unreadable")
    return wishes


def _wish_in(entry: object) -> Eligibility | None:
    if not isinstance(entry, Eligibility):
        return None
    opted_out, timezone = _as_given(entry.opted_out), _as_given(entry.timezone)
    return entry if isinstance(opted_out, bool) and isinstance(timezone, str | None) else None


def outcomes_in(answer: Iterable[object], messages: Sequence[PushMessage]) -> dict[str, PushOutcome]:
    """
    Return the first outcome of each of these messages that makes sense.
    """
    asked = {message.message_id for message in messages}
    found: dict[str, PushOutcome] = {}
    is_sound = True
    for outcome in answer:
        if not isinstance(outcome, PushOutcome) or not _is_outcome(outcome):
            is_sound = False
        elif outcome.message_id in asked:
            found.setdefault(outcome.message_id, outcome)
    if not is_sound:
        _report("outcome_unreadable")
    return found


def _is_outcome(outcome: PushOutcome) -> bool:
    if not all(map(isinstance, _OUTCOME(outcome), _OUTCOME_KINDS)):
        return False
    targets = _as_given(outcome.targets)
    if targets is not None and not _are_devices(targets):
        return False
    after = _as_given(outcome.after)
    if after is None:
        return True
    # Compared, since a whole number that no float holds cannot be asked whether it is finite.
    return isinstance(after, int | float) and not isinstance(after, bool) and -_LARGEST <= after <= _LARGEST


def devices_in(answer: object, recipient_ids: Iterable[str]) -> Devices:
    """
    Return the devices of each of these recipients, each once; who is absent has none.

    A device that makes no sense is left out beside others that do.

    Raises:
        TypeError: the answer is no mapping.
    """
    devices = _each_in(answer, recipient_ids, _devices_in, absent=(), port="PushTargetDirectory")
    if None in devices.values():
        _report("targets_unreadable")
    return devices


def _devices_in(entry: object) -> Sequence[PushTarget] | None:
    if isinstance(entry, str) or not isinstance(entry, Collection):
        return None
    sound = dict.fromkeys(each for each in entry if isinstance(each, PushTarget) and _is_device(each))
    return None if entry and not sound else tuple(sound)


def _are_devices(entry: object) -> bool:
    return isinstance(entry, tuple) and all(
        isinstance(each, PushTarget) and _is_device(each) for each in entry
    )


def _is_device(target: PushTarget) -> bool:
    texts = map(_as_given, (target.kind, target.value, target.platform))
    return all(isinstance(text, str) for text in texts) and isinstance(
        _as_given(target.updated_at), datetime | None
    )


def locales_in(answer: object, recipient_ids: Iterable[str]) -> Mapping[str, str]:
    """
    Return the locales of those of these recipients who have one that makes sense.

    Raises:
        TypeError: the answer is no mapping.
    """
    found = _each_in(answer, recipient_ids, _word_in, absent=None, port="RecipientLocales")
    if None in found.values():
        _report("locale_unreadable")
    return {each: locale for each, locale in found.items() if locale}


def _word_in(entry: object) -> str | None:
    """
    Return a locale or a status, the empty text for nobody's, `None` for what makes no sense.
    """
    if entry is None:
        return ""
    return entry if is_locale(entry) else None


def is_locale(value: object) -> TypeGuard[str]:
    """
    Tell whether this may be somebody's locale; whether there is such a language is the words' question.
    """
    return isinstance(value, str) and bool(value.strip()) and is_storable_id(value)


def statuses_in(answer: object, mentor_ids: Iterable[str]) -> Mapping[str, str]:
    """
    Return the statuses of those of these mentors who have one that makes sense.

    Raises:
        TypeError: the answer is no mapping.
    """
    found = _each_in(answer, mentor_ids, _word_in, absent=None, port="MentorStatuses")
    if None in found.values():
        _report("status_unreadable")
    return {each: status for each, status in found.items() if status}


def _each_in(
    answer: object,
    recipient_ids: Iterable[str],
    read: Callable[[object], T | None],
    *,
    absent: object,
    port: str,
) -> dict[str, T | None]:
    """
    Return what the answer says about each; `None` where it cannot be read.
    """
    if not isinstance(answer, Mapping):
        msg = f"a {port} must return a mapping from ids, not {type(answer).__name__}"
        raise TypeError(msg)
    found: dict[str, T | None] = {}
    for each in recipient_ids:
        try:
            found[each] = read(answer.get(each, absent))
        except Exception:  # noqa: BLE001 - a host's own mapping or list; it says nothing about the others
            found[each] = None
    return found


def _as_given(value: object) -> object:
    """
    Return a value without its declared type: a host's own code may have put anything there.
    """
    return value


def _report(code: str) -> None:
    _log.error("invalid answers were ignored: %s", code, extra={"code": code})
