"""permessage-deflate: off unless asked for, one frame for all, and nobody can make it a bomb."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, Opcode, RsvBits

from hookhub import Entry, Event
from hookhub.testing.serving import TOKEN
from hookhub_websocket.deflate import SharedDeflate, SharedFrames
from hookhub_websocket.frames import plain_frame, text_frame
from hookhub_websocket.sink import WebSocketSink

ON = {"plugins": {"websocket": {"compress_from": 1_000}}, "live": {"max_message": 4_000}}
LIMIT = 4_000


def entry(size: int, sequence: int = 1) -> Entry:
    return Entry(
        Event(sequence, "evt_1", "user.created", json.dumps({"x": "y" * size}), 0), "e" * 8
    )


def upgrade(offer: str) -> bytes:
    head = (
        f"GET /ws?token={TOKEN} HTTP/1.1",
        *("Host: hub", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Sec-WebSocket-Extensions: {offer}",
    )
    return ("\r\n".join(head) + "\r\n\r\n").encode()


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", ""),
        ("permessage-deflate; client_max_window_bits", ""),
        ('permessage-deflate; client_max_window_bits="10"; server_no_context_takeover', ""),
        ("permessage-deflate; server_max_window_bits=15", "; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=10", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
        ("permessage-deflate; something_else", None),
    ],
)
def test_negotiation(offer: str, answer: str | None) -> None:
    """RFC 7692 §7.1: no context is kept on either side; what cannot be met is declined."""
    extension = SharedDeflate(LIMIT)
    accepted = extension.accept(offer)
    if answer is None:
        assert accepted is None
    else:
        assert accepted == f"server_no_context_takeover; client_no_context_takeover{answer}"
    assert extension.enabled() == (answer is not None)


def test_the_first_offer_that_can_be_met() -> None:
    """Clients may list several, the one they like best first."""
    extension = SharedDeflate(LIMIT)
    assert extension.accept("permessage-deflate; server_max_window_bits=9") is None
    assert extension.accept("permessage-deflate") is not None
    assert extension.accept("permessage-deflate; server_max_window_bits=15") is None


def test_large_events_are_compressed_once() -> None:
    """The same bytes for everybody; what is small, or would not shrink, stays as it is."""
    frames = SharedFrames(1_000)
    small, large = entry(10), entry(5_000)
    assert frames.encode(small) == plain_frame(small)
    frame = frames.encode(large)
    assert frame[0] == 0xC1
    assert len(frame) < 500
    assert frames.encode(large) is frame


def test_what_is_kept_is_bounded() -> None:
    """Frames of old events make room for new ones."""
    frames = SharedFrames(1, kept=2_000)
    first = frames.encode(entry(1_000, 1))
    for sequence in range(2, 60):
        frames.encode(entry(1_000, sequence))
    assert frames._bytes <= 2_000
    assert frames.encode(entry(1_000, 1)) is not first


def inbound(data: bytes, parts: int = 1) -> bytes | CloseReason:
    """What comes out of a compressed message of this many frames."""
    extension = SharedDeflate(LIMIT)
    assert extension.accept("permessage-deflate")
    size = -(-len(data) // parts)
    out = b""
    proto: Any = None
    for number in range(parts):
        opcode = Opcode.TEXT if number == 0 else Opcode.CONTINUATION
        piece = data[number * size : (number + 1) * size]
        header = extension.frame_inbound_header(
            proto, opcode, RsvBits(number == 0, False, False), len(piece)
        )
        assert header == RsvBits(True, False, False)
        # A ping may come between the frames of a message; nothing of it is compressed.
        extension.frame_inbound_header(proto, Opcode.PING, RsvBits(False, False, False), 1)
        assert extension.frame_inbound_payload_data(proto, b"p") == b"p"
        assert extension.frame_inbound_complete(proto, True) is None
        extension.frame_inbound_header(
            proto, Opcode.CONTINUATION, RsvBits(False, False, False), len(piece)
        )
        for found in (
            extension.frame_inbound_payload_data(proto, piece),
            extension.frame_inbound_complete(proto, number == parts - 1),
        ):
            if isinstance(found, CloseReason):
                return found
            out += found or b""
    return out


def deflated(data: bytes) -> bytes:
    deflator = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflator.compress(data) + deflator.flush(zlib.Z_SYNC_FLUSH))[:-4]


@pytest.mark.parametrize("parts", [1, 3])
def test_messages_are_inflated(parts: int) -> None:
    """In one frame or several, up to the limit."""
    data = b"x" * LIMIT
    assert inbound(deflated(data), parts) == data


@pytest.mark.parametrize("size", [LIMIT + 1, 50_000_000])
def test_bombs_are_not_inflated(size: int) -> None:
    """No more than the limit is ever inflated: 1009."""
    bomb = deflated(b"x" * size)
    expected = CloseReason.MESSAGE_TOO_BIG
    assert inbound(bomb) is expected
    assert inbound(b"\x00" * (LIMIT + 1)) is expected


def test_rubbish_is_told() -> None:
    """What is no deflate stream is 1007."""
    assert inbound(b"\xff" * 10) is CloseReason.INVALID_FRAME_PAYLOAD_DATA


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.CONTINUATION])
def test_only_the_first_frame_of_a_message_says_so(opcode: Opcode) -> None:
    """RFC 7692 §6: RSV1 elsewhere is a protocol error."""
    extension = SharedDeflate(LIMIT)
    assert extension.accept("permessage-deflate")
    proto: Any = None
    found = extension.frame_inbound_header(proto, opcode, RsvBits(True, False, False), 1)
    assert found is CloseReason.PROTOCOL_ERROR


async def open_deflating(client: Any) -> None:
    """Upgrade with wsproto's own extension on the client's side."""
    await client.stream.send_all(upgrade("permessage-deflate; client_max_window_bits"))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += await client.stream.receive_some(1)
    assert b"permessage-deflate; server_no_context_takeover" in answer
    extension = PerMessageDeflate()
    extension.finalize("permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    client.ws = Connection(ConnectionType.CLIENT, [extension])


@pytest.mark.parametrize("hub_tables", [ON])
async def test_a_conversation(
    raw: Callable[..., Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """Compressed and plain events, in order; compressed messages are understood."""
    client = await raw()
    await open_deflating(client)
    assert (await client.message())["status"] == "connected"
    await emit(3, text="x" * 20_000)
    await emit()
    assert [(await client.message())["sequence"] for _ in range(4)] == [1, 2, 3, 4]
    (session,) = sink._connections._sessions
    assert session.outbox.bytes_sent < 5_000
    await client.stream.send_all(client.ws.send(TextMessage(data='{"type": "ping", "id": "a"}')))
    assert await client.message() == {"type": "pong", "id": "a"}


@pytest.mark.parametrize("hub_tables", [ON])
async def test_a_bomb_ends_the_connection(raw: Callable[..., Any]) -> None:
    """1009, as for any message that is too big."""
    client = await raw()
    await open_deflating(client)
    await client.message()
    bomb = '{"type": "ping", "id": "' + "x" * 1_000_000 + '"}'
    await client.stream.send_all(client.ws.send(TextMessage(data=bomb)))
    code, reason = await client.closing()
    assert code == 1009
    assert "[live] max_message" in reason


async def test_off_by_default(raw: Callable[..., Any], emit: Callable[..., Any]) -> None:
    """Offers are passed over: most events are small, and compressing costs memory and time."""
    client = await raw()
    await client.stream.send_all(upgrade("permessage-deflate"))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += await client.stream.receive_some(1)
    assert b"xtensions" not in answer
    await emit(text="x" * 20_000)
    data = bytearray()
    while len(data) < 20_000:
        data += await client.stream.receive_some(65536)
    assert b"x" * 20_000 in data


def test_rsv1_marks_compressed_frames() -> None:
    """RFC 7692 §6."""
    assert text_frame(b"a", deflated=True) == b"\xc1\x01a"
