from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

pytest.importorskip("opentelemetry.sdk")

from observed import Observed, said_by
from opentelemetry import trace

from proxy_orchestration import (
    DispatchSettings,
    NotificationOrchestrator,
    PeerMentorCertificate,
    PushDispatcher,
)
from proxy_orchestration.ports import MentorRecipients, PushMessage, PushOutcome
from proxy_orchestration.storage.memory import MemoryNotificationRepository
from proxy_orchestration.telemetry import notices as watched_notices
from proxy_orchestration.testing import FakeClock, ScriptedPushSender, ScriptedRecipientDirectory

NIGHT = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)


def _certificate(number: int, days: int) -> PeerMentorCertificate:
    return PeerMentorCertificate(
        certificate_id=f"certificate-{number}",
        mentor_id=f"mentor-{number}",
        certificate_type="first_aid",
        expires=NIGHT.date() + timedelta(days=days),
        holder_name="Kari Canary",
    )


@attrs.define(eq=False)
class Nights:
    """
    A run each night, and what it leads to.
    """

    observed: Observed = attrs.field(factory=Observed)
    clock: FakeClock = attrs.field(factory=lambda: FakeClock(NIGHT))
    orchestrator: NotificationOrchestrator = attrs.field(init=False)
    dispatcher: PushDispatcher = attrs.field(init=False)
    directory: ScriptedRecipientDirectory = attrs.field(init=False)
    sender: ScriptedPushSender = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        telemetry = self.observed.telemetry
        repository = telemetry.notices(MemoryNotificationRepository(self.clock))
        self.directory = ScriptedRecipientDirectory(
            {f"mentor-{number}": MentorRecipients(coordinator_id="anna") for number in range(9)}
        )
        self.orchestrator = NotificationOrchestrator(
            repository=repository, recipients=self.directory, clock=self.clock
        )
        self.sender = ScriptedPushSender(clock=self.clock)
        self.dispatcher = PushDispatcher(
            repository=repository,
            sender=telemetry.sender(self.sender),
            clock=self.clock,
            settings=DispatchSettings(),
        )


@pytest.fixture
def nights() -> Nights:
    """
    Return an observed first night.
    """
    return Nights()


async def test_a_run_is_a_span_with_its_counts(nights: Nights) -> None:
    """
    In the trace of whoever runs it; nothing personal is in it.
    """
    with nights.observed.tracer.start_as_current_span("nightly"):
        await nights.orchestrator.run([_certificate(1, 30), _certificate(2, 400)])

    run, nightly = nights.observed.the("notice_run"), nights.observed.the("nightly")
    said = said_by(run)
    assert {"processed": 2, "created": 1, "skipped": 1, "failed": 0, "ending": "completed"} == {
        name: said[name] for name in ("processed", "created", "skipped", "failed", "ending")
    }
    assert run.parent is not None
    assert run.parent == nightly.context
    assert "Canary" not in run.to_json()


async def test_a_run_s_span_is_as_long_as_the_run(nights: Nights) -> None:
    """
    It is made at the end, and begins when the run did.
    """

    async def certificates():
        nights.clock.advance(20.0)
        yield _certificate(1, 30)

    await nights.orchestrator.run(certificates())

    span = nights.observed.the("notice_run")
    assert span.start_time is not None
    assert span.end_time is not None
    assert 20.0 == (span.end_time - span.start_time) / 1e9


async def test_a_run_whose_source_fails_is_a_span_with_an_error(nights: Nights) -> None:
    """
    Told by its type.
    """

    async def certificates():
        yield _certificate(1, 30)
        raise LookupError("Kari Canary")  # noqa: EM101, TRY003 - a text that no trace may have

    with pytest.raises(LookupError):
        await nights.orchestrator.run(certificates())

    run = nights.observed.the("notice_run")
    assert ("ERROR", "source_failed") == (run.status.status_code.name, run.status.description)
    assert "LookupError" == said_by(run)["error.type"]
    assert "Canary" not in run.to_json()


async def test_a_stream_has_its_span_and_its_reader_is_in_none(nights: Nights) -> None:
    """
    Whoever reads the outcomes is in no span of ours, and may leave when they like.
    """
    current = []
    async with nights.orchestrator.stream([_certificate(1, 30), _certificate(2, 20)]) as outcomes:
        async for _ in outcomes:
            current.append(trace.get_current_span())
            break

    assert [trace.INVALID_SPAN] == current
    assert "stopped" == said_by(nights.observed.the("notice_run"))["ending"]


async def test_notices_are_counted_by_tier_and_outcome(nights: Nights) -> None:
    """
    What a later run makes of the same certificate, too, and what could not be dealt with.
    """
    broken = attrs.evolve(_certificate(3, 5), mentor_id="")
    await nights.orchestrator.run([_certificate(1, 30), _certificate(2, 5), broken])
    await nights.orchestrator.run([_certificate(1, 30)])

    expected = {
        ("created", "warning_30"): 1,
        ("created", "urgent_7"): 1,
        ("duplicate", "warning_30"): 1,
        ("failed",): 1,
    }
    assert expected == nights.observed.metric("notices")


