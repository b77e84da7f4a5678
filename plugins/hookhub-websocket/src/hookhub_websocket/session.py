"""One connected client: what it asks, and when it has to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from hookhub import Cursor
from hookhub.errors import HookhubError, InvalidCursor
from hookhub.routes import Principal
from hookhub_websocket import messages
from hookhub_websocket.closing import Why
from hookhub_websocket.feeder import Feeder
from hookhub_websocket.filters import Filter
from hookhub_websocket.link import Link
from hookhub_websocket.messages import BadMessage, ClientMessage
from hookhub_websocket.settings import WebSocketSettings

if TYPE_CHECKING:
    from hookhub.hub import Hub

STRIKES = 4
"""Looks in a row that find a client behind its limit with a write under way, until it is slow."""

log = structlog.get_logger("hookhub.websocket")


class Session:
    """A client from its first message to its end.

    Args:
        hub: for the feed, the tokens and the settings.
        link: the open WebSocket.
        principal: whose token it came with.
        client: the peer's address.
        settings: ``[plugins.websocket]``.
    """

    def __init__(
        self,
        hub: Hub,
        link: Link,
        principal: Principal,
        client: str,
        settings: WebSocketSettings,
    ) -> None:
        self.principal = principal
        self.client = client
        self.link = link
        self.filter = Filter(settings.max_patterns)
        self.feeder = Feeder(hub.feed, self.filter)
        self.messages_received = 0
        self._hub = hub
        self._write_timeout = settings.write_timeout
        self._pinged_at = link.last_heard
        self._strikes = 0

    async def run(self, events: list[str], since: str | None) -> None:
        """Serve the client until one side closes or the connection breaks.

        Args:
            events: the patterns of ``?events=``; empty for everything.
            since: the cursor of ``?since=``, if any.
        """
        with self.link.scope:
            try:
                await self._begin(events, since)
            except HookhubError as error:
                self._failed(error)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                await self.link.read(self._handle)
                if self.link.closed is not None:
                    await self.link.outbox.finished.wait()
                nursery.cancel_scope.cancel()

    async def _begin(self, events: list[str], since: str | None) -> None:
        """Post the first message, and what there is to say about the query string after it."""
        complaints: list[bytes] = []
        try:
            if events:
                self.filter.subscribe(events)
        except ValueError as error:
            complaints.append(
                messages.error(BadMessage("validation_failed", f"?events=: {error}."))
            )
        verdict = None
        if since is not None:
            try:
                verdict = self.feeder.resume(await self._hub.feed.resume(Cursor.parse(since)))
            except InvalidCursor as error:
                complaints.append(messages.error(BadMessage(error.code, error.detail)))
                complaints.append(messages.gap(None, self.feeder.cursor))
        self.link.post(messages.connection(self.feeder.cursor, self.filter.patterns))
        for complaint in complaints:
            self.link.post(complaint)
        if verdict is not None:
            self.link.outbox.post(verdict)

    # -- writing ---------------------------------------------------------------------------

    async def _write(self) -> None:
        """The only task that writes to the socket."""
        outbox, feeder = self.link.outbox, self.feeder
        try:
            while await outbox.flush():
                batch = await self._next_batch()
                if batch:
                    await outbox.send(batch)
                else:
                    await outbox.wait(feeder.wait)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.link.abort()

    async def _next_batch(self) -> bytes:
        try:
            return await self.feeder.next_batch()
        except HookhubError as error:
            self._failed(error)
            return b""

    def _failed(self, error: HookhubError) -> None:
        """The store cannot be read now: the client loses nothing by coming back later."""
        log.warning("websocket.feed_failed", client=self.client, error=error.detail)
        self.link.close(Why.ERROR, f"Try again later; resume with cursor={self.feeder.cursor}")

    # -- reading ---------------------------------------------------------------------------

    async def _handle(self, text: str | None) -> None:
        self.messages_received += 1
        try:
            if text is None:
                raise BadMessage(
                    "malformed_request", "Send JSON in text messages, not in binary ones."
                )
            await self._obey(messages.parse_message(text))
        except BadMessage as failure:
            self.link.post(messages.error(failure))
        except HookhubError as error:
            self._failed(error)
        except Exception:
            log.exception("websocket.message_failed", client=self.client)
            self.link.close(Why.ERROR, "Internal error")

    async def _obey(self, message: ClientMessage) -> None:
        if message.type == "ping":
            self.link.post(messages.pong(message.id))
        elif message.type == "resume":
            await self._resume(message)
        else:
            self._choose(message)

    def _choose(self, message: ClientMessage) -> None:
        try:
            if message.type == "unsubscribe":
                self.filter.unsubscribe(message.events)
            else:
                self.filter.subscribe(message.events or [])
        except ValueError as error:
            raise BadMessage("validation_failed", f"'events': {error}.", message.id) from None
        self.feeder.refilter()
        self.link.post(messages.subscribed(self.filter.patterns, message.id))

    async def _resume(self, message: ClientMessage) -> None:
        assert message.cursor is not None
        try:
            cursor = Cursor.parse(message.cursor)
        except InvalidCursor as error:
            raise BadMessage(error.code, error.detail, message.id) from None
        verdict = self.feeder.resume(await self._hub.feed.resume(cursor), message.id)
        if verdict is not None:
            self.link.outbox.post(verdict)
        self.link.outbox.wake()

    # -- watching --------------------------------------------------------------------------

    def check(self, now: float, mean_frame: float) -> None:
        """Close the connection if its token, its client's life or its pace asks for it.

        Args:
            now: Trio's clock.
            mean_frame: bytes of an average event, to tell a lag in bytes.
        """
        if self.link.closed is not None:
            return
        reason = self._hub.tokens.still_valid(self.principal)
        if reason is not None:
            why = Why.EXPIRED if reason == "expired" else Why.REVOKED
            self.link.close(why, f"The token is {reason}")
        elif self._is_slow(now, mean_frame):
            self.link.close(Why.SLOW, f"Too slow; resume with cursor={self.feeder.cursor}")
        else:
            self._check_life(now)

    def _is_slow(self, now: float, mean_frame: float) -> bool:
        since = self.link.outbox.writing_since
        if since is None or self.feeder.replaying:
            self._strikes = 0
        elif self.feeder.lag * mean_frame > self._hub.settings.live.max_lag:
            self._strikes += 1
        else:
            self._strikes = 0
        too_long = since is not None and now - since > self._write_timeout
        return too_long or self._strikes >= STRIKES

    def _check_life(self, now: float) -> None:
        """Ping in turn; a client that has said nothing at all since its ping is dead."""
        live = self._hub.settings.live
        if self.link.last_heard >= self._pinged_at:
            if now - self._pinged_at >= live.heartbeat:
                self._pinged_at = now
                self.link.ping()
        elif now - self._pinged_at > live.heartbeat_timeout:
            self.link.close(Why.DEAD, "No answer to a ping")
