"""Events, feed entries and attempts to feed to what is under test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hookhub.contracts.events import Event, canonical_json
from hookhub.contracts.sinks import Attempt, Entry

EPOCH = "testepoch"
MOMENT = 1_700_000_000_000_000
"""Microseconds since 1970: 2023-11-14T22:13:20Z."""

SECRET = "testing-secret-of-an-endpoint"


def event(sequence: int = 1, payload: Mapping[str, Any] | None = None) -> Event:
    """A ``user.created`` as the store would hand it out; one second passes with each sequence."""
    members = {"user_id": sequence, "first_name": "Аня"} if payload is None else payload
    return Event(
        sequence,
        f"evt_{sequence:012x}",
        "user.created",
        canonical_json(members),
        MOMENT + sequence * 1_000_000,
    )


def entries(count: int, first: int = 1) -> list[Entry]:
    """Feed entries with consecutive sequences."""
    events = [event(sequence) for sequence in range(first, first + count)]
    return [Entry(item, EPOCH) for item in events]


def attempt_of(config: Mapping[str, Any], number: int = 1, sample: Event | None = None) -> Attempt:
    """An attempt to deliver a sample event to an endpoint with one secret.

    Args:
        config: what the sink's ``validate`` returned.
        number: 1 for the first attempt.
        sample: the event; None for :func:`event`.
    """
    return Attempt(
        delivery_id=1,
        endpoint_id=1,
        number=number,
        event=event() if sample is None else sample,
        config=config,
        secrets=(SECRET,),
        timestamp=MOMENT // 1_000_000,
    )
