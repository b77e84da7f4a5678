"""``hookhub webhook …`` against a real hub."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from hookhub.testing.commands import run_hookhub
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.receiver import Receiver, Reply

Ask = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for this module, with the installed plugins; retries wait long."""
    pytest.importorskip("hookhub_users")
    settings = {"delivery": {"retry_schedule": [3600.0]}}
    with HubProcess(tmp_path_factory.mktemp("hub"), settings) as process:
        yield process


@pytest.fixture
def ask(hub: HubProcess) -> Ask:
    """``ask("list")``: that command of ``hookhub webhook``."""

    def run(*arguments: str, group: str = "webhook") -> subprocess.CompletedProcess[str]:
        return run_hookhub(group, *arguments, "--url", hub.url, "--token", hub.token)

    return run


@pytest.fixture
def made(hub: HubProcess) -> Iterator[None]:
    """What a test makes is gone after it."""
    yield
    with hub.client() as http:
        for item in http.get("/webhooks").json()["items"]:
            http.delete(f"/webhooks/{item['id']}")


def data(done: subprocess.CompletedProcess[str]) -> Any:
    """What a command with --json printed."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("made")
def test_making_changing_and_deleting(ask: Ask) -> None:
    """Every option arrives as the REST API's member of that name."""
    options = ("--events", "user.*,ticket.created", "--header", "X-Mine: 1", "--timeout", "3")
    options += ("--retry-schedule", "5,60", "--concurrency", "2", "--rate-limit", "1.5")
    options += ("--filter", '{"user_id": {"$gt": 0}}', "--ordered", "--format", "envelope")
    options += ("--set", 'description="by --set"')
    new = data(ask("create", "shop", "http://127.0.0.1:9/", *options, "--json"))
    assert new["secret"].startswith("whsec_")
    assert new["event_types"] == ["user.*", "ticket.created"]
    assert (new["timeout"], new["retry_schedule"], new["concurrency"]) == (3, [5, 60], 2)
    assert (new["rate_limit"], new["ordered"], new["format"]) == (1.5, True, "envelope")
    assert new["filter"] == {"user_id": {"$gt": 0}}
    assert new["description"] == "by --set"
    assert list(new["headers"]) == ["X-Mine"]
    changes = ("--name", "store", "--to", "http://127.0.0.1:10/", "--unset", "filter", "--json")
    changed = data(ask("update", "shop", *changes, "--unset", "rate-limit", "--not-ordered"))
    assert (changed["name"], changed["url"]) == ("store", "http://127.0.0.1:10/")
    assert (changed["filter"], changed["rate_limit"], changed["ordered"]) == (None, None, False)
    assert data(ask("show", "store", "--json"))["id"] == new["id"]
    assert ask("delete", "store").returncode == 2  # nobody is there to ask
    assert "Deleted webhook" in ask("delete", "store", "--yes").stdout
    gone = ask("show", str(new["id"]))
    assert (gone.returncode, gone.stdout) == (1, "")


