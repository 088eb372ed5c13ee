"""
A host's own parts, which know their own people, are put to the kits with samples of theirs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any, Final

import attrs
import pytest
from own_records import look_at_its_records

from proxy_orchestration import Actor, CoordinatorAccess, ProxyActivity, RegistrationRejected, Role
from proxy_orchestration.ports import (
    Action,
    Eligibility,
    MentorRecipients,
    ProxyRegistration,
    PushMessage,
    PushOutcome,
    PushTarget,
)
from proxy_orchestration.testing import (
    CheckingBulkRegistrationService,
    Reply,
    ScriptedPushEligibility,
    ScriptedPushSender,
    ScriptedPushTargetDirectory,
    ScriptedRecipientDirectory,
    reject,
    succeed,
)
from proxy_orchestration.testing.contracts import (
    Check,
    Samples,
    access_policy,
    bulk_registration,
    conflict_check,
    push_eligibility,
    push_sender,
    push_target_directory,
    recipient_directory,
    registration_service,
)
from proxy_orchestration.testing.contracts.host_samples import samples

MENTORS: Final = ("kari", "ola", "siri", "per")
HOST: Final = Samples(
    coordinator=Actor(user_id="anne", roles={Role.COORDINATOR}, organization_id="bergen"),
    mentor_ids=MENTORS,
    batch_ids=("11111111-aaaa", "22222222-bbbb"),
    activity=lambda: ProxyActivity(
        activity_type="lunch", activity_date=date(2020, 5, 5), duration_minutes=30
    ),
    another_type="walk",
    unacceptable=lambda registration: attrs.evolve(
        registration, activity=attrs.evolve(registration.activity, duration_minutes=100_000)
    ),
)


def _of_this_host(registration: ProxyRegistration, _call: int) -> Reply:
    """
    Refuse whom, and what, the host does not know.
    """
    known = (
        registration.mentor_id in MENTORS
        and registration.registered_by.organization_id == "bergen"
        and registration.activity.activity_type in {"lunch", "walk"}
        and registration.activity.activity_date.year == 2020
        and registration.activity.duration_minutes < 1000
        and registration.batch_id[8] == "-"
    )
    return succeed() if known else reject("unknown", "Not one of ours.")


def _service() -> CheckingBulkRegistrationService:
    return look_at_its_records(CheckingBulkRegistrationService(_of_this_host))


def _opening(make: Callable[[], Any]) -> Callable[[], Any]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        yield make()

    return opened


@pytest.mark.parametrize("check", [*registration_service, *bulk_registration, *conflict_check], ids=str)
async def test_a_service_that_knows_its_mentors_can_be_certified(check: Check[Any]) -> None:
    """
    With samples of its own every check is about people, kinds and batches that it knows.
    """
    await check(_opening(_service), samples=HOST)


async def test_without_them_such_a_service_refuses() -> None:
    """
    It does not know our mentors; the samples of one check are gone after it.
    """
    await registration_service[0](_opening(_service), samples=HOST)

    with pytest.raises(RegistrationRejected) as refused:
        await registration_service[0](_opening(_service))

    (note,) = refused.value.__notes__
    assert "mentors mentor-1, mentor-2, mentor-3, mentor-4, coordinator coordinator-1 of org-1" in note
    assert "give `samples=Samples(...)`" in note


async def test_an_error_that_is_about_no_sample_says_nothing_of_them() -> None:
    """
    Samples were given, or the check did not ask for any.
    """

    async def fails(_subject: object) -> None:
        raise LookupError

    async def asks_and_fails(_subject: object) -> None:
        assert HOST == samples()
        raise LookupError

    with pytest.raises(LookupError) as unasked:
        await Check("fails", fails)(_opening(_service))
    with pytest.raises(LookupError) as given:
        await Check("asks", asks_and_fails)(_opening(_service), samples=HOST)

    assert not hasattr(unasked.value, "__notes__")
    assert not hasattr(given.value, "__notes__")


class _KnownOnly(CoordinatorAccess):
    async def out_of_scope(self, actor: Actor, mentor_ids: Collection[str], /) -> Collection[str]:
        assert "bergen" == actor.organization_id
        return set(mentor_ids) - set(MENTORS)

    def allows(self, actor: Actor, action: Action, /) -> bool:
        return actor.organization_id == "bergen" and super().allows(actor, action)


@pytest.mark.parametrize("check", access_policy, ids=str)
async def test_a_policy_that_knows_its_organization_can_be_certified(check: Check[Any]) -> None:
    """
    It is asked about that one.
    """
    await check(_opening(_KnownOnly), samples=HOST)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mentor_ids": ("kari", "ola", "siri", "kari")}, "4 different"),
        ({"mentor_ids": "kari"}, "list or a set"),
        ({"mentor_ids": ("kari", "ola", "siri", " per ")}, "without spaces"),
        ({"batch_ids": ("one",)}, "2 different"),
        ({"coordinator": "anne"}, "Actor"),
    ],
)
def test_samples_that_are_none_are_refused(changes: dict[str, Any], told: str) -> None:
    """
    Before a check fails for a reason that is not the host's.
    """
    with pytest.raises((TypeError, ValueError), match=told):
        Samples(**changes)


DEVICES: Final = {
    "kari": [
        PushTarget(kind="fid", value="one", updated_at=datetime(2026, 1, 2, tzinfo=UTC)),
        PushTarget(kind="fid", value="two"),
    ],
    "ola": [PushTarget(kind="token", value="three")],
}
RECIPIENTS: Final = {"kari": MentorRecipients(coordinator_id="anne"), "per": MentorRecipients()}
SOUND: Final[list[tuple[Sequence[Check[Any]], Callable[[], Any]]]] = [
    (push_sender, ScriptedPushSender),
    (recipient_directory, lambda: ScriptedRecipientDirectory(RECIPIENTS)),
    (push_target_directory, lambda: ScriptedPushTargetDirectory(DEVICES)),
    (push_target_directory, lambda: ScriptedPushTargetDirectory({"kari": DEVICES["kari"][1:]})),
    (push_eligibility, lambda: ScriptedPushEligibility({"ola": Eligibility(opted_out=True)})),
]


@pytest.mark.parametrize(
    ("check", "make"), [pytest.param(check, make, id=str(check)) for kit, make in SOUND for check in kit]
)
async def test_our_doubles_keep_the_contracts_of_pushes(check: Check[Any], make: Callable[[], Any]) -> None:
    """
    What a host tests with behaves as the ports say.
    """
    await check(_opening(make), samples=HOST)


class _Silent(ScriptedPushSender):
    async def send(self, messages: Sequence[PushMessage], /) -> Sequence[PushOutcome]:
        return (await super().send(messages))[1:]


class _TellingAll(ScriptedRecipientDirectory):
    async def resolve(self, mentor_ids: Collection[str], /) -> Mapping[str, MentorRecipients]:
        return self.recipients


class _TellingNames(ScriptedRecipientDirectory):
    async def resolve(self, mentor_ids: Collection[str], /) -> Any:
        return dict.fromkeys(set(mentor_ids) & set(MENTORS), "anne")


class _PruningAll(ScriptedPushTargetDirectory):
    async def prune(self, recipient_id: str, _target: PushTarget, /) -> None:
        self.targets.pop(recipient_id, None)


class _OptingOut(ScriptedPushEligibility):
    async def check(self, recipient_ids: Collection[str], /) -> Mapping[str, Eligibility]:
        return dict.fromkeys(recipient_ids, Eligibility(opted_out=True))


@pytest.mark.parametrize(
    ("kit", "name", "make"),
    [
        (push_sender, "each_message_has_one_answer", _Silent),
        (push_sender, "a_message_that_comes_again_is_answered_again", _Silent),
        (recipient_directory, "only_mentors_asked_about_are_answered", lambda: _TellingAll(RECIPIENTS)),
        (recipient_directory, "recipients_are_told_as_recipients", _TellingNames),
        (push_target_directory, "a_pruned_device_is_forgotten_and_no_other", lambda: _PruningAll(DEVICES)),
        (push_target_directory, "a_device_that_told_its_address_since_stays", lambda: _PruningAll(DEVICES)),
        (push_target_directory, "a_pruned_device_is_forgotten_and_no_other", ScriptedPushTargetDirectory),
        (push_eligibility, "a_recipient_whom_nobody_knows_is_no_error", _OptingOut),
    ],
)
async def test_the_kits_find_what_is_wrong(
    kit: Sequence[Check[Any]], name: str, make: Callable[[], Any]
) -> None:
    """
    Each of these breaks one promise.
    """
    check = next(check for check in kit if check.name == name)

    with pytest.raises(AssertionError):
        await check(_opening(make), samples=HOST)


async def test_what_was_pruned_is_noted() -> None:
    """
    Once, and without what was not there.
    """
    directory = ScriptedPushTargetDirectory(DEVICES)
    for _ in range(2):
        await directory.prune("kari", DEVICES["kari"][1])
    await directory.prune("nobody", DEVICES["kari"][1])

    assert [("kari", DEVICES["kari"][1])] == directory.pruned
