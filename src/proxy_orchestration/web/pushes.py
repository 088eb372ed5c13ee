"""
The endpoints of messages that were given up.
"""

from __future__ import annotations

from typing import Annotated, Final

import attrs
from fastapi import APIRouter, Query

from proxy_orchestration import errors as e
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.web import expiry_conversions as conversions
from proxy_orchestration.web.actors import CurrentActor
from proxy_orchestration.web.problems import responses_for
from proxy_orchestration.web.responses import ALWAYS, WITH_BODY
from proxy_orchestration.web.wire import expiry as wire

_DEAD: Final = "/dead-messages"


@attrs.define(eq=False)
class PushEndpoints:
    """
    Lists what was given up, and queues it again.
    """

    dispatcher: PushDispatcher

    async def list_dead_messages(
        self,
        actor: CurrentActor,
        cursor: Annotated[str | None, Query(description="The `next_after` of the previous page.")] = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> wire.DeadMessages:
        """
        List messages of the actor's organization that were given up, those longest ago first.
        """
        page = await self.dispatcher.dead_pushes(actor=actor, cursor=cursor, limit=limit)
        return conversions.dead_messages(page, limit=limit)

    async def replay_dead_messages(
        self, actor: CurrentActor, body: wire.Replay | None = None
    ) -> wire.Replayed:
        """
        Queue dead messages again, those that are named or all that the list shows.
        """
        wanted = None if body is None else body.message_ids
        return wire.Replayed(replayed=await self.dispatcher.replay_pushes(wanted, actor=actor))


def add_push_routes(router: APIRouter, dispatcher: PushDispatcher) -> None:
    """
    Add the endpoints of dead messages to a router.
    """
    does = PushEndpoints(dispatcher)
    listed = responses_for(*ALWAYS, e.NotAuthorizedError, e.InvalidValueError)
    replayed = responses_for(*WITH_BODY, e.NotAuthorizedError)
    router.get(_DEAD, responses=listed)(does.list_dead_messages)
    router.post(f"{_DEAD}/replay", responses=replayed)(does.replay_dead_messages)
