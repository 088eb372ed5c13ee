"""
Random histories of notices, in memory and on SQLite at once: both answer the same and hold the same.

What comes back (cleared, dead, erased, withdrawn, purged) meets what its first time left behind, and a
statement that only one store has to make may break there. Of digests the ids and who opened them are left
open by the port, so they are compared by recipient.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("alembic")

from proxy_orchestration._pseudonyms import mentor_pseudonym
from proxy_orchestration.notification.inbox_pages import InboxScope
from proxy_orchestration.notification.notices import PushState
from proxy_orchestration.notification.records import (
    NO_TARGET,
    NOTHING_LEFT,
    CertificateEnd,
    LeasedPush,
    PushCompletion,
    WholeFeed,
)
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.storage.sql import SqlNotificationRepository
from proxy_orchestration.testing.contracts.notification.samples import (
    ADVANCE,
    ANOTHER,
    CERTIFICATE,
    ENDS,
    GUARD,
    HOLD,
    LONG,
    MINUTE,
    MORNING,
    OTHER_TYPE,
    OVER,
    RENEWED,
    TYPE,
    URGENT,
    WARNING,
    acknowledgement,
    chunk_of,
    coordinator,
    draft_of,
    end_of,
    notice_of,
    run_that_ended,
)

SEEDS, STEPS = range(50, 62), 60  # one of them finds again what decision 394 is about
MENTORS = ["mentor-1", "mentor-2"]
COORDINATORS = ["coordinator-1", "mentor-1"]  # who may be a mentor, too
_DAY = timedelta(days=1)
_MOMENTS = [ENDS] * 4 + [ENDS + HOLD, ENDS + 20 * _DAY]  # the second in the window of the first
_SCOPE = frozenset({(None, TYPE), (None, OTHER_TYPE)})
_ENDINGS = [
    (PushState.SENT, ""),
    (PushState.DEAD, NO_TARGET),
    (PushState.DEAD, "payload_invalid"),
    (PushState.QUEUED, "retry"),
    (PushState.CANCELLED, "opted_out"),
]
_Call = Callable[[Any, int], Awaitable[Any]]


@attrs.define(eq=False)
class History:
    """
    Two stores, what is done with both, and what they leased.
    """

    stores: Sequence[Any]
    chance: random.Random
    now: Any = MORNING
    run: int = 0
    leased: list[Sequence[LeasedPush]] = attrs.field(factory=list)
    done: list[str] = attrs.field(factory=list)
    seen: Counter[str] = attrs.field(factory=Counter)

    async def play(self) -> None:
        """
        Take one step after the other, and look at everything now and then.
        """
        steps = [self.record] * 4 + [self.claim, self.complete] * 3 + [self.renew, self.wait, self.replay] * 2
        steps += [self.end_run, self.acknowledge, self.withdraw, self.erase, self.purge]
        for number in range(STEPS):
            step = self.chance.choice(steps)
            self.done.append(step.__name__)
            await step()
            if number % 5 == 0:
                await self.look()
        await self.look()

    async def both(self, call: _Call, shown: Callable[[Any], Any] = repr) -> list[Any]:
        """
        Have both stores do it; they answer the same.
        """
        answers = [await call(store, number) for number, store in enumerate(self.stores)]
        first, second = map(shown, answers)
        assert first == second, self.done
        return answers

    async def record(self) -> None:
        """
        Weigh a chunk and record it, which is answered the same.
        """
        drafts = []
        for mentor_id in self.chance.sample(MENTORS, self.chance.choice([0, 1, 2])):
            others = self.chance.sample(COORDINATORS, self.chance.choice([0, 1, 1, 2]))
            draft = draft_of(
                mentor_id,
                self.chance.choice([WARNING] * 3 + [URGENT]),
                *(coordinator(name) for name in others if name != mentor_id),
                of_type=self.chance.choice([TYPE] * 4 + [OTHER_TYPE]),
                ends_at=self.chance.choice(_MOMENTS),
                at=self.now,
                earlier=[ADVANCE, WARNING][: self.chance.choice([0, 1, 2])],
                pushed=self.chance.random() < 0.8,
            )
            drafts.append(draft)
        self.run += self.chance.random() < 0.3
        ends = [self.an_end(ANOTHER)] if self.chance.random() < 0.4 else []
        whole = self.chance.random() < 0.4
        chunk = chunk_of(*drafts, at=self.now, ends=ends, run_id=f"run-{self.run}", complete=whole)
        weighed = await self.both(lambda store, _: store.weigh(chunk))
        recorded = await self.both(lambda store, _: store.record(chunk))
        assert weighed == recorded, self.done
        self.seen.update("reopened" for fate in recorded[0].fates if fate.reopened)

    def an_end(self, of: str) -> CertificateEnd:
        """
        Return a certificate's new end, or its revocation.
        """
        ends_at = self.chance.choice([*_MOMENTS, RENEWED, *[None] * 4])
        of_type = self.chance.choice([TYPE] * 4 + [OTHER_TYPE])
        return end_of(self.chance.choice(MENTORS), ends_at, of_type, of=of)

    async def renew(self) -> None:
        """
        Tell of one certificate between two runs.
        """
        end = self.an_end(self.chance.choice([CERTIFICATE, ANOTHER]))
        await self.both(lambda store, _: store.renew([end], at=self.now))

    async def withdraw(self) -> None:
        """
        Withdraw what was not seen for a day.
        """
        feed = WholeFeed(scope=_SCOPE, since=self.now - _DAY)
        await self.both(lambda store, _: store.count_unseen(feed))
        await self.both(lambda store, _: store.withdraw(feed, limit=9), _in_any_order)

    async def end_run(self) -> None:
        """
        Make the last run's messages due.
        """
        run = run_that_ended(f"run-{self.run}", at=self.now)
        await self.both(lambda store, _: store.log_run(run))

    async def claim(self) -> None:
        """
        Lease what is due by now or later on; some leases are over at once.
        """
        at = self.now + self.chance.choice([0, 2]) * HOLD
        hold = self.chance.choice([OVER, LONG, LONG])
        answers = await self.both(
            lambda store, _: store.claim_pushes(now=at, limit=99, hold=hold),
            lambda pushes: sorted(map(_lease_shown, pushes)),
        )
        self.leased += zip(*(sorted(pushes, key=_name) for pushes in answers), strict=True)

    async def complete(self) -> None:
        """
        End some attempts, late ones included.
        """
        chosen = [
            (pushes, *self.chance.choice(_ENDINGS))
            for pushes in self.chance.sample(self.leased, min(len(self.leased), 3))
        ]
        if self.chance.random() < 0.4:  # the last ones, as most dispatchers do
            chosen = [(pushes, PushState.SENT, "") for pushes in self.leased[-4:]]
        endings = [
            (pushes, PushState.CANCELLED, NOTHING_LEFT) if digest and not digest.counts else (pushes, *how)
            for pushes, *how in chosen
            for digest in [pushes[0].digest]
        ]

        def completions(number: int) -> list[PushCompletion]:
            due_at = self.now + HOLD
            return [
                PushCompletion(
                    message_id=pushes[number].message.message_id,
                    token=pushes[number].token,
                    state=state,
                    code=code,
                    due_at=due_at if state is PushState.QUEUED else None,
                )
                for pushes, state, code in endings
            ]

        await self.both(lambda store, number: store.complete_pushes(completions(number)))

    async def replay(self) -> None:
        """
        Queue all that is dead.
        """
        answers = await self.both(lambda store, _: store.replay_dead(None, now=self.now))
        self.seen["replayed"] += answers[0]

    async def acknowledge(self) -> None:
        """
        Take note of something that may not be there.
        """
        notice = notice_of(self.chance.choice(MENTORS), WARNING, ends_at=self.chance.choice(_MOMENTS))
        event = acknowledgement(notice, at=self.now)
        await self.both(lambda store, _: store.acknowledge(event))

    async def erase(self) -> None:
        """
        Erase somebody, of whom the feed may tell again.
        """
        mentor_id = self.chance.choice(MENTORS)
        answers = await self.both(lambda store, _: store.erase_mentor(mentor_id))
        self.seen["erased"] += answers[0].notices

    async def purge(self) -> None:
        """
        Let go of what is old.
        """
        before = self.now - self.chance.choice([1, 9]) * _DAY
        answers = await self.both(lambda store, _: store.purge_notices(created_before=before))
        await self.both(lambda store, _: store.purge_pushes(due_before=before))
        await self.both(lambda store, _: store.forget_ends(before=before))
        self.seen["purged"] += answers[0]

    async def wait(self) -> None:
        """
        Let time pass, or go back a little.
        """
        self.now += self.chance.choice([3 * HOLD, GUARD, GUARD, 8 * _DAY, -MINUTE])

    async def look(self) -> None:
        """
        Compare all that can be seen of both.
        """
        for mentor_id in (*MENTORS, *map(mentor_pseudonym, MENTORS)):
            await self.both(lambda store, _, of=mentor_id: store.export_mentor(of), _export_shown)
        for name in {*MENTORS, *COORDINATORS}:
            scope = InboxScope(recipient_id=name, organization_id="org-1", with_unassigned=True)
            await self.both(lambda store, _, of=scope: store.read_inbox(of, after=None, limit=99))
        await self.both(lambda store, _: store.count_pushes(), dict)
        await self.both(lambda store, _: store.counted_in(_SCOPE, after=None, limit=99), _in_any_order)


def _name(push: LeasedPush) -> str:
    return push.message.message_id if push.digest is None else push.message.recipient_id


def _lease_shown(push: LeasedPush) -> str:
    digest = push.digest
    told = digest and (digest.opened_at, digest.nearest, digest.told_at)
    counts = digest and sorted((tier.value, number) for tier, number in digest.counts.items())
    return repr((_name(push), push.attempts, push.lost, push.code, push.notice, told, counts))


def _in_any_order(ends: Sequence[CertificateEnd]) -> list[str]:
    return sorted(f"{end!r} {end.certificate_id}" for end in ends)


def _export_shown(export: Any) -> Any:
    return (
        export.notices,
        sorted(map(repr, export.pushes)),
        _in_any_order(export.ends),
        export.acknowledgements,
    )


@pytest.mark.one_loop
async def test_two_stores_answer_and_hold_the_same(tmp_path: Path) -> None:
    """
    Whatever is done in whatever order; and each kind of thing that comes back did so.
    """
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        chance = random.Random(seed)  # noqa: S311 - plays histories, keeps no secret
        async with SqlNotificationRepository.open(f"sqlite:///{tmp_path / f'{seed}.db'}") as on_sqlite:
            history = History(stores=[MemoryNotificationRepository(), on_sqlite], chance=chance)
            await history.play()
        seen += history.seen

    assert {"erased", "purged", "reopened", "replayed"} == seen.keys()
