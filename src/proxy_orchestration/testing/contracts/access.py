"""
What an access policy promises.
"""

from __future__ import annotations

from proxy_orchestration.access import AccessPolicy, Action, Actor, Role, Visibility
from proxy_orchestration.testing.contracts.checks import Check, broken, expect, rule_of

allowing: list[Check[AccessPolicy]] = []

_MENTORS = ("mentor-2", "mentor-1", "mentor-3")


def _actors() -> list[Actor]:
    return [
        Actor(user_id="person-1", roles=roles, organization_id="org-1")
        for roles in [(), *((role,) for role in Role), tuple(Role)]
    ]


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
