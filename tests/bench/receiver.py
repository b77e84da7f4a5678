"""A receiver that costs next to nothing: answers 200 to every POST, counts. Runs by itself.

    python receiver.py PORT

``GET /stats`` answers ``{"count", "bytes", "first", "last", "delays"}``: how many POSTs, of how
many bytes, the times of the first and the last (monotonic seconds) and, for payloads with a member
``sent``, the seconds from then to receipt.
``GET /reset`` starts anew. A POST to ``/hang`` is never answered.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Receiver:
    """One thread, one selector."""

    def __init__(self, port: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._reset()

    def _reset(self) -> None:
        self._count = self._bytes = 0
        self._first = self._last = 0.0
        self._delays: list[float] = []

    def run(self) -> None:
        """Serve until killed."""
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    sock, _ = self._listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._selector.register(sock, selectors.EVENT_READ, bytearray())
                else:
                    self._read(key.fileobj, key.data)

    def _read(self, sock: socket.socket, buffer: bytearray) -> None:
        try:
            data = sock.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(sock)
            sock.close()
            return
        buffer += data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(buffer[:end]).lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(buffer) < end + 4 + length:
                return
            body = bytes(buffer[end + 4 : end + 4 + length])
            del buffer[: end + 4 + length]
            if not head.startswith(b"post /hang"):
                sock.sendall(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"get /reset"):
            self._reset()
        elif head.startswith(b"get"):
            found = {
                "count": self._count,
                "bytes": self._bytes,
                "first": self._first,
                "last": self._last,
            }
            text = json.dumps({**found, "delays": self._delays}).encode()
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
        else:
            now = time.monotonic()
            self._first = self._first or now
            self._last = now
            self._count += 1
            self._bytes += len(head) + 4 + len(body)
            if b'"sent"' in body:
                self._delays.append(now - json.loads(body)["sent"])
        return OK


if __name__ == "__main__":
    Receiver(int(sys.argv[1])).run()
