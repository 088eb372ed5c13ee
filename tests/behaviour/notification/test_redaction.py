"""
Personal data fed through every verb of notification, under every fault: no log, error or repr shows it.
"""

import attrs
import pytest

from proxy_orchestration import Actor, RepositoryUnavailableError, Role
from proxy_orchestration._concurrency import open_task_group
from proxy_orchestration.notification.dispatcher import PushDispatcher
from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.messages import NoticeText
from proxy_orchestration.notification.notices import PushOutcome, PushTarget, PushVerdict
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.records import MentorRecipients
from proxy_orchestration.ports import RecordRefusedError
from proxy_orchestration.storage.memory import MemoryVisibilityRegistry
from proxy_orchestration.testing import fail, slow
from proxy_orchestration.testing.notification import ScriptedPushEligibility
from proxy_orchestration.testing.notification_faults import FaultyNotificationRepository

pytestmark = pytest.mark.dateless

COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")


class Words:
    """
    A catalogue that writes whatever it is told, or raises.
    """

    def __init__(self, text):
        self.text = text
        self.broken = None

    def render(self, notice, /):
        """
        Return the text with everything that is known.
        """
        if self.broken is not None:
            raise self.broken
        return NoticeText(f"{self.text} {notice.holder_name}", f"{self.text} {notice.link}")


class Registry(MemoryVisibilityRegistry):
    """
    A registry that answers, raises or hangs.
    """

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.reply = None

    async def track(self, ends, /, *, at, **_rest):
        """
        Suppress nobody.
        """
        if self.reply is not None:
            await self.reply.wait(self.clock)
            await self.reply.finish()
        return 0

    async def hidden(self, mentor_ids, /, *, at):
        """
        Hide nobody.
        """
        return ()


@attrs.define(eq=False, slots=False)
class Hands(FaultyNotificationRepository):
    """
    A store that keeps what is handed over and back at each write.
    """

    held: list = attrs.field(factory=list, init=False)

    async def _write(self, method, call, *args, **kwargs):
        answer = await super()._write(method, call, *args, **kwargs)
        self.held += [*args, answer] if method != "replay_dead" else []
        return answer


@attrs.define(eq=False)
class World:
    """
    A scene with personal data wherever a host may put it, and a queue of pushes.
    """

    scene: object
    witness: object
    canaries: object
    notice_id: str = ""

    @property
    def verbs(self):
        """
        Return a new orchestrator.
        """
        return self.scene.orchestrator()

    def certificates(self, number=3):
        """
        Return three certificates that are due, and five poisoned records.
        """
        words = self.canaries
        return [
            *(
                self.scene.certificate(
                    n, days=(30, 7, -3)[n % 3], holder_name=words.NAME, certificate_id=f"{words.NUMBER}-{n}"
                )
                for n in range(number, number + 3)
            ),
            self.scene.certificate(90, expires=words.PERSONAL, certificate_id=words.NUMBER),
            self.scene.certificate(91, mentor_id="", certificate_id=words.NUMBER),
            self.scene.certificate(92, expires=self.scene.clock.now().replace(tzinfo=None)),
            words.PERSONAL,
            {"holder_name": words.NAME},
        ]

    async def prepare(self):
        """
        Write notices and queue pushes.
        """
        certificates = self.certificates(0)
        self.witness.saw(self.verbs, self.scene.dispatcher(), *certificates[:-2])
        self.witness.saw(await self.verbs.run(certificates))
        inbox = await self.scene.repository.notifications_for("coord-1")
        self.notice_id = inbox[0].notification_id

    async def handled(self):
        """
        Show the witness what went through anybody's hands.
        """
        store, witness = self.scene.repository, self.witness
        witness.saw(*store.held, *self.scene.sender.sent, *await store.notifications_for("coord-1"))
        witness.saw(*await store.acknowledgements(None, limit=10), *store.inner._runs)
        witness.saw(PushTarget(kind="token", value=self.canaries.DEVICE))


async def _run(world):
    return await world.verbs.run(world.certificates())


async def _plan(world):
    return await world.verbs.plan(world.certificates())


async def _stream(world):
    async with world.verbs.stream(world.certificates()) as outcomes:
        return [outcome async for outcome in outcomes]


