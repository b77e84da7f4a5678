"""What happens while the demo runs."""

from __future__ import annotations

import base64
import hmac
import json
import random
import shutil
from functools import partial
from typing import Any

import httpx
import trio

from hookhub import __version__, server
from hookhub.cli.kit import count as counted
from hookhub.cli.kit import has_panel, json_text, painted, reachable, say
from hookhub.client import AsyncClient
from hookhub.config import Settings
from hookhub.contracts.errors import HookhubError, NotFound
from hookhub.server import Started
from hookhub_demo.receiver import DemoReceiver, Received
from hookhub_demo.traffic import Traffic

WEBHOOK_NAME = "hookhub demo"
LAST_WORDS = 1.0
"""Seconds in which a hub that breaks off a request also ends."""
SETTLE = 20.0
"""Seconds that the last deliveries may take when ``--count`` is reached."""


class Play:
    """The demo's own parts: traffic in, receiver out.

    Args:
        token: the hub's admin token.
        rate: events per second.
        count: when to stop; None for never.
        chance: where the variety comes from.
    """

    def __init__(self, token: str, rate: float, count: int | None, chance: random.Random) -> None:
        self._token = token
        self._rate = rate
        self._count = count
        self._chance = chance
        self.running = False
        """Whether the hub has started."""
        # Derived, so that the next demo knows it without storing it a second time.
        derived = hmac.digest(token.encode(), b"webhook secret", "sha256")
        self._secret = "whsec_" + base64.b64encode(derived).decode()
        self.receiver = DemoReceiver(self._secret, show)

    @property
    def good(self) -> int:
        """Requests whose signatures held."""
        return self.receiver.good

    @property
    def bad(self) -> int:
        """Requests whose signatures did not hold."""
        return self.receiver.bad

    async def perform(self, started: Started) -> None:
        """Make the webhook, then events until the hub stops or there are enough."""
        self.running = True
        stopping = started.hub.stopping
        try:
            async with open_client(reachable(started.addresses[0]), self._token) as client:
                receives = await self._make_webhook(client)
                self._greet(client.url, started, receives)
                traffic = Traffic(client, self._chance)
                await traffic.prepare()
                await traffic.run(self._rate, self._count)
                if receives:
                    await settle(client)
            say(
                f"{counted(traffic.made, 'event')} made; {counted(self.good, 'webhook request')} "
                f"verified, {self.bad} with a wrong signature."
            )
            stopping.set()
        except HookhubError:
            # A hub that stops, or that a bug ends, breaks off what is under way, and says itself
            # why.
            with trio.move_on_after(LAST_WORDS):
                await stopping.wait()
            if not stopping.is_set():
                raise

    async def _make_webhook(self, client: AsyncClient) -> bool:
        """See that the hub calls this demo's receiver; False if it has no webhooks."""
        webhook = {"name": WEBHOOK_NAME, "url": self.receiver.url, "event_type": "*"}
        webhook |= {"secret": self._secret, "description": "The receiver of 'hookhub demo'"}
        try:
            page = await client.call("GET", "/webhooks", params={"limit": 200})
        except NotFound:
            return False
        known = [item["id"] for item in page["items"] if item["name"] == WEBHOOK_NAME]
        if known:
            changed = {"url": self.receiver.url, "secret": self._secret, "is_active": True}
            await client.call("PATCH", f"/webhooks/{known[0]}", body=changed)
        else:
            await client.call("POST", "/webhooks", body=webhook)
        return True

    def _greet(self, url: str, started: Started, receives: bool) -> None:
        say(f"hookhub {__version__} runs at {url}")
        if has_panel(started):
            say(f"  Panel         {url}/admin/ (sign in with the token below)")
        say(f"  API and docs  {url}/docs")
        say(f"  Admin token   {self._token}")
        bearer = f"-H 'Authorization: Bearer {self._token}'"
        say(f"  Live feed     curl -N {url}/events/stream {bearer}")
        if "/ws" in started.hub.components.upgrades():
            socket = url.replace("http", "ws", 1)
            say(f"                wscat -c '{socket}/ws?token={self._token}'")
        if receives:
            say(f"  Receiver      {self.receiver.url} verifies each webhook request below")
        else:
            say("  Receiver      none: the plugin hookhub-webhook is not installed")
        say("Ctrl-C stops it; the next demo goes on where this one stopped.\n")


def open_client(url: str, token: str) -> AsyncClient:
    """A client of the hub on this machine: by no proxy, and a hub that stops is not tried again."""
    return AsyncClient(url, token, retries=0, transport=httpx.AsyncHTTPTransport())


def show(received: Received) -> None:
    """One line for one request."""
    mark = painted("✓", fg="green") if received.good else painted("✗", fg="red")
    again = "" if received.attempt == "1" else f" (attempt {received.attempt})"
    payload = json_text(json.loads(received.body))
    line = f"{received.event_type:22}{again} {payload}"
    width = shutil.get_terminal_size((200, 24)).columns - 2
    say(mark, line if len(line) <= width else f"{line[: width - 1]}…")


async def settle(client: AsyncClient) -> None:
    """Wait until everything is delivered, or for as long as a person would."""
    with trio.move_on_after(SETTLE):
        while True:
            stats: dict[str, Any] = await client.call("GET", "/webhooks/stats")
            if stats["pending_deliveries"] == 0:
                return
            await trio.sleep(0.05)


async def run(settings: Settings, play: Play) -> None:
    """Run the hub and the play until a signal, or until the play is over."""
    with play.receiver:
        async with trio.open_nursery() as nursery:
            await server.serve(
                settings,
                started=partial(nursery.start_soon, play.perform),  # type: ignore[arg-type]
            )
            nursery.cancel_scope.cancel()
