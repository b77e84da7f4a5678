"""The WebSocket protocol at its edges: handshakes, fragments, control frames, close codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import h11
import pytest
import trio
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    TextMessage,
)

from hookhub.config import Settings
from hookhub.plugins import Plugins
from hookhub.testing.serving import serving

PING = '{"type": "ping"}'


async def http(client: Any, request: bytes) -> tuple[int, bytes]:
    """Send a request and read the answer, leaving the connection open."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "hub")]))
    connection.send(h11.EndOfMessage())
    await client.stream.send_all(request)
    status, body = 0, b""
    with trio.fail_after(10):
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await client.stream.receive_some())
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                return status, body


async def test_upgrade_on_a_reused_connection(raw: Callable[..., Any]) -> None:
    """A proxy may send the upgrade on a connection that carried requests before."""
    client = await raw()
    for _ in range(2):
        status, _ = await http(client, b"GET /health/live HTTP/1.1\r\nHost: hub\r\n\r\n")
        assert status == 200
    await client.open()
    assert (await client.message())["status"] == "connected"


async def test_bytes_sent_along_with_the_upgrade(raw: Callable[..., Any]) -> None:
    """Messages that a client sends without waiting for the answer are not lost."""
    client, helper = await raw(), await raw()
    await helper.open()
    early = helper.ws.send(TextMessage(data=PING)) + helper.ws.send(TextMessage(data="?"))
    await client.stream.send_all(client.upgrade() + early)
    assert isinstance(await client.event(), AcceptConnection)
    assert (await client.message())["status"] == "connected"
    assert await client.message() == {"type": "pong"}
    assert (await client.message())["code"] == "malformed_request"


async def test_fragmented_messages(raw: Callable[..., Any]) -> None:
    """A message may come in many frames, with control frames in between."""
    client = await raw()
    await client.open()
    await client.message()
    for position, letter in enumerate(PING):
        last = position == len(PING) - 1
        await client.stream.send_all(
            client.ws.send(TextMessage(data=letter, message_finished=last))
            + (b"" if last else client.ws.send(Ping(payload=letter.encode())))
        )
    pongs = 0
    while isinstance(event := await client.event(), Pong):
        pongs += 1
    assert pongs >= 1
    assert isinstance(event, TextMessage)
    assert json.loads(event.data) == {"type": "pong"}


async def test_pings_are_answered_with_their_payload(raw: Callable[..., Any]) -> None:
    """RFC 6455 §5.5.3."""
    client = await raw()
    await client.open()
    await client.message()
    await client.stream.send_all(client.ws.send(Ping(payload=b"are you there")))
    answer = await client.event()
    assert isinstance(answer, Pong)
    assert bytes(answer.payload) == b"are you there"


async def test_frames_in_pieces(raw: Callable[..., Any]) -> None:
    """TCP may cut a frame anywhere."""
    client = await raw()
    await client.open()
    await client.message()
    for byte in client.ws.send(TextMessage(data=PING)):
        await client.stream.send_all(bytes([byte]))
    assert await client.message() == {"type": "pong"}


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_a_close_is_answered_with_its_code(raw: Callable[..., Any], code: int) -> None:
    """The closing handshake is completed, then the connection ends."""
    client = await raw()
    await client.open()
    await client.stream.send_all(client.ws.send(CloseConnection(code=code, reason="bye")))
    answered, _ = await client.closing()
    assert answered == code
    assert await client.stream.receive_some() == b""


@pytest.mark.parametrize("hub_tables", [{"live": {"max_message": 1000}}])
@pytest.mark.parametrize("kind", [TextMessage, BytesMessage])
async def test_messages_that_are_too_big(raw: Callable[..., Any], kind: Any) -> None:
    """1009 names the limit, without waiting for the rest; the limit itself is allowed."""
    client = await raw()
    await client.open()
    await client.message()
    whole, more = ("x" * 1000, "x") if kind is TextMessage else (b"x" * 1000, b"x")
    await client.stream.send_all(client.ws.send(kind(data=whole)))
    assert (await client.message())["type"] == "error"
    for part in (whole, more):
        await client.stream.send_all(client.ws.send(kind(data=part, message_finished=False)))
    code, reason = await client.closing()
    assert (code, reason) == (1009, "A message may have 1000 bytes ([live] max_message)")


