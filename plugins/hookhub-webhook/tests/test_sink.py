"""One attempt: what is sent to a real receiver, and what each of its ways to answer comes to."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from standardwebhooks import Webhook

import hookhub_webhook.sink
from hookhub import AttemptResult, DurableSink, Outcome
from hookhub.config import DeliverySettings, EgressSettings, PluginsSettings, Settings
from hookhub.egress import Egress
from hookhub.hub import Hub
from hookhub.testing.conformance import DurableSinkConformance
from hookhub.testing.machine import free_port
from hookhub.testing.receiver import (
    Behaviour,
    Close,
    Drip,
    Hang,
    Raw,
    Receiver,
    Reply,
    Reset,
    open_receiver,
)
from hookhub.testing.samples import MOMENT, SECRET, attempt_of
from hookhub_webhook import WebhookSink
from hookhub_webhook.signing import signing_secret


def sink_of(egress: Egress, **delivery: Any) -> WebhookSink:
    """A sink without a hub: an attempt needs no more than the settings and the way out.

    The hub's own keys need its database; see ``test_keys.py``.
    """
    settings = Settings(
        delivery=DeliverySettings(**delivery), plugins=PluginsSettings(webhook={"ed25519": False})
    )
    hub = SimpleNamespace(settings=settings, egress=egress)
    return WebhookSink(cast("Hub", hub))


@pytest.fixture
def sink(egress: Egress) -> WebhookSink:
    """A sink with the default settings."""
    return sink_of(egress)


@pytest.fixture
def closed_port() -> int:
    """A port at which nobody listens."""
    return free_port()


class TestConformance(DurableSinkConformance):
    """The rules that every durable sink keeps."""

    secrets = ("hunter2-in-a-header",)
    bad_configs = (
        {},
        {"url": "http://192.168.0.1/"},
        {"url": "https://example.com/", "headers": {"Host": "x"}},
        {"url": "https://example.com/", "no_such_setting": True},
    )

    @pytest.fixture
    def sink(self, egress: Egress) -> DurableSink:
        return sink_of(egress)

    @pytest.fixture
    def config(self, receiver: Receiver) -> Mapping[str, Any]:
        return {"url": receiver.url, "headers": {"X-Password": self.secrets[0]}}

    @pytest.fixture
    def failing_config(self, closed_port: int) -> Mapping[str, Any]:
        return {"url": f"http://127.0.0.1:{closed_port}/"}

    @pytest.fixture
    async def hanging_config(self) -> AsyncIterator[Mapping[str, Any]]:
        async with open_receiver() as receiver:
            receiver.default = Hang()
            yield {"url": receiver.url}


async def attempt(sink: DurableSink, url: str, **config: Any) -> AttemptResult:
    """The result of one attempt; one that hangs is a failure of the test."""
    with trio.fail_after(10):
        return await sink.attempt(attempt_of(sink.validate({"url": url, **config})))


async def test_request_on_the_wire(sink: WebhookSink, receiver: Receiver) -> None:
    """What arrives is the documented request and nothing else, and it verifies."""
    result = await attempt(sink, receiver.url, headers={"X-Own": "yes"})
    assert (result.outcome, result.response_status) == (Outcome.DELIVERED, 200)
    received = receiver.requests[0]
    sample = attempt_of({})
    assert (received.method, received.target) == ("POST", "/hook")
    assert received.body == sample.event.payload.encode()
    assert {name for name, _ in received.headers} == {
        *("host", "content-length", "content-type", "user-agent", "x-own"),
        *("x-webhook-event", "x-webhook-id", "x-webhook-delivery", "x-webhook-attempt"),
        *("x-webhook-signature", "webhook-id", "webhook-timestamp", "webhook-signature"),
    }
    assert received.header("webhook-timestamp") == str(MOMENT // 1_000_000)


async def test_library_verifies_the_request(sink: WebhookSink, receiver: Receiver) -> None:
    """The Standard Webhooks library accepts a request as it arrives, in both formats."""
    for form in ("payload", "envelope"):
        made = attempt_of(sink.validate({"url": receiver.url, "format": form}))
        # The library looks at the real clock.
        await sink.attempt(replace(made, timestamp=int(time.time())))
        received = receiver.requests[-1]
        Webhook(signing_secret(SECRET)).verify(received.body, dict(received.headers))


async def test_timings_are_told(sink: WebhookSink, receiver: Receiver) -> None:
    """An attempt says how long each of its phases took."""
    first = await attempt(sink, receiver.url)
    assert set(first.timings) == {"dns", "connect", "wait", "total"}
    again = await attempt(sink, receiver.url)
    assert set(again.timings) == {"wait", "total"}


async def test_redirect_is_not_followed(sink: WebhookSink, receiver: Receiver) -> None:
    """3xx fails; the sentence names the target, which sees no request."""
    receiver.script(Reply(307, headers=[("Location", "/elsewhere")]))
    result = await attempt(sink, receiver.url)
    assert (result.outcome, result.response_status, result.error) == (Outcome.RETRY, 307, "status")
    assert "/elsewhere" in str(result.error_message)
    assert len(receiver.requests) == 1


async def test_410_disables(sink: WebhookSink, receiver: Receiver) -> None:
    """410 gives up and disables the webhook."""
    receiver.script(Reply(410))
    result = await attempt(sink, receiver.url)
    assert (result.outcome, result.disable_endpoint) == (Outcome.GIVE_UP, True)


async def test_retry_after_date_counts_from_the_attempt(
    sink: WebhookSink, receiver: Receiver
) -> None:
    """A date in ``Retry-After`` becomes seconds by the hub's clock."""
    # The sample attempt is made at 22:13:20.
    receiver.script(Reply(503, headers=[("Retry-After", "Tue, 14 Nov 2023 22:14:50 GMT")]))
    assert (await attempt(sink, receiver.url)).retry_after == 90.0


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"", ""),
        (b"x" * 50, "x" * 50),
        (b"x" * 100, "x" * 100),
        (b"x" * 5_000_000, "x" * 100),
        ("я".encode() * 50 + b"z", "я" * 50),
        (b"z" + "я".encode() * 50, "z" + "я" * 49),
        (b"\x00\xff", "\ufffd\ufffd"),
    ],
    ids=lambda value: f"{len(value)}",
)
async def test_first_part_of_the_answer_is_kept(
    egress: Egress, receiver: Receiver, body: bytes, kept: str
) -> None:
    """No more than ``[delivery] max_response`` bytes of an answer are kept, as text."""
    receiver.script(Reply(500, body))
    result = await attempt(sink_of(egress, max_response=100), receiver.url)
    assert (result.response_status, result.response_body) == (500, kept)


