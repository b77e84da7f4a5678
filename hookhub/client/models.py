"""What the client takes and gives. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from hookhub.contracts.errors import HookhubError


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to send in a batch.

    Args:
        type: a type that the hub knows: ``user.created``.
        payload: JSON-compatible members.
        key: ordering key; events of one key keep their order.
        source: who says so.
        id: the producer's own id; a repeat with the same id is answered with the first event.
    """

    type: str
    payload: Mapping[str, Any]
    key: str | None = None
    source: str | None = None
    id: str | None = None

    def members(self) -> dict[str, Any]:
        """The event as ``POST /events`` takes it; what was not given is left out."""
        named = {"key": self.key, "source": self.source, "id": self.id}
        given = {name: value for name, value in named.items() if value is not None}
        return {"type": self.type, "payload": self.payload, **given}


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the hub's history has it."""

    type: str
    payload: dict[str, Any]
    timestamp: str
    """RFC 3339, UTC."""
    id: str
    sequence: int
    cursor: str
    """Give it to ``events(after=…)`` to go on behind this event."""
    key: str | None = None
    source: str | None = None

    @classmethod
    def parse(cls, item: Mapping[str, Any]) -> StoredEvent:
        """Read one item of ``GET /events``; members of newer hubs are left out.

        Raises:
            TypeError: a member is missing.
        """
        return cls(**{known.name: item[known.name] for known in fields(cls) if known.name in item})


class HistoryGap(HookhubError):
    """Events behind the cursor are no longer kept, so the history cannot be read on from there.

    Args:
        missed: how many are gone; None if the cursor is of another database, or of this one before
            it went back.
    """

    code: ClassVar[str] = "history_gap"
    status: ClassVar[int] = 410
    title: ClassVar[str] = "History gap"

    def __init__(self, missed: int | None) -> None:
        what = (
            "The cursor is of another database, or of this one before a backup of it was restored"
            if missed is None
            else f"{missed} events behind the cursor are no longer kept"
        )
        super().__init__(f"{what}; leave the cursor out to begin at the oldest event that is.")
        self.missed = missed
