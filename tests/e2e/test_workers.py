"""``hookhub serve --workers``: several real processes behind one port."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hookhub.http.listeners import Worker
from hookhub.testing.hub_process import HubFailed, HubProcess
from hookhub.testing.waiting import wait_until

WORKERS = 2


@pytest.fixture
def hub(tmp_path: Path, postgres_url: str) -> Iterator[HubProcess]:
    """Two workers and their supervisor."""
    settings: dict[str, dict[str, Any]] = {
        "server": {"workers": WORKERS, "name": "here"},
        "database": {"url": postgres_url},
        "plugins": {"disabled": ["log"]},
    }
    with HubProcess(tmp_path, settings) as running:
        yield running


def workers(hub: HubProcess) -> list[int]:
    """The processes that the supervisor has started."""
    found = subprocess.run(["pgrep", "-P", str(hub.pid)], capture_output=True, text=True)
    return sorted(map(int, found.stdout.split()))


def nodes(http: httpx.Client) -> dict[str, str]:
    """Name to state."""
    return {item["name"]: item["state"] for item in http.get("/nodes").json()["items"]}


def counted(http: httpx.Client, name: str) -> float:
    """One metric."""
    text = http.get("/metrics").raise_for_status().text
    [value] = [line.split(" ")[1] for line in text.split("\n") if line.startswith(f"{name} ")]
    return float(value)


def post(hub: HubProcess, count: int) -> None:
    """Each on a connection of its own, so that any worker may take it."""
    for number in range(count):
        with hub.client() as http:
            event = {"type": "user.created", "payload": {"user_id": number}}
            http.post("/events", json=event).raise_for_status()


def test_workers_share_the_port(hub: HubProcess) -> None:
    """What one has taken all know; the numbers of all stand in one place, and never go back."""
    with hub.client() as http:
        wait_until(lambda: nodes(http) == {"here-1": "running", "here-2": "running"})
        post(hub, 40)
        assert counted(http, "hookhub_store_events_total") == 40
        first = workers(hub)
        assert len(first) == WORKERS
        # Whichever it is: this connection may be to it.
        os.kill(first[0], signal.SIGKILL)
    with hub.client() as http:
        wait_until(lambda: len({*workers(hub)} - {first[0]}) == WORKERS)
        assert counted(http, "hookhub_store_events_total") == 40
        wait_until(lambda: list(nodes(http).values()).count("running") >= WORKERS)
        post(hub, 40)
        assert counted(http, "hookhub_store_events_total") == 80
    assert hub.terminate() == 0


def test_workers_are_replaced_one_by_one(hub: HubProcess) -> None:
    """At SIGHUP, for a new version or new settings: somebody serves all the time, and no request is
    cut off."""
    before = workers(hub)
    os.kill(hub.pid, signal.SIGHUP)
    posted = 0
    while set(before) & set(workers(hub)) or len(workers(hub)) < WORKERS:
        post(hub, 1)
        posted += 1
    assert posted
    with hub.client() as http:
        wait_until(lambda: nodes(http) == {"here-1": "running", "here-2": "running"})
        events = http.get("/events", params={"limit": 200, "newest": "true"}).json()["items"]
    assert len(events) == min(posted, 200)


def test_no_worker_outlives_the_supervisor(hub: HubProcess) -> None:
    """However it dies: nothing is left, the port is free, and another one may start."""
    left = workers(hub)
    command = Path(f"/proc/{left[0]}/cmdline").read_text().rstrip("\0").split("\0")
    given = Worker.parse(command[command.index("--worker") + 1])
    assert given.directory.is_dir()
    hub.kill()

    def gone() -> bool:
        return not any(Path(f"/proc/{pid}").exists() for pid in left)

    wait_until(gone)
    assert not given.directory.exists()
    hub.start()
    assert len(workers(hub)) == WORKERS


def test_sqlite_has_one_worker(tmp_path: Path) -> None:
    """More would be no faster; it says so, and what to do."""
    with pytest.raises(HubFailed, match="workers need PostgreSQL"):
        HubProcess(tmp_path, {"server": {"workers": 2}}).start()


def test_a_worker_that_cannot_start(tmp_path: Path, postgres_url: str) -> None:
    """Says why, once, and none is started after it."""
    settings = {
        "server": {"workers": 3},
        "database": {"url": postgres_url},
        "plugins": {"required": ["nowhere"]},
    }
    with pytest.raises(HubFailed, match="nowhere") as caught:
        HubProcess(tmp_path, settings).start()
    assert str(caught.value).count("The required plugin") == 1
