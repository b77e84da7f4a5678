"""The network between a browser and a hub, to be cut, frozen and spoilt."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress

SIZE = 65536
FORBIDDEN = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n"
    b"X-Because: this proxy knows no WebSocket\r\n\r\n"
)
_HEAD_END = b"\r\n\r\n"
_WEBSOCKET = re.compile(rb"^upgrade: *websocket", re.IGNORECASE | re.MULTILINE)


class Network:
    """A TCP proxy in front of a hub.

    Args:
        port: of the hub; it may come and go.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.refuses_websockets = False
        self._up = True
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._opened = 0
        self._accepting = threading.Thread(target=self._accept)

    def __enter__(self) -> Network:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        # Wakes accept() up.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    @property
    def websockets(self) -> int:
        """How many WebSockets are open."""
        with self._lock:
            return sum(link.is_websocket for link in self._links)

    @property
    def opened(self) -> int:
        """How many WebSockets were asked for so far."""
        return self._opened

    def cut(self) -> None:
        """Break every connection, and refuse new ones until :meth:`mend`."""
        self._up = False
        self.break_all()

    def break_all(self) -> None:
        """Break every connection that there is."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close()

    def mend(self) -> None:
        """Let new connections through."""
        self._up = True

    def freeze(self) -> None:
        """From now on, nothing passes on the connections that there are; nobody is told."""
        with self._lock:
            for link in self._links:
                link.frozen = True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        link = _Link(client)
        with self._lock:
            self._links.add(link)
        try:
            with suppress(OSError):
                if self._up:
                    self._carry(link)
        finally:
            link.close()
            with self._lock:
                self._links.discard(link)

    def _carry(self, link: _Link) -> None:
        head = b""
        while _HEAD_END not in head:
            data = link.client.recv(SIZE)
            if not data:
                return
            head += data
        if _WEBSOCKET.search(head):
            self._opened += 1
            if self.refuses_websockets:
                link.client.sendall(FORBIDDEN)
                return
            link.is_websocket = True
        link.dial(self._port)
        link.carry(head)


class _Link:
    """A connection of a browser, and the one to the hub behind it."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.is_websocket = False
        self.frozen = False
        self._hub: socket.socket | None = None
        self._closed = False
        self._lock = threading.Lock()

    def dial(self, port: int) -> None:
        hub = socket.create_connection(("127.0.0.1", port))
        with self._lock:
            self._hub = hub
            closed = self._closed
        if closed:
            hub.close()
            raise OSError("cut meanwhile")

    def carry(self, head: bytes) -> None:
        """Carry both ways until either ends."""
        assert self._hub is not None
        self._hub.sendall(head)
        back = threading.Thread(target=self._pump, args=(self._hub, self.client), daemon=True)
        back.start()
        self._pump(self.client, self._hub)
        back.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        try:
            with suppress(OSError):
                while data := source.recv(SIZE):
                    if not self.frozen:
                        target.sendall(data)
        finally:
            self.close()

    def close(self) -> None:
        """End both sides."""
        with self._lock:
            self._closed = True
            sockets = [item for item in (self.client, self._hub) if item is not None]
        for item in sockets:
            # shutdown() wakes a recv() in another thread; close() alone does not.
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()
