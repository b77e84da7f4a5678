"""Deliveries as plugins, routes and commands see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from hookhub.contracts.deliveries import Delivery, DeliveryFilter, DeliveryStatus, Page, SearchPage
from hookhub.store import Reader, Store
from hookhub.store.units import deliveries as units
from hookhub.store.units.delivery_search import search_deliveries
from hookhub.store.units.endpoints import get_endpoint


class Deliveries:
    """Deliveries and their attempts.

    Args:
        changed: called after anything that may make deliveries due.
    """

    def __init__(self, store: Store, changed: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._changed = changed

    async def list(
        self,
        sink: str,
        endpoint_id: int,
        *,
        status: DeliveryStatus | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Page[Delivery]:
        """Deliveries of an endpoint, newest first. Raises NotFound (no such endpoint)."""

        def unit(reader: Reader) -> Page[Delivery]:
            get_endpoint(reader, sink, endpoint_id)
            return units.list_deliveries(
                reader, endpoint_id, status=status, limit=limit, offset=offset
            )

        return await self._store.read(unit)

    async def search(
        self,
        wanted: DeliveryFilter,
        *,
        sink: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> SearchPage[Delivery]:
        """Deliveries that match, newest first; see
        :func:`hookhub.store.units.delivery_search.search_deliveries`.

        Args:
            sink: the endpoint that is asked for must be of this one.

        Raises:
            NotFound: no such endpoint.
        """

        def unit(reader: Reader) -> SearchPage[Delivery]:
            if wanted.endpoint_id is not None:
                get_endpoint(reader, sink, wanted.endpoint_id)
            return search_deliveries(reader, wanted, before=before, limit=limit)

        return await self._store.read(unit)

    async def get(self, delivery_id: int) -> Delivery:
        """A delivery with its attempts. Raises NotFound."""
        return await self._store.read(lambda reader: units.get_delivery(reader, delivery_id))

    async def of_event(self, event_id: str, *, limit: int = 50, offset: int = 0) -> Page[Delivery]:
        """Where an event went, oldest first, with all attempts. Raises NotFound."""
        return await self._store.read(
            lambda reader: units.list_event_deliveries(reader, event_id, limit=limit, offset=offset)
        )

    async def retry(self, delivery_id: int) -> Delivery:
        """Make a delivery due now. Raises NotFound, Conflict (delivered already)."""
        delivery = await self._store.write(lambda tx: units.retry_delivery(tx, delivery_id))
        await self._changed()
        return delivery

    async def skip(self, delivery_id: int) -> Delivery:
        """Give up a delivery that holds back its key. Raises NotFound, Conflict."""
        delivery = await self._store.write(lambda tx: units.skip_delivery(tx, delivery_id))
        await self._changed()
        return delivery

    async def retry_failed(self, sink: str, endpoint_id: int) -> int:
        """Make all failed deliveries of an endpoint due now; returns how many."""
        count = await self._in_steps(units.retry_failed, sink, endpoint_id)
        await self._changed()
        return count

    async def cancel_pending(self, sink: str, endpoint_id: int) -> int:
        """End the pending deliveries of an endpoint as failed; returns how many."""
        return await self._in_steps(units.cancel_pending, sink, endpoint_id)

    async def _in_steps(
        self, unit: Callable[..., units.BulkStep], sink: str, endpoint_id: int
    ) -> int:
        """Do it to all, however many: nobody else who writes waits for that; returns how many."""
        await self._store.read(lambda reader: get_endpoint(reader, sink, endpoint_id))
        total = 0
        after: int | None = 0
        while after is not None:
            changed, after = await self._store.write(
                partial(unit, endpoint_id=endpoint_id, after=after)
            )
            total += changed
        return total
