"""What the hub takes for HTTP/1.1, what it refuses, and how long it waits for a slow client."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h11
import httpx
import pytest
import trio
import trio.testing
from hypercorn.trio.task_group import TaskGroup

from hookhub.http.app_queue import AppQueues
from hookhub.http.limits import ServerConfig, hypercorn_config
from hookhub.server import Started
from hookhub.testing.serving import TOKEN

LIVE = b"GET /health/live HTTP/1.1\r\nHost: hub\r\n\r\n"
H2C = (
    b"GET /health/live HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
PUT = b"PUT /things HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def connection(started: Started) -> AsyncIterator[trio.SocketStream]:
    url = httpx.URL(started.addresses[0])
    with trio.fail_after(10):
        async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
            yield stream


async def read_answer(
    stream: trio.SocketStream, method: bytes = b"GET"
) -> tuple[h11.Response, bytes]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "hub")]))
    client.send(h11.EndOfMessage())
    head, body = None, b""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            client.receive_data(bytes(await stream.receive_some()))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            assert isinstance(event, h11.EndOfMessage), event
            assert head is not None
            return head, body


async def read_problem(stream: trio.SocketStream) -> dict[str, Any]:
    """The problem document of an answer after which the connection ends."""
    head, body = await read_answer(stream)
    headers = dict(head.headers)
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"connection"].lower() == b"close"
    problem: dict[str, Any] = json.loads(body)
    assert problem["status"] == head.status_code
    assert problem["type"] == f"urn:hookhub:problem:{problem['code']}"
    assert await stream.receive_some() == b""
    return problem


async def drip(stream: trio.SocketStream, data: bytes) -> None:
    """Send byte after byte, each long before a time-out between two of them."""
    try:
        for byte in data:
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.01)
    except trio.BrokenResourceError:
        pass


def wait_only(monkeypatch: pytest.MonkeyPatch, *, idle: float, head: float) -> None:
    """Hubs that start from now on wait so many seconds for a request, and for its head."""

    def config(*given: Any) -> ServerConfig:
        found = hypercorn_config(*given)
        found.keep_alive_timeout = idle  # type: ignore[assignment]
        found.head_timeout = head
        return found

    monkeypatch.setattr("hookhub.server.hypercorn_config", config)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that waits for tenths of seconds instead of half and whole minutes."""
    wait_only(monkeypatch, idle=1.0, head=0.2)
    monkeypatch.setattr("hookhub.web.app.BODY_TIMEOUT", 0.2)
    monkeypatch.setattr("hookhub.web.asgi.LINGER", 0.2)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that waits long, but not for heads."""
    wait_only(monkeypatch, idle=60.0, head=1.0)


@pytest.mark.parametrize("before", [b"", LIVE, H2C], ids=["silent", "kept", "h2c"])
async def test_an_idle_connection_is_closed(
    impatient: None, hub_server: Started, before: bytes
) -> None:
    """Before the first request and after any, also one that would have gone on as HTTP/2."""
    async with connection(hub_server) as stream:
        if before:
            await stream.send_all(before)
            assert (await read_answer(stream))[0].status_code == 200
        assert await stream.receive_some() == b""


@pytest.mark.parametrize("before", [b"", LIVE], ids=["first", "kept"])
async def test_half_a_head_is_not_waited_for(
    impatient: None, hub_server: Started, before: bytes
) -> None:
    """The client is told with 408, and the connection is closed."""
    async with connection(hub_server) as stream:
        if before:
            await stream.send_all(before)
            await read_answer(stream)
        await stream.send_all(LIVE[:-2])
        assert (await read_problem(stream))["code"] == "request_timeout"


@pytest.mark.parametrize("ahead", [b"", LIVE], ids=["alone", "pipelined"])
async def test_a_dripping_head_has_one_deadline(
    impatient: None, hub_server: Started, ahead: bytes
) -> None:
    """A byte now and then does not begin the time anew."""
    async with connection(hub_server) as stream, trio.open_nursery() as nursery:
        await stream.send_all(ahead + b"GET / HTTP/1.1\r\n")
        nursery.start_soon(drip, stream, b"X-Slow: " + b"a" * 5000)
        if ahead:
            assert (await read_answer(stream))[1] == b'{"status": "ok"}'
        assert (await read_problem(stream))["code"] == "request_timeout"
        nursery.cancel_scope.cancel()


async def test_a_head_in_time_is_served(patient: None, hub_server: Started) -> None:
    """The deadline of a head ends with the head, though the connection is kept for longer."""
    async with connection(hub_server) as stream:
        await stream.send_all(LIVE[:30])
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(LIVE[30:])
        assert (await read_answer(stream))[0].status_code == 200
        with trio.move_on_after(1.2) as open_still:
            await stream.receive_some()
        assert open_still.cancelled_caught
        await stream.send_all(LIVE)
        assert (await read_answer(stream))[0].status_code == 200


@pytest.mark.parametrize("framing", [b"Content-Length: 5000", b"Transfer-Encoding: chunked"])
async def test_a_dripping_body_has_one_deadline(
    impatient: None, hub_server: Started, framing: bytes
) -> None:
    """The whole body has one deadline, however it comes."""
    async with connection(hub_server) as stream, trio.open_nursery() as nursery:
        await stream.send_all(PUT + framing + b"\r\n\r\n")
        nursery.start_soon(drip, stream, b"1\r\n \r\n" * 1000)
        head, body = await read_answer(stream)
        assert (head.status_code, json.loads(body)["code"]) == (408, "request_timeout")
        assert await stream.receive_some() == b""
        nursery.cancel_scope.cancel()


async def test_a_body_that_nobody_reads_holds_no_connection(
    impatient: None, hub_server: Started
) -> None:
    """A client without a token that never stops sending is cut off like any other."""

    async def flood() -> None:
        async with connection(hub_server) as stream:
            head = b"POST /nope HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n"
            try:
                await stream.send_all(head)
                while True:
                    await stream.send_all(b"1\r\na\r\n" * 500)
            except trio.BrokenResourceError:
                pass

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(flood)


async def test_messages_for_a_request_wait_for_nobody_who_left() -> None:
    """What is queued is read, then the end; after that, and without a reader, nothing waits."""
    config, ended = hypercorn_config(), trio.Event()
    read: list[Any] = []

    async def app(scope: Any, receive: Any, *rest: Any) -> None:
        await trio.testing.wait_all_tasks_blocked()
        while not read or read[-1]["type"] != "http.disconnect":
            read.append(await receive())
        ended.set()

    async def send(message: Any) -> None:
        """Nothing is answered."""

    piece: Any = {"type": "http.request", "body": b"a", "more_body": True}
    end: Any = {"type": "http.disconnect"}
    with trio.fail_after(5):
        async with TaskGroup() as group:
            put = await AppQueues(group).spawn_app(app, config, {"type": "http"}, send)  # type: ignore
            for _ in range(config.max_app_queue_size):
                await put(piece)
            await put(end)
            await ended.wait()
            await put(piece)
            await put(end)
        assert read == [piece] * config.max_app_queue_size + [end]


async def test_the_rest_of_a_body_is_dropped_with_the_request() -> None:
    """A reader of the connection that waits for room in the queue goes on when the app is done."""
    config, done = hypercorn_config(), trio.Event()

    async def app(scope: Any, *rest: Any) -> None:
        await done.wait()

    async def send(message: Any) -> None:
        """Nothing is answered."""

    piece: Any = {"type": "http.request", "body": b"a", "more_body": True}
    with trio.fail_after(5):
        async with TaskGroup() as group, trio.open_nursery() as nursery:
            put = await AppQueues(group).spawn_app(app, config, {"type": "http"}, send)  # type: ignore
            for _ in range(config.max_app_queue_size + 1):
                nursery.start_soon(put, piece)
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1
            done.set()


async def test_h2c_is_ignored(hub_server: Started) -> None:
    """RFC 9110 §7.8: the answer is HTTP/1.1, and so is the rest of the connection."""
    async with connection(hub_server) as stream:
        for request in (H2C, LIVE):
            await stream.send_all(request)
            head, body = await read_answer(stream)
            assert (head.status_code, body) == (200, b'{"status": "ok"}')


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (PREFACE, 400),
        (LIVE + PREFACE, 400),
        (b"GET / HTTP/2.0\r\nHost: hub\r\n\r\n", 505),
        (b"GET /health/live\r\n\r\n", 400),
        (b"\x16\x03\x01\x00\xff\x01\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: \xff:1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: hub\r\nX-A : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: hub\r\nX-A: " + b"a" * 1_000_000, 431),
        (b"GET / HTTP/1.1\r\nHost: hub\r\n" + b"X-A: 1\r\n" * 100_000, 431),
        (PUT + b"Content-Length: -2\r\n\r\n{}", 400),
        (PUT + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (PUT + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
        (PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 501),
        (PUT + b"Transfer-Encoding: chunked\r\n\r\nno chunk\r\n", 400),
    ],
)
async def test_what_is_no_http_1_is_refused(hub_server: Started, data: bytes, status: int) -> None:
    """With a problem document that arrives whole, even if much more was sent."""
    async with connection(hub_server) as stream, trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, data)
        if data.startswith(LIVE):
            assert (await read_answer(stream))[0].status_code == 200
        assert (await read_problem(stream))["status"] == status


async def test_a_refused_head_request_has_no_body(hub_server: Started) -> None:
    """RFC 9110 §9.3.2, whatever the answer."""
    async with connection(hub_server) as stream:
        await stream.send_all(b"HEAD / HTTP/2.0\r\nHost: hub\r\n\r\n")
        head, body = await read_answer(stream, b"HEAD")
        assert (head.status_code, body) == (505, b"")
        assert await stream.receive_some() == b""


@pytest.mark.parametrize("host", [b"", b"hub", b"[::1]:80", b"127.0.0.1:8080", b"h_b.example.org."])
async def test_any_host_will_do(hub_server: Started, host: bytes) -> None:
    """The hub does not care which name it was called by."""
    async with connection(hub_server) as stream:
        await stream.send_all(b"GET /health/live HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert (await read_answer(stream))[0].status_code == 200


async def test_compressed_bodies_are_refused(api: httpx.AsyncClient) -> None:
    """RFC 9110 §15.5.16: 415, and what is taken is named."""
    headers = {"Content-Encoding": "gzip", "X-API-Key": TOKEN}
    answer = await api.put("/things", content=gzip.compress(b"{}"), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.headers["Accept-Encoding"] == "identity"
    headers["Content-Encoding"] = "identity"
    assert (await api.put("/things", content=b"{}", headers=headers)).status_code == 200


PAGES = ["/", "/docs", "/docs/docs.js", "/openapi.json", "/admin", "/admin/"]
PAGES += ["/admin/main.js", "/admin/none.js", "/hub.js", "/hub.d.ts", "/hub/none.js", "/none"]


async def test_no_browser_guesses_what_an_answer_is(api: httpx.AsyncClient) -> None:
    """`X-Content-Type-Options: nosniff`, once, on whatever any address answers to any method."""
    described = (await api.get("/openapi.json")).json()["paths"]
    paths = [re.sub(r"\{\w+\}", "1", path) for path in described] + PAGES
    assert len(paths) > 40
    without = []
    for path in paths:
        for method in ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"):
            # Streamed, because some answers have no end.
            async with api.stream(method, path, content=b"{") as answer:
                if answer.headers.get_list("x-content-type-options") != ["nosniff"]:
                    without.append((method, path, answer.status_code))
    assert without == []
