"""
What a plan keeps in mind from chunk to chunk, which a run would find in the store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import attrs

from proxy_orchestration._normal_forms import id_form
from proxy_orchestration.notification.notices import NoticeKey
from proxy_orchestration.notification.records import DraftFate, DraftState, NoticeChunk, NoticeDraft
from proxy_orchestration.notification.resend import Certificate, certificate_of, told_ends
from proxy_orchestration.notification.spellings import ids_in, respelled


@attrs.define(eq=False)
class PlannedChunks:
    """
    Weighs the chunks of one plan, each as if those before it had been written.

    Attributes:
        ask: what a store would make of a chunk now.
    """

    ask: Callable[[NoticeChunk], Awaitable[Sequence[DraftFate]]]
    _ends: dict[Certificate, datetime] = attrs.field(factory=dict, init=False, repr=False)
    _told: set[Certificate] = attrs.field(factory=set, init=False, repr=False)
    _keys: set[NoticeKey] = attrs.field(factory=set, init=False, repr=False)

    async def weigh(self, chunk: NoticeChunk, /) -> Sequence[DraftFate]:
        """
        Return what a run would be answered for that chunk.
        """
        fates = await self.ask(chunk)
        # In here by form: what one chunk spells in one way another may spell in another.
        chunk = respelled(chunk, {form: form for form in map(id_form, ids_in(chunk))})
        seen = [self._fate(chunk, *pair) for pair in zip(chunk.drafts, fates, strict=True)]
        self._keep(chunk, seen)
        return seen

    def _fate(self, chunk: NoticeChunk, draft: NoticeDraft, fate: DraftFate) -> DraftFate:
        certificate, key = certificate_of(draft), draft.notice.key
        if self._ends.get(certificate, draft.ends_at) > draft.ends_at:
            return DraftFate(state=DraftState.STALE)
        if fate.state is DraftState.STALE:
            return fate
        if key in self._keys:
            return DraftFate(state=DraftState.DUPLICATE)
        if fate.state is DraftState.CREATED and certificate in self._told and chunk.guard > timedelta(0):
            return DraftFate(state=DraftState.DEFERRED)
        planned = {earlier.tier for earlier in draft.earlier if earlier in self._keys}
        return attrs.evolve(fate, missed=tuple(tier for tier in fate.missed if tier not in planned))

    def _keep(self, chunk: NoticeChunk, fates: Sequence[DraftFate]) -> None:
        for certificate, ends_at in told_ends(chunk.ends, chunk.drafts).items():
            self._ends[certificate] = max(ends_at, self._ends.get(certificate, ends_at))
        for draft, fate in zip(chunk.drafts, fates, strict=True):
            if fate.state is DraftState.CREATED:
                self._told.add(certificate_of(draft))
                self._keys.add(draft.notice.key)
