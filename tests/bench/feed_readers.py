"""Many WebSocket clients in one process: they read, count and note when the last one has read.

Commands come as JSON lines on standard input, each is answered with one on standard output.
Blocking sockets would need threads; these are plain ones in one ``epoll``, the cheapest that Python
has, so that what is measured is the server.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time
from typing import Any

SENT = b'"sent": '
"""The member of the payload that holds the monotonic time at which an event was sent."""
PIECE = 65_536
"""Bytes asked of a socket at once: the C library maps memory anew for each piece of over 128 KB."""
PONG = b"\x8a\x80\0\0\0\0"
"""Empty, masked with zeros."""


class Client:
    """One connection, and the frame that it is in the midst of."""

    __slots__ = ("messages", "rest", "socket")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.rest = b""
        self.messages = 0


class Readers:
    """All connections of this process."""

    def __init__(self) -> None:
        self.clients: dict[int, Client] = {}
        self.poll = select.epoll()
        self.messages = 0
        self.bytes = 0
        self.last: dict[float, tuple[int, float]] = {}
        """When an event was sent, to how many have it, and when the last one got it."""
        self.timed = False
        self.whole: dict[bytes, float] = {}
        """Pieces that were one whole frame, and when their event was sent: all clients get equal
        bytes, and only the first need be taken apart."""

    def open(self, port: int, count: int, target: str, burst: int = 50) -> None:
        """Upgrade more connections, a few at a time."""
        request = (
            f"GET {target} HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ).encode()
        for begin in range(0, count, burst):
            some = []
            for number in range(begin, min(count, begin + burst)):
                # Of 127.0.0.0/8 each address has its own 28,000 ports.
                source = (f"127.0.0.{2 + number // 5000}", 0)
                sock = socket.create_connection(("127.0.0.1", port), 30, source)
                sock.sendall(request)
                some.append(sock)
            for sock in some:
                self._opened(sock)

    def _opened(self, sock: socket.socket) -> None:
        answer = b""
        while b"\r\n\r\n" not in answer:
            data = sock.recv(4096)
            assert data, answer
            answer += data
        assert answer.startswith(b"HTTP/1.1 101"), answer
        sock.setblocking(False)
        client = Client(sock)
        self.clients[sock.fileno()] = client
        self.poll.register(sock, select.EPOLLIN)
        self._take(client, answer.partition(b"\r\n\r\n")[2])

    def run(self) -> None:
        """Read, and obey standard input, until it ends."""
        self.poll.register(sys.stdin, select.EPOLLIN)
        while True:
            for number, _ in self.poll.poll():
                if number == sys.stdin.fileno():
                    line = sys.stdin.readline()
                    if not line:
                        return
                    print(json.dumps(self.obey(json.loads(line))), flush=True)
                elif (client := self.clients.get(number)) is not None:
                    self._read(client)

    def _read(self, client: Client) -> None:
        try:
            data = client.socket.recv(PIECE)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if data:
            sent = self.whole.get(data)
            if sent is None or client.rest:
                self._take(client, data)
            else:
                self.bytes += len(data)
                self._count(client, sent)
        else:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        number = client.socket.fileno()
        self.poll.unregister(number)
        del self.clients[number]
        client.socket.close()

    def _take(self, client: Client, data: bytes) -> None:
        """Walk over the frames."""
        self.bytes += len(data)
        data = client.rest + data
        begin, size = 0, len(data)
        while size - begin >= 4:
            length, head = data[begin + 1], 2
            if length == 126:
                length, head = int.from_bytes(data[begin + 2 : begin + 4], "big"), 4
            elif length == 127:
                if size - begin < 10:
                    break
                length, head = int.from_bytes(data[begin + 2 : begin + 10], "big"), 10
            if size - begin < head + length:
                break
            if data[begin] == 0x81:
                sent = self._sent(data[begin + head : begin + head + length])
                self._count(client, sent)
                if sent is not None and head + length == size:
                    self.whole[data] = sent
            elif data[begin] == 0x89 and not length:
                client.socket.sendall(PONG)
            begin += head + length
        client.rest = data[begin:]

    def _count(self, client: Client, sent: float | None) -> None:
        self.messages += 1
        client.messages += 1
        if sent is not None:
            count, _ = self.last.get(sent, (0, 0.0))
            self.last[sent] = count + 1, time.monotonic()

    def _sent(self, message: bytes) -> float | None:
        at = message.find(SENT) if self.timed else -1
        if at < 0:
            return None
        text = message[at + len(SENT) : at + 40]
        return float(text[: min(text.find(end) for end in b",}" if end in text)])

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        name = command.pop("do")
        if name == "open":
            self.open(**command)
        elif name == "reset":
            self.messages = self.bytes = 0
            self.last.clear()
            self.whole.clear()
            self.timed = command.get("timed", False)
        elif name == "close":
            for client in list(self.clients.values()):
                self._drop(client)
        return {
            "clients": len(self.clients),
            "messages": self.messages,
            "bytes": self.bytes,
            "delays": [[got - sent, count] for sent, (count, got) in self.last.items()]
            if name == "delays"
            else [],
        }


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    Readers().run()
