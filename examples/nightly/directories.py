"""
What the library asks the chapter: certificates, recipients and their languages, devices, wishes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
from sqlalchemy import Delete, Engine, Row, Select, delete, select

from proxy_orchestration import PeerMentorCertificate
from proxy_orchestration.ports import Eligibility, MentorRecipients, PushTarget

from .tables import assignments, certificates, devices, wishes

PAGE = 500
CHAPTER_ADMINS = ("cato",)


class Chapter:
    """
    Each question is one query for many people, in a worker thread.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def certificates(self) -> AsyncIterator[PeerMentorCertificate]:
        """
        Yield every certificate, read in pages: no transaction is open while the run writes.
        """
        last = 0
        while True:
            page = select(certificates).where(certificates.c.number > last)
            rows = await self._rows(page.order_by(certificates.c.number).limit(PAGE))
            for row in rows:
                yield PeerMentorCertificate(
                    certificate_id=str(row.number),
                    mentor_id=row.mentor_id,
                    certificate_type=row.kind,
                    expires=row.valid_until,
                    revoked=row.revoked,
                    holder_name=row.holder_name,
                    organization_id="chapter-oslo",
                )
            if len(rows) < PAGE:
                return
            last = rows[-1].number

    async def resolve(self, mentor_ids: Collection[str], /) -> Mapping[str, MentorRecipients]:
        """
        Return who answers for these mentors.
        """
        rows = await self._rows(select(assignments).where(assignments.c.mentor_id.in_(mentor_ids)))
        return {
            row.mentor_id: MentorRecipients(
                coordinator_id=row.coordinator_id, chapter_admin_ids=CHAPTER_ADMINS
            )
            for row in rows
        }

    async def locales_of(self, recipient_ids: Collection[str], /) -> Mapping[str, str]:
        """
        Return the language of those who have said one.
        """
        return {row.person_id: row.locale for row in await self._wishes(recipient_ids)}

    async def check(self, recipient_ids: Collection[str], /) -> Mapping[str, Eligibility]:
        """
        Return who wants no pushes, and whose day is where.
        """
        return {
            row.person_id: Eligibility(opted_out=not row.wants_pushes, timezone=row.timezone)
            for row in await self._wishes(recipient_ids)
        }

    async def targets_of(self, recipient_ids: Collection[str], /) -> Mapping[str, Sequence[PushTarget]]:
        """
        Return the devices of these people.
        """
        found = defaultdict(list)
        for row in await self._rows(select(devices).where(devices.c.person_id.in_(recipient_ids))):
            told_at = datetime.fromtimestamp(row.told_at, UTC)
            found[row.person_id].append(
                PushTarget(kind="token", value=row.token, platform=row.platform, updated_at=told_at)
            )
        return found

    async def prune(self, recipient_id: str, target: PushTarget, /) -> None:
        """
        Forget a device that Firebase does not know any more, unless it has told its address since.
        """
        gone = delete(devices).where(devices.c.person_id == recipient_id, devices.c.token == target.value)
        if target.updated_at is not None:
            gone = gone.where(devices.c.told_at <= int(target.updated_at.timestamp()))
        await anyio.to_thread.run_sync(self._delete, gone)

    async def _wishes(self, people: Collection[str]) -> Sequence[Row[Any]]:
        return await self._rows(select(wishes).where(wishes.c.person_id.in_(people)))

    async def _rows(self, question: Select[Any]) -> Sequence[Row[Any]]:
        return await anyio.to_thread.run_sync(self._read, question)

    def _read(self, question: Select[Any]) -> Sequence[Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(question).all()

    def _delete(self, gone: Delete) -> None:
        with self._engine.begin() as connection:
            connection.execute(gone)
