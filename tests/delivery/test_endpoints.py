"""Changing endpoints: what several change at once is not lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.delivery.attempts import Attempts
from hookhub.delivery.model import Endpoint, EndpointOptions, NewEndpoint
from hookhub.delivery.services import Endpoints
from hookhub.errors import NotFound, ValidationFailed
from hookhub.events import EventRegistry
from hookhub.sinks import Attempt, AttemptResult, DurableSink, Outcome
from hookhub.store import open_store
from hookhub.transforms import TransformRegistry


class Picky(DurableSink):
    """Takes every configuration without ``wrong``."""

    name = "picky"

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        if "wrong" in config:
            raise ValidationFailed("It is wrong.")
        return {**config, "checked": True}

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        return AttemptResult(Outcome.DELIVERED)


class Changes:
    """Counts what the engine is told."""

    count = 0

    async def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def changes() -> Changes:
    """How often the engine had to look again."""
    return Changes()


@pytest.fixture
async def endpoints(any_database: str, changes: Changes) -> AsyncIterator[Endpoints]:
    """The service, without a hub."""
    async with open_store(DatabaseSettings(url=any_database)) as store:
        transforms = TransformRegistry()
        attempts = Attempts({"picky": Picky()}, transforms, 15.0)
        yield Endpoints(store, attempts, EventRegistry(), transforms, changes)


async def test_a_change_that_builds_on_what_is_there(endpoints: Endpoints) -> None:
    """Twenty at once, each adding a member of its own: all are there in the end."""
    made = await endpoints.create("picky", NewEndpoint("one", ("*",), {}))

    async def add(number: int) -> None:
        await endpoints.update(
            "picky", made.id, lambda endpoint: {"config": {**endpoint.config, f"m{number}": 1}}
        )

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(add, number)
    found = await endpoints.get("picky", made.id)
    assert set(found.config) == {"checked", *(f"m{number}" for number in range(20))}


async def test_it_is_checked_like_any_other(endpoints: Endpoints) -> None:
    """A wrong configuration changes nothing; a missing endpoint is not found."""
    made = await endpoints.create("picky", NewEndpoint("one", ("*",), {"a": 1}))
    with pytest.raises(ValidationFailed):
        await endpoints.update("picky", made.id, lambda _: {"name": "two", "config": {"wrong": 1}})
    assert await endpoints.get("picky", made.id) == made
    with pytest.raises(NotFound):
        await endpoints.update("picky", 99, lambda _: {})


async def test_no_change_is_none(endpoints: Endpoints, changes: Changes) -> None:
    """A function that finds nothing to change leaves the endpoint, and the engine, alone."""
    made = await endpoints.create("picky", NewEndpoint("one", ("*",), {}))
    before = changes.count
    assert await endpoints.update("picky", made.id, lambda _: {}) == made
    assert changes.count == before


async def test_options_are_kept(endpoints: Endpoints) -> None:
    """All of them, and what is not changed stays."""
    options = EndpointOptions((1.0, 2.5), 7, 0.5, True)
    made = await endpoints.create("picky", NewEndpoint("one", ("*",), {}, options=options))
    assert made.options == options

    def faster(endpoint: Endpoint) -> Mapping[str, Any]:
        return {"options": EndpointOptions(endpoint.options.retry_schedule, rate_limit=2.0)}

    changed = await endpoints.update("picky", made.id, faster)
    assert changed.options == EndpointOptions((1.0, 2.5), None, 2.0, False)
