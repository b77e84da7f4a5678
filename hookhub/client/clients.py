"""The client for ordinary, blocking programs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx

from hookhub.client import operations
from hookhub.client.address import hub_address
from hookhub.client.models import NewEvent, StoredEvent
from hookhub.client.pages import ListPages
from hookhub.client.retries import Call, Patience, RetryState
from hookhub.client.search import CursorSearch
from hookhub.contracts.events import Accepted


class Client:
    """Publishes events to a hub and reads its history; safe to share between threads.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = hub_address(url)
        self._patience = Patience(timeout, retries)
        self._http = httpx.Client(headers=operations.authorization(token), transport=transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(
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
        return operations.read_accepted(self._run(operations.send_call(event, idempotency_key)))

    def send_many(
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
        return operations.read_batch(self._run(operations.batch_call(events, idempotency_key)))

    def events(
        self, after: str | None = None, *, types: Sequence[str] = (), page: int = 200
    ) -> Iterator[StoredEvent]:
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
            answer = self._run(operations.page_call(after, types, page))
            found, after, more = operations.read_page(answer)
            yield from found

    def event_types(self) -> list[dict[str, Any]]:
        """The types that the hub knows, each with description, example and JSON Schema."""
        return operations.read_event_types(self._run(operations.event_types_call()))

    def cursor_at(self, time: int) -> str:
        """The cursor behind which the events of a time and later are.

        Found by halving, as the events' times grow with their cursors (but for producers' clocks):
        about 20 small requests for a million events.

        Args:
            time: microseconds since 1970.

        Raises:
            HookhubError: as :meth:`send`.
        """
        search = CursorSearch(time, self._run(operations.page_call(None, (), 1, newest=True)))
        while (cursor := search.next) is not None:
            search.take(self._run(operations.page_call(cursor, (), 1)))
        return search.found

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> Any:
        """Any other operation of the REST API.

        Unlike :meth:`send`, a ``POST`` is tried again only if it is certain that the hub did not
        take it.

        Args:
            method: ``GET``, ``POST``, ``PATCH`` or ``DELETE``.
            path: as the REST API names it, from ``/`` on.
            params: the query; None in it is left out.
            body: JSON-compatible.

        Returns:
            The answer's JSON; None if it has none.

        Raises:
            HookhubError: the hub refused, or as :meth:`send`.
        """
        return operations.read_any(self._run(operations.any_call(method, path, params or {}, body)))

    def items(
        self, path: str, params: Mapping[str, Any] | None = None, *, page: int = 200
    ) -> Iterator[Any]:
        """All items of a list of the REST API, page by page.

        A list that answers with ``next`` is followed by it, to its end.

        Args:
            path: ``/webhooks``, ``/tokens`` …
            params: the query, without ``limit`` and ``offset``.
            page: items to ask for at once.

        Raises:
            HookhubError: as :meth:`call`.
        """
        pages = ListPages(path, params or {}, page)
        while (call := pages.next) is not None:
            yield from pages.take(self._run(call))

    def _run(self, call: Call) -> httpx.Response:
        exchange = RetryState(call, self.url, self._patience)
        while True:
            try:
                response = self._http.request(
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
            time.sleep(pause)
