from __future__ import annotations

import random
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import attrs
import pytest

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    ItemState,
    ProxyRegistration,
    RegistrationReceipt,
)
from proxy_orchestration.registration.conflicts import ConflictDecision
from proxy_orchestration.registration.standard.service import StandardRegistrationService

pytestmark = pytest.mark.crash

_KILLED = -signal.SIGKILL
_KILLS_PER_STORY = 16

_CHUNKS = {"max_undurable": 8, "max_per_call": 3}
"""A batch of 12 needs two claims, and a claim three calls."""

_GROUP = tuple(f"mentor-{number:02}" for number in range(6))
_OVERRIDDEN, _SKIPPED, _WAITING, _CLEAN = _GROUP[:2], _GROUP[2:3], _GROUP[3:4], _GROUP[4:]
_DECISIONS = {**dict.fromkeys(_OVERRIDDEN, "override"), **dict.fromkeys(_SKIPPED, "skip")}
_REVIEWED = {
    **dict.fromkeys((*_OVERRIDDEN, *_CLEAN), ItemState.SUCCEEDED),
    **dict.fromkeys(_SKIPPED, ItemState.SKIPPED),
    **dict.fromkeys(_WAITING, ItemState.NEEDS_REVIEW),
}


@attrs.define(eq=False)
class Story:
    """
    What is killed again and again, and what must come of it.

    Attributes:
        services: those of the processes; the first one also of who comes afterwards.
        ends: how each mentor ends.
        request: what is asked for, but for the activity's type: each key has its own.
        registered: mentors who have a record before.
        reviewed: whether a review is killed, of a batch that was submitted before.
    """

    scene: Any
    services: Sequence[str]
    ends: Mapping[str, ItemState]
    request: Mapping[str, Any]
    registered: Sequence[str] = ()
    reviewed: bool = False
    _batches: dict[str, str] = attrs.field(factory=dict, init=False)
    _before: dict[tuple[str, str], str] = attrs.field(factory=dict, init=False)

    async def prepare(self, keys: Sequence[str]) -> None:
        """
        Bring about what is there before the process that is killed.
        """
        for key in keys:
            self.scene.requests[key] = {**self.request, "activity_type": f"visit: {key}"}
        async with self.scene.survivor(self.service) as orchestrator:
            await _register_before(self, orchestrator, keys)
            for key in keys if self.reviewed else ():
                self._batches[key] = (await self.scene.submit(orchestrator, key)).batch_id

    @property
    def service(self) -> str:
        """
        Return the service of who comes afterwards.
        """
        return self.services[0]

    def order(self, key: str, **rest: Any) -> dict[str, Any]:
        """
        Return an order for one process that does what may be killed.
        """
        todo: dict[str, Any] = {"service": self.service}
        if self.reviewed:
            todo |= {"verb": "review", "decisions": _DECISIONS, "batches": [self._batches[key]]}
        return dict(self.scene.order(key, **(todo | rest)))

    async def redeliver(self, orchestrator: BulkRegistrationOrchestrator, key: str) -> Any:
        """
        Ask for the same once more, as a host does that cannot know how far it came.
        """
        if not self.reviewed:
            return await self.scene.submit(orchestrator, key)
        decisions = {name: ConflictDecision(decision) for name, decision in _DECISIONS.items()}
        coordinator = self.scene.victim.COORDINATOR
        return await orchestrator.resolve_conflicts(self._batches[key], decisions, actor=coordinator)

    async def check_killed(self, orchestrator: BulkRegistrationOrchestrator, keys: Sequence[str]) -> None:
        """
        Check what the killed processes left.
        """
        for key in keys if not self.reviewed else ():
            await self.scene.check_doubt(orchestrator, key)
        for key, batch in (await self.scene.batches(orchestrator)).items():
            if self.request.get("mode") == "atomic":
                records = await orchestrator.repository.activities_of_batch(batch.batch_id)
                assert len(records) in {0, list(self.ends.values()).count(ItemState.SUCCEEDED)}, key

    async def check_ends(
        self, orchestrator: BulkRegistrationOrchestrator, keys: Sequence[str], *, most: int | None = None
    ) -> None:
        """
        Check that everything came to its end once, and that asking again changes nothing.

        At most `most` deliveries of an event; `None`: one, and two where the answer was hidden.
        """
        for key in keys:
            result = await self.redeliver(orchestrator, key)
            runs = 2 if self.reviewed else 1
            last = [event for event in self.scene.deliveries(result.batch_id) if event.endswith(f"-{runs}")]
            hidden = self.scene.trace(key)[-1] in {"audit ends", "before mark_audited"}

            assert runs == result.run, key
            ends = self.ends
            if self.registered and not self.reviewed and result.needs_review:
                # A call that the kill cut off may itself have written what its repetition met; decision 115.
                ends = dict.fromkeys(ends, ItemState.NEEDS_REVIEW)
            await self.scene.check_end(orchestrator, result, runs=runs, ends=ends)
            assert len(last) <= most if most else len(last) == 1 + hidden, key
            await self._check_overrides(orchestrator, key, result.batch_id)

    async def _check_overrides(
        self, orchestrator: BulkRegistrationOrchestrator, key: str, batch_id: str
    ) -> None:
        overridden = _OVERRIDDEN if self.reviewed else ()
        expected = {name: self._before[key, name] for name in overridden}
        records = await orchestrator.repository.activities_of_batch(batch_id)
        told = self.scene.overrides_told(f"{batch_id}:run-{2 if self.reviewed else 1}")

        assert expected == {
            record.registration.mentor_id: record.registration.override_of
            for record in records
            if record.registration.override_of is not None
        }, key
        assert [[list(pair) for pair in expected.items()]] * len(told) == told, key


