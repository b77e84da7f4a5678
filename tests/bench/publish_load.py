"""Events over one WebSocket, as fast as they are acknowledged. Runs by itself.

    python publish_load.py HOST PORT SECONDS IN_FLIGHT TOKEN < event

Prints the events acknowledged per second. Frames are made beforehand and answers only counted: the
client must cost little of the machine that it measures.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time

MASK = b"\0\0\0\0"
"""Masked by it, a payload stays as it is (RFC 6455 §5.3)."""


def frame(payload: bytes) -> bytes:
    """A text message of a client."""
    assert 125 < len(payload) < 2**16
    return struct.pack("!BBH", 0x81, 0x80 | 126, len(payload)) + MASK + payload


def connect(host: str, port: int, token: str) -> socket.socket:
    """A connection after the handshake and the hub's first message."""
    sock = socket.create_connection((host, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = (
        f"GET /events/publish HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nAuthorization: Bearer {token}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    sock.sendall(head.encode())
    said = b""
    while b'"ready"' not in said:
        said += sock.recv(65536)
    assert said.startswith(b"HTTP/1.1 101"), said
    return sock


def run(host: str, port: int, seconds: float, in_flight: int, token: str, event: bytes) -> float:
    """Events acknowledged per second."""
    sock = connect(host, port, token)
    message = frame(event)
    flying = acknowledged = 0
    tail = b""
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        if flying <= in_flight // 2:
            sock.sendall(message * (in_flight - flying))
            flying = in_flight
        data = tail + sock.recv(1 << 18)
        found = data.count(b'"accepted"')
        assert b'"error"' not in data, data
        # What may be half of the word is looked at once more.
        cut = max(data.rfind(b'"accepted"') + 1, len(data) - 9)
        tail = data[cut:]
        flying -= found
        acknowledged += found
    return acknowledged / (time.perf_counter() - begin)


if __name__ == "__main__":
    host, port, seconds, in_flight, token = sys.argv[1:]
    event = sys.stdin.buffer.read()
    print(run(host, int(port), float(seconds), int(in_flight), token, event))
    os._exit(0)