async def _renew(world):
    later = [world.scene.certificate(n, days=700, holder_name=world.canaries.NAME) for n in range(3)]
    return await world.verbs.record_renewals(later)


async def _renew_nonsense(world):
    return await world.verbs.record_renewals(world.certificates()[3:4])


async def _renew_naive(world):
    return await world.verbs.record_renewals(world.certificates()[5:6])


async def _acknowledge(world):
    return await world.verbs.acknowledge(world.notice_id, actor=COORDINATOR, note=world.canaries.PERSONAL)


async def _acknowledge_at_length(world):
    return await world.verbs.acknowledge(world.notice_id, actor=COORDINATOR, note=world.canaries.PERSONAL * 9)


async def _acknowledge_a_mentor_s(world):
    (notice,) = await world.scene.repository.notifications_for("mentor-1")
    return await world.verbs.acknowledge(notice.notification_id, actor=COORDINATOR, note=world.canaries.NAME)


async def _list_runs(world):
    admin = Actor(user_id="admin-1", roles={Role.CHAPTER_ADMIN}, organization_id="oslo")
    return await world.verbs.list_runs(actor=admin)


async def _purge_notices(world):
    return await world.verbs.purge_notices(created_before=world.scene.clock.now())


async def _purge_pushes(world):
    return await world.verbs.purge_pushes(due_before=world.scene.clock.now())


async def _purge_runs(world):
    return await world.verbs.purge_runs(started_before=world.scene.clock.now())


async def _purge_visibility_changes(world):
    return await world.verbs.purge_visibility_changes(changed_before=world.scene.clock.now())


async def _list_visibility_changes(world):
    return await world.verbs.list_visibility_changes(actor=COORDINATOR)


async def _restore_visibility(world):
    return await world.verbs.restore_visibility("mentor-1", actor=COORDINATOR, reason=world.canaries.NAME)


async def _export_mentor(world):
    return await world.verbs.export_mentor("mentor-1")


async def _erase_mentor(world):
    return await world.verbs.erase_mentor("mentor-1")


async def _inbox(world):
    return await world.verbs.inbox("coord-1", actor=COORDINATOR)


async def _another_s_inbox(world):
    return await world.verbs.inbox(world.canaries.NAME, actor=COORDINATOR)


async def _mark_read(world):
    return await world.verbs.mark_read(world.notice_id, actor=COORDINATOR)


async def _mark_all_read(world):
    return await world.verbs.mark_all_read(actor=COORDINATOR)


async def _remind_later(world):
    return await world.verbs.remind_later(world.notice_id, actor=COORDINATOR)


async def _drain(world):
    return await world.scene.dispatcher().drain()


async def _serve(world):
    async with open_task_group() as tasks:
        await tasks.start(world.scene.dispatcher().serve)
        await world.scene.clock.sleep(90.0)
        tasks.cancel_scope.cancel()


async def _replay(world):
    return await world.scene.dispatcher().replay_dead()


async def _dead(world):
    return await world.scene.dispatcher().dead_pushes(actor=COORDINATOR)


async def _replay_own(world):
    return await world.scene.dispatcher().replay_pushes(actor=COORDINATOR)


VERBS = {
    "run": _run,
    "plan": _plan,
    "stream": _stream,
    "record_renewals": _renew,
    "record_renewals, of nonsense": _renew_nonsense,
    "record_renewals, without a zone": _renew_naive,
    "acknowledge": _acknowledge,
    "acknowledge, at length": _acknowledge_at_length,
    "acknowledge, a mentor's notice": _acknowledge_a_mentor_s,
    "list_runs": _list_runs,
    "purge_notices": _purge_notices,
    "purge_pushes": _purge_pushes,
    "purge_runs": _purge_runs,
    "purge_visibility_changes": _purge_visibility_changes,
    "list_visibility_changes": _list_visibility_changes,
    "restore_visibility": _restore_visibility,
    "export_mentor": _export_mentor,
    "erase_mentor": _erase_mentor,
    "inbox": _inbox,
    "inbox, another's": _another_s_inbox,
    "mark_read": _mark_read,
    "mark_all_read": _mark_all_read,
    "remind_later": _remind_later,
    "drain": _drain,
    "serve": _serve,
    "dead_pushes": _dead,
    "replay_pushes": _replay_own,
    "replay_dead": _replay,
}


