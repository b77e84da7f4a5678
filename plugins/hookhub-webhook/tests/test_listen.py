"""``hookhub listen``: what a local program gets is what a webhook would have got."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from hookhub.client import AsyncClient, verify
from hookhub.testing.commands import run_hookhub
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.receiver import ReceivedRequest, Receiver, Reply

StartHub = Callable[..., HubProcess]

SECRET = "s3cret"
PER_WEBHOOK = {
    "host",
    "x-webhook-id",
    "x-webhook-delivery",
    "webhook-timestamp",
    "webhook-signature",
}
"""Headers in which a local request may differ; the signature covers the time."""


@pytest.fixture(autouse=True)
def needed() -> None:
    """The plugins that the events and the feed come from."""
    for name in ("hookhub_users", "hookhub_websocket"):
        pytest.importorskip(name)


@asynccontextmanager
async def listening(
    hub: HubProcess, receiver: Receiver, *options: str
) -> AsyncIterator[trio.Process]:
    """A running ``hookhub listen`` that forwards to the receiver, ended by Ctrl-C."""
    command = [sys.executable, "-m", "hookhub", "listen", "--forward", receiver.url]
    command += ["--url", hub.url, "--token", hub.token, *options]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("HOOKHUB_")}
    process = await trio.lowlevel.open_process(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
        cwd=hub.directory,
        start_new_session=True,
    )
    try:
        with trio.fail_after(60):
            yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            await stream.aclose()


async def until(stream: trio.abc.ReceiveStream | None, text: str) -> str:
    """What a program prints, up to this text."""
    assert stream is not None
    printed = b""
    while text.encode() not in printed:
        piece = await stream.receive_some(4096)
        assert piece, f"it ended without {text!r}: {printed.decode()}"
        printed += piece
    return printed.decode()


async def send(hub: HubProcess, *numbers: int) -> None:
    """A user.created for each number."""
    async with AsyncClient(hub.url, hub.token) as client:
        await client.send_many(
            [{"type": "user.created", "payload": {"user_id": n, "note": "Аня"}} for n in numbers]
        )


def compared(request: ReceivedRequest) -> tuple[object, ...]:
    """What must be the same in a webhook's request and in a local one."""
    kept = tuple((name, text) for name, text in request.headers if name not in PER_WEBHOOK)
    return request.method, request.target, kept, request.body


async def test_it_posts_what_a_webhook_posts(start_hub: StartHub, receiver: Receiver) -> None:
    """To the byte, with the same headers in the same order, and both signatures hold."""
    hub = await trio.to_thread.run_sync(
        lambda: start_hub({"plugins": {"webhook": {"ed25519": False}}})
    )
    new = {"name": "w", "url": receiver.url, "event_type": "user.*", "secret": SECRET}
    async with hub.async_client() as http:
        (await http.post("/webhooks", json=new)).raise_for_status()
        await send(hub, 1)
        [real] = await receiver.wait_for(1)
        async with listening(hub, receiver, "--secret", SECRET, "--since", "all") as program:
            [_, local] = await receiver.wait_for(2)
            assert "✓ user.created evt_" in await until(program.stdout, " → 200 in ")
    assert compared(local) == compared(real)
    assert [name for name, _ in local.headers] == [name for name, _ in real.headers]
    assert local.header("x-webhook-signature") == real.header("x-webhook-signature")
    assert local.header("x-webhook-id") == "0"
    assert verify(local.body, dict(local.headers), SECRET).scheme == "standard"


async def test_it_outlives_a_killed_hub(start_hub: StartHub, receiver: Receiver) -> None:
    """After kill -9 and a restart the local program gets what came meanwhile, once, in order."""
    hub = await trio.to_thread.run_sync(start_hub)
    options = ("--secret", SECRET, "--json", "--count", "4")
    async with listening(hub, receiver, *options) as program:
        await until(program.stderr, "Connected")
        await send(hub, 1, 2)
        await receiver.wait_for(2)
        hub.kill()
        await until(program.stderr, "Connection lost")
        await trio.to_thread.run_sync(hub.start)
        await send(hub, 3, 4)
        got = await receiver.wait_for(4)
        assert await program.wait() == 0
        assert program.stdout is not None
        printed = b"".join([piece async for piece in program.stdout]).decode()
    assert [item.json()["user_id"] for item in got] == [1, 2, 3, 4]
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2, 3, 4]
    assert all(line["success"] for line in lines)


async def test_a_killed_listener_goes_on(start_hub: StartHub, receiver: Receiver) -> None:
    """With --keep, kill -9 of the listener itself loses nothing: the next one goes on there."""
    hub = await trio.to_thread.run_sync(start_hub)
    options = ("--no-secret", "--keep", str(Path(hub.directory, "place")))
    async with listening(hub, receiver, *options) as program:
        await until(program.stderr, "Connected")
        await send(hub, 1)
        await until(program.stdout, "✓ user.created")
    await send(hub, 2, 3)
    async with listening(hub, receiver, *options) as program:
        while receiver.requests[-1].json()["user_id"] != 3:
            await receiver.wait_for(len(receiver.requests) + 1)
        program.send_signal(signal.SIGINT)
        assert await program.wait() == 0
    numbers = [item.json()["user_id"] for item in receiver.requests]
    # One that was killed between the answer and its note of it posts that event again.
    assert sorted(set(numbers)) == [1, 2, 3]
    assert numbers[-1] == 3
    assert all(item.header("x-webhook-signature") is None for item in receiver.requests)


async def test_it_prints_each_answer(start_hub: StartHub, receiver: Receiver) -> None:
    """Refusals too; nothing a program answers steers the terminal."""
    hub = await trio.to_thread.run_sync(start_hub)
    receiver.script(Reply(500, b"broken \x1b[2J"))
    await send(hub, 1, 2)
    options = ("--since", "all", "-n", "2")
    async with listening(hub, receiver, *options) as program:
        assert "signed with the secret whsec_" in await until(program.stderr, "\n")
        printed = await until(program.stdout, "✓ user.created")
        assert await program.wait() == 0
    first = printed.splitlines()[0]
    assert first.startswith("✗ user.created evt_")
    assert " → 500 in " in first
    assert "broken \\x1b[2J" in first
    assert "\x1b" not in printed


@pytest.fixture(scope="module")
def idle_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One for all that is refused."""
    with HubProcess(tmp_path_factory.mktemp("hub")) as process:
        yield process


@pytest.mark.parametrize(
    ("options", "status", "expected"),
    [
        ((), 2, "Missing option '--forward'"),
        (("--forward", "nowhere"), 1, "http://"),
        (("--forward", "http://127.0.0.1:9/", "--secret", "whsec_x"), 2, "base64"),
        (
            ("--forward", "http://127.0.0.1:9/", "--header", "Host: x"),
            1,
            "belongs to the connection",
        ),
        (("--forward", "http://127.0.0.1:9/", "--token", "hh_no"), 1, "Unauthorized"),
    ],
)
def test_what_cannot_work_is_told(
    idle_hub: HubProcess, options: tuple[str, ...], status: int, expected: str
) -> None:
    """Before anything is posted; no traceback."""
    done = run_hookhub("listen", "--url", idle_hub.url, "--token", idle_hub.token, *options)
    assert done.returncode == status, done.stderr
    assert expected in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
