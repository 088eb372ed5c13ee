"""
What a plan keeps in mind from chunk to chunk, which a run would find in the store.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import Final

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.notification.ends import UNNAMED, Certificate, EndKey, key_of
from proxy_orchestration.notification.notices import NoticeKey
from proxy_orchestration.notification.ports import NotificationRecords
from proxy_orchestration.notification.records import (
    CertificateEnd,
    DraftFate,
    DraftState,
    FeedCount,
    NoticeChunk,
    NoticeDraft,
    RecordedChunk,
    WholeFeed,
)
from proxy_orchestration.notification.resend import certificate_of
from proxy_orchestration.notification.spellings import about_form, ids_in, respelled

_PAGE: Final = 1000


@attrs.define(eq=False)
class PlannedChunks:
    """
    Weighs the chunks of one plan, each as if those before it had been written.

    Attributes:
        store: asked what it would make of a chunk now.
    """

    store: NotificationRecords
    _ends: dict[Certificate, dict[EndKey, CertificateEnd]] = attrs.field(factory=dict, init=False, repr=False)
    _told: set[Certificate] = attrs.field(factory=set, init=False, repr=False)
    _keys: set[NoticeKey] = attrs.field(factory=set, init=False, repr=False)

    async def weigh(self, chunk: NoticeChunk, /) -> RecordedChunk:
        """
        Return what a run would be answered for that chunk.
        """
        # Kept by form: what one chunk spells in one way another may spell in another.
        for end in chunk.ends:
            self._ends.setdefault(about_form(end), {})[key_of(end)] = end
        pairs = dict.fromkeys(map(about_form, chunk.ends))
        so_far = tuple(chain.from_iterable(self._ends[about].values() for about in pairs))
        recorded = await self.store.weigh(attrs.evolve(chunk, ends=so_far))
        chunk = respelled(chunk, {form: form for form in map(id_form, ids_in(chunk))})
        fates = tuple(self._fate(chunk, *pair) for pair in zip(chunk.drafts, recorded.fates, strict=True))
        for draft, fate in zip(chunk.drafts, fates, strict=True):
            if fate.state is DraftState.CREATED:
                self._keys.add(draft.notice.key)
            if fate.state is DraftState.CREATED or fate.reopened:
                self._told.add(certificate_of(draft))
        return attrs.evolve(recorded, fates=fates)

    def _fate(self, chunk: NoticeChunk, draft: NoticeDraft, fate: DraftFate) -> DraftFate:
        if fate.state is DraftState.STALE:
            return fate
        if draft.notice.key in self._keys:
            return DraftFate(state=DraftState.DUPLICATE)
        is_held = certificate_of(draft) in self._told and chunk.guard > timedelta(0)
        if fate.state is DraftState.CREATED and is_held:
            return DraftFate(state=DraftState.DEFERRED)
        planned = {earlier.tier for earlier in draft.earlier if earlier in self._keys}
        return attrs.evolve(
            fate,
            missed=tuple(tier for tier in fate.missed if tier not in planned),
            reopened=fate.reopened and not is_held,
        )

    async def count_unseen(self, feed: WholeFeed, /) -> FeedCount:
        """
        Return how much of what the store knows the plan's feed lacks, as if the plan had been a run.
        """
        seen = sum(end.ends_at is not None for ends in self._ends.values() for end in ends.values())
        unseen, last = 0, None
        while page := await self.store.counted_in(feed.scope, after=last, limit=_PAGE):
            unseen += sum(map(self._is_lacking, page))
            last = page[-1]
        return FeedCount(known=seen + unseen, unseen=unseen)

    def _is_lacking(self, known: CertificateEnd) -> bool:
        ends = self._ends.get(about_form(known), {})
        if key_of(known) == UNNAMED and UNNAMED not in ends:
            return bool(ends) and known.ends_at not in {end.ends_at for end in ends.values()}
        return key_of(known) not in ends
