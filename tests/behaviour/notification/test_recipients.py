from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import permutations

import anyio
import pytest
from waits import LONGEST_WAIT

from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.recipients import (
    Recipient,
    Recipients,
    choose_recipients,
    find_recipients,
    who_answers_for,
)
from proxy_orchestration.notification.records import CoordinatorAssignment, MentorRecipients
from proxy_orchestration.notification.results import RecordProblem


class ScriptedDirectory:
    """
    Answers what it was given, or raises it, and keeps what it was asked.
    """

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    async def resolve(self, mentor_ids, /):
        """
        Answer as scripted.
        """
        self.asked.append(mentor_ids)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class BrokenMapping(Mapping):
    """
    A mapping that cannot be read.
    """

    def __getitem__(self, key):
        raise OSError

    def __iter__(self):
        raise OSError

    def __len__(self):
        return 1


def coordinator(recipient_id):
    """
    Return a coordinator who is told.
    """
    return Recipient(Audience.COORDINATOR, recipient_id)


def admin(recipient_id):
    """
    Return a chapter admin who is told.
    """
    return Recipient(Audience.CHAPTER_ADMIN, recipient_id)


def logged(caplog):
    """
    Return level, code and mentor of what was logged.
    """
    return [(record.levelname, record.code, record.mentor_id) for record in caplog.records]


async def test_the_coordinator_is_told(caplog):
    """
    And the chapter admins are not; the directory is asked once, for each mentor once.
    """
    directory = ScriptedDirectory(
        {
            "m1": MentorRecipients(coordinator_id="c1", chapter_admin_ids=("a1",)),
            "m2": MentorRecipients(coordinator_id="c1"),
            "stranger": MentorRecipients(coordinator_id="c9"),
        }
    )
    found = await find_recipients(directory, ["m2", "m1", "m2"])

    assert Recipients(others={"m1": (coordinator("c1"),), "m2": (coordinator("c1"),)}) == found
    assert (coordinator("c1"),) == found.of("m1")
    assert () == found.of("m3")
    assert [("m2", "m1")] == directory.asked
    assert [] == logged(caplog)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"m1": MentorRecipients(chapter_admin_ids=("a2", "a1", "a2"))}, (admin("a1"), admin("a2"))),
        ({"m1": MentorRecipients(chapter_admin_ids=("m1", "a1"))}, (admin("a1"),)),
        ({"m1": MentorRecipients()}, ()),
        ({}, ()),
    ],
)
async def test_without_a_coordinator_the_chapter_admins_are_told(entry, told, caplog):
    """
    Each once, in an order that does not change; a warning and the report name the mentor.
    """
    found = await find_recipients(ScriptedDirectory(entry), ["m1"])

    assert told == found.of("m1")
    assert (RecordProblem("m1", "missing_coordinator_assignment"),) == found.problems
    assert [("WARNING", "missing_coordinator_assignment", "m1")] == logged(caplog)


@pytest.mark.parametrize(("admins", "told"), [((), ()), (("a1", "m1"), (admin("a1"),))])
async def test_who_is_their_own_coordinator_has_none(admins, told, caplog):
    """
    The chapter admins are told instead, and it is reported: nobody but the mentor would know.
    """
    entry = MentorRecipients(coordinator_id="m1", chapter_admin_ids=admins)

    found = await find_recipients(ScriptedDirectory({"m1": entry}), ["m1"])

    assert told == found.of("m1")
    assert (RecordProblem("m1", "missing_coordinator_assignment"),) == found.problems
    assert [("WARNING", "missing_coordinator_assignment", "m1")] == logged(caplog)


@pytest.mark.parametrize(
    ("entry", "told", "codes"),
    [
        (
            MentorRecipients(coordinator_id=" ", chapter_admin_ids=("a1",)),
            (admin("a1"),),
            ["missing_coordinator_assignment", "empty_recipient_id"],
        ),
        (
            MentorRecipients(chapter_admin_ids=("", "a1", "")),
            (admin("a1"),),
            ["missing_coordinator_assignment", "empty_recipient_id"],
        ),
        (MentorRecipients(coordinator_id="c1", chapter_admin_ids=("",)), (coordinator("c1"),), []),
    ],
)
async def test_nobody_is_told_under_an_empty_id(entry, told, codes, caplog):
    """
    It is ignored, and reported where it would have been used.
    """
    found = await find_recipients(ScriptedDirectory({"m1": entry}), ["m1"])

    assert told == found.of("m1")
    assert [RecordProblem("m1", code) for code in codes] == list(found.problems)
    assert [("WARNING", code, "m1") for code in codes] == logged(caplog)


