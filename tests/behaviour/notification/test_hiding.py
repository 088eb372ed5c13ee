"""
What a host's own status of a mentor becomes, what people change, and what is kept of it.
"""

from datetime import timedelta

import anyio
import attrs
import pytest

from proxy_orchestration import Actor, InvalidValueError, MisconfiguredError, NotAuthorizedError, Role
from proxy_orchestration._pseudonyms import pseudonym_of
from proxy_orchestration.notification.visibility_records import VisibilityCause
from proxy_orchestration.storage.memory import MemoryVisibilityRegistry

COORDINATOR = Actor(user_id="coord-1", roles={Role.COORDINATOR}, organization_id="oslo")
ADMIN = Actor(user_id="admin-1", roles={Role.CHAPTER_ADMIN}, organization_id="oslo")
ELSEWHERE = Actor(user_id="coord-2", roles={Role.COORDINATOR}, organization_id="bergen")
PEER = Actor(user_id="mentor-1", roles={Role.PEER_MENTOR}, organization_id="oslo")


class Statuses:
    """
    A host's own statuses, as scripted, and whom it was asked about.
    """

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    async def current(self, mentor_ids, /):
        """
        Take note, then answer, raise or hang.
        """
        self.asked.append(tuple(mentor_ids))
        if self.answer is None:
            await anyio.sleep_forever()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class AskingRegistry(MemoryVisibilityRegistry):
    """
    Fails when it is asked whom it suppresses.
    """

    async def suppressed(self, mentor_ids, /):
        """
        Fail.
        """
        await super().suppressed(mentor_ids)
        raise OSError


def lapsed(scene, number=1, **rest):
    """
    Return a certificate that is over on the first night.
    """
    return scene.certificate(number, -3, organization_id="oslo", **rest)


async def changes(scene):
    """
    Return all audit rows, newest first.
    """
    return list(await scene.visibility.changes(None, after=None, limit=100))


async def test_the_status_from_before_is_asked_once_and_kept(scene):
    """
    Of those alone who are hidden anew: of the others the host would say what we made of it.
    """
    statuses = scene.rest["statuses"] = Statuses({"mentor-1": "on_leave", "mentor-3": "guest"})
    await scene.run(lapsed(scene, 1), lapsed(scene, 2), scene.certificate(3))
    statuses.answer = {"mentor-1": "hidden"}
    await scene.run(lapsed(scene, 1), lapsed(scene, 2), scene.certificate(3), day=1)

    assert [("mentor-1", "mentor-2")] == statuses.asked
    assert {"mentor-1": "on_leave", "mentor-2": None} == {
        change.mentor_id: change.previous_status for change in await changes(scene)
    }


async def test_a_host_s_own_word_has_the_status_asked_too(scene):
    """
    As a run does.
    """
    statuses = scene.rest["statuses"] = Statuses({"mentor-1": "on_leave"})
    await scene.orchestrator().record_renewals([lapsed(scene)])

    assert [("mentor-1",)] == statuses.asked
    assert ["on_leave"] == [change.previous_status for change in await changes(scene)]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (OSError("Kari Canary"), "statuses_unknown"),
        (["on_leave"], "statuses_unknown"),
        (None, "statuses_unknown"),
        ({"mentor-1": 5}, "status_unreadable"),
        ({"mentor-1": "cut\0off"}, "status_unreadable"),
        ({"mentor-1": " "}, "status_unreadable"),
    ],
)
async def test_a_host_that_does_not_say_stops_no_run(scene, caplog, answer, code):
    """
    Nor hides it nobody: the status is not known, and the log says so without the host's words.
    """
    scene.rest["statuses"] = Statuses(answer)
    result = await scene.while_time_passes(lambda: scene.run(lapsed(scene)))

    assert (1, 0) == (result.created, len(result.data_quality))
    assert [(VisibilityCause.LAPSED, None)] == [
        (change.cause, change.previous_status) for change in await changes(scene)
    ]
    assert code in [getattr(record, "code", "") for record in caplog.records]
    assert "Canary" not in caplog.text


