"""``hookhub tail``: the live feed as a real program, through kills and restarts of the hub."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import Result

from hookhub.client import Client
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import free_port
from support.network import Network

Run = Callable[..., Result]
Hookhub = Callable[..., AbstractContextManager[Any]]
StartHub = Callable[..., HubProcess]

pytestmark = pytest.mark.usefixtures("needed")


@pytest.fixture
def needed() -> None:
    """The plugins that the events and the feed come from."""
    for name in ("hookhub_users", "hookhub_websocket"):
        pytest.importorskip(name)


def send(hub: HubProcess, *numbers: int) -> None:
    """A user.created for each number."""
    with Client(hub.url, hub.token) as client:
        client.send_many([{"type": "user.created", "payload": {"user_id": n}} for n in numbers])


def reach(hub: HubProcess) -> tuple[str, ...]:
    """The options that name the hub."""
    return ("--url", hub.url, "--token", hub.token)


def wait_for(condition: Callable[[], bool]) -> None:
    """Look until it holds; the programs' own deadline bounds the test as well."""
    limit = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_history_then_live_without_a_seam(hookhub: Hookhub, start_hub: StartHub) -> None:
    """--since all prints what there was, then what happens; each event once, in order."""
    hub = start_hub()
    send(hub, 1, 2)
    with hookhub("tail", "--since", "all", "--json", *reach(hub)) as tail:
        assert json.loads(tail.line(".*")[0])["payload"] == {"user_id": 1}
        tail.line('"user_id": 2')
        send(hub, 3)
        tail.line('"user_id": 3')
        status, rest = tail.stop(signal.SIGINT)
    assert (status, rest) == (0, "")
    assert f"Connected to {hub.url}." in tail.stderr


def test_it_outlives_a_killed_hub(hookhub: Hookhub, start_hub: StartHub) -> None:
    """After kill -9 and a restart nothing is missing and nothing is there twice."""
    hub = start_hub()
    with hookhub("tail", "--json", "--count", "7", *reach(hub)) as tail:
        wait_for(lambda: "Connected" in tail.stderr)
        send(hub, 1, 2, 3)
        tail.line('"user_id": 3')
        hub.kill()
        wait_for(lambda: "Connection lost" in tail.stderr)
        hub.start()
        send(hub, 4, 5)
        tail.line('"user_id": 5')
        hub.restart()
        send(hub, 6, 7)
        assert tail.line('"user_id": 6')
        status, rest = tail.end()
    assert status == 0, tail.stderr
    assert [json.loads(line)["sequence"] for line in rest.splitlines()] == [7]
    assert "Back after" in tail.stderr
    assert "nothing is missed" in tail.stderr
    assert "Traceback" not in tail.stderr


def test_it_keeps_its_place_in_a_file(run: Run, start_hub: StartHub) -> None:
    """A run with --keep goes on where the last one ended."""
    hub = start_hub()
    send(hub, 1, 2, 3)
    kept = ("tail", "--json", "--keep", "place", *reach(hub))
    first = run(*kept, "--since", "all", "-n", "2")
    assert [json.loads(line)["sequence"] for line in first.stdout.splitlines()] == [1, 2]
    second = run(*kept, "--since", "all", "-n", "1")
    assert [json.loads(line)["sequence"] for line in second.stdout.splitlines()] == [3]
    Path("place").write_text("nonsense")
    assert "is not a cursor" in run(*kept, "-n", "1").stderr


def test_since_and_patterns_choose(run: Run, start_hub: StartHub) -> None:
    """A time, a span or a cursor to begin with; types by pattern."""
    pytest.importorskip("hookhub_tickets")
    hub = start_hub()
    ticket = {"ticket_id": 1, "user_id": 1, "title": "t", "status": "open"}
    with Client(hub.url, hub.token) as client:
        send(hub, 1)
        client.send("ticket.created", {**ticket, "priority": "normal", "has_media": False})
        send(hub, 2)
        items = list(client.events())
    assert run("tail", "--since", "1h", "-n", "3", *reach(hub)).stdout.count("\n") == 3
    line = run("tail", "--since", "1h", "-n", "1", "--events", "ticket.*", *reach(hub)).stdout
    moment, name, text = line.split(" ", 2)
    assert (name, json.loads(text)["title"]) == ("ticket.created", "t")
    assert datetime.fromisoformat(moment) <= datetime.now(UTC)
    later = run("tail", "--json", "--since", items[2].timestamp, "-n", "1", *reach(hub)).stdout
    assert json.loads(later)["sequence"] == 3
    behind = run("tail", "--json", "--since", items[1].cursor, "-n", "1", *reach(hub)).stdout
    assert json.loads(behind)["sequence"] == 3


