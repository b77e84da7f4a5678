"""The webhook sink at receivers with certificates of their own, and at those that answer twice.

``HOOKHUB_TEST_EXCHANGES`` is how many deliveries each of the receivers gets; 1000 is the proof.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import cycle
from types import SimpleNamespace
from typing import cast

import pytest
import trio

from hookhub import Outcome
from hookhub.config import EgressSettings, PluginsSettings, Settings
from hookhub.egress import Egress
from hookhub.hub import Hub
from hookhub.testing.receiver import ReceivedRequest, Reply, open_receiver
from hookhub.testing.samples import attempt_of
from hookhub_webhook import WebhookSink
from support.certificates import Authority
from support.twice import Twice

EXCHANGES = int(os.environ.get("HOOKHUB_TEST_EXCHANGES", "60"))
WEBHOOKS = 3
PAUSES = (0.0, 0.0, 0.0, 0.02, 0.0, 0.07)
"""Seconds between deliveries to one webhook: before, around and after the second answer."""


@pytest.fixture
async def sink() -> AsyncIterator[WebhookSink]:
    """A sink without a hub: an attempt needs no more than the settings and the way out."""
    egress = Egress(EgressSettings(allow=["127.0.0.0/8"]))
    settings = Settings(plugins=PluginsSettings(webhook={"ed25519": False}))
    yield WebhookSink(cast("Hub", SimpleNamespace(settings=settings, egress=egress)))
    await egress.aclose()


async def test_certificates_of_its_own_are_trusted(sink: WebhookSink) -> None:
    """``ca`` lets a webhook have a receiver that nobody else would trust; timings have the TLS."""
    authority = Authority()
    certificate, context = authority.certify()
    async with open_receiver(ssl_context=context) as receiver:
        for ca in (authority.pem, certificate):
            result = await sink.attempt(attempt_of(sink.validate({"url": receiver.url, "ca": ca})))
            assert result.outcome is Outcome.DELIVERED
            assert set(result.timings) == {"dns", "connect", "tls", "wait", "total"}
        for config in ({}, {"ca": Authority().pem}):
            result = await sink.attempt(attempt_of(sink.validate({"url": receiver.url, **config})))
            assert (result.outcome, result.error) == (Outcome.RETRY, "tls")
            assert set(result.timings) == {"dns", "connect", "tls", "total"}
        assert len(receiver.requests) == 2


@pytest.mark.parametrize(("scheme", "delay"), [("https", 0.0), ("http", 0.05)])
async def test_second_answer_is_credited_to_nobody(
    sink: WebhookSink, scheme: str, delay: float
) -> None:
    """A receiver that answers twice, in a TLS record of its own or 50 ms later, gets each delivery
    recorded with that delivery's answer: of this webhook and of every other one."""
    authority = Authority()
    context = authority.certify()[1] if scheme == "https" else None
    wrong: list[tuple[int, str | None]] = []
    numbers = iter(range(1, EXCHANGES + 1))

    def respond(request: ReceivedRequest) -> Twice:
        return Twice(Reply(body=(request.header("x-webhook-delivery") or "").encode()), delay)

    async def webhook(endpoint_id: int, url: str) -> None:
        trust = {"ca": authority.pem} if scheme == "https" else {}
        sample = attempt_of(sink.validate({"url": url, **trust}))
        for number, pause in zip(numbers, cycle(PAUSES)):
            attempt = replace(sample, endpoint_id=endpoint_id, delivery_id=number)
            result = await sink.attempt(attempt)
            if (result.outcome, result.response_body) != (Outcome.DELIVERED, str(number)):
                wrong.append((number, result.response_body))
            await trio.sleep(pause)

    async with open_receiver(ssl_context=context) as receiver:
        receiver.respond = respond
        async with trio.open_nursery() as nursery:
            for endpoint_id in range(1, WEBHOOKS + 1):
                nursery.start_soon(webhook, endpoint_id, receiver.url)
    assert (len(wrong), wrong[:5]) == (0, [])
    assert len(receiver.requests) == EXCHANGES
