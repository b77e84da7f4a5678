"""Where in the history a time is. Pure: the clients ask what it wants to know."""

from __future__ import annotations

from typing import Any

import httpx

from hookhub.client.retries import json_of, not_hookhub
from hookhub.contracts.errors import InvalidCursor
from hookhub.contracts.events import Cursor, parse_timestamp


class CursorSearch:
    """Halves the history until it is clear where a time begins.

    Ask for the page of one event behind :attr:`next`, :meth:`take` the answer, and go on until
    ``next`` is None; then :attr:`found` is the cursor.

    Args:
        time: microseconds since 1970.
        newest: the answer to the page of the one newest event.
    """

    def __init__(self, time: int, newest: httpx.Response) -> None:
        self._time = time
        items, cursor = _page(newest)
        self._epoch = cursor.epoch
        # The event that is looked for follows one of the sequences low to high.
        self._low, self._high = 0, cursor.sequence
        if items and parse_timestamp(items[-1]["timestamp"]) < time:
            self._low = self._high

    @property
    def next(self) -> str | None:
        """The cursor to ask for; None if the search is over."""
        return str(self._cursor(self._middle)) if self._low < self._high else None

    @property
    def found(self) -> str:
        """The cursor behind which the events of the time and later are."""
        return str(self._cursor(self._low))

    @property
    def _middle(self) -> int:
        return (self._low + self._high) // 2

    def take(self, page: httpx.Response) -> None:
        """Learn from the answer to the page of one event behind :attr:`next`."""
        items, _ = _page(page)
        if items and parse_timestamp(items[0]["timestamp"]) < self._time:
            # Sequences before it may be gone; all of them are older.
            self._low = min(max(self._middle + 1, items[0]["sequence"]), self._high)
        else:
            self._high = self._middle

    def _cursor(self, sequence: int) -> Cursor:
        return Cursor(self._epoch, sequence)


def _page(response: httpx.Response) -> tuple[list[dict[str, Any]], Cursor]:
    document = json_of(response)
    try:
        return document["items"], Cursor.parse(document["cursor"])
    except (KeyError, TypeError, AttributeError, InvalidCursor):
        raise not_hookhub(response) from None
