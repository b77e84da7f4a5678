"""Events: their one serialisation, their ids, their places in the history."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookhub.contracts.errors import InvalidCursor, MalformedRequest, ValidationFailed
from hookhub.contracts.events import (
    EVENT_ID,
    Cursor,
    EventIds,
    EventRegistry,
    EventType,
    Payload,
    canonical_json,
    format_timestamp,
    new_event_id,
    parse_json,
    parse_timestamp,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES))
def test_the_text_is_what_python_would_write(payload: dict[str, object]) -> None:
    """Exactly ``json.dumps(payload, sort_keys=True)``, which reads back the same."""
    text = canonical_json(payload)
    assert text == json.dumps(payload, sort_keys=True)
    assert parse_json(text) == payload


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_what_is_no_json_is_refused(value: object) -> None:
    """With a reason, in whatever depth it hides."""
    with pytest.raises(ValidationFailed, match="cannot be written as JSON"):
        canonical_json({"a": [{"b": value}]})


def test_a_payload_that_contains_itself_is_refused() -> None:
    """As one that is nested too deeply."""
    payload: dict[str, object] = {}
    payload["self"] = payload
    with pytest.raises(MalformedRequest, match="too deeply"):
        canonical_json(payload)


def test_ids_sort_by_time_and_have_no_dot() -> None:
    """An id of a later millisecond sorts after all earlier ones."""
    ids = EventIds()
    early = [ids.new(1_700_000_000_000_000) for _ in range(600)]
    late = [ids.new(1_700_000_000_001_000), new_event_id(1_700_000_000_001_000)]
    assert max(early) < min(late)
    assert all(EVENT_ID.fullmatch(item) and len(item) == 36 for item in early + late)


def test_ids_are_unique_across_threads() -> None:
    """Threads that share the maker never get the same id."""
    ids = EventIds()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ids.new(0), range(20_000)))
    assert len(set(made)) == len(made)


@given(st.integers(0, 4_000_000_000_000_000))
def test_timestamps_are_rfc_3339_in_utc(moment: int) -> None:
    """With a zone and six decimals, and they read back to the microsecond."""
    text = format_timestamp(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert parse_timestamp(text) == moment


@given(st.integers(0, 2**63 - 1))
def test_cursors_read_back(sequence: int) -> None:
    """What a client sends back is the place it was given."""
    assert Cursor.parse(str(Cursor("abcd1234", sequence))) == Cursor("abcd1234", sequence)


@pytest.mark.parametrize("text", ["", "abcd", "abcd-", "ABCD-1", "abcd-g", "abcd-" + "f" * 16])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """With what a cursor is."""
    with pytest.raises(InvalidCursor, match="is not a cursor"):
        Cursor.parse(text)


class Colour(StrEnum):
    RED = "red"


class Painted(Payload):
    colour: Colour
    at: datetime
    wall: UUID
    coats: int


PAINTED = {
    "colour": "red",
    "at": "2026-01-31T12:00:00Z",
    "wall": "6f0ae6c8-4a8b-4e57-8b5c-3f2a1f0e9d7c",
    "coats": 2,
}


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({}, set()),
        ({"colour": "reddish"}, {"colour"}),
        ({"at": "yesterday", "coats": "2"}, {"at", "coats"}),
        ({"wall": 5}, {"wall"}),
        ({"coats": True}, {"coats"}),
    ],
)
def test_payloads_are_checked_as_json(change: dict[str, Any], places: set[str]) -> None:
    """What JSON has only text for is text in a payload; all else is as strict as ever."""
    registry = EventRegistry()
    registry.register(EventType("wall.painted", Painted, "Done.", PAINTED), "walls")
    payload = {**PAINTED, **change}
    if not places:
        registry.check("wall.painted", payload)
        return
    with pytest.raises(ValidationFailed) as caught:
        registry.check("wall.painted", payload)
    assert {str(error["loc"][1]) for error in caught.value.errors} == places
