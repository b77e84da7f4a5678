"""A stop: who is let finish, who is told to go, who is cut off, and when."""

from __future__ import annotations

import socket
from functools import partial

import h11
import pytest
import trio
import trio.testing

from hookhub.config import ServerSettings
from hookhub.contracts.routes import UpgradeRequest
from hookhub.http.connections import serve
from hookhub.http.limits import hypercorn_config
from hookhub.http.listeners import listener_url, open_listeners
from support.tiny import (
    HELLO,
    LARGE,
    UPGRADE,
    Server,
    ask,
    make_app,
    read_answer,
    read_exactly,
    running,
)

SLOW = HELLO.replace(b"hello", b"slow")
BEGUN = HELLO.replace(b"hello", b"begun")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers wait for no further request at a stop."""
    monkeypatch.setattr("hookhub.http.connections.MOMENT", 0.0)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers wait for a further request at a stop for as long as it takes."""
    monkeypatch.setattr("hookhub.http.connections.MOMENT", 60.0)


def is_last(response: h11.Response) -> bool:
    """Whether the answer says that its connection ends."""
    return dict(response.headers).get(b"connection") == b"close"


async def read_last(stream: trio.SocketStream) -> bytes:
    """The body of an answer that says that it is the last one, and is."""
    response, body = await read_answer(stream, HELLO)
    assert is_last(response)
    assert await stream.receive_some() == b""
    return body


def call(server: Server) -> trio.SocketStream:
    """A connection with a request, made without giving the server a turn."""
    client = socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])))
    client.sendall(HELLO)
    server.clients.append(trio.SocketStream(trio.socket.from_stdlib_socket(client)))
    return server.clients[-1]


async def test_lifespan_runs_around_the_serving() -> None:
    """The app is started before the first request and shut down after the last."""
    async with running() as server:
        assert server.app.config["events"] == ["started"]
        stream = await server.connect()
        await stream.send_all(SLOW)
        await server.app.config["asked"].wait()
        server.stopping.set()
        server.app.config["release"].set()
        response, body = await read_answer(stream, HELLO)
        assert (response.status_code, body) == (200, b"slow")
        await server.finished.wait()
    assert server.app.config["events"] == ["started", "slow", "stopped"]


# -- before a stop -----------------------------------------------------------------------------


async def test_a_draining_server_takes_requests_and_ends_their_connections() -> None:
    """Kept connections and new ones get an answer that says that it is the last."""
    async with running(grace=60) as server:
        kept = await server.connect()
        response, _ = await _exchange(kept)
        assert not is_last(response)
        server.draining.set()
        for stream in (kept, await server.connect()):
            await stream.send_all(HELLO)
            assert await read_last(stream) == b"hello"


async def test_what_follows_the_last_answer_does_not_spoil_it() -> None:
    """A request sent ahead while it is on its way is dropped, and the answer arrives whole."""
    async with running(grace=60) as server:
        stream = await server.connect()
        server.draining.set()
        await stream.send_all(BEGUN)
        await server.app.config["asked"].wait()
        await stream.send_all(HELLO)
        await trio.testing.wait_all_tasks_blocked()
        server.app.config["release"].set()
        assert await read_last(stream) == b"begun done"


# -- requests at a stop ------------------------------------------------------------------------


async def test_a_running_request_is_answered_for_the_last_time() -> None:
    """Its connection ends with it."""
    async with running(grace=60) as server:
        stream = await server.connect()
        await stream.send_all(SLOW)
        await server.app.config["asked"].wait()
        server.stopping.set()
        await trio.testing.wait_all_tasks_blocked()
        server.app.config["release"].set()
        assert await read_last(stream) == b"slow"
        await server.finished.wait()


async def test_a_request_sent_ahead_does_not_hold_up_a_stop() -> None:
    """Its reader waits for an answer to end after which nothing is read any more."""
    async with running(grace=60) as server:
        stream = await server.connect()
        await stream.send_all(SLOW)
        await server.app.config["asked"].wait()
        await stream.send_all(HELLO)
        await trio.testing.wait_all_tasks_blocked()
        server.stopping.set()
        await trio.testing.wait_all_tasks_blocked()
        server.app.config["release"].set()
        assert await read_last(stream) == b"slow"
        with trio.fail_after(5):
            await server.finished.wait()


async def test_a_request_behind_an_answer_that_breaks_off_does_not_hold_up_a_stop() -> None:
    """The connection ends with the broken answer, and nobody waits for its next one."""
    async with running(grace=60) as server:
        server.app.config["break"] = True
        stream = await server.connect()
        await stream.send_all(BEGUN)
        await server.app.config["asked"].wait()
        await stream.send_all(HELLO)
        await trio.testing.wait_all_tasks_blocked()
        server.app.config["release"].set()
        while await stream.receive_some():
            pass
        server.stopping.set()
        with trio.fail_after(5):
            await server.finished.wait()


