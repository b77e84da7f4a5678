"""How fast events come to live clients, against floors measured in the same run.

Prints tables. Nothing is asserted about time: a bound that is missed says so in its row.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from hookhub import Entry
from hookhub.config import DatabaseSettings, Settings
from hookhub.contracts.events import Draft, new_event_id
from hookhub.hub import Hub
from hookhub.server import open_store
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.serving import TOKEN, serving, settings_for_tests, sqlite_url
from hookhub_websocket.fanout import CHUNK
from hookhub_websocket.frames import text_frame
from support.peers import Peer

HERE = Path(__file__).parent
CLIENTS = 1000
ROUNDS = 60
WAITING = 16
SIZE = 241
AROUND = 167
"""Bytes of such an event that are not its payload."""
BARE = "bare write loop"
ONE = "publish"
JOINED = f"publish {WAITING} at once"
LAGGING = f"{WAITING} waiting, each client's own task"
THEIRS = "websockets' broadcast"
PAUSE = 0.04
"""Seconds between rounds, for the readers to read."""


def tables() -> dict[str, dict[str, Any]]:
    """What hubs under test have otherwise than those of other tests."""
    return {
        "live": {"max_connections": 20_000, "max_connections_per_token": 20_000},
        "log": {"level": "error"},
        "plugins": {"disabled": ["log"]},
    }


def target(**query: str) -> str:
    return "/ws?" + "&".join(f"{name}={value}" for name, value in {"token": TOKEN, **query}.items())


@pytest.fixture
def readers() -> Iterator[Peer]:
    """Clients in a process of their own."""
    with Peer(HERE / "feed_readers.py") as peer:
        yield peer


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1])


async def commit(hub: Hub, count: int) -> list[Entry]:
    """Commit events of :data:`SIZE` bytes in one transaction; as they were published."""
    payload: dict[str, Any] = {"user_id": 1, "username": ""}
    payload["username"] = "x" * (SIZE - AROUND - len(json.dumps(payload)))
    drafts = [hub.draft("user.created", payload) for _ in range(count)]
    first = (await hub.accept(drafts))[0].sequence
    found = hub.feed.recent(first - 1, count)
    assert found is not None
    return list(found)


class Audience:
    """A hub in this process, and what it does for its clients, one thing at a time."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._sink: Any = hub.components.live_sinks["websocket"]
        self._sessions = list(self._sink._connections._sessions)
        assert len(self._sessions) == CLIENTS
        self._numbers = [session.outbox._fileno() for session in self._sessions]
        entry = self._hub.feed.recent(self._hub.feed.last - 1, 1)
        assert entry is not None
        assert abs(len(entry[0].frame) - SIZE) < 12, len(entry[0].frame)
        self._frame = text_frame(entry[0].frame)

    async def bare(self) -> None:
        """What nothing in Python can be faster than: the same bytes to the same sockets."""
        for number in self._numbers:
            os.write(number, self._frame)

    def _set_back(self, count: int) -> None:
        for session in self._sessions:
            session.feeder.position = self._hub.feed.last - count

    async def publish(self, count: int) -> None:
        """All that happens at publish, for everybody."""
        self._set_back(count)
        waiting = list(self._sink._fanout._waiting.items())
        for begin in range(0, CLIENTS, CHUNK):
            self._sink._fanout._serve(waiting[begin : begin + CHUNK])

    async def catch_up(self, count: int) -> None:
        """Everybody lags, and is served by a task of its own."""
        self._set_back(count)
        for session in self._sessions:
            session.outbox.wake()
        while any(session.outbox.busy for session in self._sessions):
            await trio.lowlevel.checkpoint()

    async def commit(self) -> None:
        """As a producer does it; what follows the producer's answer is waited for."""
        await commit(self._hub, 1)
        await trio.sleep(PAUSE)


