"""
What an access policy promises.
"""

from __future__ import annotations

import attrs

from proxy_orchestration.access import AccessPolicy, Action, Actor, Role, Visibility
from proxy_orchestration.testing.contracts.checks import Check, broken, expect, rule_of
from proxy_orchestration.testing.contracts.host_samples import samples

allowing: list[Check[AccessPolicy]] = []


def _actors() -> list[Actor]:
    return [
        attrs.evolve(samples().coordinator, roles=roles)
        for roles in [(), *((role,) for role in Role), tuple(Role)]
    ]


@rule_of(allowing)
async def nobody_is_allowed_anything_without_a_role(policy: AccessPolicy) -> None:
    actor = attrs.evolve(samples().coordinator, roles=())

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
        expect("the actor's", expected=actor.organization_id, actual=visibility.organization_id)


@rule_of(allowing)
async def out_of_scope_are_only_mentors_asked_about(policy: AccessPolicy) -> None:
    mentors = samples().mentor_ids[::-1]
    for actor in _actors():
        found = await policy.out_of_scope(actor, mentors)
        expect("none that was not asked about", expected=set(), actual=set(found) - set(mentors))
        expect("none of nobody", expected=0, actual=len(await policy.out_of_scope(actor, ())))