@pytest.mark.parametrize(
    "answer",
    [
        OSError("Kari Canary"),
        RuntimeError("Kari Canary"),
        BaseExceptionGroup("Kari Canary", [ValueError("Kari Canary")]),
        None,
        [],
        "Kari Canary",
        BrokenMapping(),
    ],
)
async def test_a_directory_that_fails_costs_the_others_their_notice_only(answer, caplog):
    """
    Nobody besides the mentors is told; one error, an entry per mentor, and not the directory's words.
    """
    found = await find_recipients(ScriptedDirectory(answer), ["m2", "m1"])

    assert {} == found.others
    assert tuple(RecordProblem(mentor, "recipients_unknown") for mentor in ("m2", "m1")) == found.problems
    assert [("ERROR", 2)] == [(record.levelname, record.mentors) for record in caplog.records]
    assert "recipients_unknown" in caplog.text
    assert "Canary" not in caplog.text


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "c1",
        {"coordinator_id": "c1"},
        MentorRecipients(coordinator_id=7),
        MentorRecipients(chapter_admin_ids="a1"),
        MentorRecipients(chapter_admin_ids=None),
        MentorRecipients(chapter_admin_ids=("a1", None)),
    ],
)
async def test_an_answer_that_makes_no_sense_costs_its_mentor_only(entry, caplog):
    """
    The others of the same answer are told.
    """
    directory = ScriptedDirectory({"m1": entry, "m2": MentorRecipients(coordinator_id="c2")})
    found = await find_recipients(directory, ["m1", "m2"])

    assert {"m2": (coordinator("c2"),)} == found.others
    assert (RecordProblem("m1", "recipients_unknown"),) == found.problems
    assert [("ERROR", "recipients_unknown", "m1")] == logged(caplog)


async def test_without_a_directory_only_mentors_are_told(caplog):
    """
    Which is a way to run, not a fault.
    """
    assert Recipients() == await find_recipients(None, ["m1"])
    assert [] == logged(caplog)


async def test_nobody_is_asked_about_nobody():
    """
    A chunk may have no mentor who is due.
    """
    directory = ScriptedDirectory(OSError())

    assert Recipients() == await find_recipients(directory, [])
    assert [] == directory.asked


async def test_a_cancelled_run_is_cancelled():
    """
    A cancellation is no failure of the directory.
    """

    class Hanging(ScriptedDirectory):
        async def resolve(self, mentor_ids, /):
            scope.cancel()
            await anyio.sleep_forever()

    reached = False
    with anyio.fail_after(LONGEST_WAIT), anyio.CancelScope() as scope:
        await find_recipients(Hanging(None), ["m1"])
        reached = True

    assert not reached


def test_the_choice_is_pure():
    """
    The same answer in another order leads to the same.
    """
    answer = {
        "m1": MentorRecipients(chapter_admin_ids=("b", "a")),
        "m2": MentorRecipients(coordinator_id="c"),
    }
    turned = dict(reversed(answer.items()))

    assert choose_recipients(["m1", "m2"], answer) == choose_recipients(["m1", "m2"], turned)


async def test_a_cancellation_that_the_directory_makes_up_is_its_failure(caplog):
    """
    Nobody cancelled the run; where an event loop refuses such a thing, its refusal is the failure.
    """

    class Confused(ScriptedDirectory):
        async def resolve(self, mentor_ids, /):
            raise anyio.get_cancelled_exc_class()

    found = await find_recipients(Confused(None), ["m1"])

    assert (RecordProblem("m1", "recipients_unknown"),) == found.problems


async def test_an_exit_is_nobodys_failure():
    """
    It ends the run.
    """
    with pytest.raises(SystemExit):
        await find_recipients(ScriptedDirectory(SystemExit()), ["m1"])


@pytest.mark.parametrize("text", ["-", "0", "N/A", "NULL"])
async def test_a_filler_is_nobody_and_is_reported_as_missing(text, caplog):
    """
    As an empty id is: chapter admins are told instead, and one who is a filler is not.
    """
    entry = MentorRecipients(coordinator_id=text, chapter_admin_ids=("a1", text))

    found = await find_recipients(ScriptedDirectory({"m1": entry}), ["m1"])

    assert (admin("a1"),) == found.of("m1")
    codes = ["missing_coordinator_assignment", "empty_recipient_id"]
    assert [RecordProblem("m1", code) for code in codes] == list(found.problems)


