"""Whose answer it is: a connection is used again only if nothing waits on it, for one owner alone,
and an answer counts only if it came after its request."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
import trio

from hookhub.config import EgressSettings
from hookhub.egress import EGRESS_ERRORS, Egress, classify
from hookhub.egress.http.connect import Dialled
from hookhub.egress.http.connection import ClientConnection
from hookhub.egress.http.failures import BadAnswer
from hookhub.egress.http.idle import DISTRUST, WATCH, IdleConnections, Origin
from hookhub.egress.http.line import SocketLine
from hookhub.testing.receiver import open_receiver

TLS = Path(__file__).parents[1] / "data" / "tls" / "localhost.pem"
LARGE = b"x" * 20_000_000
"""More than the buffers of both sides hold."""

Talk = Callable[[trio.abc.Stream], Awaitable[None]]


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    """An answer as it goes over the wire."""
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    """An egress that uses connections to new receivers again at once."""
    context = ssl.create_default_context(cafile=TLS)
    opened = Egress(EgressSettings(allow=["127.0.0.0/8"]), ssl_context=context, watch=0)
    yield opened
    await opened.aclose()


@asynccontextmanager
async def open_server(*talks: Talk, tls: bool = False) -> AsyncIterator[str]:
    """The URL of a server whose connections go as told, one after the other."""
    left = list(talks)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS)

    async def serve(transport: trio.SocketStream) -> None:
        stream: trio.abc.Stream = transport
        if tls:
            stream = trio.SSLStream(transport, context, server_side=True, https_compatible=True)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await left.pop(0)(stream)
        await trio.aclose_forcefully(transport)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve, listeners)
        port = listeners[0].socket.getsockname()[1]
        yield f"https://localhost:{port}/" if tls else f"http://127.0.0.1:{port}/"
        nursery.cancel_scope.cancel()


async def request(stream: trio.abc.Stream, end: bytes = b"{}") -> None:
    """Read a request to its end, or the end of the connection."""
    data = b""
    while not data.endswith(end) and (got := await stream.receive_some()):
        data = data[-len(end) :] + got


async def until_gone(stream: trio.abc.Stream) -> None:
    """Read until the peer has closed."""
    while await stream.receive_some():
        pass


async def post(egress: Egress, url: str, body: bytes = b"{}", owner: Hashable = 1) -> bytes:
    """What one POST is answered with; hanging is a failure of the test."""
    with trio.fail_after(10):
        got = await egress.post(url, [], body, timings={}, owner=owner)
        found = b"%d " % got.status
        try:
            while (piece := await got.piece()) is not None:
                found += piece
        finally:
            got.close()
        return found


async def failure(egress: Egress, url: str, body: bytes = b"{}") -> tuple[str, str]:
    """The word and the sentence for a POST that fails."""
    with pytest.raises(EGRESS_ERRORS) as caught:
        await post(egress, url, body)
    return classify(caught.value)


# -- Who may use a connection again ----------------------------------------------------------------


async def test_connection_is_its_owners(egress: Egress) -> None:
    """Requests of one owner share a connection, those of others have their own, and those of nobody
    have none that is kept."""
    async with open_receiver() as receiver:
        for owner in (1, 2, 1, "1", 2, None, None):
            await post(egress, receiver.url, owner=owner)
        assert [item.connection for item in receiver.requests] == [1, 2, 1, 3, 2, 4, 5]


async def test_httpx_says_whose_request_it_is(egress: Egress) -> None:
    """Through httpx it is an extension of the request."""
    async with open_receiver() as receiver:
        async with httpx.AsyncClient(transport=egress.transport(), trust_env=False) as client:
            for extensions in ({}, {"owner": 1}, {"owner": 1}, {"owner": 2}, {}):
                await client.post(receiver.url, extensions=extensions)
        assert [item.connection for item in receiver.requests] == [1, 2, 2, 3, 4]


@pytest.mark.parametrize("tls", [True, False])
async def test_what_waits_on_a_kept_connection_ends_it(egress: Egress, tls: bool) -> None:
    """A second answer, in a record of its own or a packet of its own, is nobody's; and no more
    connections to that receiver are kept."""
    taken, said = trio.Event(), trio.Event()

    async def twice(stream: trio.abc.Stream) -> None:
        await request(stream)
        await stream.send_all(answer(b"first"))
        await taken.wait()
        await stream.send_all(answer(b"again"))
        said.set()
        await until_gone(stream)

    async def once(stream: trio.abc.Stream) -> None:
        await request(stream)
        await stream.send_all(answer(b"own"))
        await until_gone(stream)

    async with open_server(twice, once, once, tls=tls) as url:
        assert await post(egress, url) == b"200 first"
        taken.set()
        await said.wait()
        assert [await post(egress, url) for _ in range(2)] == [b"200 own"] * 2
        found = egress.statistics()
        assert (found["unasked_total"], found["reused_total"], found["dialled_total"]) == (1, 0, 3)


async def test_records_of_tls_itself_are_no_answer(egress: Egress) -> None:
    """Session tickets come after the handshake, unasked; the connection is kept all the same."""

    async def serve(stream: trio.abc.Stream) -> None:
        while True:
            await request(stream)
            await stream.send_all(answer(b"own"))

    async with open_server(serve, tls=True) as url:
        for _ in range(3):
            assert await post(egress, url) == b"200 own"
        assert egress.statistics()["reused_total"] == 2


class Resting:
    """Connections for the idle list, to a peer that never answers."""

    def __init__(self) -> None:
        self._peers: list[socket.socket] = []
        self.made: list[ClientConnection] = []

    def add(self, idle: IdleConnections, origin: Origin) -> ClientConnection:
        raw, peer = socket.socketpair()
        self._peers.append(peer)
        line = SocketLine(raw, trio.socket.from_stdlib_socket(raw))
        connection = ClientConnection(Dialled(line, line))
        connection.can_be_reused = lambda: True  # type: ignore[method-assign]
        self.made.append(connection)
        idle.put(origin, connection)
        return connection

    def open(self) -> list[bool]:
        return [not connection._closed for connection in self.made]

    def close(self) -> None:
        for peer in self._peers:
            peer.close()
        for connection in self.made:
            connection.close()


@pytest.fixture
async def resting() -> AsyncIterator[Resting]:
    """Connections, closed at the end."""
    found = Resting()
    yield found
    found.close()


ORIGIN = Origin("http", "hook.example", 80, owner=1)


async def test_new_receiver_is_watched(
    resting: Resting, autojump_clock: trio.testing.MockClock
) -> None:
    """Nobody gets a connection to it before one has rested in silence: an answer too many would be
    taken for that of the next request. From then on the newest is used, at once."""
    idle = IdleConnections()
    first, second = (resting.add(idle, ORIGIN) for _ in range(2))
    assert idle.take(ORIGIN) is None
    autojump_clock.jump(WATCH)
    assert idle.take(ORIGIN) is first
    idle.trust(ORIGIN)
    idle.put(ORIGIN, first)
    assert (idle.take(ORIGIN), idle.take(ORIGIN)) == (first, second)
    assert idle.take(ORIGIN._replace(owner=2)) is None


async def test_receiver_that_spoke_unasked_gets_no_kept_connection(
    resting: Resting, autojump_clock: trio.testing.MockClock
) -> None:
    """All to it are closed, for an hour none is kept, and then it is watched again; other owners'
    connections to it are not touched."""
    idle, other = IdleConnections(keep=DISTRUST), ORIGIN._replace(owner=2)
    idle.trust(ORIGIN)
    for origin in (ORIGIN, ORIGIN, other):
        resting.add(idle, origin)
    idle.distrust(ORIGIN)
    resting.add(idle, ORIGIN)
    assert (resting.open(), len(idle)) == ([False, False, True, False], 1)
    autojump_clock.jump(DISTRUST)
    last = resting.add(idle, ORIGIN)
    assert idle.take(ORIGIN) is None
    autojump_clock.jump(WATCH)
    assert idle.take(ORIGIN) is last


# -- An answer before its request ------------------------------------------------------------------


async def test_success_before_the_request_is_none() -> None:
    """What a receiver says before it was asked says nothing about the request."""
    raw, peer = socket.socketpair()
    with peer:
        connection = ClientConnection(
            Dialled(*[SocketLine(raw, trio.socket.from_stdlib_socket(raw))] * 2)
        )
        peer.send(answer(b"fine"))
        await connection.send("POST", b"{}", None)
        with pytest.raises(BadAnswer, match="before the request was sent"):
            await connection.head(None)
        connection.close()


def answers_early(what: bytes, then: bytes = b"") -> Talk:
    """Answers after a request's first bytes, and reads the rest when it has answered."""

    async def talk(stream: trio.abc.Stream) -> None:
        await stream.receive_some(1024)
        await stream.send_all(what)
        await request(stream, b"END")
        if then:
            await stream.send_all(then)
            await until_gone(stream)

    return talk


