"""
Gets the actor of a request from the host's own dependency, for every endpoint.
"""

# Without postponed annotations: FastAPI reads the dependency out of them, and one is a local name.
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeAlias

from fastapi import Depends
from fastapi.params import Depends as Dependency
from starlette.requests import Request

from proxy_orchestration.access import Actor
from proxy_orchestration.errors import MisconfiguredError

ActorDependency: TypeAlias = Callable[..., Actor | Awaitable[Actor]]
"""
A FastAPI dependency that returns the actor, from the host's own session or token.

It may have its own dependencies, and may be asynchronous. If nobody is signed in, it must raise an
`HTTPException`, usually with 401, which becomes the response unchanged.
"""


def acting(actor: ActorDependency) -> Dependency:
    """
    Return the dependency of a whole router that asks the host who acts.
    """

    # Both of ours are asynchronous: FastAPI takes a plain function to a thread, for every request.
    async def remember(request: Request, who: Annotated[object, Depends(actor)]) -> None:
        if not isinstance(who, Actor):
            owner, part = "create_router", "actor"
            problem = (
                f"it returned a {type(who).__name__}. It must return an Actor, or raise HTTPException(401)."
            )
            raise MisconfiguredError(owner, part, problem)
        request.state.proxy_orchestration_actor = who

    dependency: Dependency = Depends(remember)
    return dependency


async def _current(request: Request) -> Actor:
    # A missing one is an AttributeError, hence a 500: no endpoint goes on without an actor.
    actor: Actor = request.state.proxy_orchestration_actor
    return actor


CurrentActor: TypeAlias = Annotated[Actor, Depends(_current)]
"""
The actor of the request, for an endpoint.
"""
