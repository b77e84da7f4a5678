"""The pages of a list of the REST API, one after the other. Pure; both clients use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from hookhub.client import operations
from hookhub.client.retries import Call, json_of, not_hookhub


class ListPages:
    """Says what to ask for, and takes the answers.

    A list that answers with ``next`` is followed by it, as ``before``, whatever ``total`` says: its
    pages may be short or empty before the end. The others go by ``offset`` and ``total``.

    Args:
        path: of the list.
        params: the query, without ``limit`` and ``offset``.
        page: items to ask for at once.
    """

    def __init__(self, path: str, params: Mapping[str, Any], page: int) -> None:
        self._path = path
        self._params = {**params, "limit": page}
        self._offset = 0
        self.next: Call | None = self._call({})
        """What to ask for now; None at the end."""

    def take(self, response: httpx.Response) -> list[Any]:
        """The items of the answer to :attr:`next`.

        Raises:
            HookhubError: that is no page of a list of a hub.
        """
        items = operations.read_items(response)
        document = json_of(response)
        self._offset += len(items)
        if "next" in document:
            self.next = self._behind(response, document["next"])
        elif items and self._offset < _total(document):
            self.next = self._call({"offset": self._offset})
        else:
            self.next = None
        return items

    def _behind(self, response: httpx.Response, before: Any) -> Call | None:
        if before is None:
            return None
        last = self._params.get("before")
        if not isinstance(before, int) or (last is not None and before >= int(last)):
            # A list that does not move on would never end.
            raise not_hookhub(response)
        self._params["before"] = before
        return self._call({})

    def _call(self, more: Mapping[str, Any]) -> Call:
        return operations.any_call("GET", self._path, {**self._params, **more}, None)


def _total(document: dict[str, Any]) -> int:
    total = document.get("total")
    return total if isinstance(total, int) else 0
