"""The live feed at the other end of the line: it comes back by itself, and misses nothing."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode

import trio
from trio_websocket import CloseReason, ConnectionClosed, ConnectionRejected, WebSocketConnection

from hookhub.cli.shared.remote import Remote
from hookhub.client.address import nowhere
from hookhub.client.retries import Patience
from hookhub.client.websockets import ByteStream, NotOpened, dial, shake_hands
from hookhub.contracts.errors import HookhubError, NotFound, Unauthorized, Unavailable
from hookhub.contracts.events import parse_json

Handle: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

PING_EVERY = 20.0
PING_TIMEOUT = 15.0
CLOSE_TIMEOUT = 1.0
PATIENCE = Patience(first_pause=0.5, longest_pause=15.0)

# Close codes about the token: coming back with the same one is useless.
_FINAL = {1008, 4201, 4502}


@dataclass(slots=True)
class _End:
    """How a connection ended."""

    code: int | None
    reason: str
    pause: float | None = None
    """Seconds that the hub asked to wait."""


@dataclass(slots=True)
class LiveFeed:
    """Follows the live feed of one hub."""

    remote: Remote
    cursor: str | None
    """Where to begin (see :func:`hookhub.cli.client.tail.begin`), and how far all is handled."""
    tell: Callable[[str], None]
    """Takes sentences about the connection."""
    events: tuple[str, ...] = ()
    """Type patterns; none for all."""
    where: str | None = None
    """A payload filter, JSON."""
    keep: Path | None = None
    """A file that keeps the cursor from one run to the next."""
    _connections: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _lost_at: float | None = field(default=None, init=False)
    _pause: float | None = field(default=None, init=False)
    _busy: bool = field(default=False, init=False)

    async def run(self, handle: Handle) -> None:
        """Call ``handle`` with each event, one after another, until cancelled.

        An event is done with when ``handle`` returns: what was under way when the connection broke
        comes again.

        Raises:
            Unauthorized: the token is not good, or is not any more.
            NotFound: there is no live feed at the address.
            Unavailable: the first connection cannot be made. Later ones are tried for ever.
        """
        while True:
            end = await self._connect(handle)
            if end.code in _FINAL:
                reason = (end.reason or str(end.code)).rstrip(".")
                raise Unauthorized(f"The hub closed the feed: {reason}.")
            if self._connections == 0:
                raise Unavailable(
                    f"No live feed from {self.remote.url}: {end.reason}. Is the hub running there?"
                )
            if self._lost_at is None:
                self._lost_at = trio.current_time()
            pause = self._next_pause(end)
            self.tell(f"Connection lost ({end.reason or end.code}); again in {pause:.1f} s.")
            await trio.sleep(pause)

    def _next_pause(self, end: _End) -> float:
        self._failures += 1
        if end.pause is not None:
            return end.pause
        return PATIENCE.pause(min(self._failures, 10), random.random())  # noqa: S311

    def _resource(self) -> str:
        query = {"since": self.cursor, "where": self.where}
        query["events"] = ",".join(self.events) or None
        text = urlencode({name: value for name, value in query.items() if value is not None})
        return f"/ws{'?' if text else ''}{text}"

    async def _connect(self, handle: Handle) -> _End:
        self._pause = None
        try:
            stream = await dial(self.remote.url)
        except NotOpened as error:
            return _End(None, str(error))
        refused: list[ConnectionRejected] = []
        try:
            # A stream of our own: the library does not close it when the other side closes first.
            async with stream, trio.open_nursery() as nursery:
                end = await self._shake_hands(nursery, stream, handle)
                nursery.cancel_scope.cancel()
        except* ConnectionRejected as errors:
            # The library's reader raises it, not the handshake.
            refused += [item for item in errors.exceptions if isinstance(item, ConnectionRejected)]
        return self._refused(refused[0].status_code) if refused else end

    def _refused(self, status: int) -> _End:
        """How a handshake ends that was answered with an HTTP status."""
        if status == NotFound.status:
            url = self.remote.url
            raise NotFound(
                nowhere(url) or f"{url} has no /ws; is it a hub, with the plugin hookhub-websocket?"
            )
        return _End(None, f"answered {status}")

    async def _shake_hands(self, nursery: trio.Nursery, stream: ByteStream, handle: Handle) -> _End:
        remote = self.remote
        try:
            socket = await shake_hands(nursery, stream, remote.url, self._resource(), remote.token)
        except NotOpened as error:
            return _End(None, str(error))
        return await self._serve(socket, handle)

    async def _serve(self, socket: WebSocketConnection, handle: Handle) -> _End:
        end = _End(None, f"no answer to a ping within {PING_TIMEOUT:g} s")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ping, socket, nursery.cancel_scope)
                end = await self._read(socket, handle)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT):
                await socket.aclose()
        return end

    async def _ping(self, socket: WebSocketConnection, scope: trio.CancelScope) -> None:
        """End a connection whose other side is gone: TCP alone would not say so for long."""
        while True:
            await trio.sleep(PING_EVERY)
            if self._busy:
                continue  # With a full queue, the pong would wait behind what waits for us.
            with suppress(ConnectionClosed):
                with trio.move_on_after(PING_TIMEOUT) as waiting:
                    await socket.ping()
                if waiting.cancelled_caught and not self._busy:
                    scope.cancel()

    async def _read(self, socket: WebSocketConnection, handle: Handle) -> _End:
        try:
            while True:
                message = parse_json(await socket.get_message())
                if "." in message["type"]:
                    await self._event(message, handle)
                else:
                    self._control(message)
        except ConnectionClosed as closed:
            reason: CloseReason | None = closed.reason
            if reason is None:
                return _End(None, "the connection broke")
            return _End(reason.code, reason.reason or reason.name, self._pause)

    async def _event(self, event: dict[str, Any], handle: Handle) -> None:
        self._busy = True
        try:
            await handle(event)
        finally:
            self._busy = False
        self._moved_to(event.get("cursor"))

    def _control(self, message: dict[str, Any]) -> None:
        """A message of the hub's about the feed itself."""
        kind = message["type"]
        if kind == "connection":
            self._connected(message)
        elif kind == "resumed":
            self._resumed(message["replayed"])
        elif kind == "gap":
            missed = message["missed"]
            self.tell(
                "Gap: the hub's database is another one, or went back; it goes on from now."
                if missed is None
                else f"Gap: {missed} events are no longer kept; it goes on with those that are."
            )
            self._moved_to(message["cursor"])
        elif kind == "restarting":
            self._pause = message["retry_after"]
        elif kind == "error":
            raise HookhubError(f"The hub refuses what was asked: {message['message']}")

    def _connected(self, message: dict[str, Any]) -> None:
        self._connections += 1
        self._failures = 0
        if self._connections == 1:
            self.tell(f"Connected to {self.remote.url}. Ctrl-C ends.")
        if self.cursor is None:
            self._moved_to(message["cursor"])

    def _resumed(self, replayed: int) -> None:
        if self._lost_at is not None:
            away = trio.current_time() - self._lost_at
            self._lost_at = None
            self.tell(f"Back after {away:.1f} s, with {replayed} events since; nothing is missed.")

    def _moved_to(self, cursor: str | None) -> None:
        if cursor is None:
            return
        self.cursor = cursor
        if self.keep is not None:
            _keep(self.keep, cursor)


def _keep(path: Path, cursor: str) -> None:
    """Write the cursor, whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(f"{cursor}\n", "ascii")
        os.replace(temporary, path)
    except OSError as error:
        raise HookhubError(f"{path} cannot be written: {error.strerror}.") from None
