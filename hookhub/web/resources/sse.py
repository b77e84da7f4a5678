"""One reader of the live feed over plain HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import trio

from hookhub.contracts.events import Cursor
from hookhub.contracts.routes import Principal
from hookhub.contracts.sinks import Entry, Signal
from hookhub.feed import (
    DISMISSED,
    DISMISSED_REASON,
    SIGNAL_SCOPE,
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


class Subscriber:
    """A position in the feed, and what is said about it as Server-Sent Events.

    Args:
        hub: whose feed.
        principal: whose token it came with.
        wanted: which events.
        resume: where to go on from; None: from now on.
        client: the peer's address.
        user_agent: what it calls itself.
        keep_alive: seconds of silence before a comment is sent.
    """

    kind = "sse"

    def __init__(
        self,
        hub: Hub,
        principal: Principal,
        wanted: Wanted,
        resume: Resume | None,
        *,
        client: str,
        user_agent: str,
        keep_alive: float,
    ) -> None:
        self.principal = principal
        self.client = client
        self.user_agent = user_agent
        self._hub = hub
        self._wanted = wanted
        self._select = hub.feed.select(wanted)
        self._signals = SignalBox(hub.signals, self._wake)
        self._keep_alive = keep_alive
        self._place = hub.feed.cursor() if resume is None else resume.position
        self._resume = resume
        # Up to here it catches up, which ends with a verdict.
        self._target = None if resume is None or resume.gap else hub.feed.last
        self._idle: trio.CancelScope | None = None
        self._dismissed = False
        self._sent = 0
        self._bytes = 0

    # -- for presence ----------------------------------------------------------------------

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
