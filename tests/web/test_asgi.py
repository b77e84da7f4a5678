"""Between server and app: bodies are pulled, limits hold, streams end when they should."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from structlog.testing import capture_logs

from hookhub.config import Settings
from hookhub.contracts.routes import Request, Route
from hookhub.hub import Hub
from hookhub.server import Started
from hookhub.testing.serving import TOKEN, serving, settings_for_tests
from hookhub.web.app import create_app

LIMIT = 4096


@pytest.fixture
def hub_settings(hub_database: str) -> Settings:
    """A hub that takes small bodies only."""
    tables = settings_for_tests(hub_database)
    tables["server"]["max_body"] = LIMIT
    return Settings.model_validate(tables)


@asynccontextmanager
async def connection(started: Started) -> AsyncIterator[trio.SocketStream]:
    url = httpx.URL(started.addresses[0])
    async with await trio.open_tcp_stream(url.host, url.port or 0) as stream:
        yield stream


def head(method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: hub", f"X-API-Key: {TOKEN}", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def answer(stream: trio.SocketStream) -> tuple[int, bytes]:
    """The status and the body of one answer with a Content-Length."""
    data = bytearray()
    with trio.fail_after(10):
        while b"\r\n\r\n" not in data:
            data += await receive(stream)
        raw_head, _, body = bytes(data).partition(b"\r\n\r\n")
        lines = raw_head.lower().split(b"\r\n")
        [length] = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        while len(body) < length:
            body += await receive(stream)
    return int(raw_head.split(b" ")[1]), body


async def receive(stream: trio.SocketStream) -> bytes:
    data = await stream.receive_some()
    assert data, "the connection was closed"
    return bytes(data)


async def test_a_body_of_exactly_the_limit(api: httpx.AsyncClient) -> None:
    """The limit itself is still fine."""
    body = b'{"name": "a"}'.ljust(LIMIT)
    assert (await api.post("/things", content=body)).status_code == 200
    assert (await api.post("/things", content=body + b" ")).status_code == 413


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit(api: httpx.AsyncClient, chunked: bool) -> None:
    """413 names the limit, declared or not, and the client is let finish to read it."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    content: Any = pieces() if chunked else b" " * 1_000_000
    response = await api.post("/things", content=content)
    assert response.status_code == 413
    assert response.json()["code"] == "payload_too_large"
    assert str(LIMIT) in response.json()["detail"]
    assert "max_body" in response.json()["detail"]


async def test_the_answer_does_not_wait_for_a_body_that_nobody_reads(hub_server: Started) -> None:
    """A refused request is answered at once, though most of its body is still to come."""
    async with connection(hub_server) as stream:
        await stream.send_all(head("POST", "/nope", "Content-Length: 100000") + b"x" * 10)
        status, _ = await answer(stream)
        assert status == 404
        await stream.send_all(b"x" * 99_990)
        await stream.send_all(head("GET", "/health/live"))
        assert await answer(stream) == (200, b'{"status": "ok"}')


async def test_a_body_in_pieces(hub_server: Started) -> None:
    """However a body arrives, it is one."""
    async with connection(hub_server) as stream:
        await stream.send_all(head("PUT", "/things", "Content-Length: 14"))
        for byte in b'{"loud": true}':
            await stream.send_all(bytes([byte]))
        assert await answer(stream) == (200, b'{"said": {"loud": true}}')


