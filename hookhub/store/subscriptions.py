"""Which endpoints want which events, as far as committing events goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from hookhub.contracts.errors import HookhubError
from hookhub.contracts.events import OWN, Event, type_matcher
from hookhub.filters import Filter, compile_filter
from hookhub.store.database import Reader

ReadPayload = Callable[[], Any]


class Subscription(NamedTuple):
    """An endpoint, as far as appending events goes."""

    endpoint_id: int
    ordered: bool
    matches: Callable[[str], bool]
    names: Callable[[str], bool]
    """The same without the pattern ``*``, which does not mean the hub's own events."""
    filter: Filter | None = None

    def wants(self, payload: ReadPayload) -> bool:
        """Whether the payload passes the endpoint's filter."""
        return self.filter is None or self.filter.matches(payload())

    def wants_type(self, event_type: str, own: bool) -> bool:
        """Whether events of the type are for it; the hub's own ones must be asked for by name."""
        return (self.names if own else self.matches)(event_type)


class Subscriptions:
    """Which endpoints want which types; kept by the writer, reloaded when they change.

    One that cannot be read here is set aside: it gets no deliveries, and what it may have wanted is
    noted (:mod:`hookhub.store.units.missed`).
    """

    def __init__(self) -> None:
        self.generation = -1
        self._all: list[Subscription] = []
        self._aside: list[Subscription] = []
        self._by_type: dict[tuple[str, bool], list[Subscription]] = {}

    def load(self, reader: Reader, generation: int) -> None:
        """Read the active endpoints."""
        rows = reader.sql(
            "SELECT id, event_types, options FROM hookhub_endpoints "
            "WHERE deleted_at IS NULL AND is_active ORDER BY id"
        )
        self._all, self._aside, self._by_type = [], [], {}
        for endpoint_id, event_types, options in rows:
            try:
                self._all.append(read_subscription(endpoint_id, event_types, options))
            except Exception:
                # Whatever is wrong with it must stop nobody else. Why is told by the engine.
                self._aside.append(_guessed(endpoint_id, event_types))
        self.generation = generation

    def matching(self, event_type: str, own: bool) -> list[Subscription]:
        """The endpoints that want this type.

        Args:
            own: whether it is the hub's own event: those must be asked for by name.
        """
        found = self._by_type.get((event_type, own))
        if found is None:
            found = [item for item in self._all if item.wants_type(event_type, own)]
            self._by_type[event_type, own] = found
        return found

    def left_out(self, events: Sequence[Event]) -> Iterator[tuple[int, int]]:
        """Endpoints that are set aside, with the first of these events that they may want."""
        for item in self._aside:
            for event in events:
                if item.wants_type(event.type, event.source == OWN):
                    yield item.endpoint_id, event.sequence
                    break


def load_subscription(reader: Reader, endpoint_id: int) -> Subscription:
    """That of one endpoint, be it active or not."""
    rows = reader.sql(
        "SELECT id, event_types, options FROM hookhub_endpoints WHERE id = ?", (endpoint_id,)
    )
    return read_subscription(*rows[0])


def is_ordered(reader: Reader, endpoint_id: int) -> bool:
    """Whether an endpoint is, or may be, strictly ordered."""
    rows = reader.sql("SELECT options FROM hookhub_endpoints WHERE id = ?", (endpoint_id,))
    try:
        return bool(json.loads(rows[0][0]).get("ordered"))
    except (ValueError, AttributeError):
        return True


def read_subscription(endpoint_id: int, event_types: str, options: str) -> Subscription:
    """What is stored, made ready; raises anything if it cannot be."""
    values = json.loads(options)
    spec = values.get("filter")
    return Subscription(
        endpoint_id,
        bool(values.get("ordered")),
        *_matchers(json.loads(event_types)),
        None if spec is None else compile_filter(spec),
    )


def is_readable(endpoint_id: int, event_types: str, options: str) -> bool:
    """Whether that can be done."""
    try:
        read_subscription(endpoint_id, event_types, options)
    except Exception:
        return False
    return True


def why(error: Exception) -> str:
    """What is wrong with a stored subscription, for a person."""
    if isinstance(error, HookhubError):
        return "; ".join([error.detail, *(item["msg"] for item in error.errors)])
    return f"{type(error).__name__}: {error}"


def _matchers(patterns: Any) -> tuple[Callable[[str], bool], Callable[[str], bool]]:
    if not isinstance(patterns, list) or not all(isinstance(item, str) for item in patterns):
        raise ValueError("event_types is no list of patterns")
    return type_matcher(patterns), type_matcher(item for item in patterns if item != "*")


def _guessed(endpoint_id: int, event_types: str) -> Subscription:
    """What it wants as far as can be told; everything, if its types cannot be read either."""
    try:
        matchers = _matchers(json.loads(event_types))
    except ValueError:
        matchers = (lambda _: True, lambda _: True)
    return Subscription(endpoint_id, False, *matchers)
