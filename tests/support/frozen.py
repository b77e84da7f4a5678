"""A network that can freeze: connections stay open on both sides, and nothing passes any more."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

_SIZE = 65536


class FreezingProxy:
    """A TCP proxy before a server; what it holds back while frozen is passed on when it thaws.

    Args:
        url: of the server: ``postgresql://user@127.0.0.1:5432/name``.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        user = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
        self._flows = threading.Event()
        self._flows.set()
        self._sockets: set[socket.socket] = set()
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> FreezingProxy:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        # shutdown() wakes an accept() or recv() in another thread; close() alone does not.
        for item in (self._listener, *self._sockets):
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
        self._flows.set()
        self._accepting.join()
        self._listener.close()

    def freeze(self) -> None:
        """Pass on nothing more, on connections that there are and on new ones; tell nobody."""
        self._flows.clear()

    def thaw(self) -> None:
        """Pass on what was held back, and everything from now on."""
        self._flows.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._flows.wait()
        with client, suppress(OSError), socket.create_connection(self._target) as server:
            pair = {client, server}
            self._sockets |= pair
            back = threading.Thread(target=self._carry, args=(server, client), daemon=True)
            back.start()
            self._carry(client, server)
            back.join()
            self._sockets -= pair

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_SIZE):
                self._flows.wait()
                target.sendall(data)
        # An end is told as late as everything else.
        self._flows.wait()
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
