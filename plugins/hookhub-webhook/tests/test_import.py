"""``hookhub webhook import`` against a real hub."""

from __future__ import annotations

import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from hookhub.testing.commands import run_hookhub
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import free_port
from hookhub.testing.receiver import Receiver

Import = Callable[..., "subprocess.CompletedProcess[str]"]

TABLE = (
    "id,name,url,event_type,secret,description,is_active,failure_count\n"
    "4,Shop,{url},user.created,s3cret,Новые пользователи,true,3\n"
    "9,Bot,{url},ticket.*,,,false,0\n"
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for this module, with the installed plugins."""
    pytest.importorskip("hookhub_users")
    pytest.importorskip("hookhub_tickets")
    with HubProcess(tmp_path_factory.mktemp("hub")) as process:
        yield process


@pytest.fixture
def load(hub: HubProcess, tmp_path: Path) -> Iterator[Import]:
    """``load(text, "--dry-run")``: import a file with this text; what it makes is gone after."""

    def run(text: str, *options: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "webhooks"
        path.write_text(text, encoding="utf-8")
        where = ("--url", hub.url, "--token", hub.token)
        return run_hookhub("webhook", "import", str(path), *options, *where)

    yield run
    with hub.client() as http:
        for item in http.get("/webhooks").json()["items"]:
            http.delete(f"/webhooks/{item['id']}").raise_for_status()


def webhooks(hub: HubProcess) -> dict[str, dict[str, Any]]:
    """What the hub has, by name."""
    with hub.client() as http:
        items = http.get("/webhooks").raise_for_status().json()["items"]
    return {item["name"]: item for item in items}


def results(done: subprocess.CompletedProcess[str], status: int = 0) -> list[tuple[str, str]]:
    """Name and result of each row that a run with --json tells of."""
    assert done.returncode == status, done.stderr
    return [(item["name"], item["result"]) for item in json.loads(done.stdout)["items"]]


async def test_what_is_imported_is_delivered_and_signed(
    load: Import, hub: HubProcess, receiver: Receiver
) -> None:
    """The receiver of a table's row gets events signed with the table's secret; off stays off."""
    text = TABLE.format(url=receiver.url)
    done = await trio.to_thread.run_sync(load, text)
    assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[:2] + line[2:4] for line in lines[1:]] == [
        ["line", "2", "Shop", "created"],
        ["line", "3", "Bot", "created"],
    ]
    assert "2 created." in done.stderr
    there = webhooks(hub)
    assert there["Shop"]["description"] == "Новые пользователи"
    assert (there["Bot"]["is_active"], there["Bot"]["event_types"]) == (False, ["ticket.*"])
    assert (there["Bot"]["has_secret"], there["Shop"]["failure_count"]) == (False, 0)
    async with hub.async_client() as http:
        await http.post("/users", json={"username": "ada"})
    (request,) = await receiver.wait_for(1)
    assert request.header("x-webhook-id") == str(there["Shop"]["id"])
    signature = hmac.digest(b"s3cret", request.body, "sha256").hex()
    assert request.header("x-webhook-signature") == f"sha256={signature}"


def test_a_dry_run_changes_nothing(load: Import, hub: HubProcess) -> None:
    """It tells what would happen, mistakes included, by the same words."""
    text = TABLE.format(url="https://a.example/") + "1,Bad,nowhere,user.created,,,true,0\n"
    done = load(text, "--dry-run", "--json")
    assert results(done, 1) == [("Shop", "created"), ("Bot", "created"), ("Bad", "error")]
    assert json.loads(done.stdout)["dry_run"] is True
    assert webhooks(hub) == {}
    assert "Nothing was done" in load(text, "--dry-run").stderr


def test_importing_again(load: Import, hub: HubProcess) -> None:
    """A second run makes nothing twice; what differs stays unless --update is given."""
    text = TABLE.format(url="https://a.example/")
    assert results(load(text, "--json")) == [("Shop", "created"), ("Bot", "created")]
    first = webhooks(hub)
    assert results(load(text, "--json")) == [("Shop", "unchanged"), ("Bot", "unchanged")]
    assert webhooks(hub) == first
    moved = text.replace("Bot,https://a.example/", "Bot,https://b.example/in")
    done = load(moved, "--json")
    assert results(done) == [("Shop", "unchanged"), ("Bot", "differs")]
    assert json.loads(done.stdout)["items"][1]["changes"] == ["url"]
    assert "--update" in load(moved).stderr
    assert webhooks(hub) == first
    assert results(load(moved, "--update", "--json")) == [("Shop", "updated"), ("Bot", "updated")]
    assert webhooks(hub)["Bot"]["url"] == "https://b.example/in"
    assert webhooks(hub)["Bot"]["id"] == first["Bot"]["id"]


def test_switched_off_until_the_day_comes(load: Import, hub: HubProcess) -> None:
    """--inactive makes all of them switched off; --update then does as the file says."""
    text = TABLE.format(url="https://a.example/")
    load(text, "--inactive")
    assert [item["is_active"] for item in webhooks(hub).values()] == [False, False]
    assert results(load(text, "--inactive", "--json")) == [
        ("Shop", "unchanged"),
        ("Bot", "unchanged"),
    ]
    load(text, "--update")
    there = webhooks(hub)
    assert (there["Shop"]["is_active"], there["Bot"]["is_active"]) == (True, False)


def test_what_the_hub_refuses_is_named_and_the_rest_goes_in(load: Import, hub: HubProcess) -> None:
    """A private address, a broken line: each by its place, exit status 1, no traceback."""
    good = {"name": "Good", "url": "https://a.example/", "event_type": "*"}
    private = {**good, "name": "Private", "url": "http://10.0.0.1/"}
    lines = [json.dumps(private), "{", json.dumps(good), json.dumps(good)]
    done = load("\n".join(lines))
    assert done.returncode == 1
    assert list(webhooks(hub)) == ["Good"]
    said = done.stdout.splitlines()
    assert "[egress] allow" in said[1]
    assert said[2].startswith("line 2")
    assert "2 error, 2 created" in done.stderr
    assert "Traceback" not in done.stderr
    again = load("\n".join(lines), "--json")
    assert results(again, 1)[2:] == [("Good", "unchanged"), ("Good", "unchanged")]


def test_from_a_pipe(load: Import, hub: HubProcess) -> None:
    """``-`` is stdin; an empty list is no error."""
    command = [sys.executable, "-m", "hookhub", "webhook", "import", "-", "--url", hub.url]
    text = json.dumps([{"name": "P", "url": "https://a.example/", "event_type": "*"}])
    for data, said in ((text, "1 created."), ("[]", "nothing in it")):
        done = subprocess.run(
            [*command, "--token", hub.token], input=data, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        assert said in done.stderr


def test_the_hub_is_gone(load: Import, hub: HubProcess, tmp_path: Path) -> None:
    """Nobody answers, or the token may not: one sentence, exit status 1."""
    path = tmp_path / "webhooks.csv"
    path.write_text(TABLE.format(url="https://a.example/"))
    nobody = f"http://127.0.0.1:{free_port()}"
    done = run_hookhub("webhook", "import", str(path), "--url", nobody, "--token", hub.token)
    assert (done.returncode, done.stdout) == (1, "")
    with hub.client() as http:
        made = http.post("/tokens", json={"name": "reader", "scopes": ["webhooks:read"]})
    weak = made.json()["token"]
    done = run_hookhub("webhook", "import", str(path), "--url", hub.url, "--token", weak)
    assert (done.returncode, done.stdout) == (1, "")
    assert "webhooks:write" in done.stderr
    assert "0 webhooks went in before line 2" in done.stderr
