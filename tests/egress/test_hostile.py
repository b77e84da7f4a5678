"""Receivers, names and headers that mean harm: what each of them may cost, and what it gets."""

from __future__ import annotations

import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import h11
import httpx
import pytest
import trio

from hookhub.config import EgressSettings
from hookhub.contracts.errors import EgressBlocked, ValidationFailed
from hookhub.egress import EGRESS_ERRORS, Egress, ReceivedAnswer, classify
from hookhub.egress.guard.addresses import Guard
from hookhub.egress.guard.names import ThreadResolver
from hookhub.egress.http.answer_reader import MAX_INTERIM, AnswerReader
from hookhub.egress.http.connect import MAX_TARGETS, Dialled, resolve
from hookhub.egress.http.connection import ClientConnection
from hookhub.egress.http.failures import BadRequest, EgressError
from hookhub.egress.http.idle import KEEP_AT_ALL, IdleConnections, Origin
from hookhub.egress.http.line import SocketLine
from hookhub.egress.http.wire import plain_answer, request_head
from hookhub.testing.receiver import Raw, open_receiver
from support.certificates import Authority

Talk = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    """An egress that may call 127.0.0.0/8."""
    opened = Egress(EgressSettings(allow=["127.0.0.0/8"]), watch=0)
    yield opened
    await opened.aclose()


