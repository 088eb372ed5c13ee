"""
Actors, roles and access policies: who acts, and what that person may do and see.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

import attrs

from proxy_orchestration._plain_json import PlainModel
from proxy_orchestration._validators import is_identifier, member_of, members_in
from proxy_orchestration.errors import NotAuthorizedError


class Role(enum.Enum):
    """
    A person's role in the organization.
    """

    COORDINATOR = "coordinator"  # registers for others, and is responsible for that
    CHAPTER_ADMIN = "chapter_admin"  # oversees the batches of an organization
    PEER_MENTOR = "peer_mentor"  # is the mentor of registrations; may do nothing here
    SERVICE = "service"  # a host's own process; uses the methods without an actor


class Action(enum.Enum):
    """
    The action that an access policy allows or refuses; the value completes the sentence "allow you to …".
    """

    SUBMIT = "submit registrations"  # also previews them
    READ = "read batches"  # status, items, lists, watching
    RETRY = "retry a batch"  # a new run with the failed items
    REVIEW = "decide about conflicts"  # a decision for each waiting mentor
    OVERRIDE = "register over an existing record"  # asked in addition, if a decision or a policy overrides
    CANCEL = "cancel a batch"  # items that have not begun
    PAUSE = "pause or resume a batch"  # items that have not begun wait
    RELABEL = "relabel a batch"  # a new label; nothing else changes
    DELETE = "delete a batch"  # a settled batch; its key cannot be used again


def refusal(actor: Actor, action: Action) -> NotAuthorizedError:
    """
    Return the error for an actor whom the policy does not allow the action.
    """
    if Role.COORDINATOR in actor.roles:  # whoever is one is not told to ask one
        return NotAuthorizedError(action.value)
    return NotAuthorizedError(action.value, ask="a coordinator")


def _roles(values: Iterable[Role]) -> frozenset[Role]:
    return frozenset(member_of(Role, value) for value in members_in("Actor.roles", values))


@attrs.frozen(kw_only=True)
class Actor(PlainModel):
    """
    The authenticated person behind a call. Records are attributed to this person, never to a payload's.

    Attributes:
        user_id: the person's id, from the host's session and never from a payload; not empty.
        roles: every role that the person holds at the time of the call.
        organization_id: the organization the person acts in; not empty.
    """

    user_id: str = attrs.field(validator=is_identifier)
    roles: frozenset[Role] = attrs.field(converter=_roles)
    organization_id: str = attrs.field(validator=is_identifier)


@attrs.frozen(kw_only=True)
class Visibility:
    """
    Which batches an actor may see.

    Attributes:
        organization_id: only batches of this organization.
        coordinator_id: only batches of this coordinator; `None` for the whole organization.
    """

    organization_id: str
    coordinator_id: str | None = None

    def covers(self, *, organization_id: str, coordinator_id: str) -> bool:
        """
        Return whether a batch with this organization and coordinator is visible.
        """
        return self.organization_id == organization_id and self.coordinator_id in {None, coordinator_id}


class AccessPolicy(Protocol):
    """
    Decides what an actor may do, which batches it may see, and for whom it may register.

    Asked at every call; its answers are never cached.
    """

    def allows(self, actor: Actor, action: Action, /) -> bool:
        """
        Return whether the actor's roles allow the action.
        """
        ...

    def visibility(self, actor: Actor, /) -> Visibility:
        """
        Return which batches the actor may see; for this actor, the others do not exist.
        """
        ...

    async def out_of_scope(self, actor: Actor, mentor_ids: Collection[str], /) -> Collection[str]:
        """
        Return the mentors among these for whom the actor may not register.

        Asked once per request, retry and review. If it raises an exception, the call fails with
        that exception, and nothing is stored.
        """
        ...


_ALLOWED: Final[Mapping[Role, frozenset[Action]]] = MappingProxyType(
    {
        Role.COORDINATOR: frozenset(Action),
        Role.CHAPTER_ADMIN: frozenset({Action.READ, Action.CANCEL}),
        Role.PEER_MENTOR: frozenset(),
        Role.SERVICE: frozenset(),
    }
)


@attrs.define(eq=False)
class CoordinatorAccess:
    """
    The default policy: coordinators act on their own batches.

    Chapter admins may read and cancel every batch of their organization. Peer mentors may do
    nothing. Coordinators may register for every mentor.
    """

    def allows(self, actor: Actor, action: Action, /) -> bool:
        """
        Return whether one of the actor's roles allows the action.
        """
        return any(action in _ALLOWED[role] for role in actor.roles)

    def visibility(self, actor: Actor, /) -> Visibility:
        """
        Return the whole organization for a chapter admin, and only the actor's own batches for others.
        """
        whole = Role.CHAPTER_ADMIN in actor.roles
        return Visibility(
            organization_id=actor.organization_id,
            coordinator_id=None if whole else actor.user_id,
        )

    async def out_of_scope(self, actor: Actor, mentor_ids: Collection[str], /) -> Collection[str]:  # noqa: ARG002 - the port's signature
        """
        Return an empty answer: no mentor is refused. A host with chapters gives its own policy.
        """
        return ()
