"""A PostgreSQL that goes back under two hubs, as when a replica that lagged takes over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import trio
from trio_websocket import ConnectionClosed, HandshakeError, open_websocket_url

from hookhub.contracts.events import Cursor
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.postgres import PostgresCluster, running_cluster
from support.chaos.plan import rounds

LOST = (OSError, ConnectionClosed, HandshakeError, httpx.HTTPError)
EVENT = {"type": "user.created", "payload": {"user_id": 1}}


class Viewer:
    """Follows a hub's WebSocket from its last cursor on, and holds what comes against it."""

    def __init__(self, hub: HubProcess) -> None:
        self._hub = hub
        self.place: Cursor | None = None
        self.ids: list[str] = []
        self.gaps: list[Cursor] = []
        self.wrong: list[str] = []

    async def run(self) -> None:
        while True:
            since = "" if self.place is None else f"&since={self.place}"
            url = f"{self._hub.url.replace('http', 'ws', 1)}/ws?token={self._hub.token}{since}"
            with suppress(*LOST):
                async with open_websocket_url(url) as ws:
                    while True:
                        self._take(json.loads(await ws.get_message()))
            await trio.sleep(0.2)

    def _take(self, message: Mapping[str, Any]) -> None:
        if "cursor" not in message:
            return
        place = Cursor.parse(message["cursor"])
        if message["type"] == "gap":
            self.gaps.append(place)
            if message["missed"] is not None:
                self.wrong.append(f"{message} at {self.place}")
        elif "sequence" in message:
            self.ids.append(message["id"])
            if self.place is None or place != self.place._replace(sequence=self.place.sequence + 1):
                self.wrong.append(f"{place} came after {self.place}")
        elif self.place is not None and place != self.place:
            self.wrong.append(f"{message} at {self.place}")
        self.place = place


async def post(hub: HubProcess, count: int, pause: float) -> list[str]:
    """Send events one after the other; returns the ids of those that were accepted."""
    accepted = []
    async with httpx.AsyncClient(
        base_url=hub.url, headers={"Authorization": f"Bearer {hub.token}"}, timeout=30.0
    ) as http:
        while len(accepted) < count:
            with suppress(*LOST):
                answer = await http.post("/events", json=EVENT)
                if answer.status_code == 202:
                    accepted.append(answer.json()["id"])
            await trio.sleep(pause)
    return accepted


def back_up(server: PostgresCluster, copy: Path) -> None:
    """Copy the running server's data, as they are at some moment of this."""
    options = ["--dbname", server.url(), "--checkpoint=fast", "-D", str(copy)]
    server.run("pg_basebackup", *options)


async def test_a_copy_of_before_takes_over(tmp_path: Path) -> None:
    """Every viewer is told each time, and gets everything that is committed from then on."""
    with ExitStack() as stack:
        server = stack.enter_context(running_cluster())
        settings = {
            "database": {"url": server.new_database(), "timeout": 2.0},
            "log": {"level": "info"},
        }
        hubs = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            hubs.append(stack.enter_context(HubProcess(tmp_path / name, settings)))
        viewers = [Viewer(hub) for hub in hubs for _ in range(5)]
        async with trio.open_nursery() as nursery:
            for viewer in viewers:
                nursery.start_soon(viewer.run)
            for number in range(rounds(6)):
                await _round(server, hubs, viewers, f"copy{number}")
            nursery.cancel_scope.cancel()
    lines = [json.loads(line) for hub in hubs for line in hub.lines if line.startswith("{")]
    assert [line for line in lines if "exception" in line] == []
    assert sum(line.get("event") == "store.went_back" for line in lines) == rounds(6)
    assert [wrong for viewer in viewers for wrong in viewer.wrong] == []
    epochs = {place.epoch for viewer in viewers for place in viewer.gaps}
    assert len(epochs) == rounds(6), "one for each time, the same for all"
    print(f"\n{rounds(6)} times back, {sum(len(viewer.ids) for viewer in viewers)} events seen")


async def _round(
    server: PostgresCluster, hubs: list[HubProcess], viewers: list[Viewer], name: str
) -> None:
    old = {viewer.place.epoch for viewer in viewers if viewer.place}
    async with trio.open_nursery() as load:
        for hub in hubs:
            load.start_soon(post, hub, 10_000_000, 0.01)
        await trio.sleep(1)
        copy = server.directory / name
        await trio.to_thread.run_sync(back_up, server, copy)
        await trio.sleep(1)
        await trio.to_thread.run_sync(server.stop, "immediate")
        shutil.rmtree(server.data)
        copy.rename(server.data)
        await trio.to_thread.run_sync(server.start)
        with trio.fail_after(30):
            while any(viewer.place is None or viewer.place.epoch in old for viewer in viewers):
                await trio.sleep(0.05)
        load.cancel_scope.cancel()
    for hub in hubs:
        ids = set(await post(hub, 10, 0.0))
        with trio.fail_after(10):
            while not all(ids <= set(viewer.ids[-200:]) for viewer in viewers):
                await trio.sleep(0.05)
