"""The client for asynchronous programs, under asyncio and under Trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import anyio
import httpx

from hookhub.client import operations
from hookhub.client.address import hub_address
from hookhub.client.models import NewEvent, StoredEvent
from hookhub.client.pages import ListPages
from hookhub.client.retries import Call, Patience, RetryState
from hookhub.client.search import CursorSearch
from hookhub.contracts.events import Accepted


class AsyncClient:
    """:class:`hookhub.client.Client` for asyncio and Trio; safe to share between tasks.

    What fails for a reason that may pass (no connection, 429, 502, 503, 504) is tried again. Each
    event carries an id or an idempotency key that stays the same on every try, so trying again
    never doubles an event.

    Args:
        url: the hub's address: ``http://127.0.0.1:8080``; that of its panel will do.
        token: an API token with the scopes ``events:write`` to send, ``events:read`` to read.
        timeout: seconds that a call may take in all, pauses included.
        retries: how many tries may follow the first one.
        transport: another way to the hub than httpx's own (for tests, or a proxy).

    Raises:
        ConfigError: the address or the token cannot be right.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 30.0,
        retries: int = 5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = hub_address(url)
        self._patience = Patience(timeout, retries)
        self._http = httpx.AsyncClient(headers=operations.authorization(token), transport=transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        source: str | None = None,
        id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Send one event; when this returns, the event is on the hub's disk.

        Args:
            type: a type that the hub knows: ``user.created``.
            payload: JSON-compatible members, as the type's schema has them.
            key: ordering key; events of one key keep their order.
            source: who says so.
            id: the producer's own event id; a repeat is answered with the first event.
            idempotency_key: remembered by the hub; a repeat is answered with the first event.

        Raises:
            UnknownEventType, ValidationFailed, PayloadTooLarge: the hub refuses the event.
            IdempotencyMismatch: the id or key was used before with another body.
            Unauthorized, Forbidden: the token is not good, or not for this.
            Unavailable: no answer in time, or the hub is starting or stopping.
        """
        event = NewEvent(type, payload, key, source, id)
        return operations.read_accepted(
            await self._run(operations.send_call(event, idempotency_key))
        )

    async def send_many(
        self,
        events: Iterable[NewEvent | Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> list[Accepted]:
        """Send many events at once, all or none, in one transaction of the hub.

        Args:
            events: each a :class:`NewEvent` or a mapping with ``type`` and ``payload``, perhaps
                ``key``, ``source`` and ``id``. The hub limits how many (10,000 by default).
            idempotency_key: of the whole batch; a repeat is answered with the first batch.

        Raises:
            ValidationFailed: names every bad item by its index; none is stored.
            HookhubError: as :meth:`send`.
        """
        return operations.read_batch(
            await self._run(operations.batch_call(events, idempotency_key))
        )

    async def events(
        self, after: str | None = None, *, types: Sequence[str] = (), page: int = 200
    ) -> AsyncIterator[StoredEvent]:
        """The history behind a cursor, up to its end at this moment, page by page.

        Args:
            after: a cursor; None starts at the oldest event that is kept.
            types: type patterns (``user.*``); none for all.
            page: events to ask for at once.

        Raises:
            InvalidCursor: not a cursor.
            HistoryGap: events behind the cursor are no longer kept.
            HookhubError: as :meth:`send`.
        """
        more = True
        while more:
            answer = await self._run(operations.page_call(after, types, page))
            found, after, more = operations.read_page(answer)
            for event in found:
                yield event

    async def event_types(self) -> list[dict[str, Any]]:
        """The types that the hub knows, each with description, example and JSON Schema."""
        return operations.read_event_types(await self._run(operations.event_types_call()))

    async def cursor_at(self, time: int) -> str:
        """See :meth:`hookhub.client.Client.cursor_at`."""
        search = CursorSearch(time, await self._run(operations.page_call(None, (), 1, newest=True)))
        while (cursor := search.next) is not None:
            search.take(await self._run(operations.page_call(cursor, (), 1)))
        return search.found

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> Any:
        """See :meth:`hookhub.client.Client.call`."""
        return operations.read_any(
            await self._run(operations.any_call(method, path, params or {}, body))
        )

    async def items(
        self, path: str, params: Mapping[str, Any] | None = None, *, page: int = 200
    ) -> AsyncIterator[Any]:
        """See :meth:`hookhub.client.Client.items`."""
        pages = ListPages(path, params or {}, page)
        while (call := pages.next) is not None:
            for item in pages.take(await self._run(call)):
                yield item

    async def _run(self, call: Call) -> httpx.Response:
        exchange = RetryState(call, self.url, self._patience)
        while True:
            try:
                response = await self._http.request(
                    call.method,
                    self.url + call.path,
                    params=call.params,
                    headers=call.headers,
                    content=call.content,
                    timeout=exchange.timeout(),
                )
            except httpx.RequestError as error:
                pause = exchange.after_failure(error)
            else:
                again = exchange.after_response(response)
                if again is None:
                    return response
                pause = again
            await anyio.sleep(pause)
