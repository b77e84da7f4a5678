"""Which endpoints want which events, as far as committing events goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from hookhub.contracts.errors import HookhubError
from hookhub.contracts.events import OWN, Event, type_matcher
from hookhub.filters import Filter, compile_filter
from hookhub.store.database import Reader

TRUSTED = 1_800 * 1_000_000
"""Microseconds for which what is known may be built upon: later on, the row of an endpoint that was
deleted meanwhile may be gone."""

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
    """Which endpoints want which types; kept by the writer, read anew as far as they change.

    One that cannot be read here is set aside: it gets no deliveries, and what it may have wanted is
    noted (:mod:`hookhub.store.units.missed`).
    """

    def __init__(self) -> None:
        self.generation = -1
        """As of which change of the endpoints; negative: nobody knows."""
        self._epoch = ""
        self._read_at = 0
        self._all: dict[int, Subscription] = {}
        self._aside: dict[int, Subscription] = {}
        self._by_type: dict[tuple[str, bool], dict[int, Subscription]] = {}

    def load(self, reader: Reader, epoch: str, generation: int) -> None:
        """Read the endpoints that have changed; all, if what is known cannot be built upon.

        Args:
            epoch: of the history.
            generation: of the endpoints.
        """
        known = 0 <= self.generation <= generation and self._epoch == epoch
        after = self.generation
        if not known or not 0 <= reader.now - self._read_at < TRUSTED:
            self._all, self._aside, self._by_type = {}, {}, {}
            after = -1
        rows = reader.sql(
            "SELECT id, event_types, options, is_active AND deleted_at IS NULL "
            "FROM hookhub_endpoints WHERE generation > ? ORDER BY id",
            (after,),
        )
        for endpoint_id, event_types, options, wanted in rows:
            self._forget(endpoint_id)
            if wanted:
                self._put(endpoint_id, event_types, options)
        self.generation, self._epoch, self._read_at = generation, epoch, reader.now

    def _forget(self, endpoint_id: int) -> None:
        self._all.pop(endpoint_id, None)
        self._aside.pop(endpoint_id, None)
        for found in self._by_type.values():
            found.pop(endpoint_id, None)

    def _put(self, endpoint_id: int, event_types: str, options: str) -> None:
        try:
            item = self._all[endpoint_id] = read_subscription(endpoint_id, event_types, options)
        except Exception:
            # Whatever is wrong with it must stop nobody else. Why is told by the engine.
            self._aside[endpoint_id] = _guessed(endpoint_id, event_types)
            return
        for (event_type, own), found in self._by_type.items():
            if item.wants_type(event_type, own):
                found[endpoint_id] = item

    def matching(self, event_type: str, own: bool) -> list[Subscription]:
        """The endpoints that want this type.

        Args:
            own: whether it is the hub's own event: those must be asked for by name.
        """
        found = self._by_type.get((event_type, own))
        if found is None:
            items = self._all.items()
            found = {number: item for number, item in items if item.wants_type(event_type, own)}
            self._by_type[event_type, own] = found
        return list(found.values())

    def left_out(self, events: Sequence[Event]) -> Iterator[tuple[int, int]]:
        """Endpoints that are set aside, with the first of these events that they may want."""
        for item in self._aside.values():
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
