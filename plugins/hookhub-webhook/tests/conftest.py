"""The hub that the tests use: this plugin and two event types of the tests' own."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterable

import pytest

import hookhub_template
import hookhub_webhook
from hookhub import EventType, Payload, hookimpl
from hookhub.config import EgressSettings, Settings
from hookhub.egress import Egress
from hookhub.plugins import Plugins
from hookhub.testing.receiver import Receiver, open_receiver


class Sample(Payload):
    """Any payload with a number."""

    user_id: int


class SampleTypes:
    """A plugin that declares the event types of these tests."""

    @hookimpl
    def hookhub_event_types(self) -> Iterable[EventType]:
        for name in ("ticket.created", "ticket.message_added", "user.created"):
            yield EventType(name, Sample, "Something happened.", {"user_id": 123})


@pytest.fixture
def hub_plugins(hub_settings: Settings) -> Plugins:
    """This plugin, and nothing that is installed."""
    extra = [("webhook", hookhub_webhook), ("template", hookhub_template)]
    extra.append(("samples", SampleTypes()))
    return Plugins.load(hub_settings.plugins, extra, installed=())


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that answers 200 unless told otherwise."""
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    """A way out that may call the loopback interface, and uses connections again at once."""
    egress = Egress(EgressSettings(allow=["127.0.0.0/8"]), watch=0)
    yield egress
    await egress.aclose()


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Programs that tests start and interrupt take over what this process ignores.

    A shell without job control, nohup and some builders start what runs in the background with
    SIGINT ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
