"""A light HTTP load: many kept connections, each with one request at a time. Runs by itself.

    python load.py HOST PORT CONNECTIONS SECONDS PATH TOKEN < body

Prints the requests answered per second with the expected status. A selector and raw sockets: the
client must cost little of the machine that it measures.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time


def request(host: str, path: str, token: str, body: bytes) -> bytes:
    """The bytes of one POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def complete(answer: bytes) -> bool:
    """Whether this is a whole answer; a refusal ends the run."""
    head, mark, body = answer.partition(b"\r\n\r\n")
    if not mark:
        return False
    if not head.startswith(b"HTTP/1.1 202"):
        raise SystemExit(answer.decode(errors="replace"))
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return len(body) >= int(value)
    raise SystemExit("an answer without Content-Length")


def run(host: str, port: int, connections: int, seconds: float, data: bytes) -> float:
    """Requests answered per second."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        sock = socket.create_connection((host, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(data)
        selector.register(sock, selectors.EVENT_READ, bytearray())
    answered = 0
    begin = time.perf_counter()
    end = begin + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(1.0):
            sock, buffer = key.fileobj, key.data
            assert isinstance(sock, socket.socket)
            buffer += sock.recv(1 << 20)
            if complete(bytes(buffer)):
                answered += 1
                buffer.clear()
                sock.sendall(data)
    return answered / (time.perf_counter() - begin)


if __name__ == "__main__":
    host, port, connections, seconds, path, token = sys.argv[1:]
    data = request(host, path, token, sys.stdin.buffer.read())
    print(run(host, int(port), int(connections), float(seconds), data))
