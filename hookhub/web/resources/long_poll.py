"""A request that waits for the next event: ``GET /events?wait=``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

import trio

from hookhub.contracts.errors import TooManyRequests, Unauthorized
from hookhub.contracts.events import Cursor
from hookhub.contracts.routes import Request
from hookhub.feed import USER_AGENT_MAX, ConnectionStatus, Gap, Wanted

if TYPE_CHECKING:
    from hookhub.hub import Hub

CHECK = 0.5
"""Seconds after which a revoked token is noticed."""


class FoundFrames(NamedTuple):
    """What a look at the feed found."""

    frames: list[bytes]
    position: Cursor
    """Up to here it was looked at."""
    gap: Gap | None = None
    """Events on the way were gone."""


class Poll:
    """One waiting request; counted and shown as a live connection.

    Args:
        hub: whose feed.
        request: with a principal.
        wanted: which events.
        place: everything up to here was looked at.
    """

    kind = "poll"

    def __init__(self, hub: Hub, request: Request, wanted: Wanted, place: Cursor) -> None:
        assert request.principal is not None
        self.principal = request.principal
        self.client = request.client
        self.user_agent = request.headers.get("user-agent", "")[:USER_AGENT_MAX]
        self._hub = hub
        self._gone = request.gone
        self._wanted = wanted
        self._place = place
        self._scope = trio.CancelScope()

    @property
    def position(self) -> int:
        """See :class:`hookhub.feed.LiveConnection`."""
        return self._place.sequence

    def status(self) -> ConnectionStatus:
        """See :class:`hookhub.feed.LiveConnection`."""
        return ConnectionStatus(
            events=list(self._wanted),
            where={name: item.spec for name, item in self._wanted.items() if item is not None},
            events_sent=0,
            bytes_sent=0,
            messages_received=0,
        )

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
        full = self._hub.presence.full(self.principal)
        if full is not None:
            raise TooManyRequests(f"{full.capitalize()}.", headers={"Retry-After": "30"})
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