def _part_says(name, reply):
    def set_up(world):
        getattr(world.scene, name).reply = reply(world)

    return set_up


def _raises(world):
    return fail(world.witness.host_error())


def _hangs(_world):
    return slow(3600.0)


def _store_says(error):
    def set_up(world):
        def hook(_point):
            raise error(world)

        world.scene.repository.before = hook

    return set_up


def _words_fail(world):
    world.scene.rest["messages"].broken = world.witness.host_error(KeyError)


def _directory_answers_nonsense(world):
    text = world.canaries.PERSONAL
    world.scene.directory.recipients = dict.fromkeys(world.scene.directory.recipients, text)


def _sender_answers(outcome):
    def set_up(world):
        world.scene.sender.script = lambda message, _attempt: outcome(world, message)

    return set_up


FAULTS = {
    "all is well": lambda _world: None,
    "the directory raises": _part_says("directory", _raises),
    "the directory hangs": _part_says("directory", _hangs),
    "the directory answers nonsense": _directory_answers_nonsense,
    "the words cannot be found": _words_fail,
    "the registry raises": _part_says("visibility", _raises),
    "the registry hangs": _part_says("visibility", _hangs),
    "the store is unavailable": _store_says(lambda _: RepositoryUnavailableError("Closed.", advice="Wait.")),
    "the store refuses": _store_says(lambda _: RecordRefusedError()),
    "the store raises": _store_says(lambda world: world.witness.host_error()),
    "the eligibility raises": _part_says("eligibility", _raises),
    "the sender raises": _part_says("sender", _raises),
    "the sender hangs": _part_says("sender", _hangs),
    "the sender answers nonsense": _sender_answers(lambda world, _: world.canaries.PERSONAL),
    "the sender answers with a text": _sender_answers(
        lambda world, message: PushOutcome(message.message_id, PushVerdict.DEAD, code=world.canaries.PERSONAL)
    ),
    "the sender refuses": _sender_answers(lambda _, message: PushOutcome.dead(message, "payload_invalid")),
}

PASSED_ON = {"the store raises"}
"""Where a verb has no answer without a host's part, that part's own error comes back, as it is."""


@pytest.fixture
def world(scene, witness, canaries):
    """
    Return a world in which every dependency is there.
    """
    scene.repository = Hands(scene.repository)
    scene.directory.recipients = {f"mentor-{n}": MentorRecipients(coordinator_id="coord-1") for n in range(9)}
    scene.visibility, scene.eligibility = Registry(scene.clock), ScriptedPushEligibility(clock=scene.clock)
    links = EnrollmentLinks(
        secret=canaries.SECRET, base_url="https://courses.example.invalid", courses={}, clock=scene.clock
    )
    scene.rest = {"messages": Words(canaries.PERSONAL), "enrollment": links}
    return World(scene, witness, canaries)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", VERBS)
async def test_no_verb_of_notification_shows_personal_data_under_any_fault(world, verb, fault):
    """
    Not in a log, an error and what hangs on it, or a repr; poisoned records among the certificates.
    """
    await world.scene.while_time_passes(world.prepare)
    FAULTS[fault](world)
    await world.scene.while_time_passes(lambda: world.witness.watch(lambda: VERBS[verb](world)))
    await world.handled()

    assert [] == world.witness.leaks()
    assert fault in PASSED_ON or not world.witness.returned


async def test_a_source_that_fails_gets_its_own_error_back(world):
    """
    What was read before it is written; the error is the host's, and nothing is added to it.
    """

    def source():
        yield from world.certificates()
        raise world.witness.host_error()

    await world.witness.watch(lambda: world.verbs.run(source()))
    await world.witness.watch(lambda: world.verbs.run([], as_of=world.scene.clock.now().replace(tzinfo=None)))
    await world.handled()

    assert world.witness.own == world.witness.returned
    assert [] == world.witness.leaks()


@pytest.mark.parametrize("kind", [NotificationOrchestrator, PushDispatcher])
def test_every_public_verb_of_notification_is_played(canaries, kind):
    """
    A verb that somebody adds has to be added to the play.
    """
    played = {name.partition(",")[0] for name in VERBS}
    both = [canaries.public_coroutines(each) for each in (NotificationOrchestrator, PushDispatcher)]

    assert canaries.public_coroutines(kind) <= played
    assert played == set.union(*both)
