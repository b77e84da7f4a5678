"""How soon a node on PostgreSQL knows what another one has committed.

Two hubs, one database, all on this machine. Prints a table of milliseconds; nothing is asserted
about time: a bound that is missed says so in its row.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.receiver import Receiver, open_receiver
from hookhub.testing.serving import TOKEN

EVENTS = 200
RATE = 20
CHANGES = 40


@pytest.fixture
def nodes(tmp_path: Path, postgres_url: str) -> Iterator[tuple[HubProcess, HubProcess]]:
    """Two hubs, as anybody runs them."""
    settings = {
        "database": {"url": postgres_url},
        "log": {"level": "warning"},
        "plugins": {"disabled": ["log"]},
    }
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        HubProcess(tmp_path / "one", settings) as one,
        HubProcess(tmp_path / "two", settings) as two,
    ):
        yield one, two


class Stream:
    """Follows a hub's event stream in a thread, and notes when each event comes."""

    def __init__(self, hub: HubProcess) -> None:
        self.seen: dict[str, float] = {}
        self.open = threading.Event()
        self._hub = hub
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self.open.wait(20)

    def _run(self) -> None:
        with (
            suppress(httpx.HTTPError),  # the hub stops
            self._hub.client() as client,
            client.stream("GET", "/events/stream") as answer,
        ):
            for line in answer.iter_lines():
                self.open.set()
                if line.startswith("data:"):
                    now = time.perf_counter()
                    data = json.loads(line.removeprefix("data:"))
                    self.seen[data.get("id", "")] = now


def post(client: httpx.Client) -> str:
    answer = client.post("/events", json={"type": "user.created", "payload": {"user_id": 1}})
    return str(answer.raise_for_status().json()["id"])


def row(name: str, seconds: list[float], p50: float, p99: float) -> None:
    found = sorted(1000 * item for item in seconds)
    middle, last = statistics.median(found), found[round(0.99 * (len(found) - 1))]
    verdict = "" if middle <= p50 and last <= p99 else "  missed"
    print(
        f"{name:<44} {len(found):>5} {middle:>7.1f} {last:>7.1f} {found[-1]:>7.1f}"
        f"   p50 ≤ {p50:g}, p99 ≤ {p99:g}{verdict}"
    )


def live(one: HubProcess, two: HubProcess) -> dict[str, list[float]]:
    """From the answer's being asked for to the event's arrival, on both nodes."""
    streams = {"same node": Stream(one), "other node": Stream(two)}
    sent: dict[str, float] = {}
    with one.client() as client:
        begin = time.perf_counter()
        for number in range(EVENTS):
            time.sleep(max(0.0, begin + number / RATE - time.perf_counter()))
            at = time.perf_counter()
            sent[post(client)] = at
        time.sleep(2)
    return {
        name: [stream.seen[event] - at for event, at in sent.items()]
        for name, stream in streams.items()
    }


def until(check: Callable[[], bool]) -> float:
    """When it was so."""
    end = time.perf_counter() + 10
    while not check():
        assert time.perf_counter() < end, "it does not come"
        time.sleep(0.001)
    return time.perf_counter()


def revocations(one: HubProcess, two: HubProcess) -> list[float]:
    """From the answer to a token's revocation on one node to the other's refusing it."""
    found = []
    with one.client() as client, httpx.Client(base_url=two.url, trust_env=False) as guest:

        def answered(token: str, status: int) -> bool:
            headers = {"Authorization": f"Bearer {token}"}
            return guest.get("/events", headers=headers).status_code == status

        for number in range(CHANGES):
            made = client.post("/tokens", json={"name": f"t{number}", "scopes": ["events:read"]})
            token = made.raise_for_status().json()
            until(partial(answered, token["token"], 200))
            client.post(f"/tokens/{token['id']}/revoke").raise_for_status()
            at = time.perf_counter()
            found.append(until(partial(answered, token["token"], 401)) - at)
    return found


def webhook_changes(one: HubProcess, two: HubProcess, receiver: Receiver) -> list[float]:
    """From the answer to a webhook's change on one node to the first request that goes by it,
    while the other one takes events."""
    found = []
    with one.client() as client, two.client() as other:
        hook = client.post(
            "/webhooks", json={"name": "bench", "url": receiver.url, "event_types": ["*"]}
        )
        address = f"/webhooks/{hook.raise_for_status().json()['id']}"
        for number in range(CHANGES):
            path = f"/n{number}"
            url = receiver.url.replace("/hook", path)
            client.patch(address, json={"url": url}).raise_for_status()
            at = time.perf_counter()

            def gone(path: str = path) -> bool:
                post(other)
                return any(item.target == path for item in receiver.requests[-20:])

            found.append(until(gone) - at)
    return found


async def test_nodes(nodes: tuple[HubProcess, HubProcess]) -> None:
    """The table."""
    one, two = nodes
    assert one.token == two.token == TOKEN
    async with open_receiver() as receiver:
        print("\n\nwhat a node knows of another, ms\n")
        print(f"{'':<44} {'n':>5} {'p50':>7} {'p99':>7} {'max':>7}   bound")
        found = await trio.to_thread.run_sync(live, one, two)
        for name, seconds in found.items():
            row(f"event posted to seen, {name}, {RATE}/s", seconds, 15, 40)
        row("token revoked to refused", await trio.to_thread.run_sync(revocations, *nodes), 50, 50)
        changes = await trio.to_thread.run_sync(webhook_changes, *nodes, receiver)
        row("webhook changed to acted on", changes, 50, 50)
