"""A network that takes its time: forwards TCP, each byte later. Runs by itself.

    python delay.py PORT TARGET_PORT SECONDS

SECONDS are added to each round trip, half of them each way.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import deque
from typing import NamedTuple


class Chunk(NamedTuple):
    """What is under way."""

    due: float
    target: socket.socket
    data: bytes


def connect(client: socket.socket, port: int) -> tuple[socket.socket, socket.socket]:
    """Both ends of a new way."""
    server = socket.create_connection(("127.0.0.1", port))
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


def run(port: int, target: int, delay: float) -> None:
    """Forward for ever."""
    listener = socket.create_server(("127.0.0.1", port))
    other: dict[socket.socket, socket.socket] = {}
    under_way: deque[Chunk] = deque()
    while True:
        wait = max(0.0, under_way[0].due - time.perf_counter()) if under_way else None
        # select() counts in microseconds, epoll in milliseconds.
        for ready in select.select([listener, *other], [], [], wait)[0]:
            if ready is listener:
                client, server = connect(listener.accept()[0], target)
                other |= {client: server, server: client}
                continue
            try:
                data = ready.recv(1 << 20)
            except OSError:
                data = b""
            if ready in other:
                under_way.append(Chunk(time.perf_counter() + delay / 2, other[ready], data))
                if not data:
                    del other[ready]
        while under_way and under_way[0].due <= time.perf_counter():
            chunk = under_way.popleft()
            try:
                if chunk.data:
                    chunk.target.sendall(chunk.data)
                else:
                    chunk.target.shutdown(socket.SHUT_WR)
            except OSError:
                other.pop(chunk.target, None)


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
