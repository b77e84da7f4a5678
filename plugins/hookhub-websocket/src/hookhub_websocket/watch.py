"""When a connection has to go: its token, its client's pace, its client's life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hookhub.contracts.routes import Principal
from hookhub_websocket.closing import Why
from hookhub_websocket.link import Link
from hookhub_websocket.settings import WebSocketSettings

if TYPE_CHECKING:
    from hookhub.hub import Hub

STRIKES = 4
"""Looks in a row that find a client behind its limit with a write under way, until it is slow."""


class Progress(Protocol):
    """Where a client is in the feed."""

    @property
    def lag(self) -> int:
        """Events that it is behind."""

    @property
    def catching_up(self) -> bool:
        """Whether it is behind since it asked for what is past."""

    @property
    def cursor(self) -> object:
        """Where it may resume."""

    def skip(self) -> bytes:
        """Leave out what it is behind; returns what tells it so."""


class Watch:
    """Looks at one connection now and then.

    Args:
        hub: for the tokens and ``[live]``.
        link: the connection.
        feeder: where it is.
        principal: whose token it came with.
        settings: ``[plugins.websocket]``.
    """

    __slots__ = ("_feeder", "_hub", "_link", "_pinged_at", "_principal", "_settings", "_strikes")

    def __init__(
        self,
        hub: Hub,
        link: Link,
        feeder: Progress,
        principal: Principal,
        settings: WebSocketSettings,
    ) -> None:
        self._hub = hub
        self._link = link
        self._feeder = feeder
        self._principal = principal
        self._settings = settings
        self._pinged_at = link.last_heard
        self._strikes = 0

    def check(self, now: float, mean_frame: float) -> None:
        """Close the connection if its token, its client's life or its pace asks for it.

        Args:
            now: Trio's clock.
            mean_frame: bytes of an average event, to tell a lag in bytes.
        """
        if self._link.closed is not None:
            return
        reason = self._hub.tokens.still_valid(self._principal)
        if reason is not None:
            why = Why.EXPIRED if reason == "expired" else Why.REVOKED
            self._link.close(why, f"The token is {reason}")
        elif self._is_stuck(now):
            self._send_away()
        elif self._is_behind(mean_frame):
            self._strikes = 0
            if self._settings.slow == "gap":
                self._link.outbox.post(self._feeder.skip())
            else:
                self._send_away()
        else:
            self._check_life(now)

    def _send_away(self) -> None:
        self._link.close(Why.SLOW, f"Too slow; resume with cursor={self._feeder.cursor}")

    def _is_stuck(self, now: float) -> bool:
        since = self._link.outbox.writing_since
        return since is not None and now - since > self._settings.write_timeout

    def _is_behind(self, mean_frame: float) -> bool:
        """Whether it has been found behind its limit, with a write under way, often enough."""
        if self._link.outbox.writing_since is None or self._feeder.catching_up:
            self._strikes = 0
        elif self._feeder.lag * mean_frame > self._hub.settings.live.max_lag:
            self._strikes += 1
        else:
            self._strikes = 0
        return self._strikes >= STRIKES

    def _check_life(self, now: float) -> None:
        """Ping in turn; a client that has said nothing at all since its ping is dead."""
        live = self._hub.settings.live
        if self._link.last_heard >= self._pinged_at:
            if now - self._pinged_at >= live.heartbeat:
                self._pinged_at = now
                self._link.ping()
        elif now - self._pinged_at > live.heartbeat_timeout:
            self._link.close(Why.DEAD, "No answer to a ping")
