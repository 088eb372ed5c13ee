"""
The people, activities and batches with which kits ask a host's own parts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta
from typing import Final

import attrs

from proxy_orchestration._validators import is_a, is_identifier, members_in
from proxy_orchestration.access import Actor, Role
from proxy_orchestration.clock import SystemClock
from proxy_orchestration.errors import InvalidValueError
from proxy_orchestration.registration.activities import ProxyActivity, ProxyRegistration

_MOST_MENTORS_ASKED: Final = 4
_MOST_BATCHES_ASKED: Final = 2


def _ancient(registration: ProxyRegistration) -> ProxyRegistration:
    activity = registration.activity
    long_ago = activity.activity_date - timedelta(days=40_000)
    return attrs.evolve(registration, activity=attrs.evolve(activity, activity_date=long_ago))


def _visit_of_yesterday() -> ProxyActivity:
    yesterday = SystemClock().now().date() - timedelta(days=1)
    return ProxyActivity(activity_type="visit", activity_date=yesterday, duration_minutes=45)


def _different(values: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(members_in("a sample", values)))


def _at_least(count: int) -> Callable[[object, attrs.Attribute[tuple[str, ...]], tuple[str, ...]], None]:
    def check(instance: object, attribute: attrs.Attribute[tuple[str, ...]], values: tuple[str, ...]) -> None:
        for value in values:
            is_identifier(instance, attribute, value)
        if len(values) < count:
            name = f"Samples.{attribute.name}"
            raise InvalidValueError(name, f"must be at least {count} different ones")

    return check


@attrs.frozen(kw_only=True)
class Samples:
    """
    The people, ids and activities that the subject of a kit accepts.

    The defaults fit this library's own doubles.

    Args:
        coordinator: an actor who may register, in an organization known to the subject.
        mentor_ids: at least four different mentors for whom that actor may register, and who are
            known to a directory or a push sender under test.
        batch_ids: two different batch ids.
        activity: a function that makes an activity which the service accepts; it must also accept
            the day before.
        another_type: a second activity type that the service accepts.
        unacceptable: a function that changes a registration into one that the service refuses,
            unless the registration already has a record.
    """

    coordinator: Actor = attrs.field(
        default=Actor(user_id="coordinator-1", roles={Role.COORDINATOR}, organization_id="org-1"),
        validator=is_a(Actor),
    )
    mentor_ids: tuple[str, ...] = attrs.field(
        default=("mentor-1", "mentor-2", "mentor-3", "mentor-4"),
        converter=_different,
        validator=_at_least(_MOST_MENTORS_ASKED),
    )
    batch_ids: tuple[str, ...] = attrs.field(
        default=("batch-1", "batch-2"), converter=_different, validator=_at_least(_MOST_BATCHES_ASKED)
    )
    activity: Callable[[], ProxyActivity] = _visit_of_yesterday
    another_type: str = attrs.field(default="call", validator=is_identifier)
    unacceptable: Callable[[ProxyRegistration], ProxyRegistration] = _ancient


@attrs.define(eq=False)
class Use:
    """
    The samples of one check, and whether it asked for them.
    """

    given: Samples | None = None
    was_asked: bool = False


# A check's body has one parameter, its subject; what it asks about stands beside that.
using: Final[ContextVar[Use | None]] = ContextVar("using", default=None)


def samples() -> Samples:
    """
    Return the samples of the check that runs.
    """
    use = using.get() or Use()
    use.was_asked = True
    return use.given or Samples()


def note_invented(error: Exception, use: Use) -> None:
    """
    Say beside an error of a check that it may be about people whom the kit invented.
    """
    if use.was_asked and use.given is None:
        invented = Samples()
        error.add_note(
            f"This check used the kit's own example people: mentors {', '.join(invented.mentor_ids)}, "
            f"coordinator {invented.coordinator.user_id} of {invented.coordinator.organization_id}. If your "
            "part only knows its own people, activities or batches, give `samples=Samples(...)`."
        )
