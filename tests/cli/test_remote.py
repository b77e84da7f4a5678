"""Commands that speak to a running hub: bulk sending, deliveries, replays."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hookhub.testing.hub_process import HubProcess

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for this module; failed deliveries wait long for their next attempt."""
    for name in ("hookhub_users", "hookhub_webhook"):
        pytest.importorskip(name)
    settings = {"delivery": {"retry_schedule": [3600.0]}}
    with HubProcess(tmp_path_factory.mktemp("hub"), settings) as process:
        yield process


@pytest.fixture
def ask(run: Run, hub: HubProcess) -> Run:
    """``ask("delivery", "show", "1")``: that command to the hub, by the environment."""

    def invoke(*arguments: str, **options: Any) -> Result:
        env = {"HOOKHUB_URL": hub.url, "HOOKHUB_TOKEN": hub.token}
        return run(*arguments, env=env, **options)

    return invoke


def line(number: Any) -> str:
    """A user.created for NDJSON."""
    return json.dumps({"type": "user.created", "payload": {"user_id": number}})


def history(hub: HubProcess) -> list[int]:
    """The user_ids of all events."""
    with hub.client() as http:
        items = http.get("/events?newest=true&limit=200").json()["items"]
    return [item["payload"].get("user_id") for item in items]


def test_bulk(ask: Run, hub: HubProcess) -> None:
    """Events from a file, payloads from stdin; empty lines are nothing; all are counted."""
    Path("events.ndjson").write_text("\n".join([line(101), "", line(102), line(103)]) + "\n")
    result = ask("send", "--ndjson", "events.ndjson", "--batch", "2")
    assert (result.exit_code, result.stdout) == (0, "3 events sent, 0 deliveries.\n")
    payloads = '{"user_id": 104}\n{"user_id": 105}'
    result = ask("send", "user.created", "--ndjson", "-", "--json", input=payloads)
    assert json.loads(result.stdout) == {"events": 2, "deliveries": 0}
    assert history(hub)[-5:] == [101, 102, 103, 104, 105]


def test_bulk_stops_at_a_mistake_and_goes_on_after_it(ask: Run, hub: HubProcess) -> None:
    """The line is named, what was stored is said, and --from-line sends the rest."""
    lines = [line(201), line(202), line(203), line("x"), line(205)]
    Path("events.ndjson").write_text("\n".join(lines))
    result = ask("send", "--ndjson", "events.ndjson", "--batch", "2")
    assert result.exit_code == 1
    assert "2 events sent before; nothing from line 3 on was stored." in result.stderr
    assert "  line 4.payload.user_id: Input should be a valid integer" in result.stderr
    lines[3] = line(204)
    Path("events.ndjson").write_text("\n".join(lines))
    result = ask("send", "--ndjson", "events.ndjson", "--from-line", "3")
    assert result.stdout == "3 events sent, 0 deliveries.\n"
    assert history(hub)[-5:] == [201, 202, 203, 204, 205]


def test_bulk_with_a_key_can_be_repeated(ask: Run, hub: HubProcess) -> None:
    """The same file with the same key stores nothing twice."""
    Path("events.ndjson").write_text("\n".join(map(line, (301, 302, 303))))
    again = ("send", "--ndjson", "events.ndjson", "--batch", "2", "--idempotency-key", "import")
    assert ask(*again).exit_code == 0
    before = len(history(hub))
    assert ask(*again).exit_code == 0
    assert len(history(hub)) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nonsense", "Line 1: It is not JSON: Expecting value at column 1."),
        ("[1]", "Line 1 is not a JSON object."),
        ('{"user_id": 1}', "hookhub send TYPE --ndjson FILE"),
        ('{"type": "a.b", "payload": {}, "more": 1}', "Line 1 is not an event"),
    ],
)
def test_a_line_that_is_no_event_is_named(ask: Run, text: str, expected: str) -> None:
    """Before anything of its batch is sent; exit status 1."""
    result = ask("send", "--ndjson", "-", input=text)
    assert result.exit_code == 1
    assert expected in result.stderr
    assert "Nothing was stored." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--ndjson", "absent"), "No such file"),
        (("user.created", "user_id=1", "--ndjson", "-"), "payloads and ids come from the lines"),
        ((), "Missing argument 'TYPE'"),
    ],
)
def test_wrong_usage_of_send(ask: Run, arguments: tuple[str, ...], expected: str) -> None:
    """Exit status 2; nothing is sent."""
    result = ask("send", *arguments, input="")
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.split())


