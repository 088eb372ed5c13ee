"""
Personal data fed through every verb of bulk registration, under every fault: no log, error or repr shows it.
"""

from datetime import date, timedelta
from functools import partial

import attrs
import pytest

from proxy_orchestration import (
    BulkRegistrationOrchestrator,
    BulkRegistrationRequest,
    BulkSettings,
    ConflictDecision,
    OutcomeUnknownError,
    ProxyActivity,
    RepositoryUnavailableError,
)
from proxy_orchestration._backoff import RetryPolicy
from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.registration.conflicts import Conflict, ConflictKind
from proxy_orchestration.testing import (
    CheckingBulkRegistrationService,
    CheckingRegistrationService,
    FaultyActivityRepository,
    LookupRegistrationService,
    duplicate,
    fail,
    hang,
    reject,
    succeed,
)

pytestmark = [pytest.mark.dateless, pytest.mark.untraced]

_SETTINGS = BulkSettings(
    call_timeout=5.0,
    cancel_grace=5.0,
    poll_interval=5.0,
    audit_timeout=5.0,
    retry=RetryPolicy(max_attempts=2, initial=1.0, jitter=0.0),
)


@attrs.define(eq=False, slots=False)
class OneByOne(CheckingRegistrationService, LookupRegistrationService):
    """
    A scripted service with look-up and conflict check, and nothing for many.
    """


@attrs.define(eq=False, slots=False)
class Hands(FaultyActivityRepository):
    """
    A store that keeps what is handed over and back at each write.
    """

    held: list = attrs.field(factory=list, init=False)

    async def _write(self, method, call, *args, **kwargs):
        answer = await super()._write(method, call, *args, **kwargs)
        self.held += [each for each in (*args, answer) if attrs.has(type(each))]
        return answer


@attrs.define(eq=False)
class World:
    """
    A scene with personal data wherever a host may put it, and two batches: one settled, one accepted.
    """

    scene: object
    witness: object
    personal: str
    settled: str = ""
    waiting: str = ""
    orchestrator: BulkRegistrationOrchestrator | None = None

    def request(self, key=None, **rest):
        """
        Return a request for three mentors.
        """
        activity = ProxyActivity(
            activity_type="visit",
            activity_date=date(2025, 12, 30),
            duration_minutes=45,
            notes=self.personal,
            details={self.personal: [self.personal]},
        )
        mentors = ["mentor-0", "mentor-1", "mentor-2"]
        return BulkRegistrationRequest.for_mentors(
            mentors, activity, idempotency_key=key, label=self.personal[:200], **rest
        )

    async def prepare(self):
        """
        Leave one mentor rejected and one in review, and a second batch that nobody drove.
        """
        service, actor = self.scene.service, self.scene.actor
        service.script = lambda one, _: (
            reject("refused", self.personal) if "1" in one.mentor_id else succeed()
        )
        service.conflict_script = lambda one: (
            Conflict(mentor_id=one.mentor_id, kind=ConflictKind.DUPLICATE, existing_activity_id="activity-9")
            if "2" in one.mentor_id
            else None
        )
        done = await self.orchestrator.submit_bulk_registration(self.request(), actor=actor)
        left = await self.orchestrator.submit_bulk_registration(self.request(), actor=actor, drive=False)
        self.settled, self.waiting = done.batch_id, left.batch_id
        self.witness.saw(done, left, self.orchestrator)
        service.script = lambda _one, _call: succeed()

    async def handled(self):
        """
        Show the witness what went through anybody's hands.
        """
        scene, store = self.scene, self.scene.repository
        seen = [*scene.service.calls, *scene.service.records.values(), *scene.service.conflict_checks]
        seen += [*store.held, *scene.audit.deliveries]
        for batch_id in (self.settled, self.waiting):
            seen += [await store.get(batch_id), await store.read_items(batch_id)]
            seen += [await store.read_updates(batch_id, after=0, limit=100)]
        self.witness.saw(*seen)


async def _read(updates):
    return [update async for update in updates]


async def _preview(world, verbs, actor):
    return await verbs.preview(world.request(), actor=actor)


async def _submit(world, verbs, actor):
    return await verbs.submit_bulk_registration(world.request("key-1"), actor=actor)


async def _submit_within(world, verbs, actor):
    # This store takes no part in a host's transaction, and says so without showing the connection.
    return await verbs.submit_within(world.personal, world.request("key-1"), actor=actor)


