"""
Who is signed in, and who registers for whom. Yours asks your session and your register of members.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from proxy_orchestration import Actor, CoordinatorAccess, Role

TOKENS = {
    "token-of-anna": ("anna", Role.COORDINATOR),
    "token-of-bjarne": ("bjarne", Role.COORDINATOR),
    "token-of-cato": ("cato", Role.CHAPTER_ADMIN),
}
ASSIGNED = {
    "anna": {f"mentor-{number}" for number in range(1, 31)},
    "bjarne": {"mentor-31", "mentor-32"},
}
_bearer = HTTPBearer(auto_error=False)


def actor_of(token: str) -> Actor | None:
    """
    Return whose token that is, or nothing.
    """
    known = TOKENS.get(token)
    if known is None:
        return None
    user_id, role = known
    return Actor(user_id=user_id, roles={role}, organization_id="chapter-oslo")


def signed_in(token: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Actor:
    """
    Return who calls: asked at every request, so that a role that was taken away counts at once.
    """
    actor = actor_of(token.credentials) if token else None
    if actor is None:
        raise HTTPException(401, "Sign in first.", headers={"WWW-Authenticate": "Bearer"})
    return actor


class OwnMentors(CoordinatorAccess):
    """
    Coordinators register for the mentors that are assigned to them, and for nobody else.
    """

    async def out_of_scope(self, actor: Actor, mentor_ids: Collection[str], /) -> Collection[str]:
        """
        Return those who are not assigned to the actor; asked once for each request.
        """
        return set(mentor_ids) - ASSIGNED.get(actor.user_id, set())
