"""
What a visibility registry promises about its audit rows and about restored mentors.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from proxy_orchestration._pseudonyms import pseudonym_of
from proxy_orchestration.errors import RecordRefusedError
from proxy_orchestration.notification.records import CertificateEnd
from proxy_orchestration.notification.visibility_port import VisibilityRegistry
from proxy_orchestration.notification.visibility_records import (
    ChangePlace,
    Restoration,
    VisibilityCause,
    VisibilityChange,
)
from proxy_orchestration.testing.contracts.checks import UNKEEPABLE, Check, at_once, error_of, expect, rule_of
from proxy_orchestration.testing.contracts.notification.samples import (
    CERTIFICATE,
    ENDS,
    INSTANT,
    OTHER_TYPE,
    RENEWED,
    TYPE,
    end_of,
)

_MENTOR = "mentor-1"

auditing: list[Check[VisibilityRegistry]] = []

_AFTER = ENDS + timedelta(days=1)
_RESTORATION = Restoration(
    mentor_id="mentor-1",
    certificate_type=None,
    organization_id="org-1",
    by="coord-1",
    reason="The course is tomorrow.",
    at=_AFTER + timedelta(hours=1),
)


def _end(
    ends_at: datetime | None = ENDS, *, of: str = CERTIFICATE, mentor: str = "mentor-1"
) -> CertificateEnd:
    return end_of(mentor, ends_at, of=of, organization_id="org-1")


async def _changes(registry: VisibilityRegistry, whose: str | None = None) -> list[VisibilityChange]:
    return list(await registry.changes(whose, after=None, limit=100))


async def _causes(registry: VisibilityRegistry) -> list[VisibilityCause]:
    return [change.cause for change in await _changes(registry)]


def _rows(changes: list[VisibilityChange]) -> list[VisibilityChange]:
    return [attrs.evolve(change, change_id=0) for change in changes]


@rule_of(auditing)
async def each_change_has_one_audit_row(registry: VisibilityRegistry) -> None:
    for moment in (ENDS - INSTANT, _AFTER, _AFTER + INSTANT):
        await registry.track([_end()], at=moment, statuses={"mentor-1": "on_leave"})
    hidden = VisibilityChange(
        mentor_id="mentor-1",
        certificate_type=TYPE,
        hidden=True,
        cause=VisibilityCause.LAPSED,
        ends_at=ENDS,
        previous_status="on_leave",
        at=_AFTER,
        organization_id="org-1",
    )
    expect("hidden", expected=[hidden], actual=_rows(await _changes(registry)))
    for moment in (_AFTER, _AFTER + INSTANT):
        await registry.track([_end(RENEWED, of="renewal")], at=moment)
    shown = attrs.evolve(hidden, hidden=False, cause=VisibilityCause.RENEWED)

    expect("shown", expected={hidden, shown}, actual=set(_rows(await _changes(registry))))


@rule_of(auditing)
async def an_audit_row_says_why(registry: VisibilityRegistry) -> None:
    shown: list[tuple[CertificateEnd, bool, VisibilityCause]] = [
        (_end(RENEWED), False, VisibilityCause.CORRECTED),
        (_end(RENEWED, of="renewal"), False, VisibilityCause.RENEWED),
        (end_of("mentor-1", RENEWED, of=""), False, VisibilityCause.RENEWED),
        (_end(None), False, VisibilityCause.REVOKED),
        (_end(None), True, VisibilityCause.WITHDRAWN),
    ]
    for end, withdrawn, cause in shown:
        await registry.track([_end()], at=_AFTER)
        await registry.track([end], at=_AFTER, withdrawn=withdrawn)
        newest = (await _changes(registry))[0]
        expect(f"{cause}", expected=(cause, False), actual=(newest.cause, newest.hidden))


@rule_of(auditing)
async def of_tracks_at_once_one_writes_the_audit_row(registry: VisibilityRegistry) -> None:
    await at_once(*[lambda: registry.track([_end(), _end(mentor="mentor-2")], at=_AFTER)] * 3)

    expect("one each", expected=[VisibilityCause.LAPSED] * 2, actual=await _causes(registry))


@rule_of(auditing)
async def a_track_that_is_refused_leaves_no_audit_row(registry: VisibilityRegistry) -> None:
    for odd in UNKEEPABLE:
        await error_of(RecordRefusedError, "mentor", registry.track([_end(), _end(mentor=odd)], at=_AFTER))
        call = registry.track([_end()], at=_AFTER, statuses={"mentor-1": odd})
        await error_of(RecordRefusedError, "status", call)

    expect("none", expected=[], actual=await _changes(registry))


@rule_of(auditing)
async def the_previous_status_is_kept_and_told(registry: VisibilityRegistry) -> None:
    # What a host says of somebody who is hidden already is what we made of it.
    await registry.track([_end()], at=_AFTER, statuses={"mentor-1": "on_leave"})
    expect("ours", expected={"mentor-1"}, actual=set(await registry.suppressed(["mentor-1", "mentor-2"])))
    second = end_of("mentor-1", ENDS, OTHER_TYPE, organization_id="org-1")
    await registry.track([second, _end()], at=_AFTER, statuses={"mentor-1": "hidden"})
    told = [change.previous_status for change in await _changes(registry)]
    expect("of the first time", expected=["on_leave"] * 2, actual=told)
    await registry.track([end_of("mentor-2", ENDS)], at=_AFTER)

    expect("not known", expected=None, actual=(await _changes(registry))[0].previous_status)


@rule_of(auditing)
async def a_person_has_a_mentor_shown_again(registry: VisibilityRegistry) -> None:
    other = end_of("mentor-1", ENDS, OTHER_TYPE, organization_id="org-1")
    await registry.track([_end(), other, _end(mentor="mentor-2")], at=_AFTER, statuses={"mentor-1": "guest"})
    one = await registry.restore(attrs.evolve(_RESTORATION, certificate_type=OTHER_TYPE))
    expect("one type", expected=[OTHER_TYPE], actual=[row.certificate_type for row in one])
    expect(
        "the other hides", expected={"mentor-1"}, actual=set(await registry.hidden(["mentor-1"], at=_AFTER))
    )
    (row,) = await registry.restore(_RESTORATION)
    wanted = VisibilityChange(
        change_id=row.change_id,
        mentor_id="mentor-1",
        certificate_type=TYPE,
        hidden=False,
        cause=VisibilityCause.RESTORED,
        ends_at=ENDS,
        previous_status="guest",
        at=_RESTORATION.at,
        by="coord-1",
        reason="The course is tomorrow.",
        organization_id="org-1",
    )
    expect("who, when and why", expected=wanted, actual=row)
    expect("stored", expected=row, actual=(await _changes(registry))[0])
    asked = ["mentor-1", "mentor-2"]
    expect("shown", expected={"mentor-2"}, actual=set(await registry.hidden(asked, at=_RESTORATION.at)))
    expect("not ours", expected={"mentor-2"}, actual=set(await registry.suppressed(asked)))
    expect("nothing left", expected=[], actual=list(await registry.restore(_RESTORATION)))


@rule_of(auditing)
async def whom_a_person_restored_no_earlier_end_hides(registry: VisibilityRegistry) -> None:
    await registry.track([_end()], at=_AFTER)
    await registry.restore(_RESTORATION)
    later = _RESTORATION.at + timedelta(days=1)
    for ends_at in (ENDS, ENDS - INSTANT, _RESTORATION.at):
        expect("stays", expected=0, actual=await registry.track([_end(ends_at)], at=later))
        expect("shown", expected=set(), actual=set(await registry.hidden(["mentor-1"], at=later)))
    newer = _end(_RESTORATION.at + INSTANT)

    expect("a newer end hides", expected=1, actual=await registry.track([newer], at=later))
    expect("again", expected={"mentor-1"}, actual=set(await registry.hidden(["mentor-1"], at=later)))


@rule_of(auditing)
async def a_late_run_does_not_hide_whom_a_person_restored(registry: VisibilityRegistry) -> None:
    # Hidden by the date alone: no run came since the end.
    await registry.track([_end()], at=ENDS - INSTANT)
    expect("restored", expected=1, actual=len(await registry.restore(_RESTORATION)))

    expect("not hidden", expected=0, actual=await registry.track([_end()], at=_RESTORATION.at))
    expect("one row", expected=[VisibilityCause.RESTORED], actual=await _causes(registry))


@rule_of(auditing)
async def only_where_we_hide_a_mentor_is_restored(registry: VisibilityRegistry) -> None:
    await registry.track([_end(RENEWED), _end(mentor="mentor-2")], at=_AFTER)
    for mentor_id in ("mentor-1", "mentor-9", *UNKEEPABLE):
        wanted = attrs.evolve(_RESTORATION, mentor_id=mentor_id)
        expect("nothing", expected=[], actual=list(await registry.restore(wanted)))

    expect("nor written", expected=[VisibilityCause.LAPSED], actual=await _causes(registry))
    for odd in UNKEEPABLE:
        call = registry.restore(attrs.evolve(_RESTORATION, mentor_id="mentor-2", reason=odd))
        await error_of(RecordRefusedError, "reason", call)
    expect("still hidden", expected={"mentor-2"}, actual=set(await registry.suppressed(["mentor-2"])))


@rule_of(auditing)
async def only_mentors_of_the_organization_are_restored(registry: VisibilityRegistry) -> None:
    await registry.track([_end(), end_of("mentor-2", ENDS)], at=_AFTER)
    elsewhere = attrs.evolve(_RESTORATION, organization_id="org-2")

    expect("another's", expected=[], actual=list(await registry.restore(elsewhere)))
    of_none = await registry.restore(attrs.evolve(elsewhere, mentor_id="mentor-2"))
    expect("of no known one", expected=1, actual=len(of_none))


@rule_of(auditing)
async def changes_are_listed_by_page_and_organization(registry: VisibilityRegistry) -> None:
    mentors = [f"mentor-{number}" for number in range(1, 6)]
    await registry.track([_end(mentor=each) for each in mentors], at=_AFTER)
    await registry.track([end_of("mentor-9", ENDS)], at=_AFTER + INSTANT)
    await registry.track([_end(RENEWED)], at=_AFTER - INSTANT)
    listed: list[VisibilityChange] = []
    place: ChangePlace | None = None
    while page := await registry.changes("org-1", after=place, limit=2):
        listed += page
        place = ChangePlace(page[-1].at, page[-1].change_id)

    expect(
        "newest first", expected=[*reversed(mentors), "mentor-1"], actual=[one.mentor_id for one in listed]
    )
    expect("of all", expected="mentor-9", actual=(await _changes(registry))[0].mentor_id)
    expect("of another", expected=[], actual=await _changes(registry, "org-2"))
    one = await registry.changes_of("mentor-1")
    expect("the oldest first", expected=[listed[-1], listed[-2]], actual=list(one))


@rule_of(auditing)
async def old_changes_are_purged_and_nobody_is_shown_by_that(registry: VisibilityRegistry) -> None:
    await registry.track([_end()], at=_AFTER)
    await registry.track([_end(mentor="mentor-2")], at=_AFTER + INSTANT)

    expect("the older", expected=1, actual=await registry.purge_changes(changed_before=_AFTER + INSTANT))
    expect("left", expected=["mentor-2"], actual=[each.mentor_id for each in await _changes(registry)])
    expect("hidden", expected={"mentor-1"}, actual=set(await registry.hidden(["mentor-1"], at=_AFTER)))


@rule_of(auditing)
async def an_erased_mentor_stands_under_a_pseudonym(registry: VisibilityRegistry) -> None:
    await registry.track([_end(), _end(mentor="mentor-2")], at=_AFTER, statuses={"mentor-1": "on_leave"})
    await registry.restore(_RESTORATION)
    await registry.track([_end(_RESTORATION.at + INSTANT)], at=_RESTORATION.at + INSTANT)
    later = _RESTORATION.at + timedelta(days=1)
    expect("rows", expected=4, actual=await registry.erase_mentor("mentor-1", at=later))
    expect("by name", expected=[], actual=list(await registry.changes_of("mentor-1")))
    rows = await registry.changes_of(pseudonym_of("mentor-1"))
    causes = [
        VisibilityCause.LAPSED,
        VisibilityCause.RESTORED,
        VisibilityCause.LAPSED,
        VisibilityCause.ERASED,
    ]
    expect("what happened stays", expected=causes, actual=[row.cause for row in rows])
    expect("words go", expected={("", None)}, actual={(row.reason, row.previous_status) for row in rows})
    expect("who restored stays", expected="coord-1", actual=rows[1].by)
    asked = ["mentor-1", "mentor-2", pseudonym_of("mentor-1")]
    expect("not hidden by us", expected={"mentor-2"}, actual=set(await registry.hidden(asked, at=later)))

    for nobody in ("mentor-1", "mentor-9", *UNKEEPABLE):
        expect("nothing is left", expected=0, actual=await registry.erase_mentor(nobody, at=later))