async def _submit_whole(world, verbs, actor):
    return await verbs.submit_bulk_registration(
        world.request(mode="atomic", on_conflict="override"), actor=actor
    )


async def _stream(world, verbs, actor):
    async with verbs.stream_bulk_registration(world.request(), actor=actor) as run:
        return await _read(run), run, run.result


async def _status(world, verbs, actor):
    return await verbs.get_bulk_submission_status(world.settled, actor=actor)


async def _summary(world, verbs, actor):
    return await verbs.get_batch_summary(world.settled, actor=actor)


async def _items(world, verbs, actor):
    page = await verbs.read_items(world.settled, actor=actor)
    return page, repr(page)


async def _retry(world, verbs, actor):
    return await verbs.retry_failed_items(world.settled, actor=actor)


async def _resolve(world, verbs, actor):
    return await verbs.resolve_conflicts(world.settled, {"mentor-2": ConflictDecision.OVERRIDE}, actor=actor)


async def _cancel(world, verbs, actor):
    return await verbs.cancel_batch(world.waiting, actor=actor, reason=world.personal)


async def _pause(world, verbs, actor):
    return await verbs.pause_batch(world.waiting, actor=actor)


async def _unpause(world, verbs, actor):
    return await verbs.resume_batch(world.waiting, actor=actor)


async def _drive(world, verbs, _actor):
    async with verbs.drive_batch(world.waiting) as run:
        return await _read(run), run, run.result


async def _watch(world, verbs, actor):
    async with verbs.watch_batch(world.settled, actor=actor) as run:
        return await _read(run), run, run.result


async def _list(world, verbs, actor):
    return await verbs.list_batches(actor=actor, label=world.personal)


async def _relabel(world, verbs, actor):
    return await verbs.relabel_batch(world.settled, world.personal, actor=actor)


async def _delete(world, verbs, actor):
    return await verbs.delete_batch(world.settled, actor=actor, with_open_reviews=True)


async def _resume(_world, verbs, _actor):
    return await verbs.resume_interrupted()


async def _serve(world, verbs, _actor):
    async with open_task_group() as crew:
        await crew.start(verbs.serve)
        await world.scene.clock.sleep(30.0)
        crew.cancel_scope.cancel()


async def _take_over(world, verbs, _actor):
    return await verbs.take_over(world.waiting)


async def _drive_if_free(world, verbs, _actor):
    return await verbs.drive_if_free(world.waiting)


async def _waiting_runs(_world, verbs, _actor):
    return await verbs.waiting_runs(limit=10)


async def _deliver_audit(_world, verbs, _actor):
    return await verbs.deliver_audit()


async def _check_health(_world, verbs, _actor):
    return await verbs.check_health()


async def _purge(world, verbs, _actor):
    return await verbs.purge(settled_before=world.scene.clock.now() + timedelta(days=1))


async def _purge_audit_events(world, verbs, _actor):
    return await verbs.purge_audit_events(settled_before=world.scene.clock.now() + timedelta(days=1))


async def _purge_tombstones(world, verbs, _actor):
    return await verbs.purge_tombstones(accepted_before=world.scene.clock.now() + timedelta(days=1))


async def _export(world, verbs, _actor):
    export = await verbs.export_mentor("mentor-1", organization_id=world.scene.actor.organization_id)
    return export, repr(export)


async def _erase(world, verbs, _actor):
    return await verbs.erase_mentor("mentor-1", organization_id=world.scene.actor.organization_id)


VERBS = {
    "preview": _preview,
    "submit_bulk_registration": _submit,
    "submit_bulk_registration, all or nothing": _submit_whole,
    "submit_within": _submit_within,
    "stream_bulk_registration": _stream,
    "get_bulk_submission_status": _status,
    "get_batch_summary": _summary,
    "read_items": _items,
    "retry_failed_items": _retry,
    "resolve_conflicts": _resolve,
    "cancel_batch": _cancel,
    "pause_batch": _pause,
    "resume_batch": _unpause,
    "drive_batch": _drive,
    "watch_batch": _watch,
    "list_batches": _list,
    "relabel_batch": _relabel,
    "delete_batch": _delete,
    "resume_interrupted": _resume,
    "serve": _serve,
    "take_over": _take_over,
    "check_health": _check_health,
    "drive_if_free": _drive_if_free,
    "waiting_runs": _waiting_runs,
    "deliver_audit": _deliver_audit,
    "purge": _purge,
    "purge_audit_events": _purge_audit_events,
    "purge_tombstones": _purge_tombstones,
    "export_mentor": _export,
    "erase_mentor": _erase,
}