@pytest.mark.usefixtures("later")
async def test_an_answer_that_promised_another_is_followed_by_one() -> None:
    """It had begun before the stop, so its client may have sent the next request already."""
    async with running(grace=60) as server:
        stream = await server.connect()
        await stream.send_all(BEGUN)
        await server.app.config["asked"].wait()
        server.stopping.set()
        await trio.testing.wait_all_tasks_blocked()
        server.app.config["release"].set()
        response, body = await read_answer(stream, BEGUN)
        assert (is_last(response), body) == (False, b"begun done")
        await stream.send_all(HELLO)
        assert await read_last(stream) == b"hello"
        await server.finished.wait()


@pytest.mark.usefixtures("now")
async def test_requests_that_have_come_are_answered() -> None:
    """Also those that nobody has read yet: on kept connections, and on ones not yet accepted.

    Many, because what they guard against depends on the order of tasks.
    """
    async with running(grace=60) as server:
        kept = [await server.connect() for _ in range(20)]
        for stream in kept:
            await _exchange(stream)
        await trio.testing.wait_all_tasks_blocked()
        fresh = [call(server) for _ in range(20)]
        for stream in kept:
            assert stream.socket._sock.send(HELLO) == len(HELLO)
        server.stopping.set()
        for stream in (*kept, *fresh):
            assert await read_last(stream) == b"hello"
        await server.finished.wait()


@pytest.mark.usefixtures("later")
async def test_the_rest_of_a_head_is_waited_for() -> None:
    """A request that is arriving is answered."""
    async with running(grace=60) as server:
        stream = await server.connect()
        await stream.send_all(HELLO[:20])
        await trio.testing.wait_all_tasks_blocked()
        server.stopping.set()
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(HELLO[20:])
        assert await read_last(stream) == b"hello"
        await server.finished.wait()


# -- connections without a request -------------------------------------------------------------


@pytest.mark.usefixtures("later")
async def test_who_was_just_served_may_ask_once_more() -> None:
    """So a client that asks one thing after the other is told, and loses nothing."""
    async with running(grace=60) as server:
        unused, used = await server.connect(), await server.connect()
        await _exchange(used)
        server.stopping.set()
        await trio.testing.wait_all_tasks_blocked()
        for stream in (unused, used):
            await stream.send_all(HELLO)
            assert await read_last(stream) == b"hello"
        await server.finished.wait()


@pytest.mark.usefixtures("now")
async def test_stop_closes_idle_connections() -> None:
    """Kept connections without a request, or with half of its head, do not hold up a stop.

    Many, because what they guard against (an answering task cancelled before it starts the idle
    timer of its connection) depends on the order of tasks.
    """
    async with running(grace=60) as server:
        unused, half = await server.connect(), await server.connect()
        await half.send_all(HELLO[:20])
        used = [await server.connect() for _ in range(20)]
        for stream in used:
            assert await ask(stream, HELLO) == (200, b"hello")
        await trio.testing.wait_all_tasks_blocked()
        server.stopping.set()
        for stream in (unused, half, *used):
            assert await stream.receive_some() == b""
        await server.finished.wait()


async def test_a_stop_refuses_new_connections_at_once() -> None:
    """Who connects while others are let finish is not kept waiting for nothing."""
    async with running(grace=60) as server:
        stream = await server.connect()
        await stream.send_all(SLOW)
        await server.app.config["asked"].wait()
        server.stopping.set()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(OSError, match="connect"):
            await server.connect()
        server.app.config["release"].set()
        assert await read_last(stream) == b"slow"


# -- whom nobody waits for ---------------------------------------------------------------------


async def test_stop_cancels_what_exceeds_the_grace() -> None:
    """Requests and taken connections that do not end are cut off after the grace period."""
    cancelled = trio.Event()

    async def handler(request: UpgradeRequest, stream: trio.abc.Stream) -> None:
        try:
            await stream.send_all(b"taken")
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with running({"/ws": handler}, grace=0.05) as server:
        slow, taken = await server.connect(), await server.connect()
        await slow.send_all(SLOW)
        await taken.send_all(UPGRADE % b"/ws")
        await read_exactly(taken, 5)
        await server.app.config["asked"].wait()
        server.stopping.set()
        await server.finished.wait()
        assert cancelled.is_set()


async def test_stop_is_bounded_by_clients_that_never_read() -> None:
    """Hypercorn shields its writes without a deadline; the stop takes the socket away."""
    async with running(grace=0.05) as server:
        stream = await server.connect()
        await stream.send_all(LARGE)
        await stream.receive_some(1000)
        server.stopping.set()
        with trio.fail_after(3):
            await server.finished.wait()


async def test_cancellation_is_not_held_up_by_clients_that_never_read() -> None:
    """Cancelled from outside, the server ends at once too."""
    app = make_app()
    listeners = await open_listeners(ServerSettings(bind="127.0.0.1:0"))
    server = Server(app, [listener_url(listeners[0])])
    run = partial(
        serve,
        app,
        listeners,
        upgrades={},
        config=hypercorn_config(),
        draining=server.draining,
        stopping=server.stopping,
        grace=60,
    )
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            async with await server.connect() as stream:
                await stream.send_all(LARGE)
                await stream.receive_some(1000)
                nursery.cancel_scope.cancel()


async def _exchange(stream: trio.SocketStream) -> tuple[h11.Response, bytes]:
    await stream.send_all(HELLO)
    return await read_answer(stream, HELLO)