def test_a_reader_that_has_enough_ends_it(start_hub: StartHub) -> None:
    """`hookhub tail | head -1` ends without a word."""
    hub = start_hub()
    send(hub, 1)
    command = [sys.executable, "-m", "hookhub", "tail", "--since", "all", *reach(hub)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        assert '"user_id": 1' in tail.stdout.readline()
        tail.stdout.close()
        send(hub, 2)
        assert tail.stderr.read() == f"Connected to {hub.url}. Ctrl-C ends.\n"
        assert tail.wait(30) == 1


def test_a_revoked_token_ends_it(hookhub: Hookhub, start_hub: StartHub) -> None:
    """It does not come back with a token that will never be good again; exit status 1."""
    hub = start_hub()
    made = json.loads(
        hub.run("token", "create", "--json", "--name", "t", "--scope", "events:read").stdout
    )
    with hookhub("tail", "--url", hub.url, "--token", made["token"]) as tail:
        wait_for(lambda: "Connected" in tail.stderr)
        hub.run("token", "revoke", "t")
        assert tail.end()[0] == 1
    assert "Error: The hub closed the feed: " in tail.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (("--since", "yesterday"), 2, "neither a time"),
        (("--where", "{"), 2, "It is not JSON"),
        (("--events", "User.*"), 2, "is not an event type pattern"),
        (("--token", "hh_wrong"), 1, "Unauthorized"),
        (("--url", f"http://127.0.0.1:{free_port()}"), 1, "Is the hub running there?"),
    ],
)
def test_what_cannot_work_is_told_at_once(
    run: Run, start_hub: StartHub, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    """The first connection is not tried again and again."""
    result = run("tail", *reach(start_hub()), *arguments)
    assert result.exit_code == status
    assert expected in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_an_address_with_a_path(run: Run, start_hub: StartHub) -> None:
    """The panel's is understood; one that leads nowhere is refused in a sentence."""
    hub = start_hub()
    send(hub, 1)
    tail = ("tail", "-n", "1", "--token", hub.token)
    for text in (f"{hub.url}/admin/", f"{hub.url}/docs", hub.url.replace("http", "ws", 1) + "/ws"):
        result = run(*tail, "--since", "all", "--url", text)
        assert result.exit_code == 0, result.stderr
        assert result.stderr == f"Connected to {hub.url}. Ctrl-C ends.\n"
    for since in ((), ("--since", "all"), ("--since", "1h")):
        result = run(*tail, *since, "--url", f"{hub.url}/foo")
        assert result.exit_code == 1
        assert result.stderr == (
            f"Error: There is no hub at {hub.url}/foo; leave '/foo' out, unless a proxy has the "
            "hub there.\n"
        )


def test_a_proxy_that_refuses_for_a_while_is_tried_again(
    hookhub: Hookhub, start_hub: StartHub
) -> None:
    """Whatever a proxy answers while it does not reach the hub, it ends nothing."""
    hub = start_hub()
    with Network(urlsplit(hub.url).port or 0) as network:
        with hookhub("tail", "--url", network.url, "--token", hub.token) as tail:
            wait_for(lambda: "Connected" in tail.stderr)
            network.refuses_websockets = True
            network.break_all()
            wait_for(lambda: "answered 403" in tail.stderr)
            network.refuses_websockets = False
            wait_for(lambda: "nothing is missed" in tail.stderr)
            assert tail.stop(signal.SIGINT)[0] == 0
        assert "Traceback" not in tail.stderr


def test_a_payload_cannot_steer_the_terminal(run: Run, start_hub: StartHub) -> None:
    """Control characters are spelt out, in the plain form too."""
    hub = start_hub()
    with Client(hub.url, hub.token) as client:
        client.send("user.created", {"user_id": 1, "first_name": "\x1b[2J\x9b2J"})
    printed = run("tail", "--since", "all", "-n", "1", *reach(hub)).stdout
    assert "\x1b" not in printed
    assert "\x9b" not in printed
    assert "\\u009b2J" in printed