@pytest.fixture
def endpoint(hub: HubProcess) -> Iterator[int]:
    """The id of a webhook whose receiver refuses every connection."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        new = {"name": "closed", "url": url, "event_type": "user.*"}
        with hub.client() as http:
            made: int = http.post("/webhooks", json=new).raise_for_status().json()["id"]
            yield made
            http.delete(f"/webhooks/{made}")


def attempted(hub: HubProcess, endpoint: int) -> int:
    """The id of the newest delivery, once its first attempt has been recorded."""
    with hub.client() as http:
        while True:
            [item] = http.get(f"/webhooks/{endpoint}/deliveries?limit=1").json()["items"]
            if item["attempt_number"]:
                return int(item["id"])


def test_a_delivery(ask: Run, hub: HubProcess, endpoint: int) -> None:
    """Shown with its attempts, and attempted again; only what holds others back is skipped."""
    assert ask("send", "user.created", "user_id=1").stdout.endswith(", 1 delivery\n")
    number = str(attempted(hub, endpoint))
    shown = ask("delivery", "show", number)
    assert shown.exit_code == 0
    assert '"user_id": 1' in shown.stdout
    [attempt] = [row for row in shown.stdout.splitlines() if row.startswith("1 ")]
    assert "retry" in attempt.split()
    found = json.loads(ask("delivery", "show", number, "--json").stdout)
    assert (found["status"], len(found["attempts"])) == ("pending", 1)
    assert ask("delivery", "retry", number).stdout == "1 delivery is attempted again now.\n"
    skipped = ask("delivery", "skip", number)
    assert (skipped.exit_code, skipped.stdout) == (1, "")
    assert "there is nothing to skip" in skipped.stderr
    absent = ask("delivery", "show", "999999")
    assert (absent.exit_code, absent.stdout) == (1, "")
    assert absent.stderr.startswith("Error: There is no delivery 999999")


def test_a_retry_that_waits(ask: Run, hub: HubProcess, endpoint: int) -> None:
    """What holds a delivery back is told, each in a sentence."""
    for number in range(5):  # so many failures in a row open the circuit breaker
        ask("send", "user.created", f"user_id={number}")
        delivery = str(attempted(hub, endpoint))
    told = ask("delivery", "retry", delivery).stdout
    waits = rf"Delivery {delivery} waits for the circuit breaker, next probe in [1-5] s\.\n"
    assert re.fullmatch(waits, told)
    answer = json.loads(ask("delivery", "retry", delivery, "--json").stdout)["items"][0]
    assert (answer["waits_for"], 0 < answer["probe_in"] <= 5) == ("circuit_breaker", True)
    ask("webhook", "disable", str(endpoint))
    told = ask("delivery", "retry", delivery).stdout
    assert told == f"Delivery {delivery} waits until its endpoint is switched on.\n"


def test_a_delivery_that_holds_others_back(ask: Run, hub: HubProcess, endpoint: int) -> None:
    """Under strict order it can be skipped; it is failed then."""
    with hub.client() as http:
        http.patch(f"/webhooks/{endpoint}", json={"ordered": True}).raise_for_status()
    ask("send", "user.created", "user_id=1", "--key", "k")
    number = str(attempted(hub, endpoint))
    skipped = ask("delivery", "skip", number)
    assert skipped.exit_code == 0, skipped.output
    assert f"Delivery {number} is failed" in skipped.stdout


def test_a_replay(ask: Run, hub: HubProcess, endpoint: int) -> None:
    """Counted, started, watched to its end, listed; steering one that is over is refused."""
    number = str(endpoint)
    with hub.client() as http:
        types = [item["type"] for item in http.get("/events?newest=true&limit=200").json()["items"]]
    total = len([name for name in types if name.startswith("user.")])
    counted = ask("replay", "start", number, "--dry-run")
    assert counted.stdout == f"{total} events would be sent once more.\n"
    done = json.loads(ask("replay", "start", number, "--json").stdout)
    assert (done["state"], done["done"]) == ("done", total)
    replay = str(done["id"])
    assert f"Replay {replay} is done" in ask("replay", "watch", replay).stdout
    assert ask("replay", "list", "--endpoint", number).stdout.splitlines()[1].split()[2] == "done"
    assert json.loads(ask("replay", "show", replay, "--json").stdout)["id"] == done["id"]
    assert "done of" not in ask("replay", "show", replay).stderr
    assert ask("replay", "cancel", replay).exit_code == 1
    for since, expected in (("2d", total), ("0s", 0)):
        counted = ask("replay", "start", number, "--since", since, "--dry-run", "--json")
        assert json.loads(counted.stdout)["total"] == expected
    wrong = ask("replay", "start", number, "--since", "yesterday")
    assert wrong.exit_code == 2
    assert "neither a time" in wrong.stderr


def test_no_answer_is_told(run: Run) -> None:
    """Where it asked, and what to look at; no traceback."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        result = run("delivery", "retry", "1", "--url", url, "--token", "t")
    assert result.exit_code == 1
    assert f"No answer from {url} to POST /deliveries/1/retry" in result.stderr
    assert "Is the hub running there?" in result.stderr
    assert "may have been" not in result.stderr
