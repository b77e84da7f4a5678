"""Events on their way into the database: given up when whoever sent them has hung up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from hookhub.contracts.errors import StoreUnavailable
from hookhub.contracts.events import Accepted, Draft
from hookhub.contracts.routes import Request
from hookhub.web.resources.models import idempotency_key

if TYPE_CHECKING:
    from hookhub.hub import Hub

PATIENCE = 0.25
"""Seconds that the writer may be behind before clients are watched: that costs a task each."""


async def take(hub: Hub, request: Request, drafts: Sequence[Draft]) -> list[Accepted]:
    """Commit the events of a request; see :meth:`hookhub.hub.Hub.accept`.

    A client that hangs up while they wait for a writer that does not get on is not waited for: it
    will send them again, and their memory is needed.

    Raises:
        StoreUnavailable: nothing was stored, or too much waits to be.
    """
    key = idempotency_key(request)
    if hub.store.oldest_unit() < PATIENCE:
        return await hub.accept(drafts, idempotency_key=key)
    accepted: list[Accepted] | None = None
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            await request.gone()
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        accepted = await hub.accept(drafts, idempotency_key=key)
        nursery.cancel_scope.cancel()
    if accepted is None:
        raise StoreUnavailable("The client hung up before this was written; nothing was stored.")
    return accepted
