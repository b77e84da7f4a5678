"""What a replay is asked for, as a range of sequences and a condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hookhub.contracts.deliveries import ReplayChoice
from hookhub.contracts.errors import ValidationFailed, wrong_field
from hookhub.contracts.events import check_pattern
from hookhub.feed.ranges import Bound, resolve_range
from hookhub.store import Reader
from hookhub.store.units.endpoints import get_endpoint
from hookhub.store.units.replays import WantedReplay


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for; see :meth:`hookhub.delivery.replays.service.Replays.start`."""

    sink: str | None
    endpoint_id: int
    begin: Bound
    end: Bound
    events: Sequence[str] | None
    only: ReplayChoice

    def resolve(self, reader: Reader) -> tuple[WantedReplay, bool]:
        """The range as it is now, and whether it begins before the history.

        Raises:
            NotFound: there is no such endpoint.
            ValidationFailed: a pattern is none, or the endpoint subscribes to nothing of this.
        """
        endpoint = get_endpoint(reader, self.sink, self.endpoint_id)
        patterns = check_events(endpoint.event_types, self.events)
        found = resolve_range(reader, self.begin, self.end)
        wanted = WantedReplay(
            endpoint.id, patterns, self.only, found.after, found.last, found.since, found.until
        )
        return wanted, found.gap


def check_events(subscribed: Sequence[str], events: Sequence[str] | None) -> tuple[str, ...]:
    """The type patterns of a replay.

    Args:
        subscribed: the patterns of its endpoint.
        events: None for all that it subscribes to.

    Raises:
        ValidationFailed: a pattern is none, or the endpoint subscribes to nothing of this.
    """
    if events is None:
        return ("*",)
    for position, pattern in enumerate(events):
        try:
            check_pattern(pattern)
        except ValueError as error:
            raise _wrong("events", f"{error}", position) from None
    if not any(_overlap(one, other) for one in events for other in subscribed):
        listed = ", ".join(subscribed)
        raise _wrong("events", f"the endpoint subscribes to nothing of this, only to {listed}")
    return tuple(events)


def _overlap(one: str, other: str) -> bool:
    """Whether some type could match both patterns."""
    if one == other or "*" in (one, other):
        return True
    return (other.endswith(".*") and one.startswith(other[:-1])) or (
        one.endswith(".*") and other.startswith(one[:-1])
    )


def _wrong(name: str, message: str, *position: int) -> ValidationFailed:
    return wrong_field(f"{name}: {message}.", name, *position, msg=message)
