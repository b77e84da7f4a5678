"""The opening handshake, and turning clients away."""

from __future__ import annotations

import json

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    RejectConnection,
    RejectData,
    Request,
)
from wsproto.utilities import RemoteProtocolError

from hookhub.routes import UpgradeRequest
from hookhub_websocket.closing import Why

READ_SIZE = 4096
"""Bytes read from a client at once: what one client says holds up the others only so long."""


class BadHandshake(Exception):
    """The request is no WebSocket handshake that we speak; ``answer`` is the HTTP response."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("not a WebSocket handshake of version 13")
        self.answer = answer


def open_handshake(request: UpgradeRequest) -> tuple[WSConnection, bytes]:
    """The protocol after the handshake, and the bytes of the answer that accepts it.

    No extension is negotiated: permessage-deflate costs far more memory than events are worth.

    Raises:
        BadHandshake: with the answer that refuses it.
    """
    ws = WSConnection(ConnectionType.SERVER)
    target = request.path.encode("utf-8", "replace")
    try:
        # The query string stays out of it: wsproto has no use for it, and it may hold a token.
        ws.initiate_upgrade_connection(request.headers, _ascii(target))
        if not any(isinstance(event, Request) for event in ws.events()):
            raise BadHandshake(_refusal(ws, RejectConnection(status_code=400)))
    except RemoteProtocolError as error:
        hint = error.event_hint
        reject = hint if isinstance(hint, RejectConnection) else RejectConnection(status_code=400)
        raise BadHandshake(_refusal(ws, reject)) from None
    except UnicodeError:  # a Host that is no host name
        raise BadHandshake(_refusal(ws, RejectConnection(status_code=400))) from None
    return ws, ws.send(AcceptConnection())


def _ascii(target: bytes) -> bytes:
    return target if target.isascii() and b" " not in target else b"/"


def _refusal(ws: WSConnection, reject: RejectConnection) -> bytes:
    """An HTTP answer with a problem document (RFC 9457)."""
    upgrade = reject.status_code == 426
    problem = {
        "type": "about:blank",
        "title": "Upgrade required" if upgrade else "Malformed request",
        "status": reject.status_code,
        "code": "upgrade_required" if upgrade else "malformed_request",
        "detail": "This is no WebSocket handshake of version 13 (RFC 6455 §4.2.1); "
        "connect with a WebSocket client.",
    }
    body = json.dumps(problem).encode("ascii")
    headers = [
        *reject.headers,
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"connection", b"close"),
    ]
    head = RejectConnection(status_code=reject.status_code, headers=headers, has_body=True)
    return ws.send(head) + ws.send(RejectData(data=body, body_finished=True))


async def turn_away(
    ws: WSConnection, stream: trio.abc.Stream, answer: bytes, why: Why, reason: str, wait: float
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
