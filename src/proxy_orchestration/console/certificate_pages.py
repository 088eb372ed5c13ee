"""
The pages about certificates: due ones, the inbox, data quality, given-up messages, and nightly runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from proxy_orchestration.access import Role
from proxy_orchestration.console.forms import Form
from proxy_orchestration.console.languages import marked
from proxy_orchestration.console.plots import HEIGHT, WIDTH, missed_in, nights_of
from proxy_orchestration.console.visits import Visit, visit_of
from proxy_orchestration.console.wordings import AUDIENCES, ENDINGS, NOTICES, PROBLEMS, TIERS
from proxy_orchestration.errors import NotAuthorizedError, NotificationNotFoundError
from proxy_orchestration.notification.certificates import PeerMentorCertificate, type_code
from proxy_orchestration.notification.orchestrator import NotificationOrchestrator
from proxy_orchestration.notification.records import Acknowledged
from proxy_orchestration.notification.tiers import (
    ExpiryPolicy,
    NotificationThresholdTier,
    classify,
    end_of,
)
from proxy_orchestration.web.certificates import certificates_for

_PER_PAGE: Final = 50
_RUNS: Final = 100
_NIGHTS: Final = 30
LONGEST_NOTE: Final = 500

TABS: Final[Mapping[str, str]] = {
    "": marked("Inbox"),
    "quality": marked("To be corrected"),
    "messages": marked("Messages given up"),
    "nights": marked("Nights"),
}


def notifications_of(visit: Visit) -> NotificationOrchestrator:
    """
    Return the verbs about notices.

    Raises:
        NotificationNotFoundError: the host gave none, so there are no such pages.
    """
    if visit.console.notifications is None:
        raise NotificationNotFoundError("certificates")  # noqa: EM101 - the page's name
    return visit.console.notifications


async def show_inbox(request: Request) -> Response:
    """
    Show the person's notices, newest first, and how many certificates are in which tier.
    """
    visit = visit_of(request)
    verbs = notifications_of(visit)
    page = await verbs.inbox(
        visit.person.user_id, actor=visit.person, after=request.query_params.get("after"), limit=_PER_PAGE
    )
    names = await visit.names(each.notification.mentor_id for each in page.notices)
    return visit.page(
        "certificates.html",
        tabs=TABS,
        tab="",
        tiers=TIERS,
        due=await _due(visit, verbs),
        page=page,
        names=names,
        statuses=NOTICES,
        audiences=AUDIENCES,
        may_acknowledge=bool(visit.person.roles & {Role.COORDINATOR, Role.CHAPTER_ADMIN}),
        longest=LONGEST_NOTE,
    )


async def _due(
    visit: Visit, verbs: NotificationOrchestrator
) -> Mapping[NotificationThresholdTier, int] | None:
    """
    Return how many certificates are in each tier; `None` where the host gives none.

    Of several of one mentor and kind the one that ends last counts, as in a run.
    """
    source = visit.console.certificates
    if source is None:
        return None
    policy, now = verbs.policy, verbs.clock.now()
    last: dict[tuple[str, str], PeerMentorCertificate] = {}
    async for each in _each(await certificates_for(visit.person, source)):
        if not each.revoked and _is_readable(each):
            key = each.mentor_id, type_code(each.certificate_type)
            if key not in last or _ends_later(each, last[key], policy):
                last[key] = each
    found = Counter(classify(each.expires, as_of=now, policy=policy) for each in last.values())
    return {tier: found.get(tier, 0) for tier in TIERS}


async def _each(
    certificates: Iterable[PeerMentorCertificate] | AsyncIterable[PeerMentorCertificate],
) -> AsyncIterable[PeerMentorCertificate]:
    if isinstance(certificates, AsyncIterable):
        async for each in certificates:
            yield each
    else:
        for each in certificates:
            yield each


def _is_readable(certificate: PeerMentorCertificate) -> bool:
    """
    Tell whether a run could read the certificate's end; those that it could not stand among what to mend.
    """
    try:
        end_of(certificate.expires, ExpiryPolicy().timezone)
    except (TypeError, ValueError, AttributeError):
        return False
    return bool(certificate.mentor_id)


def _ends_later(one: PeerMentorCertificate, other: PeerMentorCertificate, policy: ExpiryPolicy) -> bool:
    return end_of(one.expires, policy.timezone) > end_of(other.expires, policy.timezone)


async def acknowledge(request: Request) -> Response:
    """
    Take note of a notice, once however often it is sent.
    """
    visit = visit_of(request)
    form = await visit.form()
    found = await notifications_of(visit).acknowledge(
        request.path_params["notification_id"], actor=visit.person, note=form.get("note").strip()
    )
    note = "acknowledged" if found is Acknowledged.NOW else "acknowledged_before"
    return visit.redirect("certificates", note=note)


async def read_all(request: Request) -> Response:
    """
    Mark every notice of the person as read.
    """
    visit = visit_of(request)
    await visit.form()
    await notifications_of(visit).mark_all_read(actor=visit.person)
    return visit.redirect("certificates", note="read")


async def show_quality(request: Request) -> Response:
    """
    Show what a run would find to be mended in the certificates as they are now; writes nothing.
    """
    visit = visit_of(request)
    verbs, source = notifications_of(visit), visit.console.certificates
    if not visit.person.roles & {Role.COORDINATOR, Role.CHAPTER_ADMIN}:
        action = "read the data-quality page"
        raise NotAuthorizedError(action, ask="a coordinator or a chapter admin")
    result = (
        None if source is None else (await verbs.plan(await certificates_for(visit.person, source))).result
    )
    problems = () if result is None else (*result.failures, *result.data_quality)
    return visit.page(
        "quality.html",
        tabs=TABS,
        tab="quality",
        result=result,
        problems=problems,
        names=await visit.names(each.mentor_id for each in problems if each.mentor_id),
        words_for=PROBLEMS,
    )


async def show_messages(request: Request) -> Response:
    """
    Show the messages that were given up, those longest ago first.
    """
    visit = visit_of(request)
    notifications_of(visit)
    dispatcher = visit.console.dispatcher
    page = None
    if dispatcher is not None:
        cursor = request.query_params.get("cursor")
        page = await dispatcher.dead_pushes(actor=visit.person, cursor=cursor, limit=_PER_PAGE)
    pushes = () if page is None else page.pushes
    return visit.page(
        "messages.html",
        tabs=TABS,
        tab="messages",
        page=page,
        tiers=TIERS,
        names=await visit.names(each.mentor_id for each in pushes if each.mentor_id),
    )


async def replay(request: Request) -> Response:
    """
    Queue the chosen messages again; one that is queued already is not queued twice.
    """
    visit = visit_of(request)
    form: Form = await visit.form()
    chosen = form.all("message")
    dispatcher = visit.console.dispatcher
    if dispatcher is None or not chosen:
        return visit.redirect("certificates", "messages", note="nothing_chosen")
    await dispatcher.replay_pushes(chosen, actor=visit.person)
    return visit.redirect("certificates", "messages", note="replayed")


async def show_nights(request: Request) -> Response:
    """
    Show the nights of the last month and what their runs did.
    """
    visit = visit_of(request)
    verbs = notifications_of(visit)
    page = await verbs.list_runs(actor=visit.person, after=request.query_params.get("after"), limit=_RUNS)
    today = visit.console.clock.now().astimezone(visit.console.timezone).date()
    nights = nights_of(page.runs, timezone=visit.console.timezone, until=today, days=_NIGHTS)
    return visit.page(
        "nights.html",
        tabs=TABS,
        tab="nights",
        page=page,
        nights=nights,
        missed=missed_in(nights),
        width=WIDTH,
        height=HEIGHT,
        endings=ENDINGS,
        is_first="after" not in request.query_params,
    )
