"""
What the small ports promise: the audit logger, the access policy and the clock.
"""

from __future__ import annotations

from datetime import timedelta

import anyio

from proxy_orchestration.access import AccessPolicy, Action, Actor, Role, Visibility
from proxy_orchestration.audit import AuditEvent, ProxyAuditLogger, audit_event_id
from proxy_orchestration.clock import Clock
from proxy_orchestration.testing.contracts._checks import Check, at_once, broken, expect, rule_of
from proxy_orchestration.testing.contracts._samples import NOON

logging: list[Check[ProxyAuditLogger]] = []
allowing: list[Check[AccessPolicy]] = []
timing: list[Check[Clock]] = []

_MOMENT = 0.02  # seconds
_MENTORS = ("mentor-2", "mentor-1", "mentor-3")


def _event(run: int) -> AuditEvent:
    return AuditEvent(
        event_id=audit_event_id("batch-1", run),
        batch_id="batch-1",
        run=run,
        coordinator_id="coordinator-1",
        actor_id="coordinator-1",
        organization_id="org-1",
        status="partial_success",
        total=3,
        counts={"succeeded": 2, "failed": 1},
        settled_at=NOON,
    )


def _actors() -> list[Actor]:
    return [
        Actor(user_id="person-1", roles=roles, organization_id="org-1")
        for roles in [(), *((role,) for role in Role), tuple(Role)]
    ]


@rule_of(logging)
async def an_event_is_taken(logger: ProxyAuditLogger) -> None:
    await logger.log_bulk_submission(_event(1))


@rule_of(logging)
async def an_event_may_come_again(logger: ProxyAuditLogger) -> None:
    for _ in range(2):
        await logger.log_bulk_submission(_event(1))


@rule_of(logging)
async def events_are_taken_at_once(logger: ProxyAuditLogger) -> None:
    await at_once(*[lambda run=run: logger.log_bulk_submission(_event(run)) for run in (1, 2, 2, 3)])


@rule_of(allowing)
async def nobody_is_allowed_anything_without_a_role(policy: AccessPolicy) -> None:
    actor = Actor(user_id="person-1", roles=(), organization_id="org-1")

    expect("nothing", expected=set(), actual={action for action in Action if policy.allows(actor, action)})


@rule_of(allowing)
async def permission_is_a_plain_answer(policy: AccessPolicy) -> None:
    for actor in _actors():
        for action in Action:
            first, second = policy.allows(actor, action), policy.allows(actor, action)
            expect("true or false", expected=bool, actual=type(first))
            expect("the same when asked again", expected=first, actual=second)


@rule_of(allowing)
async def an_actor_sees_only_the_own_organization(policy: AccessPolicy) -> None:
    for actor in _actors():
        visibility = policy.visibility(actor)
        if not isinstance(visibility, Visibility):
            broken(f"a Visibility is asked for, got {visibility!r}")
        expect("the actor's", expected="org-1", actual=visibility.organization_id)


@rule_of(allowing)
async def out_of_scope_are_only_mentors_asked_about(policy: AccessPolicy) -> None:
    for actor in _actors():
        found = await policy.out_of_scope(actor, _MENTORS)
        expect("none that was not asked about", expected=set(), actual=set(found) - set(_MENTORS))
        expect("none of nobody", expected=0, actual=len(await policy.out_of_scope(actor, ())))


@rule_of(timing)
async def now_is_aware_and_in_utc(clock: Clock) -> None:
    expect("no offset from UTC", expected=timedelta(0), actual=clock.now().utcoffset())


@rule_of(timing)
async def monotonic_time_never_goes_back(clock: Clock) -> None:
    readings = [clock.monotonic() for _ in range(100)]

    expect("in order", expected=sorted(readings), actual=readings)


@rule_of(timing)
async def a_sleep_lasts_as_long_as_it_says(clock: Clock) -> None:
    before = clock.monotonic()
    await clock.sleep(_MOMENT)
    slept = clock.monotonic() - before

    expect("at least that much later", expected=True, actual=slept >= _MOMENT * 0.95)  # coarse timers round


@rule_of(timing)
async def no_sleep_is_a_checkpoint(clock: Clock) -> None:
    for seconds in (0, -1, 3600):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await clock.sleep(seconds)
        expect(f"a sleep of {seconds} s can be cancelled", expected=True, actual=scope.cancelled_caught)


@rule_of(timing)
async def tasks_sleep_at_once(clock: Clock) -> None:
    await at_once(*[lambda seconds=seconds: clock.sleep(seconds) for seconds in (0.02, 0, 0.01, 0.02)])
