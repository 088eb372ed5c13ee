"""
What one certificate is to tell; a record or a text that makes no sense fails by itself.
"""

from datetime import datetime

import attrs
import pytest

from proxy_orchestration.notification.enrollment import EnrollmentLinks
from proxy_orchestration.notification.languages import TextTemplate
from proxy_orchestration.notification.messages import MessageCatalogue, NoticeText
from proxy_orchestration.notification.notices import Audience
from proxy_orchestration.notification.results import RecordProblem
from proxy_orchestration.notification.tiers import NotificationThresholdTier

POISONED = {
    "no certificate": ("certificate", "not_a_certificate"),
    "no mentor": ({"mentor_id": " "}, "empty_id"),
    "no certificate id": ({"certificate_id": ""}, "empty_id"),
    "no type": ({"certificate_type": ""}, "empty_id"),
    "a number for a mentor": ({"mentor_id": 7}, "empty_id"),
    "an id with NUL": ({"mentor_id": "mentor\0"}, "invalid_id"),
    "an id that no index takes": ({"mentor_id": "m" * 201}, "invalid_id"),
    "an organization that no index takes": ({"organization_id": "o" * 201}, "unstorable_text"),
    "an id with half a character": ({"certificate_id": "cert-\ud800"}, "invalid_id"),
    "an organization with NUL": ({"organization_id": "org\0"}, "unstorable_text"),
    "a text for an end": ({"expires": "2026-01-02"}, "invalid_expiry"),
    "a naive end": ({"expires": datetime(2026, 1, 2)}, "naive_expiry"),  # noqa: DTZ001 - that is the point
}


@pytest.mark.parametrize(("change", "code"), POISONED.values(), ids=POISONED)
async def test_a_record_that_makes_no_sense_fails_alone(scene, change, code):
    """
    With a code; the others are told.
    """
    poisoned = change if isinstance(change, str) else attrs.evolve(scene.certificate(1), **change)

    result = await scene.run(scene.certificate(2), poisoned, scene.certificate(3))

    assert scene.added_up(result)
    assert (2, 1, code) == (result.created, result.failed, result.failures[0].code)


async def test_a_text_that_lacks_a_field_fails_its_record_only(scene):
    """
    The template insists on a name, and one record has none.
    """
    texts = MessageCatalogue().with_text(
        "nb",
        NotificationThresholdTier.WARNING_30,
        Audience.MENTOR,
        TextTemplate("Til {holder_name}", "{holder_name}"),
    )
    scene.rest["messages"] = texts

    result = await scene.run(scene.certificate(1), scene.certificate(2, holder_name=""))

    assert (1, ["missing_text_field"]) == (result.created, [each.code for each in result.failures])


async def test_a_catalogue_that_raises_fails_the_records_it_raises_for(scene):
    """
    Whatever it raises; a coordinator's text that cannot be made is told as data quality.
    """

    class Broken:
        def render(self, notice, /):
            if notice.mentor_id == "mentor-1" or notice.audience is Audience.COORDINATOR:
                raise KeyError(notice.holder_name)
            return MessageCatalogue().render(notice)

    scene.rest["messages"] = Broken()

    result = await scene.run(scene.certificate(1), scene.certificate(2))

    assert (1, ["text_failed"]) == (result.created, [each.code for each in result.failures])
    assert RecordProblem("mentor-2", "coordinator_text_failed") in result.data_quality


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (None, "text_failed"),
        (("title", "body"), "text_failed"),
        (NoticeText("Title\0", "Body"), "unstorable_text"),
        (NoticeText("Title", "Body \udfff"), "unstorable_text"),
    ],
)
async def test_a_catalogue_that_answers_garbage_fails_its_record_only(scene, answer, code):
    """
    Before the store is asked, so that a plan says the same.
    """

    class Garbling:
        def render(self, notice, /):
            return answer if notice.mentor_id == "mentor-1" else MessageCatalogue().render(notice)

    scene.rest["messages"] = Garbling()
    records = (scene.certificate(1), scene.certificate(2))

    planned = await scene.orchestrator().plan(records, as_of=scene.clock.now())
    result = await scene.run(*records)

    assert (1, [code]) == (result.created, [each.code for each in result.failures])
    assert result == planned.result


async def test_only_urgent_and_lapsed_notices_carry_a_link(scene):
    """
    The mentor's own, in the notice and in the push.
    """
    scene.rest["enrollment"] = EnrollmentLinks(
        secret="s" * 32, base_url="https://courses.example", courses={"first_aid": "fa-1"}, clock=scene.clock
    )

    await scene.run(scene.certificate(1, 30), scene.certificate(2, 7))

    links = [(await scene.repository.notifications_for(f"mentor-{number}"))[0].deep_link for number in (1, 2)]
    assert links[0] is None
    assert scene.rest["enrollment"].verify(links[1])
    await scene.dispatcher().drain()
    sent = {message.recipient_id: message.data for message in scene.sender.sent}
    assert links[1] == sent["mentor-2"]["enrollmentUrl"]
    assert "enrollmentUrl" not in sent["mentor-1"]


async def test_a_long_lapsed_certificate_is_told_in_the_app_and_not_pushed(scene):
    """
    Thirty days after the end the pushing stops.
    """
    result = await scene.run(scene.certificate(1, -31), scene.certificate(2, -29))

    assert (2, 1) == (result.created, result.queued)


async def test_a_certificate_s_id_is_quoted_in_the_route(scene):
    """
    A slash or a question mark in it leads nowhere else.
    """
    await scene.run(scene.certificate(1, certificate_id="A/7?x=1#å"), scene.certificate(2))
    leased = await scene.repository.claim_pushes(now=scene.clock.now(), limit=9, hold=9.0)

    routes = {push.message.data.get("route") for push in leased if push.digest is None}
    assert {"/certificate/renew/A%2F7%3Fx%3D1%23%C3%A5", "/certificate/renew/certificate-2"} == routes