async def test_a_registry_that_does_not_say_whom_it_hides_stops_no_run(scene):
    """
    Then the host is not asked, since it might say what we made of it.
    """
    scene.visibility = AskingRegistry()
    statuses = scene.rest["statuses"] = Statuses({"mentor-1": "on_leave"})
    await scene.run(lapsed(scene))

    assert [] == statuses.asked
    assert [None] == [change.previous_status for change in await changes(scene)]


async def test_a_run_that_is_cancelled_while_the_host_is_asked_is_cancelled(scene):
    """
    That is nobody's failure.
    """
    statuses = scene.rest["statuses"] = Statuses(None)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def run():
                await scene.run(lapsed(scene))

            tasks.start_soon(run)
            while not statuses.asked:
                await anyio.lowlevel.checkpoint()
            scope.cancel()

    assert scope.cancelled_caught
    assert [] == await changes(scene)


async def test_a_plan_asks_and_writes_nothing(scene):
    """
    Nobody is hidden, and no audit row is there.
    """
    statuses = scene.rest["statuses"] = Statuses({})
    await scene.orchestrator().plan([lapsed(scene)])

    assert [] == statuses.asked
    assert [] == await changes(scene)
    assert {} == scene.visibility.statuses


async def test_a_whole_feed_s_withdrawal_is_told_apart_from_a_revocation(scene):
    """
    Both show the mentor again.
    """
    others = [scene.certificate(number, 300, organization_id="oslo") for number in range(3, 20)]
    await scene.run(lapsed(scene, 1), lapsed(scene, 2), *others)
    revoked = attrs.evolve(lapsed(scene, 1), revoked=True)
    scene.clock.advance(86400)
    await scene.orchestrator().run([revoked, *others], complete=True)

    assert {"mentor-1": VisibilityCause.REVOKED, "mentor-2": VisibilityCause.WITHDRAWN} == {
        change.mentor_id: change.cause for change in await changes(scene) if not change.hidden
    }
    assert {"mentor-1": "visible", "mentor-2": "visible"} == scene.visibility.statuses


async def test_a_person_restores_until_a_newer_end_is_over(scene):
    """
    Who, when and why is in the answer, with the status from before; a later run hides for a newer end alone.
    """
    scene.rest["statuses"] = Statuses({"mentor-1": "on_leave"})
    await scene.run(lapsed(scene))
    orchestrator = scene.orchestrator()
    (restored,) = await orchestrator.restore_visibility(
        "mentor-1", actor=COORDINATOR, reason="Course tomorrow."
    )
    again = await orchestrator.restore_visibility("mentor-1", actor=COORDINATOR)
    await scene.run(lapsed(scene), day=1)
    hidden = [await scene.visibility.hidden(["mentor-1"], at=scene.clock.now() + timedelta(days=1))]
    await scene.run(scene.certificate(1, 1, organization_id="oslo"), day=3)
    hidden.append(await scene.visibility.hidden(["mentor-1"], at=scene.clock.now() + timedelta(days=3)))

    assert ("on_leave", "coord-1", "Course tomorrow.", scene.clock.now()) == (
        restored.previous_status,
        restored.by,
        restored.reason,
        restored.at,
    )
    assert () == again
    assert [set(), {"mentor-1"}] == hidden


async def test_only_one_type_and_only_the_own_organization(scene):
    """
    Whoever is of another one changes nothing.
    """
    await scene.run(lapsed(scene), lapsed(scene, 1, certificate_type="talk", certificate_id="talk-1"))
    orchestrator = scene.orchestrator()

    assert () == await orchestrator.restore_visibility("mentor-1", actor=ELSEWHERE)
    (row,) = await orchestrator.restore_visibility("mentor-1", "talk", actor=ADMIN)
    assert ("talk", "admin-1") == (row.certificate_type, row.by)
    assert {"mentor-1"} == set(await scene.visibility.suppressed(["mentor-1"]))