@pytest.mark.parametrize("text", ["#N/A", "#REF!", "1.23457E+11", "1017.0", '="00123"'])
async def test_nobody_is_told_under_what_a_spreadsheet_made(text, caplog):
    """
    Neither as a coordinator nor as a chapter admin; both are reported.
    """
    directory = ScriptedDirectory(
        {
            "m1": MentorRecipients(coordinator_id=text, chapter_admin_ids=("a1",)),
            "m2": MentorRecipients(chapter_admin_ids=(text,)),
            "m3": MentorRecipients(coordinator_id="c1", chapter_admin_ids=(text,)),
        }
    )

    found = await find_recipients(directory, ["m1", "m2", "m3"])

    assert {"m1": (admin("a1"),), "m3": (coordinator("c1"),)} == dict(found.others)
    codes = ["missing_coordinator_assignment", "invalid_recipient_id"]
    assert [RecordProblem(name, code) for name in ("m1", "m2") for code in codes] == list(found.problems)


async def test_a_host_replaces_the_rule_for_whom_a_directory_names():
    """
    Its ids may look like a spreadsheet's.
    """
    directory = ScriptedDirectory({"m1": MentorRecipients(coordinator_id="1017.0")})

    found = await find_recipients(directory, ["m1"], lambda _text: None)

    assert (coordinator("1017.0"),) == found.of("m1")


async def test_nobody_looks_after_themselves_by_another_spelling():
    """
    One letter is composed in the register and decomposed in the directory.
    """
    entry = MentorRecipients(coordinator_id="a\u030ase", chapter_admin_ids=("\u00e5se", "a1"))

    found = await find_recipients(ScriptedDirectory({"\u00e5se": entry}), ["\u00e5se"])

    assert (admin("a1"),) == found.of("\u00e5se")


def assigned(name, **rest):
    """
    Return one of several assignments.
    """
    return CoordinatorAssignment(coordinator_id=name, **rest)


@pytest.mark.parametrize(
    ("assignments", "told"),
    [
        ((assigned("c3"), assigned("c2"), assigned("c1")), "c1"),
        (
            (assigned("c1"), assigned("c2", since=date(2025, 5, 1)), assigned("c3", since=date(2024, 5, 1))),
            "c3",
        ),
        ((assigned("c1", since=date(2024, 5, 1)), assigned("c2", is_primary=True), assigned("c3")), "c2"),
        ((assigned("c1", is_primary=True, is_active=False), assigned("c2"), assigned("c3")), "c2"),
        ((assigned("m1", is_primary=True), assigned("c2"), assigned("#N/A")), "c2"),
    ],
    ids=["by id", "the first assigned", "the primary one", "not an inactive one", "not oneself, nor nobody"],
)
async def test_of_several_coordinators_one_is_told_whatever_the_order(assignments, told):
    """
    Always the same, and no chapter admin beside them; the same one answers for the mentor.
    """
    for order in permutations(assignments):
        entry = MentorRecipients(assignments=order, chapter_admin_ids=("a1",))
        directory = ScriptedDirectory({"m1": entry})
        found = await find_recipients(directory, ["m1"])

        assert (coordinator(told),) == found.of("m1")
        assert frozenset({told}) == await who_answers_for("m1", directory)


async def test_a_directory_that_names_the_one_coordinator_is_believed():
    """
    Whatever assignments it knows beside.
    """
    entry = MentorRecipients(coordinator_id="c9", assignments=(assigned("c1", is_primary=True),))

    assert (coordinator("c9"),) == choose_recipients(["m1"], {"m1": entry}).of("m1")


async def test_without_an_active_coordinator_chapter_admins_answer():
    """
    They are told, and they may take note.
    """
    entry = MentorRecipients(assignments=(assigned("c1", is_active=False),), chapter_admin_ids=("a2", "a1"))
    directory = ScriptedDirectory({"m1": entry})

    assert (admin("a1"), admin("a2")) == (await find_recipients(directory, ["m1"])).of("m1")
    assert frozenset({"a1", "a2"}) == await who_answers_for("m1", directory)


@pytest.mark.parametrize(
    "assignments",
    [
        None,
        "c1",
        ("c1",),
        (assigned(7),),
        (assigned("c1", is_primary="yes"),),
        (assigned("c1", since="2025-05-01"),),
        (assigned("c1", since=datetime(2025, 5, 1, tzinfo=UTC)),),
        (assigned("c1", is_active=None),),
        BrokenMapping(),
    ],
    ids=lambda given: type(given).__name__,
)
async def test_assignments_that_make_no_sense_cost_their_mentor_only(assignments):
    """
    Reported, and the other mentor's coordinator is told.
    """
    entries = {"m1": MentorRecipients(assignments=assignments), "m2": MentorRecipients(coordinator_id="c2")}
    found = choose_recipients(["m1", "m2"], entries)

    assert ((), (coordinator("c2"),)) == (found.of("m1"), found.of("m2"))
    assert (RecordProblem("m1", "recipients_unknown"),) == found.problems