async def fan_out(settings: Settings, readers: Peer) -> dict[str, float]:
    """CPU µs per message of each way, in rounds that take turns."""
    async with serving(settings) as started:
        port = port_of(started.addresses[0])
        ask = partial(readers.ask, do="open", port=port, count=CLIENTS, target=target())
        await trio.to_thread.run_sync(ask)
        await commit(started.hub, WAITING)
        await trio.sleep(0.5)
        audience = Audience(started.hub)
        ways = {
            BARE: (audience.bare, 1),
            ONE: (partial(audience.publish, 1), 1),
            JOINED: (partial(audience.publish, WAITING), WAITING),
            LAGGING: (partial(audience.catch_up, WAITING), WAITING),
            "publish with commit, all threads": (audience.commit, 1),
        }
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, (way, messages) in ways.items():
                begin = time.process_time()
                await way()
                found[name].append((time.process_time() - begin) / messages / CLIENTS * 1e6)
                await trio.sleep(PAUSE)
    return {name: statistics.median(rounds) for name, rounds in found.items()}


def websockets_broadcast(readers: Peer) -> float:
    """The same in websockets' asyncio server, in a process of its own."""
    with Peer(HERE / "websockets_floor.py") as floor:
        readers.ask(do="open", port=floor.line(), count=CLIENTS, target="/")
        seconds = floor.ask(rounds=ROUNDS, pause=PAUSE)
        readers.ask(do="close")
    return statistics.median(seconds) / CLIENTS * 1e6


