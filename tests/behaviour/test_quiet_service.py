"""
Personal data fed through every verb of the standard registration service: no log, error or repr shows it.
"""

from datetime import timedelta

import attrs
import pytest

from proxy_orchestration import CoordinatorAccess, ProxyActivity, RepositoryUnavailableError
from proxy_orchestration.ports import RecordRefusedError
from proxy_orchestration.registration.activities import ProxyRegistration
from proxy_orchestration.registration.standard.service import StandardRegistrationService
from proxy_orchestration.registration.standard.single import DuplicateWarning
from proxy_orchestration.testing import FaultyActivityRepository, fail, hang

pytestmark = pytest.mark.dateless


@attrs.define(eq=False)
class World:
    """
    A service whose registrations hold personal data wherever a host may put it.
    """

    scene: object
    witness: object
    personal: str
    access: CoordinatorAccess
    service: StandardRegistrationService = attrs.field(init=False)
    rule_fails: BaseException | None = None

    def __attrs_post_init__(self):
        self.scene.repository = FaultyActivityRepository(self.scene.repository)
        self.service = StandardRegistrationService(
            repository=self.scene.repository,
            clock=self.scene.clock,
            access_policy=self.access,
            audit_logger=self.scene.audit,
            duplicate_rule=self._rule,
        )

    def _rule(self, registration):
        if self.rule_fails is not None:
            raise self.rule_fails
        return f"{self.personal} {registration.mentor_id}"

    def activity(self, **rest):
        """
        Return an activity of today.
        """
        day = self.scene.clock.now().date()
        fields = {"activity_type": "visit", "activity_date": day, "duration_minutes": 45, **rest}
        return ProxyActivity(notes=self.personal, details={self.personal: self.personal}, **fields)

    def registration(self, name, mentor_id="mentor-1", **rest):
        """
        Return a registration of a batch.
        """
        return ProxyRegistration(
            registration_id=name,
            idempotency_key=f"{name}:0",
            batch_id="batch-1",
            mentor_id=mentor_id,
            activity=self.activity(**rest),
            registered_by=self.scene.actor,
        )


async def _single(world):
    return await world.service.register_proxy_activity(
        "mentor-2", world.activity(), actor=world.scene.actor, idempotency_key="form-2"
    )


async def _again_with_another_activity(world):
    return await world.service.register_proxy_activity(
        "mentor-1", world.activity(duration_minutes=5), actor=world.scene.actor, idempotency_key="form-1"
    )


async def _confirm(world):
    warning = DuplicateWarning(
        existing_activity_id="activity-9",
        mentor_id="mentor-3",
        activity=world.activity(),
        idempotency_key="form-3",
    )
    return await world.service.confirm_despite_duplicate(warning, actor=world.scene.actor)


async def _warned(world):
    return await world.service.register_proxy_activity(
        "mentor-1", world.activity(), actor=world.scene.actor, idempotency_key="form-4"
    )


async def _register(world):
    return await world.service.register(world.registration("one", "mentor-4"))


async def _register_late(world):
    day = world.scene.clock.now().date() - timedelta(days=400)
    return await world.service.register(world.registration("late", "mentor-4", activity_date=day))


async def _many(world):
    rows = [world.registration(f"row-{number}", f"mentor-{number}") for number in range(3)]
    return await world.service.register_many(rows, atomic=False)


async def _whole(world):
    rows = [world.registration(f"row-{number}", f"mentor-{number}") for number in range(3)]
    return await world.service.register_many(rows, atomic=True)


async def _find(world):
    return await world.service.find_registration("row-0")


async def _conflicts(world):
    return await world.service.find_conflicts([world.registration("other"), world.registration("third")])


async def _look_through(world):
    return await world.service.list_activities(actor=world.scene.actor, mentor_ids=["mentor-1"])


async def _correct(world):
    (record,) = world.scene.repository.inner._records.values()
    return await world.service.request_correction(
        record.activity_id, world.personal, actor=world.scene.actor, idempotency_key="form-5"
    )


VERBS = {
    "list_activities": _look_through,
    "request_correction": _correct,
    "register_proxy_activity": _single,
    "register_proxy_activity, warned": _warned,
    "register_proxy_activity, with a used key": _again_with_another_activity,
    "confirm_despite_duplicate": _confirm,
    "register": _register,
    "register, too late": _register_late,
    "register_many": _many,
    "register_many, all or nothing": _whole,
    "find_registration": _find,
    "find_conflicts": _conflicts,
}


def _store_says(error):
    def set_up(world):
        def hook(_point):
            raise error(world)

        world.scene.repository.before = hook

    return set_up


def _scope_fails(world):
    world.access.broken = world.witness.host_error()


def _rule_fails(world):
    world.rule_fails = world.witness.host_error()


def _audit_says(reply):
    def set_up(world):
        world.scene.audit.registration_script = lambda _event, _call: reply(world)

    return set_up


FAULTS = {
    "all is well": lambda _world: None,
    "the scope cannot be asked": _scope_fails,
    "the rule for duplicates raises": _rule_fails,
    "the store is unavailable": _store_says(
        lambda _: RepositoryUnavailableError("It is closed.", advice="Wait.")
    ),
    "the store refuses": _store_says(lambda _: RecordRefusedError()),
    "the store raises": _store_says(lambda world: world.witness.host_error()),
    "the audit logger raises": _audit_says(lambda world: fail(world.witness.host_error())),
    "the audit logger hangs": _audit_says(lambda _: hang()),
}

PASSED_ON = {"the scope cannot be asked", "the rule for duplicates raises", "the store raises"}
"""Where a verb has no answer without a host's part, that part's own error comes back, alone or as a cause."""


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", VERBS)
async def test_no_verb_of_the_service_shows_personal_data_under_any_fault(
    scene, witness, canaries, verb, fault
):
    """
    Not in a log, an error and what hangs on it, or a repr; what a driver would be told included.
    """
    world = World(scene, witness, canaries.PERSONAL, canaries.OpenAccess())
    first = await world.service.register_proxy_activity(
        "mentor-1", world.activity(), actor=scene.actor, idempotency_key="form-1"
    )
    FAULTS[fault](world)

    await scene.while_time_passes(lambda: witness.watch(lambda: VERBS[verb](world)))
    witness.saw(first, *scene.audit.registrations, world.registration("any"))
    witness.saw(*scene.repository.inner._records.values())

    assert [] == witness.leaks()
    assert fault in PASSED_ON or not witness.returned


def test_every_public_verb_of_the_service_is_played(canaries):
    """
    A verb that somebody adds has to be added to the play.
    """
    played = {name.partition(",")[0] for name in VERBS}

    assert canaries.public_coroutines(StandardRegistrationService) == played
