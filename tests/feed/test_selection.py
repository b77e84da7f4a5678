"""Which events a reader wants: patterns, conditions, and what they cost together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hookhub.config import DatabaseSettings, LiveSettings
from hookhub.contracts.events import Cursor, Event
from hookhub.contracts.sinks import Entry
from hookhub.feed import Feed, Wanted
from hookhub.feed.selection import Payloads, everything, selectors
from hookhub.filters import Filter, compile_filter
from hookhub.store import open_store


def entry(type: str, sequence: int = 1, **payload: Any) -> Entry:
    return Entry(Event(sequence, f"e{sequence}", type, json.dumps(payload), 0), "epoch")


def where(**members: Any) -> Filter:
    return compile_filter(members)


@pytest.mark.parametrize(
    ("wanted", "yes", "no"),
    [
        ({"*": None}, [entry("a.b"), entry("delivery.failed")], []),
        ({}, [], [entry("a.b")]),
        ({"a.*": None}, [entry("a.b.c")], [entry("b.a")]),
        ({"a.*": where(x=1)}, [entry("a.b", x=1)], [entry("a.b", x=2), entry("b.c", x=1)]),
        (
            {"*": where(x=1), "a.b": None},
            [entry("a.b", x=2), entry("c.d", x=1)],
            [entry("c.d", x=2)],
        ),
        (
            {"a.b": where(x=1), "a.*": where(x=2)},
            [entry("a.b", x=1), entry("a.b", x=2), entry("a.c", x=2)],
            [entry("a.c", x=1), entry("a.b", x=3)],
        ),
    ],
)
def test_one_pattern_that_wants_it_is_enough(
    wanted: Wanted, yes: list[Entry], no: list[Entry]
) -> None:
    """Each pattern with its own condition."""
    select = selectors(Payloads(0))(wanted)
    assert all(map(select, yes))
    assert not any(map(select, no))


def test_who_wants_the_same_shares_the_predicate() -> None:
    """Whatever the order and the spelling: the fan-out encodes once for all of them."""
    select = selectors(Payloads(0))
    first = select({"a.*": where(x={"$eq": 1}), "b.*": None})
    second = select({"b.*": None, "a.*": compile_filter({"$.x": 1})})
    assert first is second
    assert select({"*": None, "a.*": where(x=1)}) is everything


def test_payloads_are_parsed_once_for_all() -> None:
    """As long as they are among the last ones, by their size."""
    payloads = Payloads(1_000)
    many = [entry("a.b", sequence, text="x" * 100).event for sequence in range(1, 31)]
    for _ in range(5):
        for event in many[:5]:
            assert payloads.of(event) == event.data()
    assert payloads.parsed == sum(len(event.payload) for event in many[:5])
    for event in many:
        payloads.of(event)
    parsed = payloads.parsed
    payloads.of(many[-1])
    assert payloads.parsed == parsed
    payloads.of(many[0])
    assert payloads.parsed > parsed


def test_a_payload_that_is_too_large_is_not_kept() -> None:
    """It is parsed each time, and puts no other out."""
    payloads = Payloads(100)
    small, large = entry("a.b", 1, x=1).event, entry("a.b", 2, text="x" * 200).event
    payloads.of(small)
    for _ in range(2):
        assert payloads.of(large)["text"] == "x" * 200


async def test_one_read_parses_only_so_much(tmp_path: Any) -> None:
    """Other tasks have their turn, however large the payloads are that are looked through."""
    async with open_store(DatabaseSettings(url=f"sqlite:///{tmp_path / 'x.db'}")) as store:
        feed = Feed(store, LiveSettings())
        entries = [entry("a.b", sequence, text="x" * 200_000) for sequence in range(1, 31)]
        feed.publish(entries)
        part = await feed.read(Cursor(feed.epoch, 0), feed.select({"*": where(nothing=1)}))
        assert part.entries == []
        assert 5 <= part.position.sequence <= 8
        assert (await feed.read(Cursor(feed.epoch, 0), everything)).position.sequence == 30