def test_fan_out(readers: Peer, tmp_path: Path) -> None:
    """CPU per message and client, beside a bare write loop over the same sockets."""
    settings = Settings.model_validate({**settings_for_tests(sqlite_url(tmp_path)), **tables()})
    rows = trio.run(fan_out, settings, readers)
    readers.ask(do="close")
    rows[THEIRS] = websockets_broadcast(readers)
    print(f"\n\nCPU µs per message, {CLIENTS:,} clients, {SIZE} bytes, median of {ROUNDS}\n")
    for name, found in rows.items():
        print(f"{name:44} {found:6.2f}   {found / rows[BARE]:5.2f} of the bare loop")
    print()
    for ours, theirs, bound in (
        (ONE, BARE, 1.5),
        (ONE, THEIRS, 1),
        (JOINED, ONE, 0.25),
        (LAGGING, ONE, 0.25),
    ):
        print(f"{ours} / {theirs}: {rows[ours] / rows[theirs]:.2f} (bound {bound})")


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def cpu(pid: int) -> float:
    """CPU seconds of a process, its kernel part included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_messages(readers: Peer, count: int, seconds: float = 60) -> None:
    """Until the clients have this many."""
    deadline = time.monotonic() + seconds
    while (found := readers.ask(do="stats"))["messages"] < count:
        assert time.monotonic() < deadline, (found, count)
        time.sleep(0.05)


def post(hub: HubProcess, client: httpx.Client, **payload: Any) -> None:
    event = {"type": "user.created", "payload": {"user_id": 1, **payload}}
    client.post("/events", json=event).raise_for_status()


def test_idle_connections(readers: Peer, tmp_path: Path) -> None:
    """Resident memory of idle connections; 10,000 in one process, and all of them served."""
    rows = []
    with HubProcess(tmp_path, tables(), deadline=120) as hub, hub.client() as client:
        readers.ask(do="open", port=port_of(hub.url), count=100, target=target())
        post(hub, client)
        wait_messages(readers, 200)
        begin = resident(hub.pid)
        have = 100
        for count in (1000, 5000, 10_000):
            began, worked = time.monotonic(), cpu(hub.pid)
            more = count - have
            readers.ask(do="open", port=port_of(hub.url), count=more, target=target())
            wait_messages(readers, 100 + count)
            seconds, work = time.monotonic() - began, cpu(hub.pid) - worked
            have = count
            size = (resident(hub.pid) - begin) / (count - 100)
            rows.append((count, size / 1000, more / seconds, work / more * 1e3))
        readers.ask(do="reset")
        worked = cpu(hub.pid)
        for number in range(10):
            post(hub, client)
            wait_messages(readers, have * (number + 1))
        work = (cpu(hub.pid) - worked) / 10 / have * 1e6
        time.sleep(1)
        worked = cpu(hub.pid)
        time.sleep(10)
        idle = (cpu(hub.pid) - worked) / 10
    print("\n\nidle connections, compared with the same hub at 100\n")
    for count, kilobytes, rate, milliseconds in rows:
        bound = "(bound 20)" if count == 5000 else ""
        print(
            f"{count:6,}   {kilobytes:5.1f} KB each {bound:10}  "
            f"opened {rate:,.0f}/s at {milliseconds:.2f} ms CPU each"
        )
    print(f"\n10 events to all {have:,}: {work:.1f} µs CPU per message; idle: {idle:.1%} of a core")


RATE = 50
PACED = 1000


def test_latency(readers: Peer, tmp_path: Path) -> None:
    """From the begin of the POST, so commit included, to the last of 1,000 clients."""
    with HubProcess(tmp_path, tables(), deadline=120) as hub, hub.client() as client:
        readers.ask(do="open", port=port_of(hub.url), count=CLIENTS, target=target())
        post(hub, client)
        wait_messages(readers, CLIENTS * 2)
        readers.ask(do="reset", timed=True)
        worked, begin = cpu(hub.pid), time.monotonic()
        posted = []
        for number in range(PACED):
            pause = begin + number / RATE - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            sent = time.monotonic()
            post(hub, client, sent=sent)
            posted.append(time.monotonic() - sent)
        wait_messages(readers, CLIENTS * PACED)
        work = (cpu(hub.pid) - worked) / PACED / CLIENTS * 1e6
        delays = last_delays(readers)
    with Peer(HERE / "websockets_floor.py") as floor:
        readers.ask(do="open", port=floor.line(), count=CLIENTS, target="/")
        readers.ask(do="reset", timed=True)
        floor.ask(rounds=PACED, pause=1 / RATE)
        wait_messages(readers, CLIENTS * PACED)
        theirs = last_delays(readers)
    print(f"\n\n{RATE} events/s to {CLIENTS:,} clients, {PACED} events, ms\n")
    for name, found, bound in (
        ("POST to the last client", delays, "(bound 25)"),
        ("POST to its answer", sorted(posted), ""),
        (f"{THEIRS} alone, to the last client", theirs, "on the same machine, right after"),
    ):
        p50, p99 = (found[round(len(found) * share) - 1] * 1000 for share in (0.5, 0.99))
        print(f"{name:42} p50 {p50:5.1f}   p99 {p99:5.1f} {bound}")
    print(f"whole hub: {work:.1f} µs CPU per message")


def last_delays(readers: Peer) -> list[float]:
    """Seconds from each event to the last client, sorted."""
    delays = readers.ask(do="delays")["delays"]
    readers.ask(do="close")
    assert all(count == CLIENTS for _, count in delays), "somebody missed an event"
    return sorted(delay for delay, _ in delays)


HISTORY = 100_000


async def fill(url: str) -> None:
    """A history in a new database."""
    payload = json.dumps({"user_id": 1, "username": "x" * 24})

    def append(tx: Any) -> None:
        tx.append_all(
            [
                Draft(new_event_id(tx.now), "user.created", payload, tx.now + number)
                for number in range(1000)
            ]
        )

    async with open_store(DatabaseSettings(url=url)) as store:
        for _ in range(HISTORY // 1000):
            await store.write(append)


def test_replay(readers: Peer, tmp_path: Path) -> None:
    """100,000 events of the store to one client, without a trace in memory."""
    trio.run(fill, sqlite_url(tmp_path))
    rows = []
    with HubProcess(tmp_path, tables(), deadline=120) as hub, hub.client() as client:
        first = client.get("/events", params={"limit": 1}).raise_for_status().json()["cursor"]
        for _ in range(4):
            readers.ask(do="reset")
            before, worked, began = resident(hub.pid), cpu(hub.pid), time.monotonic()
            readers.ask(do="open", port=port_of(hub.url), count=1, target=target(since=first))
            peak = before
            while (found := readers.ask(do="stats"))["messages"] < HISTORY + 1:
                assert time.monotonic() - began < 120, found
                peak = max(peak, resident(hub.pid))
                time.sleep(0.02)
            seconds, work = time.monotonic() - began, cpu(hub.pid) - worked
            rows.append((HISTORY / seconds, work / HISTORY * 1e6, before, peak))
            readers.ask(do="close")
    print(f"\n\na replay of {HISTORY:,} events to one client, four times\n")
    for rate, micro, before, peak in rows:
        print(
            f"{rate:8,.0f} events/s (bound 20,000)   {micro:5.1f} µs CPU each   "
            f"memory {before / 1e6:.1f} MB, at most {peak / 1e6:.1f} MB"
        )