@pytest.mark.parametrize("tls", [True, False])
async def test_success_before_the_end_of_the_request_is_none(egress: Egress, tls: bool) -> None:
    """A receiver that has not read all of a large body cannot have taken it."""
    async with open_server(answers_early(answer(b"fine")), tls=tls) as url:
        code, sentence = await failure(egress, url, LARGE + b"END")
        assert (code, "before the request was sent" in sentence) == ("protocol", True)
        assert egress.statistics()["idle_connections"] == 0


@pytest.mark.parametrize(
    ("early", "then", "comes"),
    [
        (answer(b"no", b"413 Too Large"), b"", b"413 no"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", answer(b"fine"), b"200 fine"),
    ],
    ids=["refusal", "interim"],
)
async def test_what_may_come_early(egress: Egress, early: bytes, then: bytes, comes: bytes) -> None:
    """A refusal counts when it comes, and an interim answer takes nothing from the one after it."""
    async with open_server(answers_early(early, then)) as url:
        assert await post(egress, url, LARGE + b"END") == comes


async def test_early_answer_on_a_kept_connection_may_be_of_the_request_before(
    egress: Egress,
) -> None:
    """It ends the connection, and the request is sent on a new one: the receiver cannot have taken
    what it has not read to its end."""

    async def late(stream: trio.abc.Stream) -> None:
        await request(stream)
        await stream.send_all(answer(b"first"))
        await answers_early(answer(b"first again"))(stream)

    async def fine(stream: trio.abc.Stream) -> None:
        await request(stream, b"END")
        await stream.send_all(answer(b"second"))
        await until_gone(stream)

    async with open_server(late, fine) as url:
        assert await post(egress, url) == b"200 first"
        assert await post(egress, url, LARGE + b"END") == b"200 second"
        assert egress.statistics()["resent_total"] == 1