async def test_no_body_is_read_if_none_is_kept(egress: Egress, receiver: Receiver) -> None:
    """With ``max_response = 0`` the head of the answer decides alone."""
    receiver.script(Drip(interval=3600))
    result = await attempt(sink_of(egress, max_response=0), receiver.url)
    assert (result.outcome, result.response_body) == (Outcome.DELIVERED, "")


async def test_endless_body_costs_only_its_first_part(
    sink: WebhookSink, receiver: Receiver
) -> None:
    """An endless answer is left after the part that is kept."""
    receiver.script(Drip(piece=b"x" * 1000, interval=0))
    result = await attempt(sink, receiver.url)
    assert result.outcome is Outcome.DELIVERED
    assert result.response_body == "x" * 16 * 1024


async def test_endless_body_is_remarked(sink: WebhookSink, receiver: Receiver) -> None:
    """A body over the cap is a success of which the attempt says that there was more."""
    receiver.script(Reply(200, b"x" * 20_000), Reply(200, b"x" * 16 * 1024))
    result = await attempt(sink, receiver.url)
    assert (result.outcome, result.error) == (Outcome.DELIVERED, None)
    assert "the first 16384 bytes are kept" in str(result.error_message)
    assert (await attempt(sink, receiver.url)).error_message is None


async def test_2xx_counts_though_its_body_drips(
    sink: WebhookSink, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head says that the receiver has it; the body gets a moment, and its connection ends."""
    monkeypatch.setattr(hookhub_webhook.sink, "BODY_GRACE", 0.1)
    receiver.script(Drip(interval=0.01))
    result = await attempt(sink, receiver.url)
    assert (result.outcome, result.response_status, result.error) == (Outcome.DELIVERED, 200, None)
    assert set(str(result.response_body)) == {"."}
    assert "took longer than 0.1 s" in str(result.error_message)
    assert result.timings["total"] >= 0.1
    await attempt(sink, receiver.url)
    assert [request.connection for request in receiver.requests] == [1, 2]


async def test_grace_for_a_body_is_short() -> None:
    """A dripping receiver keeps its slot for two seconds, and not for the whole time-out."""
    assert hookhub_webhook.sink.BODY_GRACE <= 2


async def test_2xx_counts_though_the_deadline_comes(egress: Egress, receiver: Receiver) -> None:
    """With less time than the body's moment, what counts is the same."""
    receiver.script(Drip(interval=0.01))
    result = await attempt(sink_of(egress, timeout=0.2), receiver.url)
    assert (result.outcome, result.response_status, result.error) == (Outcome.DELIVERED, 200, None)
    assert set(str(result.response_body)) == {"."}
    assert "did not end its answer within 0.2 s" in str(result.error_message)


@pytest.mark.parametrize(
    ("rest", "kept"),
    [
        (b"Content-Length: 100\r\n\r\nhalf", "half"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "half"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", "half"),
    ],
    ids=["length", "chunked", "bad chunk"],
)
async def test_2xx_counts_though_its_body_breaks(
    sink: WebhookSink, receiver: Receiver, rest: bytes, kept: str
) -> None:
    """A body that ends in the middle, or in garbage, takes nothing back."""
    receiver.script(Raw(b"HTTP/1.1 202 Accepted\r\n" + rest))
    result = await attempt(sink, receiver.url)
    assert (result.outcome, result.response_status, result.error) == (Outcome.DELIVERED, 202, None)
    assert result.response_body == kept
    assert "cut short" in str(result.error_message)


async def test_head_of_a_2xx_must_be_complete(egress: Egress, receiver: Receiver) -> None:
    """A status line without the end of the head is no answer yet."""
    receiver.script(Raw(b"HTTP/1.1 200 OK\r\nContent-Le"))
    result = await attempt(sink_of(egress), receiver.url)
    assert (result.outcome, result.response_status, result.error) == (Outcome.RETRY, None, "reset")


async def test_chunks_of_a_byte_are_not_read_for_ever(
    sink: WebhookSink, receiver: Receiver
) -> None:
    """A body in thousands of pieces is left after the first thousand."""
    receiver.script(Drip(interval=0))
    result = await attempt(sink, receiver.url)
    assert (result.outcome, result.response_body) == (Outcome.DELIVERED, "." * 1000)


async def test_other_bodies_end_at_the_deadline(sink: WebhookSink, receiver: Receiver) -> None:
    """The body of a failure that does not end within the time-out is a ``read_timeout``."""
    receiver.script(Drip(500, interval=0.05))
    result = await attempt(sink, receiver.url, timeout=1)
    assert (result.outcome, result.error) == (Outcome.RETRY, "read_timeout")
    assert result.response_status == 500
    assert set(str(result.response_body)) == {"."}
    assert "within 1 s" in str(result.error_message)


async def test_failing_proxy_is_no_answer(receiver: Receiver) -> None:
    """What a proxy refuses has no status: the receiver was never asked."""
    async with open_receiver(Raw(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")) as proxy:
        settings = EgressSettings(proxy=f"http://127.0.0.1:{proxy.port}")
        egress = Egress(settings)
        result = await attempt(sink_of(egress), "http://93.184.216.34/")
        await egress.aclose()
    assert (result.outcome, result.response_status, result.error) == (Outcome.RETRY, None, "proxy")
    assert "502 Bad Gateway" in str(result.error_message)


async def test_silence_ends_at_the_deadline(egress: Egress, receiver: Receiver) -> None:
    """A receiver that does not answer is a ``read_timeout`` after ``[delivery] timeout``."""
    receiver.script(Hang())
    result = await attempt(sink_of(egress, timeout=0.1), receiver.url)
    assert (result.outcome, result.error) == (Outcome.RETRY, "read_timeout")
    assert "did not answer within 0.1 s" in str(result.error_message)


async def test_deadline_while_connecting_is_a_connect_timeout(egress: Egress) -> None:
    """A deadline that comes before there is a connection is told as such."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    result = await attempt(sink_of(egress, timeout=0.1), f"https://127.0.0.1:{port}/")
    assert (result.outcome, result.error) == (Outcome.RETRY, "connect_timeout")
    for listener in listeners:
        await listener.aclose()


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Close(), "reset"),
        (Reset(), "reset"),
        (Raw(b"SMTP ready\r\n"), "protocol"),
        (Raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000), "too_large"),
        (Raw(b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nhalf"), "reset"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_broken_answers(
    sink: WebhookSink, receiver: Receiver, behaviour: Behaviour, error: str
) -> None:
    """Answers that are cut off, not HTTP or too large are worth another attempt."""
    receiver.script(behaviour)
    result = await attempt(sink, receiver.url)
    assert (result.outcome, result.error) == (Outcome.RETRY, error)
    assert str(result.error_message).endswith(".")


async def test_refused(sink: WebhookSink, closed_port: int) -> None:
    """Nobody listening is told apart from nobody answering."""
    result = await attempt(sink, f"http://127.0.0.1:{closed_port}/")
    assert (result.outcome, result.error) == (Outcome.RETRY, "refused")


async def test_blocked_address_at_the_attempt(sink: WebhookSink) -> None:
    """An address that was allowed once and is not any more is not called."""
    made = attempt_of({"url": "http://10.0.0.1/", "format": "payload", "headers": {}})
    result = await sink.attempt(made)
    assert (result.outcome, result.error) == (Outcome.RETRY, "blocked_address")


async def test_timeout_leaves_room_for_the_sinks_own(egress: Egress) -> None:
    """The core's deadline is a little later than the sink's, which knows what it waited for."""
    sink = sink_of(egress)
    assert sink.timeout({"url": "x"}, 15.0) == 16.0
    assert sink.timeout({"url": "x", "timeout": 2.0}, 15.0) == 3.0