async def test_changes_are_read_page_by_page(scene):
    """
    Newest first, of the actor's organization alone.
    """
    await scene.run(*(lapsed(scene, number) for number in range(1, 4)))
    orchestrator = scene.orchestrator()
    first = await orchestrator.list_visibility_changes(actor=COORDINATOR, limit=2)
    last = await orchestrator.list_visibility_changes(actor=ADMIN, after=first.next_after, limit=2)

    assert (["mentor-3", "mentor-2"], ["mentor-1"]) == tuple(
        [change.mentor_id for change in page.changes] for page in (first, last)
    )
    assert last.next_after is None
    assert () == (await orchestrator.list_visibility_changes(actor=ELSEWHERE)).changes
    assert "lapsed" == first.to_dict()["changes"][0]["cause"]
    for odd in ("2026-01-01T00:00:00+00:00~x", "2026-01-01T00:00:00+00:00~²"):
        with pytest.raises(InvalidValueError, match="after"):
            await orchestrator.list_visibility_changes(actor=COORDINATOR, after=odd)


async def test_who_is_neither_coordinator_nor_admin_may_nothing(scene):
    """
    Not the mentor either, about whom it is.
    """
    await scene.run(lapsed(scene))
    orchestrator = scene.orchestrator()
    with pytest.raises(NotAuthorizedError):
        await orchestrator.restore_visibility("mentor-1", actor=PEER)
    with pytest.raises(NotAuthorizedError):
        await orchestrator.list_visibility_changes(actor=PEER)

    assert {"mentor-1"} == set(await scene.visibility.suppressed(["mentor-1"]))


async def test_without_a_registry_the_verbs_say_what_is_missing(scene):
    """
    Export and erasure go on without.
    """
    scene.visibility = None
    orchestrator = scene.orchestrator()
    for call in (
        orchestrator.restore_visibility("mentor-1", actor=COORDINATOR),
        orchestrator.list_visibility_changes(actor=COORDINATOR),
        orchestrator.purge_visibility_changes(changed_before=scene.clock.now()),
    ):
        with pytest.raises(MisconfiguredError, match="VisibilityRegistry"):
            await call

    assert () == (await orchestrator.export_mentor("mentor-1")).visibility_changes
    assert 0 == (await orchestrator.erase_mentor("mentor-1")).visibility_changes


async def test_audit_rows_go_by_age_and_the_hidden_stay_hidden(scene):
    """
    Before the moment, and not at it.
    """
    await scene.run(lapsed(scene))
    orchestrator, now = scene.orchestrator(), scene.clock.now()

    assert 0 == await orchestrator.purge_visibility_changes(changed_before=now)
    assert 1 == await orchestrator.purge_visibility_changes(changed_before=now + timedelta(seconds=1))
    assert {"mentor-1"} == set(await scene.visibility.hidden(["mentor-1"], at=now))


async def test_an_erased_mentor_s_audit_rows_name_the_pseudonym(scene):
    """
    They are exported by name before; then nothing about the mentor is left, and the feed may hide anew.
    """
    await scene.run(lapsed(scene))
    orchestrator = scene.orchestrator()
    exported = (await orchestrator.export_mentor("mentor-1")).to_dict()
    erased = await orchestrator.erase_mentor("mentor-1")
    again = await orchestrator.erase_mentor("mentor-1")

    assert ["lapsed"] == [row["cause"] for row in exported["visibility_changes"]]
    assert (2, 0) == (erased.visibility_changes, again.visibility_changes)
    assert {pseudonym_of("mentor-1")} == {change.mentor_id for change in await changes(scene)}
    assert VisibilityCause.ERASED in {change.cause for change in await changes(scene)}
    assert set() == set(await scene.visibility.hidden(["mentor-1"], at=scene.clock.now()))
