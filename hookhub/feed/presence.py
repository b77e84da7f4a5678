"""Who is connected to the live feed of this process: limits, a list, and an end by hand."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import structlog

from hookhub.config import LiveSettings
from hookhub.contracts.events import format_timestamp
from hookhub.contracts.routes import Principal

DISMISSED = 4410
"""The close code for a connection that a person ended: do not come back by yourself."""
DISMISSED_REASON = "An administrator closed this connection"
USER_AGENT_MAX = 256
"""Characters of a User-Agent that are kept."""

log = structlog.get_logger("hookhub.live")

SPREAD = 0.01
"""Seconds by which each live client widens the time over which all come back after a restart."""
SPREAD_MIN = 1.0
SPREAD_MAX = 30.0


class ConnectionStatus(NamedTuple):
    """How a connection is doing."""

    events: Sequence[str]
    """Type patterns."""
    where: dict[str, Any]
    """Pattern to the payload condition of those that have one."""
    events_sent: int
    bytes_sent: int
    messages_received: int


class LiveConnection(Protocol):
    """What presence knows of a connection."""

    @property
    def kind(self) -> str:
        """``ws``, ``sse`` or ``poll``."""

    @property
    def principal(self) -> Principal:
        """Whose token it came with."""

    @property
    def client(self) -> str:
        """The peer's address."""

    @property
    def user_agent(self) -> str:
        """What the client calls itself; empty if it does not say."""

    @property
    def position(self) -> int:
        """Everything up to this sequence was sent, or is not wanted."""

    def status(self) -> ConnectionStatus:
        """How it is doing now."""

    def dismiss(self) -> None:
        """Close it, with :data:`DISMISSED` where the protocol has codes."""


class _Member(NamedTuple):
    connection: LiveConnection
    since: int


class Presence:
    """The live connections of this process, whatever protocol they speak.

    Args:
        settings: ``[live]``.
        clock: microseconds since 1970.
        last: the sequence of the newest event.
    """

    def __init__(
        self, settings: LiveSettings, clock: Callable[[], int], last: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._last = last
        self._members: dict[str, _Member] = {}
        self._per_token: Counter[int] = Counter()
        self._kinds: Counter[str] = Counter()
        self._opened: Counter[str] = Counter()
        self._dismissed = 0
        self._gaps = 0

    def __len__(self) -> int:
        return len(self._members)

    def full(self, principal: Principal | None = None) -> str | None:
        """Why nobody more (of this token) is let in; None if there is room."""
        limits = self._settings
        if len(self._members) >= limits.max_connections:
            return (
                f"the hub has {limits.max_connections} connections ([live] max_connections); "
                "try again later"
            )
        limit = limits.max_connections_per_token
        if principal is not None and self._per_token[principal.token_id] >= limit:
            return (
                f"this token has {limit} connections ([live] max_connections_per_token); "
                "close some or try again later"
            )
        return None

    @contextmanager
    def member(self, connection: LiveConnection) -> Iterator[None]:
        """Count and show a connection for as long as it lives."""
        kind, token_id = connection.kind, connection.principal.token_id
        # By chance and not by number: another process of the same hub must not know it too.
        id = f"live_{secrets.token_hex(8)}"
        self._members[id] = _Member(connection, self._clock())
        self._per_token[token_id] += 1
        self._kinds[kind] += 1
        self._opened[kind] += 1
        try:
            yield
        finally:
            del self._members[id]
            self._kinds[kind] -= 1
            self._per_token[token_id] -= 1
            if not self._per_token[token_id]:
                del self._per_token[token_id]

    def page(
        self,
        limit: int,
        offset: int,
        kind: str | None = None,
        token_id: int | None = None,
        *,
        own: int | None = None,
    ) -> tuple[list[dict[str, Any]], int]:
        """What is known of connections, oldest first, and how many there are in all.

        Args:
            own: the token whose connections alone may be seen; None: all.
        """
        found = [
            (id, member)
            for id, member in self._members.items()
            if kind in (None, member.connection.kind)
            and token_id in (None, member.connection.principal.token_id)
            and own in (None, member.connection.principal.token_id)
        ]
        return [_shown(*item) for item in found[offset : offset + limit]], len(found)

    def dismiss(self, id: str, *, own: int | None = None) -> bool:
        """Close a connection; False if there is none of this id (and token)."""
        member = self._members.get(id)
        if member is None or own not in (None, member.connection.principal.token_id):
            return False
        self._dismissed += 1
        log.info("live.dismissed", connection_id=id, kind=member.connection.kind)
        member.connection.dismiss()
        return True

    def retry_after(self) -> float:
        """Seconds that one client shall wait before it comes back from a restart.

        By chance, spread wider the more clients there are, so that they do not come all at once.
        """
        spread = min(SPREAD_MAX, SPREAD_MIN + len(self._members) * SPREAD)
        return round(random.uniform(0, spread), 3)  # noqa: S311 - not a secret

    def gap(self) -> None:
        """Count a connection that was told of missing events."""
        self._gaps += 1

    def statistics(self) -> dict[str, float]:
        """Counters since start, and gauges."""
        kinds = ("ws", "sse", "poll")
        last = self._last()
        oldest = min((item.connection.position for item in self._members.values()), default=last)
        return {
            "lag_max": max(0, last - oldest),
            **{f"connections_{kind}": self._kinds[kind] for kind in kinds},
            **{f"opened_{kind}_total": self._opened[kind] for kind in kinds},
            "dismissed_total": self._dismissed,
            "gaps_total": self._gaps,
        }


def _shown(id: str, member: _Member) -> dict[str, Any]:
    connection = member.connection
    status = connection.status()
    return {
        "id": id,
        "kind": connection.kind,
        "token_id": connection.principal.token_id,
        "token_name": connection.principal.name,
        "since": format_timestamp(member.since),
        "address": connection.client,
        "user_agent": connection.user_agent,
        "events": list(status.events),
        "where": status.where,
        "position": connection.position,
        "events_sent": status.events_sent,
        "bytes_sent": status.bytes_sent,
        "messages_received": status.messages_received,
    }
