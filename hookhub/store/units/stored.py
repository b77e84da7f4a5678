"""Reading rows whose texts another program may have written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hookhub.contracts.events import Event
from hookhub.store.database import Reader

_TEXTS = ("id", "type", "payload", "key", "source")


def as_bytes(reader: Reader, names: Sequence[str]) -> str:
    """Columns of text for a SELECT: bytes on SQLite.

    It keeps whatever bytes a program puts into a text column, and its driver would refuse the whole
    answer for one row that is not UTF-8. As bytes, each row is read by itself.
    """
    return ", ".join(f"CAST({name} AS BLOB)" if reader.is_sqlite else name for name in names)


def event_rows(reader: Reader, rest: str, params: Sequence[Any]) -> list[Event]:
    """The events that a query finds.

    What is not UTF-8 becomes text with halves of surrogate pairs, so that the event cannot be
    encoded: :meth:`hookhub.contracts.events.Event.encode` refuses it.

    Args:
        rest: of the query, from WHERE on.
    """
    columns = f"sequence, timestamp, {as_bytes(reader, _TEXTS)}"
    events = []
    for sequence, moment, *texts in reader.sql(
        f"SELECT {columns} FROM hookhub_events {rest}", params
    ):
        if reader.is_sqlite:
            texts = [
                None if text is None else text.decode("utf-8", "surrogateescape") for text in texts
            ]
        id, type, payload, key, source = texts
        events.append(Event(sequence, id, type, payload, moment, key, source))
    return events
