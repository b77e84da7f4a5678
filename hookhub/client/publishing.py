"""Publishing over one open connection: an event is on its way before the last one is acknowledged.

The connection lives in a thread of its own, so blocking programs and asynchronous ones of any kind
use it alike. Each event has an id: what was not acknowledged when a connection broke is sent again
over the next one, and stored once.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, Self

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection

from hookhub.client.address import authorization, hub_address
from hookhub.client.problems import error_class
from hookhub.client.retries import Patience
from hookhub.client.websockets import NotOpened, dial, shake_hands
from hookhub.contracts.errors import (
    NotFound,
    StoreUnavailable,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from hookhub.contracts.events import Accepted, canonical_json, new_event_id

PATH = "/events/publish"
_PASSING = {StoreUnavailable.code, Unavailable.code, TooManyRequests.code}
"""Codes of what may be better a moment later."""
_FINAL = {1008, 4201, 4502}
"""Close codes about the token: coming back with the same one is useless."""
_LAST_WORDS = 1.0
"""Seconds for the closing handshake."""


class _Sent(NamedTuple):
    id: str
    text: str
    future: Future[Accepted]


class Publisher:
    """Publishes events over a WebSocket that is opened again whenever it breaks.

    Events are stored in the order of :meth:`send`; only where a connection broke, an event that the
    hub could not take at once may come after later ones. Use it in a ``with`` block: the end of the
    block waits until everything is acknowledged.

    Args:
        url: the hub's address: ``http://127.0.0.1:8080``.
        token: an API token with the scope ``events:write``.
        in_flight: events that may wait for their acknowledgement; :meth:`send` waits for room.
        timeout: seconds without any acknowledgement after which what waits is given up.

    Raises:
        ConfigError: the address or the token cannot be right.
    """

    def __init__(
        self, url: str, token: str, *, in_flight: int = 1_000, timeout: float = 30.0
    ) -> None:
        self.url = hub_address(url)
        authorization(token)
        self._token = token
        self._timeout = timeout
        self._patience = Patience(timeout)
        self._room = threading.Semaphore(in_flight)
        self._changed = threading.Condition()
        self._waiting: deque[_Sent] = deque()
        """To be sent."""
        self._unheard: deque[_Sent] = deque()
        """Sent, and not acknowledged."""
        self._failed: Exception | None = None
        self._dismissed: str | None = None
        """Why coming back with this token is useless."""
        self._closing = False
        self._wake: trio.Event | None = None
        self._trio: trio.lowlevel.TrioToken | None = None
        self._thread = threading.Thread(target=self._work, name="hookhub-publisher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self.close()

    def send(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        source: str | None = None,
        id: str | None = None,
    ) -> Future[Accepted]:
        """Send an event; waits only for room in flight.

        Args:
            type: a declared event type.
            payload: JSON-compatible.
            key: ordering key.
            source: who says so.
            id: the event's own id; None for a new one.

        Returns:
            what the hub says once the event is committed; a refusal is its exception
            (:class:`hookhub.contracts.errors.HookhubError`). Await it with
            ``asyncio.wrap_future()``.

        Raises:
            Unauthorized: the hub does not let this token publish.
            Unavailable: the hub has not answered within the timeout.
        """
        event_id = id or new_event_id(time.time_ns() // 1000)
        event = {"type": type, "payload": dict(payload), "id": event_id}
        event |= {n: value for n, value in (("key", key), ("source", source)) if value is not None}
        sent = _Sent(event_id, canonical_json(event), Future())
        while not self._room.acquire(timeout=0.5):
            self._check()
        with self._changed:
            self._check()
            self._waiting.append(sent)
        self._ring()
        return sent.future

    def flush(self) -> None:
        """Wait until everything is acknowledged or refused. Raises what :meth:`send` does."""
        with self._changed:
            while self._waiting or self._unheard:
                self._changed.wait(1.0)
                self._check()
            self._check()

    def close(self) -> None:
        """End the connection; what is not acknowledged by now may be stored or not."""
        with self._changed:
            self._closing = True
        self._ring()
        self._thread.join()

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed
        if self._closing:
            raise Unavailable("This publisher is closed.")

    def _ring(self) -> None:
        token = self._trio
        if token is not None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(self._woken, idempotent=True)

    def _woken(self) -> None:
        if self._wake is not None:
            self._wake.set()

    # -- in the thread ---------------------------------------------------------------------

    def _work(self) -> None:
        try:
            trio.run(self._run)
            self._give_up(Unavailable("The publisher was closed before this was acknowledged."))
        except BaseException as error:
            self._give_up(error if isinstance(error, Exception) else Unavailable(str(error)))
            if not isinstance(error, Exception):
                raise

    def _give_up(self, error: Exception) -> None:
        with self._changed:
            if not self._closing:
                self._failed = error
            left = [*self._unheard, *self._waiting]
            self._unheard.clear()
            self._waiting.clear()
            self._changed.notify_all()
        for item in left:
            item.future.set_exception(error)
            self._room.release()

    async def _run(self) -> None:
        """One connection after another, for as long as something is acknowledged."""
        self._trio = trio.lowlevel.current_trio_token()
        self._wake = trio.Event()
        self._heard_at = trio.current_time()
        tries = 0
        while not self._closing:
            before = self._heard_at
            reason = await self._connect()
            if self._dismissed is not None:
                raise Unauthorized(f"The hub closed the connection: {self._dismissed}")
            tries = 1 if self._heard_at > before else tries + 1
            if not (self._waiting or self._unheard):
                # Nobody waits for the hub: how long it is away does not matter.
                self._heard_at = trio.current_time()
            elif trio.current_time() - self._heard_at > self._timeout:
                raise Unavailable(
                    f"No acknowledgement from {self.url} within {self._timeout:g} s: {reason}. "
                    "What was sent may be stored all the same; send it again with the same ids."
                )
            with self._changed:
                self._waiting.extendleft(reversed(self._unheard))
                self._unheard.clear()
            await trio.sleep(self._patience.pause(min(tries, 10), random.random()))  # noqa: S311

    async def _connect(self) -> str:
        """A connection's life; returns why it ended."""
        try:
            stream = await dial(self.url)
        except NotOpened as error:
            return str(error)
        refused: list[ConnectionRejected] = []
        reason = ""
        try:
            async with stream, trio.open_nursery() as nursery:
                try:
                    socket = await shake_hands(nursery, stream, self.url, PATH, self._token)
                    reason = await self._serve(socket)
                except NotOpened as error:
                    reason = str(error)
                nursery.cancel_scope.cancel()
        except* ConnectionRejected as errors:
            refused += [item for item in errors.exceptions if isinstance(item, ConnectionRejected)]
        if refused and refused[0].status_code == NotFound.status:
            raise NotFound(
                f"{self.url} has no {PATH}; is it a hub, with the plugin hookhub-websocket?"
            )
        return f"answered {refused[0].status_code}" if refused else reason

    async def _serve(self, socket: WebSocketConnection) -> str:
        reason = ""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_all, socket, nursery.cancel_scope)
                reason = await self._read(socket)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_WORDS):
                await socket.aclose()
        return reason

    async def _send_all(self, socket: WebSocketConnection, scope: trio.CancelScope) -> None:
        while True:
            self._wake = trio.Event()
            while self._waiting:
                with self._changed:
                    item = self._waiting.popleft()
                    self._unheard.append(item)
                with suppress(ConnectionClosed):  # the reader is told, too
                    await socket.send_message(item.text)
            if self._closing:
                scope.cancel()
            await self._wake.wait()

    async def _read(self, socket: WebSocketConnection) -> str:
        """Take acknowledgements until the connection ends; returns why it did."""
        try:
            while True:
                await self._heard(json.loads(await socket.get_message()), socket)
        except ConnectionClosed as closed:
            found = closed.reason
        if found is not None and found.code in _FINAL:
            self._dismissed = found.reason or str(found.code)
        return "the connection broke" if found is None else found.reason or found.name

    async def _heard(self, message: dict[str, Any], socket: WebSocketConnection) -> None:
        if message["type"] == "ready":
            return
        self._heard_at = trio.current_time()
        with self._changed:
            item = self._unheard.popleft()
            if message.get("code") in _PASSING:
                self._unheard.append(item)
        if message.get("code") in _PASSING:
            # The hub cannot store now: a new connection in a while sends all of it again.
            await socket.aclose()
            return
        if message["type"] == "accepted":
            fields = [message[name] for name in ("id", "sequence", "deliveries")]
            item.future.set_result(Accepted(*fields, repeated=message["repeated"]))
        else:
            found = error_class(message["code"], 400)
            item.future.set_exception(found(message["message"], errors=message.get("errors", ())))
        self._room.release()
        with self._changed:
            self._changed.notify_all()