@asynccontextmanager
async def open_server(talk: Talk) -> AsyncIterator[str]:
    """The URL of a server that reads a request's head and body, and then does as ``talk`` says."""

    async def serve(stream: trio.SocketStream) -> None:
        data = b""
        while not data.endswith(b"{}"):
            data += await stream.receive_some()
        try:
            await talk(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()


def sends(*parts: bytes) -> Talk:
    """Sends one part after the other, each in a packet of its own as far as that can be had."""

    async def talk(stream: trio.SocketStream) -> None:
        for part in parts:
            await stream.send_all(part)
            await trio.testing.wait_all_tasks_blocked()

    return talk


def floods(begin: bytes, more: bytes) -> Talk:
    """Sends a beginning and then the same for ever, as fast as it is read."""

    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(begin)
        while True:
            await stream.send_all(more * 100)

    return talk


async def post(egress: Egress, url: str) -> tuple[ReceivedAnswer, bytes]:
    """One POST, its answer read to the end."""
    with trio.fail_after(20):
        answer = await egress.post(url, [("X-Own", "1")], b"{}", timings={}, owner=1)
        body = b""
        try:
            while (piece := await answer.piece()) is not None:
                body += piece
        finally:
            answer.close()
        return answer, body


async def failure(egress: Egress, url: str) -> tuple[str, str]:
    """The word and the sentence for a POST that fails."""
    with pytest.raises(EGRESS_ERRORS) as caught:
        await post(egress, url)
    return classify(caught.value)


# -- Answers ---------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n"
KEPT = b"Connection: keep-alive\r\n"


@pytest.mark.parametrize(
    ("parts", "status", "body", "kept"),
    [
        ((OK,), 200, b"ok", 1),
        ((OK[:10], OK[10:]), 200, b"ok", 1),
        ((OK[:-1], OK[-1:]), 200, b"ok", 1),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", OK), 200, b"ok", 1),
        ((b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * MAX_INTERIM + OK,), 200, b"ok", 1),
        ((b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",), 204, b"", 1),
        ((b"HTTP/1.1 304 Not Modified\r\n\r\n",), 304, b"", 1),
        ((b"HTTP/1.1 200 \r\ncontent-length:0\r\nConnection: Keep-Alive\r\n\r\n",), 200, b"", 1),
        ((b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",), 200, b"x", 0),
        ((b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",), 200, b"x", 0),
        ((b"HTTP/1.1 200 OK\r\n\r\nuntil the end",), 200, b"until the end", 0),
        ((OK + b"HTTP/1.1 200 OK\r\n",), 200, b"ok", 0),
        (
            (CHUNKED + b"2;a=b\r\nok\r\n0\r\nT: 1\r\n\r\n",),
            500,
            b"ok",
            1,
        ),
        (
            (b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 15000, b"x" * 5000),
            200,
            b"x" * 20000,
            1,
        ),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_answers_of_every_form_are_read(
    egress: Egress, parts: tuple[bytes, ...], status: int, body: bytes, kept: int
) -> None:
    """However an answer is framed and cut in pieces, it is read to its end, and no further."""
    async with open_server(sends(*parts)) as url:
        answer, found = await post(egress, url)
        assert (answer.status, found) == (status, body)
        assert egress.statistics()["idle_connections"] == kept


@pytest.mark.parametrize(
    ("begin", "more", "code"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "protocol"),
        (b"", b"HTTP/1.1 103 Hints\r\nLink: " + b"x" * 9000 + b"\r\n\r\n", "too_large"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", "too_large"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y", "too_large"),
        (
            CHUNKED,
            b"1;" + b"x" * 9000,
            "too_large",
        ),
        (
            CHUNKED,
            b"1;" + b"x" * 9000 + b"\r\n.\r\n",
            "too_large",
        ),
        (
            CHUNKED + b"0\r\n",
            b"Trailer: x\r\n",
            "too_large",
        ),
    ],
    ids=["1xx", "large 1xx", "headers", "a header", "a size", "chunk extensions", "trailers"],
)
async def test_floods_end(egress: Egress, begin: bytes, more: bytes, code: str) -> None:
    """Whatever a receiver can send without end, besides a body that nobody wants to its end, ends
    the exchange and the connection."""
    async with open_server(floods(begin, more)) as url:
        found, sentence = await failure(egress, url)
        assert (found, sentence[-1]) == (code, ".")
        assert egress.statistics()["idle_connections"] == 0


async def test_one_receiver_of_tiny_chunks_leaves_others_their_turn(egress: Egress) -> None:
    """While a read full of chunks of one byte is taken apart, other tasks run."""
    chunk = b"1\r\n.\r\n"
    begin = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    reader = AnswerReader("POST", begin + chunk * 2000)

    async def nothing() -> bytes:
        raise AssertionError("all of it is there")

    await reader.head(nothing)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(2000):
            assert await reader.piece(nothing) == b"."
        nursery.cancel_scope.cancel()
    assert turns >= 2000 // 100


async def test_what_is_said_of_garbage_is_short(egress: Egress) -> None:
    """The sentence about an answer that is none repeats little of it."""
    async with open_receiver(Raw(b"HTTP/1.1 " + b"garbage" * 5000 + b"\r\n\r\n")) as receiver:
        code, sentence = await failure(egress, receiver.url)
        assert (code, len(sentence) < 400) == ("protocol", True)


PLAIN = [
    OK,
    b"HTTP/1.1 200 OK\r\nServer: a b\tc\r\nX-Empty:\r\nContent-Length: \t3 \r\n\r\nabc",
    b"HTTP/1.1 410 Gone\r\ncontent-LENGTH: 0\r\nX: \xe4\r\nX: again\r\n\r\n",
    b"HTTP/1.1 200\r\nContent-Length: 1\r\nKeep-Alive: timeout=5\r\n" + KEPT + b"\r\nx",
    b"HTTP/1.1 204 No Content\r\n\r\n",
]


@pytest.mark.parametrize("data", PLAIN)
def test_plain_answers_are_read_as_h11_reads_them(data: bytes) -> None:
    """The short way and h11 agree on the status, the fields and the body."""
    found = plain_answer(data)
    assert found is not None
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="POST", target="/", headers=[("Host", "x")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data)
    response = parser.next_event()
    assert isinstance(response, h11.Response)
    assert found.head.status == response.status_code
    assert found.head.reason == response.reason
    assert list(found.head.fields) == list(response.headers.raw_items())
    body = parser.next_event()
    expected = bytes(body.data) if isinstance(body, h11.Data) else b""
    assert data[found.begin : found.begin + found.length] == expected


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"HTTP/1.1", OK[:-4], b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 600 X\r\n\r\n"),
        *(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/2 200 OK\r\n\r\n"),
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n X: y\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: \x00\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nbad\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\n" + KEPT + b"Connection: close\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nContent-Length: 1\r\n\r\nx",
    ],
)
def test_what_is_not_plain_is_left_to_h11(data: bytes) -> None:
    """Everything with two meanings, or none, is not read the short way."""
    assert plain_answer(data) is None


# -- Requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        *(("X", "a\r\nY: b"), ("X", "a\nY: b"), ("X", "a\rb"), ("X", "a\x00"), ("X\r\nY", "b")),
        *(("X Y", "b"), ("", "b"), ("X", "€"), ("X: a\r\nY", "b"), ("X", "a\r\n b"), ("X:", "b")),
    ],
)
def test_injection_is_refused_when_it_is_sent(field: tuple[str, str]) -> None:
    """Whatever let a header through, it cannot bring another one with it; and is not repeated."""
    with pytest.raises(BadRequest) as caught:
        request_head("POST / HTTP/1.1\r\nHost: x\r\n", [("Authorization", "hunter2"), field], 0)
    assert "hunter2" not in str(caught.value)
    assert classify(caught.value)[0] == "bad_request"


async def test_head_and_its_answer_without_a_body(egress: Egress) -> None:
    """An answer to HEAD has no body, whatever length it tells."""
    async with open_receiver(Raw(OK[:-2])) as receiver:
        request = httpx.Request("HEAD", receiver.url)
        response = await egress.transport().handle_async_request(request)
        assert await response.aread() == b""
        await response.aclose()
        assert receiver.requests[0].method == "HEAD"


# -- Names and addresses ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allow", "closed"),
    [
        ("::/0", "::ffff:127.0.0.1"),
        ("::/0", "::ffff:a9fe:a9fe"),
        ("::/0", "64:ff9b::10.0.0.1"),
        ("fd00::/8", "10.0.0.1"),
        ("0.0.0.0/0", "::1"),
        ("64:ff9b:1::/48", "64:ff9b::10.0.0.1"),
    ],
)
def test_opening_one_family_opens_nothing_of_the_other(allow: str, closed: str) -> None:
    """An IPv4 address inside an IPv6 one is opened by networks of IPv4 alone."""
    assert not Guard([allow]).permits(ip_address(closed))


@pytest.mark.parametrize(
    ("allow", "opened"),
    [
        ("::ffff:10.0.0.0/104", "10.1.2.3"),
        ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3"),
        ("64:ff9b::10.0.0.0/104", "10.1.2.3"),
        ("::/0", "fd00::1"),
        ("64:ff9b:1::/48", "64:ff9b:1::808:808"),
    ],
)
def test_network_in_its_ipv6_spelling_opens_what_it_says(allow: str, opened: str) -> None:
    """A mapped network is the IPv4 network."""
    assert Guard([allow]).permits(ip_address(opened))


@pytest.mark.parametrize(
    "host",
    [
        *("①②⑦.⓪.⓪.①", "127.0.0.\u00ad1", "①②⑦。0。0。1", "0x7F。1", "017700000001", "0x7f000001."),
        *("00000000177.0.0.1", "127.0x0.0.1", "127.65535", "0xA9FEA9FE", "169.0xfea9fe"),
        *("ⓛocalhost", "LOCALHOST。", "ｍetadata.google.internal", "metadata.tencentyun.com"),
        *("[0:0:0:0:0:ffff:169.254.169.254]", "[::ffff:0:127.0.0.1]", "[64:ff9b::]"),
        *("[2001::1]", "[2001:20::1]", "[2002:a9fe:a9fe::]", "[fd00:c1::a9fe:a9fe]", "[ff05::2]"),
    ],
)
def test_no_spelling_hides_an_address(host: str) -> None:
    """What a browser or a resolver would read as a private address is one."""
    with pytest.raises(EgressBlocked):
        Egress(EgressSettings()).check_url(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1%00.example.com/", "http://[fe80::1%251]/", "http://[::1%lo]/"),
        *("http://%31%32%37.0.0.1/", "http://127.0.0.1@example.com/", "http:\\\\127.0.0.1/"),
        *("http://example.com:80:80/", "http://[::1].example.com/", "http://[::1]x/", "http://[/"),
        *("http://127.0.0.1:-1/", "http://1.2.3.4:080000/", "http://a_b..c/", "http://\u202ex.y/"),
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(url: str) -> None:
    """A URL with two readings is not stored."""
    with pytest.raises(ValidationFailed):
        Egress(EgressSettings(allow=["0.0.0.0/0", "::/0"])).check_url(url)


class Fixed(trio.abc.HostnameResolver):
    """Answers every question with these addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self.addresses
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


async def addresses(*found: str) -> list[str]:
    """What would be connected to if a name had these addresses."""
    targets = await resolve(Fixed(*found), "hook.example", 80, Guard())
    return [str(target.address) for target in targets]


async def test_a_name_can_have_any_number_of_addresses() -> None:
    """All are checked, and some are tried: of both families, each once."""
    many = [f"2606:4700::{number:x}" for number in range(1, 200)]
    assert len(await addresses(*many)) == MAX_TARGETS
    assert await addresses("10.0.0.1", *many[:2], many[0], "8.8.8.8") == [
        many[0],
        "8.8.8.8",
        many[1],
    ]


@pytest.mark.parametrize(
    "address", ["fe80::1%lo", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "0.0.0.0", "::", "fe80::1"]
)
async def test_resolvers_answers_are_checked_in_every_spelling(address: str) -> None:
    """A scope or a wrapping does not hide what an address is."""
    with pytest.raises(EgressBlocked, match=r"hook\.example"):
        await addresses(address)


async def test_name_without_an_address() -> None:
    """An empty answer is a failure of the name."""
    with pytest.raises(EgressError) as caught:
        await addresses()
    assert classify(caught.value)[0] == "dns"


async def test_name_servers_that_hang_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many attempts wait for a name, it has two threads, and others have theirs; also when
    the attempts have given up, and their threads have not."""
    real, let_go = socket.getaddrinfo, threading.Event()
    hanging = 0

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal hanging
        numeric = args[4] & socket.AI_NUMERICHOST
        if host == b"slow.example" and not numeric:
            hanging += 1
            assert let_go.wait(30)
        return real(b"127.0.0.1" if host == b"fine.example" and not numeric else host, *args)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = ThreadResolver(maximum=4)
    try:
        for _ in range(10):
            with trio.move_on_after(0.01) as gone:
                await resolver.getaddrinfo(b"slow.example", 80)
            assert gone.cancelled_caught
        with trio.fail_after(10):
            found = await resolver.getaddrinfo(b"fine.example", 80)
        assert found[0][4] == ("127.0.0.1", 80)
        assert hanging <= 2
    finally:
        let_go.set()


# -- TLS -------------------------------------------------------------------------------------------


async def test_expired_certificate_is_refused(egress: Egress) -> None:
    """A certificate of a trusted authority counts while it is valid."""
    authority = Authority()
    _, context = authority.certify(age=timedelta(days=3))
    async with open_receiver(ssl_context=context) as receiver:
        with pytest.raises(EGRESS_ERRORS) as caught:
            await egress.post(receiver.url, [], b"{}", timings={}, trust=authority.pem)
        code, sentence = classify(caught.value)
        assert (code, "expired" in sentence) == ("tls", True)
        assert receiver.requests == []


async def test_old_versions_of_tls_are_refused(egress: Egress) -> None:
    """Nothing below TLS 1.2."""
    authority = Authority()
    _, context = authority.certify()
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    async with open_receiver(ssl_context=context) as receiver:
        with pytest.raises(EGRESS_ERRORS) as caught:
            await egress.post(receiver.url, [], b"{}", timings={}, trust=authority.pem)
        assert classify(caught.value)[0] == "tls"


async def test_stalling_in_the_handshake_ends_with_the_time_to_connect() -> None:
    """A peer that begins to shake hands and stops is a ``connect_timeout``."""

    async def stall(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        # The head of a TLS record of which nothing follows.
        await stream.send_all(b"\x16\x03\x03\x40\x00")
        await stream.receive_some()

    egress = Egress(EgressSettings(allow=["127.0.0.0/8"]), connect_timeout=0.1)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, stall, listeners)
        url = f"https://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"
        code, sentence = await failure(egress, url)
        assert (code, "TLS handshake" in sentence) == ("connect_timeout", True)
        nursery.cancel_scope.cancel()


# -- Kept connections ------------------------------------------------------------------------------


async def test_busy_connection_is_not_kept_for_ever(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A name may lead elsewhere by now: after some minutes the next request looks."""
    origin = Origin("http", "hook.example", 80, owner=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        raw = socket.create_connection(listener.getsockname())
        line = SocketLine(raw, trio.socket.from_stdlib_socket(raw))
        connection = ClientConnection(Dialled(line, line))
        await connection.send("POST", b"x", None)
        idle = IdleConnections()
        idle.trust(origin)
        for _ in range(3):
            autojump_clock.jump(KEEP_AT_ALL / 3)
            idle.put(origin, connection)
            assert idle.take(origin) is connection
        autojump_clock.jump(1)
        idle.put(origin, connection)
        assert (len(idle), raw.fileno()) == (0, -1)
