"""Endpoints as plugins, routes and commands see them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
import trio

from hookhub.contracts.deliveries import (
    Endpoint,
    EndpointOptions,
    EndpointStats,
    NewEndpoint,
    Page,
)
from hookhub.contracts.errors import NotFound, ValidationFailed
from hookhub.contracts.events import Event, EventRegistry, canonical_json, new_event_id
from hookhub.contracts.sinks import AttemptResult, DurableSink
from hookhub.delivery.attempts import Attempts
from hookhub.filters import compile_filter
from hookhub.plugins import TransformRegistry
from hookhub.store import Store, Transaction
from hookhub.store.units import endpoints as units

log = structlog.get_logger("hookhub.delivery")

Change = Callable[[Endpoint], Mapping[str, Any]]
"""From an endpoint as it is to the fields to change."""
EndpointChanged = Callable[[int, Endpoint | None], Awaitable[None]]


class Endpoints:
    """The endpoints of all durable sinks.

    Args:
        attempts: makes the test attempts; knows the sinks.
        transforms: bodies that endpoints may ask for.
        changed: told of every change, with the endpoint as it is now (None: deleted); returns when
            the engine goes by it.
    """

    def __init__(
        self,
        store: Store,
        attempts: Attempts,
        registry: EventRegistry,
        transforms: TransformRegistry,
        changed: EndpointChanged,
    ) -> None:
        self._store = store
        self._attempts = attempts
        self._sinks = attempts.sinks
        self._registry = registry
        self._transforms = transforms
        self._changed = changed

    def _sink(self, name: str) -> DurableSink:
        if name not in self._sinks:
            raise NotFound(f"No installed plugin brings the sink {name!r}.")
        return self._sinks[name]

    async def create(self, sink: str, new: NewEndpoint) -> Endpoint:
        """Make an endpoint. Raises ValidationFailed, EgressBlocked."""
        config = self._sink(sink).validate(new.config)
        # A transform is tried with many examples: the loop must not wait for that.
        options = await trio.to_thread.run_sync(self._checked_options, new.options, new.event_types)
        checked = replace(new, config=config, options=options)
        endpoint = await self._store.write(lambda tx: units.insert_endpoint(tx, sink, checked))
        await self._changed(endpoint.id, endpoint)
        log.info("endpoint.created", endpoint_id=endpoint.id, sink=sink, name=endpoint.name)
        return endpoint

    async def get(self, sink: str, endpoint_id: int) -> Endpoint:
        """One endpoint. Raises NotFound."""
        return await self._store.read(lambda reader: units.get_endpoint(reader, sink, endpoint_id))

    async def list(
        self,
        sink: str,
        *,
        event_type: str | None = None,
        is_active: bool | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Page[Endpoint]:
        """Endpoints in the order they were made."""
        return await self._store.read(
            lambda reader: units.list_endpoints(
                reader,
                sink,
                event_type=event_type,
                is_active=is_active,
                limit=limit,
                offset=offset,
            )
        )

    async def update(
        self, sink: str, endpoint_id: int, changes: Mapping[str, Any] | Change
    ) -> Endpoint:
        """Change some fields of :class:`NewEndpoint`; ``config`` replaces the whole of it.

        Args:
            changes: the fields; or a function that says them when it is shown the endpoint, for
                changes that build on what is there. It runs within the transaction, so nobody
                else changes the endpoint in between; it must be quick, and may be run again.

        Raises NotFound, ValidationFailed, EgressBlocked.
        """
        implementation = self._sink(sink)

        def unit(tx: Transaction) -> tuple[Endpoint, dict[str, Any]]:
            tx.lock()
            endpoint = units.get_endpoint(tx, sink, endpoint_id)
            wanted = changes(endpoint) if callable(changes) else changes
            values = self._checked(implementation, endpoint, wanted)
            if values:
                endpoint = units.update_endpoint(tx, sink, endpoint_id, values)
            return endpoint, values

        endpoint, values = await self._store.write(unit)
        if values:
            await self._changed(endpoint_id, endpoint)
            log.info("endpoint.updated", endpoint_id=endpoint_id, sink=sink, fields=sorted(values))
        return endpoint

    def _checked(
        self, sink: DurableSink, endpoint: Endpoint, changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        values = dict(changes)
        if "config" in values:
            values["config"] = sink.validate(values["config"])
        elif values.get("is_active") and not endpoint.config:
            _check_without_config(sink)
        if "options" in values:
            event_types = values.get("event_types", endpoint.event_types)
            values["options"] = self._checked_options(values["options"], event_types)
        return values

    def _checked_options(
        self, options: EndpointOptions, event_types: Sequence[str]
    ) -> EndpointOptions:
        """Options as they are stored: filter and transform complete and tried.

        Raises ValidationFailed (and UnknownTransform).
        """
        if options.filter is not None:
            options = replace(options, filter=compile_filter(options.filter).spec)
        if options.transform is not None:
            name = options.transform["name"]
            wanted = [self._registry.get(item) for item in self._registry.matching(event_types)]
            config = options.transform.get("config", {})
            checked = self._transforms.validate(name, config, wanted)
            options = replace(options, transform={"name": name, "config": checked})
        return options

    async def delete(self, sink: str, endpoint_id: int) -> None:
        """Delete an endpoint; nothing more is sent to it. Raises NotFound."""
        await self._store.write(lambda tx: units.delete_endpoint(tx, sink, endpoint_id))
        await self._changed(endpoint_id, None)
        log.info("endpoint.deleted", endpoint_id=endpoint_id, sink=sink)

    async def rotate_secret(
        self, sink: str, endpoint_id: int, secret: str, overlap: float = 86_400.0
    ) -> Endpoint:
        """Give a new secret; the old one goes on signing for ``overlap`` seconds."""
        endpoint = await self._store.write(
            lambda tx: units.rotate_secret(tx, sink, endpoint_id, secret, overlap)
        )
        await self._changed(endpoint_id, endpoint)
        log.info("endpoint.secret_rotated", endpoint_id=endpoint_id, sink=sink)
        return endpoint

    async def stats(self, sink: str) -> EndpointStats:
        """Totals over the endpoints of a sink."""
        return await self._store.read(lambda reader: units.endpoint_stats(reader, sink))

    async def test(
        self, sink: str, endpoint_id: int, event_type: str | None = None
    ) -> tuple[Event, AttemptResult, float]:
        """Make one attempt now, with the example of an event type; nothing is stored.

        Args:
            event_type: which example; None for the first type that the endpoint wants.

        Returns:
            the event that was sent (sequence 0), what came of it, and the seconds it took.
        """
        endpoint = await self.get(sink, endpoint_id)
        event = self._example(endpoint, event_type)
        now = self._store.clock()
        began = time.perf_counter()
        result = await self._attempts.make(endpoint, event, delivery_id=0, number=1, now=now)
        return event, result, time.perf_counter() - began

    def _example(self, endpoint: Endpoint, event_type: str | None) -> Event:
        if event_type is None:
            wanted = self._registry.matching(endpoint.event_types)
            if not wanted:
                raise ValidationFailed(
                    "No declared event type matches this endpoint; name one as event_type.",
                    errors=[{"loc": ["event_type"], "msg": "nothing matches"}],
                )
            event_type = wanted[0]
        declared = self._registry.get(event_type)
        now = self._store.clock()
        return Event(
            0, new_event_id(now), declared.name, canonical_json(declared.example), now, None, None
        )


def _check_without_config(sink: DurableSink) -> None:
    # 'reencrypt --replace-lost' leaves it empty.
    try:
        sink.validate({})
    except ValidationFailed as error:
        raise ValidationFailed(
            f"It has lost its configuration, and is not enabled before it has a new one; {error}",
            errors=error.errors,
        ) from None