def _service_says(reply):
    def set_up(world):
        service = world.scene.service
        service.script = lambda _one, _call: reply(world)
        service.chunk_script = lambda _many, _call: reply(world)

    return set_up


def _for_each_row(reply):
    def set_up(world):
        world.scene.service.script = lambda _one, _call: reply(world)

    return set_up


def _look_up_fails(world):
    world.scene.service.lookup_script = lambda _key, _call: fail(world.witness.host_error())
    _service_says(lambda _: hang())(world)


def _check_says(reply):
    def set_up(world):
        world.scene.service.conflict_reply = reply(world)

    return set_up


def _garbage(world):
    world.scene.service.garble = lambda _answers, _call: [world.personal]
    world.scene.service.conflict_script = lambda _one: world.personal
    world.scene.service._receipt_of = lambda _key: world.personal


def _store_says(error, when="before"):
    def set_up(world):
        def hook(_point):
            raise error(world)

        setattr(world.scene.repository, when, hook)

    return set_up


def _scope_fails(world):
    world.scene.access.broken = world.witness.host_error()


def _audit_says(reply):
    def set_up(world):
        world.scene.audit.script = lambda _event, _call: reply(world)

    return set_up


def _unavailable(_world):
    return RepositoryUnavailableError("The store is closed.", advice="Open it.")


FAULTS = {
    "all is well": lambda _world: None,
    "the service raises": _service_says(lambda world: fail(world.witness.host_error())),
    "the service's connection breaks": _service_says(lambda world: fail(world.witness.host_error(OSError))),
    "the service's answer is lost": _service_says(lambda world: fail(OutcomeUnknownError(world.personal))),
    "the service hangs": _service_says(lambda _: hang(written=True)),
    "the service rejects": _for_each_row(lambda world: reject("refused", world.personal)),
    "the service finds a duplicate": _for_each_row(lambda _: duplicate("activity-9")),
    "the service answers nonsense": _garbage,
    "the look-up raises": _look_up_fails,
    "the check raises": _check_says(lambda world: fail(world.witness.host_error())),
    "the check hangs": _check_says(lambda _: hang()),
    "the scope cannot be asked": _scope_fails,
    "the store is unavailable": _store_says(_unavailable),
    "the store's answers are lost": _store_says(_unavailable, when="after"),
    "the store raises": _store_says(lambda world: world.witness.host_error()),
    "the audit logger raises": _audit_says(lambda world: fail(world.witness.host_error())),
    "the audit logger hangs": _audit_says(lambda _: hang()),
}

PASSED_ON = {"the scope cannot be asked", "the store raises"}
"""Where a verb has no answer without a host's part, that part's own error comes back, as it is."""


@pytest.fixture
def make_world(scene_with, witness, canaries):
    """
    Return a function that makes a world over such a service.
    """

    def make(service):
        scene = scene_with(service)
        scene.settings, scene.access = _SETTINGS, canaries.OpenAccess()
        scene.repository = Hands(scene.repository)
        world = World(scene, witness, canaries.PERSONAL)
        world.orchestrator = scene.orchestrator()
        return world

    return make


def _cases():
    """
    Yield every verb under every fault; those of the service for both kinds of service.
    """
    for verb in VERBS:
        for fault in FAULTS:
            yield pytest.param(verb, fault, CheckingBulkRegistrationService, "asyncio")
            if fault.startswith(("all", "the service", "the look-up")):
                yield pytest.param(verb, fault, OneByOne, "trio")


@pytest.mark.parametrize(("verb", "fault", "service", "anyio_backend"), list(_cases()))
async def test_no_verb_shows_personal_data_under_any_fault(make_world, verb, fault, service):
    """
    Not in a log, an error and what hangs on it, or a repr; a host's own error comes back where it must.
    """
    world = make_world(service())
    await world.scene.while_time_passes(world.prepare)
    FAULTS[fault](world)
    work = partial(VERBS[verb], world, world.orchestrator, world.scene.actor)
    await world.scene.while_time_passes(lambda: world.witness.watch(work))
    world.scene.repository.before = world.scene.repository.after = lambda _point: None
    await world.handled()

    assert [] == world.witness.leaks()
    assert fault in PASSED_ON or not world.witness.returned


def test_every_public_verb_is_played(canaries):
    """
    A verb that somebody adds has to be added to the play.
    """
    assert canaries.public_coroutines(BulkRegistrationOrchestrator) == {
        name.partition(",")[0] for name in VERBS
    }