@pytest.mark.usefixtures("made")
def test_a_name_that_several_have(ask: Ask, hub: HubProcess) -> None:
    """A terminal is asked which is meant, and told what there is; elsewhere the ids are named."""
    members = {"name": "twin", "url": "http://127.0.0.1:9/a", "event_type": "user.*"}
    with hub.client() as http:
        ids = [http.post("/webhooks", json=members).json()["id"] for _ in range(2)]
    done = ask("delete", "twin", "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"2 webhooks are called 'twin'; give the id of one: {ids[0]}, {ids[1]}." in done.stderr
    assert data(ask("show", str(ids[1]), "--json"))["name"] == "twin"
    main, terminal = pty.openpty()
    words = ("disable", "twin", "--json", "--url", hub.url, "--token", hub.token)
    program = subprocess.Popen(
        [sys.executable, "-m", "hookhub", "webhook", *words],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(main, f"0\n{ids[1]}\n".encode())
    printed, asked = program.communicate(timeout=60)
    os.close(terminal)
    os.close(main)
    assert program.returncode == 0, asked
    assert f"{ids[0]}: http://127.0.0.1:9/a (user.*)" in asked
    found = json.loads(printed)
    assert (found["id"], found["is_active"]) == (ids[1], False)


@pytest.mark.usefixtures("made")
def test_secrets_are_shown_once(ask: Ask) -> None:
    """stdout is the secret alone where it is new; it is shown nowhere else."""
    made = ask("create", "one", "http://127.0.0.1:9/", "--events", "*")
    assert "shown this once" in made.stderr
    secret = made.stdout.splitlines()[-1]
    assert secret.startswith("whsec_")
    assert secret not in ask("show", "one").stdout
    rotated = ask("rotate-secret", "one", "--secret", "a-new-secret")
    assert rotated.stdout == "a-new-secret\n"
    assert "For the libraries of Standard Webhooks: whsec_" in rotated.stderr
    unsigned = ask("create", "two", "http://127.0.0.1:9/", "--events", "*", "--no-secret", "--json")
    assert data(unsigned)["has_secret"] is False


@pytest.mark.usefixtures("made")
def test_listing_and_switching(ask: Ask) -> None:
    """Plain columns when piped; the filters choose; an empty list says what to do."""
    assert "webhook create" in ask("list").stderr
    for name, types in (("users", "user.*"), ("tickets", "ticket.*")):
        ask("create", name, "http://127.0.0.1:9/", "--events", types)
    lines = ask("list").stdout.splitlines()
    assert lines[0].split()[:4] == ["ID", "NAME", "STATE", "BREAKER"]
    assert [line.split()[1:3] for line in lines[1:]] == [["users", "active"], ["tickets", "active"]]
    found = data(ask("list", "--event-type", "user.created", "--json"))
    assert [item["name"] for item in found["items"]] == ["users"]
    assert ["is_active", "no"] in [
        line.split() for line in ask("disable", "users").stdout.splitlines()
    ]
    assert [item["name"] for item in data(ask("list", "--inactive", "--json"))["items"]] == [
        "users"
    ]
    assert data(ask("enable", "users", "--json"))["is_active"] is True


@pytest.mark.usefixtures("made")
async def test_testing_delivering_retrying(ask: Ask, hub: HubProcess, receiver: Receiver) -> None:
    """test tells by its exit status; deliveries are listed, retried, replayed and ended."""

    async def call(*arguments: str, group: str = "webhook") -> subprocess.CompletedProcess[str]:
        return await trio.to_thread.run_sync(lambda: ask(*arguments, group=group))

    await call("create", "live", receiver.url, "--events", "user.created")
    good = await call("test", "live")
    assert (good.returncode, receiver.requests[0].header("x-webhook-event")) == (0, "user.created")
    receiver.script(Reply(500, b"no \x1b[31m"))
    bad = await call("test", "live")
    assert bad.returncode == 1
    assert "\x1b" not in bad.stdout
    assert "500" in bad.stdout
    receiver.script(Reply(500))
    assert "1 delivery" in (await call("user.created", "user_id=1", group="send")).stdout
    await receiver.wait_for(3)
    pending = await call("deliveries", "live", "--status", "pending")
    assert pending.stdout.splitlines()[1].split()[1:3] == ["user.created", "pending"]
    ended = await call("cancel-pending", "live", "--yes")
    assert ended.stdout == "1 delivery ended.\n"
    assert (await call("retry-failed", "live")).stdout == "1 delivery will be attempted again.\n"
    await receiver.wait_for(4)
    assert "1 event would be sent" in (await call("replay", "live", "--dry-run")).stdout
    replayed = await call("replay", "live", "--json")
    assert data(replayed)["state"] == "done"
    await receiver.wait_for(5)
    found = data(await call("deliveries", "live", "--all", "--json"))
    assert found["total"] == 2
    one = data(await call("deliveries", "live", "--event-type", "user.*", "-n", "1", "--json"))
    assert (len(one["items"]), one["total"]) == (1, None)
    more = await call("deliveries", "live", "--event-type", "user.*", "-n", "1")
    assert more.stderr == "There may be more; --all shows all.\n"
    event = one["items"][0]["event_id"]
    for narrow in (("--event", event), ("--since", "1h"), ("--event-type", "user.created")):
        for group, path in (("webhook", ("deliveries", "live")), ("delivery", ("list",))):
            found = data(await call(*path, *narrow, "--all", "--json", group=group))
            assert [item["event_id"] for item in found["items"]] == [event, event]
    for narrow in (("--event", "x"), ("--until", "1h"), ("--event-type", "ticket.*")):
        nothing = await call("list", *narrow, "--all", group="delivery")
        assert (nothing.stdout, nothing.stderr) == ("", "There is none.\n")
    listed = (await call("list", "--status", "success", group="delivery")).stdout.splitlines()
    assert listed[0].split()[:3] == ["ID", "ENDPOINT", "EVENT"]
    assert [line.split()[1:4] for line in listed[1:]] == [["live", "user.created", "success"]] * 2


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (("create", "x", "http://127.0.0.1:9/"), 2, "Missing option '--events'"),
        (("create", "x", "http://10.0.0.1/", "--events", "*"), 1, "[egress] allow"),
        (("create", "x", "http://a.b/", "--events", "user.creatd"), 1, "'user.created'"),
        (("create", "x", "http://a.b/", "--events", "*", "--set", "a"), 2, "not MEMBER=JSON"),
        (("create", "x", "http://a.b/", "--events", "*", "--set", "a=b"), 2, "is not JSON"),
        (("create", "x", "http://a.b/", "--events", "*", "--set", "a=1"), 1, "a:"),
        (("create", "x", "http://a.b/", "--events", "*", "--header", "a"), 2, "'Name: value'"),
        (("create", "x", "http://a.b/", "--events", "*", "--filter", "[]"), 2, "JSON object"),
        (("create", "x", "http://a.b/", "--events", "*", "--retry-schedule", "a"), 2, "seconds"),
        (("create", "x", "u", "--events", "*", "--secret", "s", "--no-secret"), 2, "not both"),
        (("update", "nobody", "--name", "x"), 1, "There is no webhook 'nobody'"),
        (("update", "1"), 2, "nothing to change"),
        (("show", "999999"), 1, "Error: "),
    ],
)
def test_what_is_wrong_is_told(
    ask: Ask, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    """2 for wrong usage, 1 for what the hub refuses; no traceback."""
    done = ask(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert expected in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