async def test_requests_one_after_the_other(hub_server: Started) -> None:
    """Requests sent ahead on one connection are answered in order."""
    async with connection(hub_server) as stream:
        for _ in range(3):
            await stream.send_all(head("PUT", "/things", "Content-Length: 2") + b"{}")
            await stream.send_all(head("PUT", "/things?x=1", "Content-Length: 2") + b"{}")
        statuses = []
        buffered = b""
        with trio.fail_after(10):
            while len(statuses) < 6:
                buffered += await receive(stream)
                statuses = [int(part[:3]) for part in buffered.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [200, 422] * 3


async def test_a_body_that_does_not_come(
    hub: Hub, sample: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute (here: at once) the client is told, and not waited for much longer."""
    monkeypatch.setattr("hookhub.web.asgi.LINGER", 0.02)
    app = create_app(hub, sample.things.routes())
    app.config["BODY_TIMEOUT"] = 0.02
    request = app.test_client().request("/things", method="PUT")
    async with request as connection:
        await connection.send(b"{")
        with trio.fail_after(10):
            response = await connection.as_response()
    assert response.status_code == 408
    assert (await response.get_json(force=True))["code"] == "request_timeout"


async def test_expect_100_continue(hub_server: Started) -> None:
    """A client that asks first is told to go on."""
    async with connection(hub_server) as stream:
        headers = ("Content-Length: 2", "Expect: 100-continue")
        await stream.send_all(head("PUT", "/things", *headers))
        with trio.fail_after(10):
            assert (await receive(stream)).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"{}")
        assert (await answer(stream))[0] == 200


async def test_a_client_that_leaves_before_its_body_is_whole(
    hub_server: Started, api: httpx.AsyncClient
) -> None:
    """Nothing happens, and nothing is logged as an error."""
    with capture_logs() as logs:
        async with connection(hub_server) as stream:
            await stream.send_all(head("PUT", "/things", "Content-Length: 100") + b"{")
        assert (await api.get("/things")).status_code == 200
        await trio.testing.wait_all_tasks_blocked(0.05)
    assert [line for line in logs if line["log_level"] in ("error", "critical")] == []


@pytest.mark.parametrize("target", ["?x", "http://[/", "*", "http://other/things", "//things"])
async def test_odd_targets(hub_server: Started, target: str) -> None:
    """Whatever h11 lets through as a target is answered, and not with 500."""
    async with connection(hub_server) as stream:
        await stream.send_all(head("GET", target))
        status, _ = await answer(stream)
        assert status in (200, 302, 400, 404, 422)


async def test_a_whole_url_is_served_by_its_path(hub_server: Started) -> None:
    """RFC 9112 §3.2.2: servers take the form that clients send to proxies."""
    async with connection(hub_server) as stream:
        for target in ("http://other/things/7", "http://other/things/7?"):
            await stream.send_all(head("GET", target))
            assert await answer(stream) == (200, b'{"said": {"thing_id": 7}}')


async def test_what_lacks_its_slash_is_not_there(hub: Hub) -> None:
    """A redirect would have to name a host."""

    async def page(request: Request) -> dict[str, str]:
        return {}

    app = create_app(hub, [Route("GET", "/pages/", page, None, "things")])
    assert (await app.test_client().get("/pages/")).status_code == 200
    assert (await app.test_client().get("/pages")).status_code == 404


async def test_a_stream_ends_when_its_client_leaves(hub_server: Started, sample: Any) -> None:
    """The handler's generator is closed at once."""
    async with connection(hub_server) as stream:
        await stream.send_all(head("GET", "/things/endless"))
        with trio.fail_after(10):
            while b"on and on" not in await receive(stream):
                pass
    with trio.fail_after(10):
        await sample.things.left.wait()


async def test_a_stream_ends_when_the_hub_stops(hub_settings: Settings, hub_plugins: Any) -> None:
    """An endless answer is ended in an orderly way, long before the grace period is over."""
    async with serving(hub_settings, hub_plugins) as started:
        async with httpx.AsyncClient(base_url=started.addresses[0], trust_env=False) as client:
            async with client.stream("GET", "/things/endless") as response:
                pieces = response.aiter_bytes()
                await anext(pieces)
                started.hub.stopping.set()
                with trio.fail_after(5):
                    async for _ in pieces:  # to a proper end: otherwise httpx raises
                        pass


async def test_a_stream_that_fails_is_broken_off(api: httpx.AsyncClient) -> None:
    """It is too late for a status, but the client can tell that this was not the end."""
    with capture_logs() as logs:
        with pytest.raises(httpx.RemoteProtocolError):
            await api.get("/things/fail/stream")
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "http.stream_failed"
    ]
