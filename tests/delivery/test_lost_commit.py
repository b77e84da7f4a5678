"""A COMMIT that took place and whose answer is lost: what it has leased to this node comes back."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest
import structlog
import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import StoreUnavailable
from hookhub.store import Store, open_store
from support.scripted import Scripted, all_delivered, make_endpoint, running, send_more

SOON = 8.0
"""Seconds: much less than a lease."""
APPENDS = b"INSERT INTO hookhub_events"
CLAIMS = b"RETURNING id, endpoint_id"


class CuttingProxy:
    """A TCP proxy before PostgreSQL that can lose the answer of one COMMIT.

    Args:
        all: break off all connections then, and not that one alone.
    """

    def __init__(self, url: str, all: bool) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._all = all
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
        self._sockets: set[socket.socket] = set()
        self._statement: bytes | None = None
        self.cuts = 0

    def run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        for item in (self._listener, *self._sockets):
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()

    def cut_after(self, statement: bytes) -> None:
        """Lose the answer of the next COMMIT of a connection that has sent this before."""
        self._statement = statement

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(self._target) as server:
            self._sockets |= {client, server}
            silent = threading.Event()
            back = threading.Thread(target=self._answer, args=(server, client, silent), daemon=True)
            back.start()
            seen = False
            while data := client.recv(65536):
                if self._statement is not None and self._statement in data:
                    seen, self._statement = True, None
                if seen and b"COMMIT" in data:
                    silent.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            back.join()

    def _answer(
        self, server: socket.socket, client: socket.socket, silent: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if silent.is_set():
                    self.cuts += 1
                    for item in list(self._sockets) if self._all else (client, server):
                        with suppress(OSError):
                            item.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)


@contextmanager
def cutting(url: str, all: bool) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(url, all)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()


@pytest.fixture(params=[False, True], ids=["one connection", "all connections"])
def proxy(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[CuttingProxy]:
    with cutting(postgres_url, request.param) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: CuttingProxy) -> AsyncIterator[Store]:
    """This node's, through the proxy."""
    async with open_store(DatabaseSettings(url=proxy.url)) as opened:
        yield opened


async def test_what_was_handed_over(store: Store, proxy: CuttingProxy) -> None:
    """Delivered within seconds; the log says that nobody knew."""
    sink = Scripted()
    async with running(store, sink) as engine:
        await make_endpoint(store, engine)
        proxy.cut_after(APPENDS)
        with (
            structlog.testing.capture_logs() as said,
            pytest.raises(StoreUnavailable, match="not known"),
        ):
            await send_more(store, 3)
        [told] = [line for line in said if line["event"] == "store.commit_unknown"]
        assert (told["log_level"], told["events"], told["handed_over"]) == ("error", 3, 3)
        with trio.fail_after(SOON):
            await all_delivered(store, 3)
    assert (proxy.cuts, len(sink.attempts)) == (1, 3)


async def test_what_was_claimed(store: Store, proxy: CuttingProxy, postgres_url: str) -> None:
    """The same for what another node has committed and this one claims."""
    sink = Scripted()
    async with (
        open_store(DatabaseSettings(url=postgres_url)) as other,
        running(store, sink) as engine,
    ):
        await make_endpoint(store, engine)
        proxy.cut_after(CLAIMS)
        await send_more(other, 3)
        with trio.fail_after(SOON):
            await all_delivered(other, 3)
    assert (proxy.cuts, len(sink.attempts)) == (1, 3)
