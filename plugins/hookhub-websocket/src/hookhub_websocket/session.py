"""One connected client: what it asks, and when it has to go."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog
import trio

from hookhub import Cursor
from hookhub.contracts.errors import (
    Forbidden,
    HookhubError,
    InvalidCursor,
    TooManyRequests,
    ValidationFailed,
)
from hookhub.contracts.events import parse_json
from hookhub.contracts.routes import Principal
from hookhub.feed import (
    DISMISSED_REASON,
    SIGNAL_SCOPE,
    ConnectionStatus,
    SignalBox,
    needs_scope,
    read_range,
    resolve_range,
)
from hookhub.filters import Filter, compile_filter
from hookhub_websocket import messages
from hookhub_websocket.batches import Batches
from hookhub_websocket.closing import Why
from hookhub_websocket.fanout import Fanout
from hookhub_websocket.feeder import Feeder
from hookhub_websocket.filters import ConnectionFilter
from hookhub_websocket.frames import Encode, plain_frame, text_frame
from hookhub_websocket.history import HistoryReplay
from hookhub_websocket.link import Link
from hookhub_websocket.messages import BadMessage, ClientMessage
from hookhub_websocket.rate import MessageRate, Pace
from hookhub_websocket.settings import WebSocketSettings
from hookhub_websocket.watch import Watch

if TYPE_CHECKING:
    from hookhub.hub import Hub

SIGNALS = 100
"""Signals that are joined into one write."""

log = structlog.get_logger("hookhub.websocket")


class Begin(NamedTuple):
    """What the query string asks for."""

    events: list[str]
    """The patterns of ``?events=``; empty for everything."""
    where: str | None
    """The payload filter of ``?where=``."""
    since: str | None
    """The cursor of ``?since=``."""


class Session:
    """A client from its first message to its end.

    Args:
        hub: for the feed, the tokens and the settings.
        link: the open WebSocket.
        principal: whose token it came with.
        client: the peer's address.
        settings: ``[plugins.websocket]``.
        fanout: serves it while it is up to date.
        batches: what it shares with others.
        user_agent: what it calls itself.
        encode: makes its events' frames.
    """

    kind = "ws"

    def __init__(
        self,
        hub: Hub,
        link: Link,
        principal: Principal,
        client: str,
        settings: WebSocketSettings,
        fanout: Fanout,
        batches: Batches,
        user_agent: str = "",
        encode: Encode = plain_frame,
    ) -> None:
        self.principal = principal
        self.client = client
        self.user_agent = user_agent
        self.link = link
        self.outbox = link.outbox
        self.filter = ConnectionFilter(
            hub.feed.select, settings.max_patterns, settings.max_conditions
        )
        self.feeder = Feeder(hub.feed, batches, self.filter, hub.presence.gap, encode)
        self.signals = SignalBox(hub.signals, link.outbox.wake)
        self.messages_received = 0
        self._hub = hub
        self._fanout = fanout
        self._replay: HistoryReplay | None = None
        self._rate = MessageRate(settings.message_rate, settings.message_burst, link.last_heard)
        self.watch = Watch(hub, link, self.feeder, principal, settings)

    async def run(self, begin: Begin) -> None:
        """Serve the client until one side closes or the connection breaks."""
        with self.signals:
            try:
                async with trio.open_nursery() as nursery:
                    self.link.scope = nursery.cancel_scope
                    await self._live(nursery, begin)
            finally:
                self._fanout.discard(self.feeder)

    def goodbye(self, after: float) -> None:
        """The hub restarts.

        Args:
            after: seconds until the client may come back.
        """
        self.link.post(messages.restarting(after))
        self.link.close(Why.RESTART, f"Restarting; reconnect in {after:g} s")

    async def _live(self, nursery: trio.Nursery, begin: Begin) -> None:
        try:
            await self._begin(*begin)
        except HookhubError as error:
            self._failed(error)
        self.outbox.attach(partial(self._start_flusher, nursery))
        try:
            await self.link.read(self._handle)
        finally:
            self.outbox.detach()
        if self.link.closed is None:
            nursery.cancel_scope.cancel()
        else:
            self.link.end_soon()

    async def _begin(self, events: list[str], where: str | None, since: str | None) -> None:
        """Post the first message, and what there is to say about the query string after it."""
        complaints: list[bytes] = []
        try:
            if events or where is not None:
                condition = None if where is None else _condition_of(where)
                self._subscribe(events or ["*"], condition, "?events=")
        except (BadMessage, HookhubError) as error:
            # Who asked for some and misspelt it does not want all.
            self.filter.unsubscribe(None)
            self._chosen()
            found = BadMessage.of(error) if isinstance(error, HookhubError) else error
            complaints.append(messages.error(found))
        verdict = None
        if since is not None:
            try:
                verdict = self.feeder.resume(await self._hub.feed.resume(Cursor.parse(since)))
            except InvalidCursor as error:
                complaints.append(messages.error(BadMessage(error.code, error.detail)))
                complaints.append(messages.gap(None, self.feeder.cursor))
                self._hub.presence.gap()
        first = messages.connection(self.feeder.cursor, self.filter.patterns, self.filter.where)
        self.link.post(first)
        for complaint in complaints:
            self.link.post(complaint)
        if verdict is not None:
            self.outbox.post(verdict)

    # -- writing ---------------------------------------------------------------------------

    def _start_flusher(self, nursery: trio.Nursery) -> None:
        self._fanout.discard(self.feeder)
        nursery.start_soon(self._flush)

    async def _flush(self) -> None:
        """Send what waits; once nothing does, the fan-out goes on from the same position."""
        outbox = self.outbox
        try:
            while await outbox.flush():
                batch = await self._next_batch()
                if batch:
                    await outbox.send(batch)
                elif not self.feeder.lag and self._replay is None and outbox.rest():
                    self._fanout.add(self.feeder, outbox)
                    return
                if self.feeder.lag or self._replay is not None:
                    await trio.lowlevel.checkpoint()
            self.link.end_soon()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.link.abort()

    async def _next_batch(self) -> bytes:
        # One that begins meanwhile has its first message in the outbox: that goes before.
        replay = self._replay
        try:
            batch = await self.feeder.next_batch()
            if replay is not None:
                batch += await self._replayed(batch)
        except HookhubError as error:
            self._failed(error)
            return b""
        except Exception:
            log.exception("websocket.feed_broken", client=self.client)
            self.link.close(Why.ERROR, "Internal error")
            return b""
        return batch if self.feeder.lag else batch + self._signalled()

    async def _replayed(self, batch: bytes) -> bytes:
        """What a replay has to send after a batch of the live feed; neither waits for the other."""
        replay = self._replay
        found = b""
        while replay is not None and not replay.over and not found:
            found = await replay.next_batch()
            if batch or self.feeder.lag:
                break
        if replay is not None and replay.over:
            self._replay = None
        return found

    def _signalled(self) -> bytes:
        """Signals that wait: events go before them."""
        signals, dropped = self.signals.take(SIGNALS)
        frames = [text_frame(signal.frame) for signal in signals]
        if dropped:
            frames.append(text_frame(messages.dropped(dropped)))
        return b"".join(frames)

    def _failed(self, error: HookhubError) -> None:
        """The store cannot be read now: the client loses nothing by coming back later."""
        log.warning("websocket.feed_failed", client=self.client, error=error.detail)
        self.link.close(Why.ERROR, f"Try again later; resume with cursor={self.feeder.cursor}")

    # -- reading ---------------------------------------------------------------------------

    async def _handle(self, text: str | None) -> None:
        self.messages_received += 1
        pace = self._rate.take(trio.current_time())
        if pace is Pace.FLOOD:
            self.link.close(Why.FLOOD, "Too many messages; slow down before you come back")
            return
        try:
            await self._obey(self._read(text, pace))
        except BadMessage as failure:
            self.link.post(messages.error(failure))
        except HookhubError as error:
            self._failed(error)
        except Exception:
            log.exception("websocket.message_failed", client=self.client)
            self.link.close(Why.ERROR, "Internal error")

    def _read(self, text: str | None, pace: Pace) -> ClientMessage:
        if text is None:
            raise BadMessage("malformed_request", "Send JSON in text messages, not in binary ones.")
        message = messages.parse_message(text)
        if pace is Pace.REFUSED:
            raise BadMessage(
                TooManyRequests.code,
                "Too many messages; this one was not obeyed. Slow down, or the connection ends.",
                message.id,
            )
        return message

    async def _obey(self, message: ClientMessage) -> None:
        if message.type == "ping":
            self.link.post(messages.pong(message.id))
        elif message.type == "resume":
            await self._resume(message)
        elif message.type == "replay":
            await self._start_replay(message)
        else:
            self._choose(message)

    def _choose(self, message: ClientMessage) -> None:
        try:
            if message.type == "unsubscribe":
                self.filter.unsubscribe(message.events)
                self._chosen()
            else:
                where = message.where
                condition = None if where is None else compile_filter(where, ("where",))
                self._subscribe(message.events or [], condition, "'events'")
        except HookhubError as error:
            raise BadMessage.of(error, message.id) from None
        except BadMessage as error:
            error.id = message.id
            raise
        answer = messages.subscribed(self.filter.patterns, self.filter.where, message.id)
        self.link.post(answer)

    def _subscribe(self, events: list[str], condition: Filter | None, name: str) -> None:
        """Add patterns with this condition.

        Args:
            name: what the client called the patterns.

        Raises:
            BadMessage: a pattern is none, there are too many, or the token may not watch this.
        """
        if needs_scope(events) and not self.principal.may(SIGNAL_SCOPE):
            raise BadMessage(
                Forbidden.code,
                f"Watching deliveries needs a token with the scope {SIGNAL_SCOPE}; "
                "without it there is 'delivery.failed'.",
            )
        try:
            self.filter.subscribe(events, condition)
        except ValueError as error:
            raise BadMessage("validation_failed", f"{name}: {error}.") from None
        self._chosen()

    def _chosen(self) -> None:
        """Go by the subscriptions as they are now."""
        self.feeder.refilter()
        if self.principal.may(SIGNAL_SCOPE):
            self.signals.choose(self.filter.wanted)

    async def _resume(self, message: ClientMessage) -> None:
        assert message.cursor is not None
        try:
            cursor = Cursor.parse(message.cursor)
        except InvalidCursor as error:
            raise BadMessage(error.code, error.detail, message.id) from None
        verdict = self.feeder.resume(await self._hub.feed.resume(cursor), message.id)
        if verdict is not None:
            self.outbox.post(verdict)
        self.outbox.wake()

    async def _start_replay(self, message: ClientMessage) -> None:
        if self._replay is not None:
            raise BadMessage(
                "replay_in_progress",
                "A replay is still under way; wait for its 'replayed'.",
                message.id,
            )
        epoch = self._hub.feed.epoch
        try:
            begin, end = read_range(epoch, message.since, message.until)
        except HookhubError as error:
            raise BadMessage.of(error, message.id) from None
        found = await self._hub.read(lambda reader: resolve_range(reader, begin, end))
        self._replay = HistoryReplay(self._hub.feed, epoch, self.filter, found, message.id)
        self.link.post(self._replay.begin())
        self.outbox.wake()

    # -- presence --------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Where in the feed it is."""
        return self.feeder.position

    def status(self) -> ConnectionStatus:
        """How it is doing; see :class:`hookhub.feed.LiveConnection`."""
        return ConnectionStatus(
            events=self.filter.patterns,
            where=self.filter.where,
            events_sent=self.feeder.sent,
            bytes_sent=self.outbox.bytes_sent,
            messages_received=self.messages_received,
        )

    def dismiss(self) -> None:
        """An administrator wants it gone."""
        self.link.close(Why.DISMISSED, DISMISSED_REASON)


def _condition_of(text: str) -> Filter:
    """The condition in the query string.

    Raises:
        MalformedRequest: it is not JSON.
        ValidationFailed: it is no filter; names what is wrong with it.
    """
    try:
        return compile_filter(parse_json(text, "?where="), ("where",))
    except ValidationFailed as error:
        raise ValidationFailed(f"?where=: {error.detail}", errors=error.errors) from None