async def _register_before(
    story: Story, orchestrator: BulkRegistrationOrchestrator, keys: Sequence[str]
) -> None:
    registrations = [
        ProxyRegistration(
            registration_id=f"before: {key}:{entry.mentor_id}",
            idempotency_key=f"before: {key}:{entry.mentor_id}:0",
            batch_id="before",
            mentor_id=entry.mentor_id,
            activity=entry.activity,
            registered_by=story.scene.victim.COORDINATOR,
        )
        for key in keys
        for entry in story.scene.victim.request_for(key, story.scene.day, **story.scene.requests[key]).entries
        if entry.mentor_id in story.registered
    ]
    service = StandardRegistrationService(repository=orchestrator.repository)
    answers = await service.register_many(registrations, atomic=True)
    names = [(key, name) for key in keys for name in story.registered]
    for name, answer in zip(names, answers, strict=True):
        assert isinstance(answer, RegistrationReceipt)
        story._before[name] = answer.activity_id


def _bulk(scene: Any, *services: str) -> Story:
    scene.settings = _CHUNKS
    return Story(scene=scene, services=services, ends=scene.usual_ends, request={})


def _atomic(scene: Any, *services: str, registered: Sequence[str] = ()) -> Story:
    """
    All or nothing: nothing as soon as one is registered before, which only the database says.
    """
    scene.duplicates = True
    end = ItemState.FAILED if registered else ItemState.SUCCEEDED
    accepted = scene.victim.ACCEPTED
    return Story(
        scene=scene,
        services=services,
        ends=dict.fromkeys(accepted, end),
        request={"mode": "atomic", "mentors": accepted},
        registered=registered,
    )


def _review(scene: Any, *services: str) -> Story:
    scene.duplicates = True
    return Story(
        scene=scene,
        services=services,
        ends=_REVIEWED,
        request={"mentors": _GROUP},
        registered=(*_OVERRIDDEN, *_SKIPPED, *_WAITING),
        reviewed=True,
    )


_BULK_SERVICES = (
    "bulk with look-up",
    "bulk",
    "picky bulk",
    "forgetful bulk",
    "cut-off bulk",
    "cut-off bulk with look-up",
)

_STORIES: dict[str, Callable[[Any], Story]] = {
    "bulk, halved": lambda scene: _bulk(scene, "picky bulk"),
    "all": lambda scene: _atomic(scene, "bulk with look-up"),
    "nothing": lambda scene: _atomic(scene, "bulk", registered=("mentor-05",)),
    "review": lambda scene: _review(scene, "checking"),
    "review in bulk": lambda scene: _review(scene, "checking bulk"),
}

_DRAWN: dict[str, Callable[[Any], Story]] = {
    "bulk": lambda scene: _bulk(scene, *_BULK_SERVICES),
    "all": lambda scene: _atomic(scene, "cut-off bulk", "bulk with look-up"),
    "nothing": _STORIES["nothing"],
    "review": lambda scene: _review(scene, "checking bulk", "checking"),
}


async def _whole_life(story: Story, *, statements: bool) -> int:
    """
    Return how many moments it has.
    """
    await story.prepare(["rehearsal"])
    assert [0] == story.scene.run([story.order("rehearsal", statements=statements)])
    return len(story.scene.trace("rehearsal"))


@pytest.mark.parametrize("name", _STORIES)
async def test_a_kill_at_any_write_or_call_loses_nothing_and_doubles_nothing(scene: Any, name: str) -> None:
    """
    Before and after each write, and around each call; then the same is asked for again, twice.
    """
    story = _STORIES[name](scene)
    moments = range(1, 1 + await _whole_life(story, statements=False))
    keys = [f"moment {number}" for number in moments]
    await story.prepare(keys)

    statuses = scene.run(
        story.order(key, strike={"number": number}) for key, number in zip(keys, moments, strict=True)
    )

    # How many outcomes share a commit is up to the threads, so that the last moments may not come.
    assert {_KILLED, 0} >= set(statuses)
    assert statuses.count(0) <= len(keys) // 4
    async with scene.survivor(service=story.service) as orchestrator:
        await story.check_killed(orchestrator, keys)
        async with anyio.create_task_group() as hosts:
            for key in keys:
                hosts.start_soon(story.redeliver, orchestrator, key)
        await orchestrator.resume_interrupted()
        await story.check_ends(orchestrator, keys)


@pytest.mark.parametrize("name", _DRAWN)
async def test_a_kill_between_any_two_statements_loses_nothing_and_doubles_nothing(
    scene: Any, name: str
) -> None:
    """
    At random moments, and the process that resumes is killed as well.
    """
    story = _DRAWN[name](scene)
    moments = await _whole_life(story, statements=True)
    draw = random.Random(f"{name}-{scene.backend}")  # noqa: S311 - has to be repeatable, not secret
    strikes = sorted(draw.sample(range(1, moments + 1), min(moments, _KILLS_PER_STORY)))
    keys = [f"moment {number}" for number in strikes]
    await story.prepare(keys)

    statuses = scene.run(
        story.order(
            key,
            service=draw.choice(story.services),
            strike={"number": number},
            statements=True,
        )
        for key, number in zip(keys, strikes, strict=True)
    )
    assert {_KILLED, 0} >= set(statuses)
    assert _KILLED in statuses

    second = {"number": draw.randint(1, 200)}
    order = scene.order("resumer", verb="resume", service=story.service, strike=second, statements=True)
    assert {_KILLED, 0} >= set(scene.run([order]))
    async with scene.survivor(service=story.service) as orchestrator:
        await story.check_killed(orchestrator, keys)
        await orchestrator.resume_interrupted()
        for key in keys:
            await story.redeliver(orchestrator, key)
        await orchestrator.resume_interrupted()
        await story.check_ends(orchestrator, keys, most=3)
