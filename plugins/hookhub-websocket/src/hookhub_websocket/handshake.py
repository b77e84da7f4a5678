"""The opening handshake, and turning clients away."""

from __future__ import annotations

import json
from collections.abc import Sequence

import trio
from wsproto.connection import Connection, ConnectionType
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    RejectConnection,
    RejectData,
    Request,
)
from wsproto.extensions import Extension
from wsproto.handshake import H11Handshake
from wsproto.utilities import RemoteProtocolError

from hookhub.contracts.errors import MalformedRequest, UpgradeRequired
from hookhub.contracts.routes import UpgradeRequest
from hookhub_websocket.closing import Why

READ_SIZE = 4096
"""Bytes read from a client at once: what one client says holds up the others only so long."""


class BadHandshake(Exception):
    """The request is no WebSocket handshake that we speak; ``answer`` is the HTTP response."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("not a WebSocket handshake of version 13")
        self.answer = answer


def open_handshake(
    request: UpgradeRequest, extensions: Sequence[Extension] = ()
) -> tuple[Connection, bytes]:
    """The protocol after the handshake, and the bytes of the answer that accepts it.

    Args:
        extensions: what the client may have if it offers it; see their ``enabled()``.

    Raises:
        BadHandshake: with the answer that refuses it.
    """
    handshake = H11Handshake(ConnectionType.SERVER)
    target = request.path.encode("utf-8", "replace")
    try:
        # The query string stays out of it: wsproto has no use for it, and it may hold a token.
        handshake.initiate_upgrade_connection(request.headers, _ascii(target))
        if not any(isinstance(event, Request) for event in handshake.events()):
            raise BadHandshake(_refusal(handshake, RejectConnection(status_code=400)))
    except RemoteProtocolError as error:
        hint = error.event_hint
        reject = hint if isinstance(hint, RejectConnection) else RejectConnection(status_code=400)
        raise BadHandshake(_refusal(handshake, reject)) from None
    except UnicodeError:  # a Host that is no host name
        raise BadHandshake(_refusal(handshake, RejectConnection(status_code=400))) from None
    answer = handshake.send(AcceptConnection(extensions=list(extensions)))
    assert handshake.connection is not None
    return handshake.connection, answer


def _ascii(target: bytes) -> bytes:
    return target if target.isascii() and b" " not in target else b"/"


def _refusal(handshake: H11Handshake, reject: RejectConnection) -> bytes:
    """An HTTP answer with a problem document (RFC 9457)."""
    error = UpgradeRequired if reject.status_code == UpgradeRequired.status else MalformedRequest
    problem = error(
        "This is no WebSocket handshake of version 13 (RFC 6455 §4.2.1); connect with a WebSocket "
        "client."
    ).problem()
    body = json.dumps(problem).encode("ascii")
    headers = [
        *reject.headers,
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"connection", b"close"),
        (b"x-content-type-options", b"nosniff"),
    ]
    head = RejectConnection(status_code=error.status, headers=headers, has_body=True)
    return handshake.send(head) + handshake.send(RejectData(data=body, body_finished=True))


async def turn_away(
    ws: Connection, stream: trio.abc.Stream, answer: bytes, why: Why, reason: str, wait: float
) -> None:
    """Accept and close at once: a browser sees a close code, but never an HTTP status.

    Args:
        answer: the bytes that accept the handshake.
        reason: for a person; cut to what a close frame holds (123 bytes).
        wait: seconds for the client to answer. Closing a socket with unread bytes would reset it,
            and the client might never see the code.
    """
    with trio.move_on_after(wait):
        await stream.send_all(answer + ws.send(CloseConnection(code=why.code, reason=reason)))
        while data := await stream.receive_some(READ_SIZE):
            ws.receive_data(bytes(data))
            if any(isinstance(event, CloseConnection) for event in ws.events()):
                return