@pytest.mark.parametrize("hub_tables", [{"live": {"max_message": 1000}}])
async def test_a_flood_gets_its_close_code_all_the_same(raw: Callable[..., Any]) -> None:
    """What is still on its way when the hub closes is read, so that no reset eats the code."""
    client = await raw()
    await client.open()
    await client.stream.send_all(client.ws.send(TextMessage(data="x" * 2_000_000)))
    code, _ = await client.closing()
    assert code == 1009


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x02hi", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x80\x80\0\0\0\0", 1002),
        (b"\x88\x81\0\0\0\0x", 1002),
        (b"\x81\x82\0\0\0\0\xc3\x28", 1007),
    ],
    ids=["unmasked", "opcode", "reserved", "continuation", "close-payload", "utf8"],
)
async def test_violations_are_closed(raw: Callable[..., Any], frame: bytes, code: int) -> None:
    """RFC 6455 §7.4.1: 1002 for what is not the protocol, 1007 for what is not UTF-8."""
    client = await raw()
    await client.open()
    await client.stream.send_all(frame + b"garbage" * 100)
    closed, _ = await client.closing()
    assert closed == code


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 400),
        (b"Sec-WebSocket-Key:", b"X-Other:", 400),
        (b"Host: hub", b"Host: \xff\xfe", 400),
    ],
    ids=["version", "no-version", "no-key", "host"],
)
async def test_bad_handshakes_are_refused_over_http(
    raw: Callable[..., Any], old: bytes, new: bytes, status: int
) -> None:
    """What is no WebSocket handshake gets a problem document; 426 names the version we speak."""
    client = await raw()
    request = client.upgrade()
    assert old in request
    await client.stream.send_all(request.replace(old, new))
    head = await client.event()
    assert isinstance(head, RejectConnection)
    assert head.status_code == status
    headers = dict(head.headers)
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"x-content-type-options"] == b"nosniff"
    if status == 426:
        assert headers[b"sec-websocket-version"] == b"13"
    body = await client.event()
    assert isinstance(body, RejectData)
    problem = json.loads(body.data)
    code = "upgrade_required" if status == 426 else "malformed_request"
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:hookhub:problem:{code}"
    assert problem.keys() == {"type", "title", "status", "detail", "code"}
    assert await client.stream.receive_some() == b""


async def test_no_extension_is_negotiated(raw: Callable[..., Any]) -> None:
    """permessage-deflate is offered by browsers and not taken."""
    client = await raw()
    offer = b"Upgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate"
    await client.stream.send_all(client.upgrade().replace(b"Upgrade: websocket", offer, 1))
    accepted = await client.event()
    assert isinstance(accepted, AcceptConnection)
    assert not accepted.extensions


async def test_a_plain_request_is_no_websocket(raw: Callable[..., Any]) -> None:
    """GET /ws without an upgrade is told what is missing (RFC 9110 §15.5.22)."""
    client = await raw()
    await client.stream.send_all(b"GET /ws HTTP/1.1\r\nHost: hub\r\n\r\n")
    answer = b""
    while not answer.endswith(b"}"):
        answer += await client.stream.receive_some()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nupgrade: websocket" in head.lower()
    assert json.loads(body)["code"] == "upgrade_required"


async def test_without_the_plugin(hub_settings: Settings, raw: Callable[..., Any]) -> None:
    """Uninstalled, the hub runs on and answers 404 at /ws, upgrade or not."""
    request = (await raw()).upgrade()
    tables = hub_settings.model_dump()
    tables["database"]["url"] = tables["database"]["url"].replace("hookhub.db", "other.db")
    settings = Settings.model_validate(tables)
    plugins = Plugins.load(settings.plugins, [], installed=())
    async with serving(settings, plugins) as started:
        host, port = started.addresses[0].removeprefix("http://").rsplit(":", 1)
        client = await raw()
        await client.stream.aclose()
        client.stream = await trio.open_tcp_stream(host, int(port))
        async with client.stream:
            status, body = await http(client, request)
            assert (status, json.loads(body)["code"]) == (404, "not_found")
            status, _ = await http(client, b"POST /ws/ticket HTTP/1.1\r\nHost: hub\r\n\r\n")
            assert status == 404
