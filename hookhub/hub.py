"""The hub: what plugins, routes and programs that embed hookhub hold in their hands."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any, TypeVar

import structlog
import trio
from pydantic import ValidationError

from hookhub.access import SigningKeys, Tokens
from hookhub.background.charts import Stats
from hookhub.background.delivery_life import DeliveryLife
from hookhub.background.loopwatch import LoopWatch
from hookhub.background.membership import Membership
from hookhub.background.outbox import OutboxRelay
from hookhub.background.retention import Retention
from hookhub.background.siblings import Siblings
from hookhub.config import Settings
from hookhub.contracts.errors import HookhubError, PayloadTooLarge, wrong_field
from hookhub.contracts.events import (
    EVENT_ID,
    KEY_MAX,
    OWN,
    SOURCE_MAX,
    Accepted,
    Draft,
    Event,
    EventIds,
    canonical_json,
)
from hookhub.contracts.own_events import DELIVERY_FAILED
from hookhub.contracts.timestamps import check_timestamps
from hookhub.delivery.attempts import Attempts
from hookhub.delivery.deliveries import Deliveries
from hookhub.delivery.endpoints import Endpoints
from hookhub.delivery.engine import Engine
from hookhub.delivery.replays.service import Replays
from hookhub.delivery.verdicts import Verdicts
from hookhub.egress import Egress
from hookhub.feed import Broadcaster, Feed, Presence, Signals
from hookhub.plugins import (
    Plugins,
    check_numbers,
    collect_components,
    load_event_types,
    load_transforms,
)
from hookhub.statistics.samples import Tally
from hookhub.store import Appends, Reader, Store, Transaction
from hookhub.store.units import events as event_units

T = TypeVar("T")

log = structlog.get_logger("hookhub")

# As contracts.routes.Line has it, and no halves of surrogate pairs, which no database keeps.
_LABEL = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")

DRAFT_SIZE = 300
"""Bytes in memory of an event that waits, besides its payload."""
POLL = 1.0
"""Seconds between looks for what other processes did on the same database."""


class Hub:
    """Everything that a running hub is made of; see :func:`hookhub.server.open_hub`.

    Args:
        settings: all settings.
        store: open.
        plugins: loaded; their event types, sources and sinks are collected here.
    """

    def __init__(self, settings: Settings, store: Store, plugins: Plugins) -> None:
        self.settings = settings
        self.store = store
        self.plugins = plugins
        self.draining = trio.Event()
        """Set when the hub is about to stop: it takes requests still, and wants no new clients."""
        self.stopping = trio.Event()
        """Set when the hub begins to stop."""
        self.stop_by: float | None = None
        """When a stop that has begun must be over, by Trio's clock."""
        self._ids = EventIds()
        self._silent: dict[str, str] = {}  # component to why it has no numbers
        self._max_payload = settings.events.max_payload
        self.registry = load_event_types(plugins, [DELIVERY_FAILED])
        self.tokens = Tokens(store)
        self.keys = SigningKeys(store)
        self.egress = Egress(settings.egress, connect_timeout=settings.delivery.connect_timeout)
        self.feed = Feed(store, settings.live)
        self.signals = Signals()
        self.presence = Presence(settings.live, store.clock, lambda: self.feed.last)
        self.components = collect_components(self)
        plugins.check_required()
        self.transforms = load_transforms(plugins)
        attempts = Attempts(
            self.components.durable_sinks, self.transforms, settings.delivery.timeout
        )
        tally = Tally()
        self.engine = Engine(
            store,
            attempts,
            settings.delivery,
            POLL,
            Verdicts(settings.delivery, self._own_draft),
            observer=DeliveryLife(self.signals, store.clock, tally),
        )
        self.endpoints = Endpoints(
            store,
            attempts,
            self.registry,
            self.transforms,
            self.engine.endpoint_changed,
        )
        self.deliveries = Deliveries(store, self.engine.look_around)
        self.broadcaster = Broadcaster(store, self.feed, self.components.live_sinks.values(), POLL)
        self.outbox = OutboxRelay(store, self.draft, settings.events.outbox_interval)
        self.replays = Replays(store, self.engine.wake, POLL)
        self.retention = Retention(store, settings.retention, self.broadcaster.look)
        self.loop = LoopWatch()
        self.siblings: Siblings | None = None
        """The workers behind the same port, if there are several."""
        self.membership = Membership(
            store,
            settings.server.name,
            self.draining,
            tables=self._tables,
            claimed=self.engine.in_hands,
            connections=lambda: len(self.presence),
            owned=self.engine.owned,
            breakers=self.engine.open_breakers,
        )
        self.stats = Stats(
            store,
            tally,
            delivery=self.engine.statistics,
            connections=lambda: len(self.presence),
        )

    def _tables(self) -> dict[str, int]:
        brought = self.components.brought.items()
        return {name: len(found.migrations) for name, found in brought if found.migrations}

    def now(self) -> int:
        """Microseconds since 1970, by the hub's clock."""
        return self.store.clock()

    def plugin_settings(self, name: str) -> dict[str, Any]:
        """The table ``[plugins.<name>]`` as it is."""
        return self.settings.plugins.table(name)

    # -- events ----------------------------------------------------------------------------

    def draft(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        source: str | None = None,
        id: str | None = None,
        timestamp: int | None = None,
    ) -> Draft:
        """Check an event before it is committed. Pure; may be called inside a unit of work.

        Args:
            type: a declared event type.
            payload: JSON-compatible; kept to the letter.
            key: ordering key, up to 255 characters.
            source: who says so, up to 255 characters.
            id: the producer's own id, up to 64 letters, digits, ``_`` and ``-``.
            timestamp: when it happened, microseconds since 1970 (``time.time_ns() // 1000``); None
                for now.

        Raises:
            UnknownEventType: no plugin declares this type; names the nearest.
            ValidationFailed: names every wrong field.
            PayloadTooLarge: over ``[events] max_payload``.
        """
        if key is not None or source is not None or id is not None:
            _check_labels(id, key, source)
        if timestamp is not None:
            check_timestamps((timestamp,))
        if type in self.registry.own:
            raise wrong_field(
                f"Events of type {type!r} are the hub's own; only the hub itself makes them.",
                "type",
                msg="is the hub's own",
            )
        draft = self._draft(type, payload, key, source, id, timestamp)
        size, limit = len(draft.payload), self._max_payload
        if size > limit:
            raise PayloadTooLarge(
                f"The payload is {size:,} bytes as JSON; the limit is {limit:,} "
                "([events] max_payload). Send a reference to large data instead of the data.",
                members={"limit": limit},
            )
        return draft

    def _own_draft(self, type: str, payload: Mapping[str, Any]) -> Draft:
        """One of the hub's own events: no producer chooses its size, so it has no limit."""
        return self._draft(type, payload, None, OWN, None, None)

    def _draft(
        self,
        type: str,
        payload: Mapping[str, Any],
        key: str | None,
        source: str | None,
        id: str | None,
        timestamp: int | None,
    ) -> Draft:
        self.registry.check(type, payload)
        text = canonical_json(payload)
        now = self.now() if timestamp is None else timestamp
        if id is None:
            return Draft(self._ids.new(now), type, text, now, key, source)
        return Draft(id, type, text, now, key, source, own_id=True)

    def draft_all(
        self, names: Sequence[str], payloads: Sequence[dict[str, Any]], timestamp: int
    ) -> list[Draft] | None:
        """Check many plain events (a type and a payload, nothing else) at once.

        Half as costly as :meth:`draft` for each of them, but it does not say what is wrong.

        Returns:
            None if any of them is refused; ask :meth:`draft` about each.
        """
        kinds = set(names)
        if not kinds.isdisjoint(self.registry.own):
            return None
        try:
            for kind in kinds:
                self.registry.check_all(
                    kind,
                    payloads
                    if len(kinds) == 1
                    else [item for name, item in zip(names, payloads, strict=True) if name == kind],
                )
            texts = list(map(canonical_json, payloads))
        except (HookhubError, ValidationError):
            return None
        if len(max(texts, key=len, default="")) > self._max_payload:
            return None
        ids = self._ids.many(timestamp, len(texts))
        return list(map(Draft, ids, names, texts, repeat(timestamp)))

    async def accept(
        self, drafts: Sequence[Draft], *, idempotency_key: str | None = None
    ) -> list[Accepted]:
        """Commit checked events, all or none, each with its deliveries.

        Raises:
            IdempotencyMismatch: the key, or an event's own id, was used with other contents.
            ValidationFailed: a timestamp is none; nothing was stored.
            StoreUnavailable: nothing was stored, or too much waits to be.
        """
        size = sum(len(draft.payload) for draft in drafts) + len(drafts) * DRAFT_SIZE
        return await self.store.write(
            lambda tx: event_units.accept(tx, drafts, idempotency_key),
            size=size,
            appends=Appends(drafts, idempotency_key),
        )

    async def emit(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        source: str | None = None,
        id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Check and commit one event; see :meth:`draft` and :meth:`accept`."""
        draft = self.draft(type, payload, key=key, source=source, id=id)
        return (await self.accept([draft], idempotency_key=idempotency_key))[0]

    async def get_event(self, event_id: str) -> Event:
        """The event with this id. Raises NotFound."""
        return await self.store.read(lambda reader: event_units.get_event(reader, event_id))

    # -- the database ----------------------------------------------------------------------

    async def write(self, unit: Callable[[Transaction], T], *, size: int = 0) -> T:
        """Run a unit of work in a transaction; see :meth:`hookhub.store.Store.write`.

        Args:
            size: bytes that the unit holds in memory, about, if they are many: it is refused with
                StoreUnavailable when too much waits already.
        """
        return await self.store.write(unit, size=size)

    async def read(self, unit: Callable[[Reader], T]) -> T:
        """Run a unit that only reads; see :meth:`hookhub.store.Store.read`."""
        return await self.store.read(unit)

    # -- how it goes -----------------------------------------------------------------------

    @property
    def leaving(self) -> bool:
        """Whether the hub stops, or is about to."""
        return self.draining.is_set() or self.stopping.is_set()

    async def readiness(self) -> dict[str, str | None]:
        """Check to what is wrong with it (None: nothing); see also :meth:`warnings`."""
        required = self.settings.plugins.required
        broken = [text for name, text in self._broken_plugins() if name in required]
        return {
            "store": await self.store.check(),
            "engine": self.engine.check(),
            "broadcaster": self.broadcaster.check(),
            "plugins": "; ".join(broken) or None,
            "stopping": "the hub is stopping" if self.leaving else None,
        }

    def warnings(self) -> str | None:
        """What is wrong with plugins that the hub can do without: no reason to take it out."""
        required = self.settings.plugins.required
        broken = [text for name, text in self._broken_plugins() if name not in required]
        return "; ".join(broken) or None

    def _broken_plugins(self) -> list[tuple[str, str]]:
        return [
            (report.name, f"{report.name}: {report.error}")
            for report in self.plugins.report()
            if report.error is not None
        ]

    def statistics(self) -> dict[str, Mapping[str, float]]:
        """Component to its numbers."""
        numbers: dict[str, Mapping[str, float]] = {
            "store": self.store.statistics(),
            "feed": self.feed.statistics(),
            "broadcaster": self.broadcaster.statistics(),
            "live": {**self.presence.statistics(), **self.signals.statistics()},
            "delivery": self.engine.statistics(),
            "outbox": self.outbox.statistics(),
            "replays": self.replays.statistics(),
            "retention": self.retention.statistics(),
            "stats": self.stats.statistics(),
            "loop": self.loop.statistics(),
            "tokens": self.tokens.statistics(),
            "egress": self.egress.statistics(),
        }
        for component in self.components:
            # One plugin's mistake must not take everybody's metrics away.
            try:
                numbers[component.name] = check_numbers(component.statistics())
                self._silent.pop(component.name, None)
            except (Exception, SystemExit) as error:
                if self._silent.get(component.name) != repr(error):
                    self._silent[component.name] = repr(error)
                    log.exception("component.statistics_failed", component=component.name)
        return numbers


def _check_labels(id: str | None, key: str | None, source: str | None) -> None:
    if id is not None and not EVENT_ID.fullmatch(id):
        allowed = "1 to 64 letters, digits, '_' or '-'"
        raise wrong_field(f"An event's own id is {allowed} (no dot).", "id", msg=allowed)
    for name, value, limit in (("key", key, KEY_MAX), ("source", source, SOURCE_MAX)):
        if value is not None and not (len(value) <= limit and _LABEL.fullmatch(value)):
            message = f"must be 1 to {limit} characters, none of them a control character"
            raise wrong_field(f"{name} {message}.", name, msg=message)
    if source == OWN:
        sentence = f"The source {OWN!r} is the hub's own; name yours."
        raise wrong_field(sentence, "source", msg="is the hub's own")
