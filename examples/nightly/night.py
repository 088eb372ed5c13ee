"""
One night: read the certificates, write what is new, and send what is due.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import time

from sqlalchemy import Engine

from proxy_orchestration import (
    DispatchResult,
    DispatchSettings,
    ExpiryPolicy,
    NotificationOrchestrator,
    OrchestrationResult,
    PushDispatcher,
    QuietHours,
)
from proxy_orchestration.ports import PushMessage, PushOutcome, PushSender
from proxy_orchestration.push.fcm import FcmCredentials, FcmCredentialsError, FcmOptions, FcmPushSender
from proxy_orchestration.storage.sql import SqlNotificationRepository, SqlVisibilityRegistry

from .directories import Chapter

ZONE = "Europe/Oslo"
PREFIX = "notice_"


class PrintingSender:
    """
    Shows on this screen what a phone would show.
    """

    async def send(self, messages: Sequence[PushMessage], /) -> Sequence[PushOutcome]:
        """
        Print each title, and call it delivered.
        """
        for message in messages:
            print(f"to {message.recipient_id}: {message.title}")
        return [PushOutcome.delivered(message) for message in messages]


@asynccontextmanager
async def sender_for(chapter: Chapter, store: SqlNotificationRepository) -> AsyncIterator[PushSender]:
    """
    Yield Firebase where its credentials are in the environment, and this screen where not.
    """
    try:
        await FcmCredentials().load()
    except FcmCredentialsError:
        yield PrintingSender()
        return
    options = FcmOptions(android_channel="certificates", ios_sound="default")
    async with FcmPushSender(targets=chapter, options=options, device_answers=store) as fcm:
        yield fcm


async def tonight(engine: Engine) -> tuple[OrchestrationResult, DispatchResult]:
    """
    Run once and send once; a second run of a night tells nobody anything.
    """
    chapter = Chapter(engine)
    store = SqlNotificationRepository(engine, prefix=PREFIX)
    nightly = NotificationOrchestrator(
        repository=store,
        recipients=chapter,
        visibility=SqlVisibilityRegistry(engine, prefix=PREFIX),
        policy=ExpiryPolicy(timezone=ZONE),
    )
    told = await nightly.run(chapter.certificates())
    async with sender_for(chapter, store) as sender:
        dispatcher = PushDispatcher(
            repository=store,
            sender=sender,
            eligibility=chapter,
            locales=chapter,
            words=nightly.words,
            settings=settings(),
        )
        sent = await dispatcher.drain()
    return told, sent


def settings() -> DispatchSettings:
    """
    Return quiet phones at night, and a digest for coordinators in the morning.
    """
    return DispatchSettings(
        quiet_hours=QuietHours(start=time(21), end=time(7), timezone=ZONE),
        digest_at=time(7),
        digest_timezone=ZONE,
    )
