"""Who follows the live feed over plain HTTP: event streams, and requests that wait."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from hookhub.contracts.errors import TooManyRequests, Unauthorized
from hookhub.contracts.events import Cursor
from hookhub.contracts.routes import Principal, Request
from hookhub.contracts.sinks import Entry, Signal
from hookhub.feed import (
    DISMISSED,
    DISMISSED_REASON,
    SIGNAL_SCOPE,
    USER_AGENT_MAX,
    ConnectionStatus,
    Gap,
    Resume,
    SignalBox,
    Wanted,
)

if TYPE_CHECKING:
    from hookhub.hub import Hub

CHECK = 0.5
"""Seconds after which a revoked token is noticed."""
SIGNALS = 100
"""Signals that are joined into one piece."""
FULL, EXPIRED, REVOKED = 1013, 4201, 4502
"""Why a stream ends, in the close codes of the WebSocket (docs/live-feed.md)."""


def check_room(hub: Hub, principal: Principal) -> None:
    """Raises TooManyRequests: there are too many live connections."""
    full = hub.presence.full(principal)
    if full is not None:
        raise TooManyRequests(f"{full.capitalize()}.", headers={"Retry-After": "30"})


class HttpFollower:
    """A reader of the live feed over plain HTTP; counted and shown as a live connection.

    Args:
        hub: whose feed.
        request: with a principal.
        wanted: which events.
        place: everything up to here was looked at.
    """

    kind: str

    def __init__(self, hub: Hub, request: Request, wanted: Wanted, place: Cursor) -> None:
        assert request.principal is not None
        self.principal = request.principal
        self.client = request.client
        self.user_agent = request.headers.get("user-agent", "")[:USER_AGENT_MAX]
        self._hub = hub
        self._wanted = wanted
        self._place = place
        self._sent = 0
        self._bytes = 0

    @property
    def position(self) -> int:
        """See :class:`hookhub.feed.LiveConnection`."""
        return self._place.sequence

    def status(self) -> ConnectionStatus:
        """See :class:`hookhub.feed.LiveConnection`."""
        return ConnectionStatus(
            events=list(self._wanted),
            where={name: item.spec for name, item in self._wanted.items() if item is not None},
            events_sent=self._sent,
            bytes_sent=self._bytes,
            messages_received=0,
        )


class Subscriber(HttpFollower):
    """A position in the feed, and what is said about it as Server-Sent Events.

    Args:
        resume: where to go on from; None: from now on.
        keep_alive: seconds of silence before a comment is sent.
    """

    kind = "sse"

    def __init__(
        self,
        hub: Hub,
        request: Request,
        wanted: Wanted,
        resume: Resume | None,
        *,
        keep_alive: float,
    ) -> None:
        place = hub.feed.cursor() if resume is None else resume.position
        super().__init__(hub, request, wanted, place)
        self._select = hub.feed.select(wanted)
        self._signals = SignalBox(hub.signals, self._wake)
        self._keep_alive = keep_alive
        self._resume = resume
        # Up to here it catches up, which ends with a verdict.
        self._target = None if resume is None or resume.gap else hub.feed.last
        self._idle: trio.CancelScope | None = None
        self._dismissed = False

    def dismiss(self) -> None:
        """An administrator wants it gone."""
        self._dismissed = True
        self._wake()

    # -- its end ---------------------------------------------------------------------------

    async def wait_over(self) -> None:
        """Return when the stream has to end, also while the client does not read."""
        while self._last_words() is None:
            with trio.move_on_after(CHECK):
                await self._hub.stopping.wait()
        self._wake()

    def _last_words(self) -> bytes | None:
        """What is said at the end; None while it is not there yet."""
        if self._hub.stopping.is_set():
            after = self._hub.presence.retry_after()
            head = f"retry: {round(after * 1000)}\n".encode()
            return head + _event("restarting", {"type": "restarting", "retry_after": after})
        reason = self._hub.tokens.still_valid(self.principal)
        if reason is not None:
            return _closing(EXPIRED if reason == "expired" else REVOKED, f"The token is {reason}")
        return _closing(DISMISSED, DISMISSED_REASON) if self._dismissed else None

    def _wake(self) -> None:
        if self._idle is not None:
            self._idle.cancel()

    # -- what is sent ----------------------------------------------------------------------

    async def chunks(self, retry: float) -> AsyncIterator[bytes]:
        """The stream, piece by piece.

        Args:
            retry: seconds that a browser shall wait before it comes back.
        """
        full = self._hub.presence.full(self.principal)
        if full is not None:
            # Others have come in since there was room, and the status has been sent.
            yield self._counted(_closing(FULL, f"Full: {full}"))
            return
        with self._hub.presence.member(self), self._signals:
            if self.principal.may(SIGNAL_SCOPE):
                self._signals.choose(self._wanted)
            gone = None if self._resume is None else self._resume.gap
            # Who loses the connection before its first event comes back to here, too.
            place = "" if gone else f"id: {self._place}\n"
            opening = f": connected\n\n{place}retry: {round(retry * 1000)}\n\n".encode()
            if gone is not None:
                opening += self._gap(gone)
            yield self._counted(opening)
            spoke = trio.current_time()
            while (ending := self._last_words()) is None:
                chunk = await self._next()
                if not chunk and trio.current_time() - spoke >= self._keep_alive:
                    chunk = b": keep-alive\n\n"
                if chunk:
                    yield self._counted(chunk)
                    spoke = trio.current_time()
            yield self._counted(ending)

    async def _next(self) -> bytes:
        """What there is to send now, or after a while; may be nothing."""
        part = await self._hub.feed.read(self._place, self._select)
        pieces: list[bytes] = []
        if part.gap is not None:
            # Retention went faster than this reader, or another epoch has begun.
            pieces.append(self._gap(part.gap))
        if part.void:
            # What there was to catch up with is void; its verdict is the gap.
            self._target = None
        unchanged = part.position == self._place
        pieces += self._frames(part.entries, part.position)
        if self.position >= self._hub.feed.last:
            pieces += self._signalled()
        if unchanged and not pieces:
            with trio.move_on_after(min(CHECK, self._keep_alive)) as self._idle:
                await self._hub.feed.wait(self._place)
            self._idle = None
        return b"".join(pieces)

    def _frames(self, entries: Sequence[Entry], position: Cursor) -> list[bytes]:
        """Events with the verdict on the resume in its place among them."""
        frames: list[bytes] = []
        for entry in entries:
            frames += self._end_of_resume(position._replace(sequence=entry.event.sequence - 1))
            frames.append(self._frame(entry, position.epoch))
            self._sent += 1
        self._place = position
        return frames + self._end_of_resume(position)

    def _end_of_resume(self, position: Cursor) -> list[bytes]:
        if self._target is None or position.sequence < self._target:
            return []
        self._target = None
        cursor = str(position)
        data = {"type": "resumed", "replayed": self._sent, "cursor": cursor}
        return [_event("resumed", data, cursor)]

    def _signalled(self) -> list[bytes]:
        signals, dropped = self._signals.take(SIGNALS)
        said = [_signal(signal) for signal in signals]
        if dropped:
            said.append(_event("dropped", {"type": "dropped", "count": dropped}))
        return said

    def _gap(self, gap: Gap) -> bytes:
        self._hub.presence.gap()
        cursor = str(gap.place)
        return _event("gap", {"type": "gap", "missed": gap.missed, "cursor": cursor}, cursor)

    def _frame(self, entry: Entry, epoch: str) -> bytes:
        cursor = str(Cursor(epoch, entry.event.sequence)).encode()
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (cursor, entry.event.type.encode(), entry.frame)

    def _counted(self, chunk: bytes) -> bytes:
        self._bytes += len(chunk)
        return chunk


def _event(name: str, data: dict[str, Any], cursor: str | None = None) -> bytes:
    head = "" if cursor is None else f"id: {cursor}\n"
    return f"{head}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def _closing(code: int, reason: str) -> bytes:
    return _event("closing", {"type": "closing", "code": code, "reason": reason})


def _signal(signal: Signal) -> bytes:
    """Without an id: the place to come back to is that of the last event."""
    return b"event: %b\ndata: %b\n\n" % (signal.type.encode(), signal.frame)


class FoundFrames(NamedTuple):
    """What a look at the feed found."""

    frames: list[bytes]
    position: Cursor
    """Up to here it was looked at."""
    gap: Gap | None = None
    """Events on the way were gone."""


class Poll(HttpFollower):
    """A request that waits for the next event: ``GET /events?wait=``."""

    kind = "poll"

    def __init__(self, hub: Hub, request: Request, wanted: Wanted, place: Cursor) -> None:
        super().__init__(hub, request, wanted, place)
        self._gone = request.gone
        self._scope = trio.CancelScope()

    def dismiss(self) -> None:
        """Answer now."""
        self._scope.cancel()

    async def wait(
        self, seconds: float, look: Callable[[Cursor], Awaitable[FoundFrames]]
    ) -> FoundFrames:
        """Look again whenever there is something newer, until something is found or missing.

        Ends with nothing when the time is over, the hub stops or the client hangs up.

        Args:
            look: reads on after a position.

        Raises:
            TooManyRequests: there are too many live connections.
            Unauthorized: the token was revoked or has expired meanwhile.
        """
        check_room(self._hub, self.principal)
        found = FoundFrames([], self._place)
        self._scope.deadline = trio.current_time() + seconds
        with self._hub.presence.member(self), self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_client)
                nursery.start_soon(self._watch_hub)
                while not (found.frames or found.gap):
                    await self._hub.feed.wait(self._place)
                    found = await look(self._place)
                    self._place = found.position
                nursery.cancel_scope.cancel()
        reason = self._hub.tokens.still_valid(self.principal)
        if reason is not None:
            raise Unauthorized(f"This token is {reason}; use another one.")
        return found

    async def _watch_client(self) -> None:
        await self._gone()
        self._scope.cancel()

    async def _watch_hub(self) -> None:
        tokens, stopping = self._hub.tokens, self._hub.stopping
        while tokens.still_valid(self.principal) is None and not stopping.is_set():
            with trio.move_on_after(CHECK):
                await stopping.wait()
        self._scope.cancel()