async def test_what_is_dispatched_is_a_span_and_counted_by_what_it_led_to(nights: Nights) -> None:
    """
    A dead push with its code; a digest with how long its first notice had waited.
    """
    nights.sender.script = lambda message, _: (
        PushOutcome.dead(message, "no_such_app")
        if message.recipient_id == "mentor-2"
        else PushOutcome.delivered(message)
    )
    await nights.orchestrator.run([_certificate(1, 30), _certificate(2, 5)])
    nights.clock.advance(600.0)
    sent = await nights.dispatcher.drain()

    span = nights.observed.the("dispatch")
    assert {"pushes": 3, "pushes.delivered": 2, "pushes.dead": 1} == said_by(span)
    assert (2, 1) == (sent.sent, sent.dead)
    assert {("sent",): 2, ("no_such_app", "dead"): 1} == nights.observed.metric("pushes")
    assert {(): (1, 600.0)} == nights.observed.metric("digest.lag")


async def test_a_digest_that_is_put_off_has_no_lag_yet(nights: Nights) -> None:
    """
    It is told when it is sent, from its first notice on.
    """
    nights.sender.script = lambda message, attempt: (
        PushOutcome.retry(message) if attempt == 1 else PushOutcome.delivered(message)
    )
    await nights.orchestrator.run([_certificate(1, 30)])
    await nights.dispatcher.drain()
    assert {} == nights.observed.metric("digest.lag")

    nights.clock.advance(3600.0)
    await nights.dispatcher.drain()
    assert {(): (1, 3600.0)} == nights.observed.metric("digest.lag")
    assert {("retry", "queued"): 2, ("sent",): 2} == nights.observed.metric("pushes")


async def test_of_very_many_digests_the_oldest_are_forgotten(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Their completions may be told to another process, and nothing is kept for ever.
    """
    monkeypatch.setattr(watched_notices, "_MOST_LAGS", 1)
    nights.directory.recipients["mentor-2"] = MentorRecipients(coordinator_id="bernt")
    await nights.orchestrator.run([_certificate(1, 30), _certificate(2, 30)])
    sent = await nights.dispatcher.drain()

    assert 4 == sent.sent
    assert {(): (1, 0.0)} == nights.observed.metric("digest.lag")


async def test_a_store_that_completes_and_claims_apart_is_watched_alike(nights: Nights) -> None:
    """
    The ability is a transaction less, and no other figure.
    """

    class Apart(MemoryNotificationRepository):
        complete_and_claim = None

    repository = nights.observed.telemetry.notices(Apart(nights.clock))
    orchestrator = NotificationOrchestrator(repository=repository, clock=nights.clock)
    dispatcher = PushDispatcher(repository=repository, sender=nights.sender, clock=nights.clock)
    await orchestrator.run([_certificate(1, 30)])
    await dispatcher.drain()

    assert {("sent",): 1} == nights.observed.metric("pushes")


async def test_a_sender_that_raises_is_told_by_the_type_of_its_error(nights: Nights) -> None:
    """
    Its messages are sent again later.
    """

    class Broken:
        async def send(self, _messages: object, /) -> list[PushOutcome]:
            raise ConnectionError("Kari Canary")  # noqa: EM101, TRY003 - a text that no trace may have

    observed = nights.observed
    dispatcher = PushDispatcher(
        repository=nights.dispatcher.repository,
        sender=observed.telemetry.sender(Broken()),
        clock=nights.clock,
    )
    await nights.orchestrator.run([_certificate(1, 30)])
    await dispatcher.drain()

    span = observed.the("dispatch")
    assert ("ERROR", "ConnectionError") == (span.status.status_code.name, span.status.description)
    assert "Canary" not in span.to_json()


async def test_an_answer_that_is_no_outcome_takes_none_of_the_others_along(nights: Nights) -> None:
    """
    What was delivered is not sent again because a sender is watched.
    """

    class Muddled:
        async def send(self, messages: Sequence[PushMessage], /) -> list[Any]:
            odd = attrs.evolve(PushOutcome.delivered(messages[0]), verdict="delivered")  # type: ignore[arg-type]  # as no sender should
            return [None, odd, *map(PushOutcome.delivered, messages)]

    dispatcher = PushDispatcher(
        repository=nights.dispatcher.repository,
        sender=nights.observed.telemetry.sender(Muddled()),
        clock=nights.clock,
    )
    await nights.orchestrator.run([_certificate(1, 30)])
    sent = await dispatcher.drain()

    assert (2, 0) == (sent.sent, sent.retried)
    assert 2 == said_by(nights.observed.the("dispatch"))["pushes.delivered"]


async def test_with_everything_off_the_figures_are_none_and_the_sender_is_the_host_s_own() -> None:
    """
    Nothing is kept, either.
    """
    nights = Nights(Observed(with_spans=False, with_metrics=False))
    await nights.orchestrator.run([_certificate(1, 30)])
    sent = await nights.dispatcher.drain()

    assert 2 == sent.sent
    assert nights.sender is nights.dispatcher.sender
    assert [] == nights.observed.spans
    assert nights.observed.reader.get_metrics_data() is None
