"""
What the standard service accepts. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import TypeAlias

import attrs

from proxy_orchestration._validators import is_not_negative
from proxy_orchestration.registration.activities import ProxyRegistration
from proxy_orchestration.registration.batches import Failure
from proxy_orchestration.registration.reasons import OUT_OF_SCOPE, SELF_ATTRIBUTION

DuplicateRule: TypeAlias = Callable[[ProxyRegistration], str | None]
"""
Returns a registration's duplicate key: two registrations of one organization
with one key register the same. `None`: it never is a duplicate.
"""


@attrs.frozen(kw_only=True)
class RegistrationRules:
    """
    What the standard service accepts.

    Attributes:
        days_ahead: how many calendar days (UTC) in the future an activity may be.
        days_back: how many calendar days (UTC) in the past it may be.
    """

    days_ahead: int = attrs.field(default=0, validator=is_not_negative)
    days_back: int = attrs.field(default=90, validator=is_not_negative)


def same_mentor_type_and_day(registration: ProxyRegistration) -> str:
    """
    Return the usual duplicate key: one activity of a type for a mentor on a calendar day (UTC).
    """
    activity, mentor_id = registration.activity, registration.mentor_id
    return f"{activity.activity_date.isoformat()}:{len(mentor_id)}:{mentor_id}:{activity.activity_type}"


def failing_checks(
    registration: ProxyRegistration, *, may: bool, in_scope: bool, today: date, rules: RegistrationRules
) -> Iterator[Failure]:
    """
    Yield every reason to refuse a registration: role, scope, attribution, dates, in this order.

    Args:
        registration: what is asked for.
        may: whether the role allows it.
        in_scope: whether the mentor is one to register for.
        today: the calendar day, in UTC.
        rules: how far ahead and back an activity may be.
    """
    if not may:
        yield _refusal("not_a_coordinator", "Only coordinators register for others.")
    if not in_scope:
        yield OUT_OF_SCOPE
    if registration.registered_by.user_id == registration.mentor_id:
        yield SELF_ATTRIBUTION
    yield from _dates(registration.activity.activity_date, today, rules)


def _dates(day: date, today: date, rules: RegistrationRules) -> Iterator[Failure]:
    ahead = (day - today).days
    if ahead > rules.days_ahead:
        limit = f"at most {rules.days_ahead} days ahead" if rules.days_ahead else "today or earlier"
        yield _refusal("date_in_future", f"{day} is in the future; it must be {limit}.")
    if -ahead > rules.days_back:
        yield _refusal("date_too_old", f"{day} is more than {rules.days_back} days back.")


def _refusal(code: str, message: str) -> Failure:
    return Failure(code=code, message=message, retryable=False)
