"""Changing endpoints: what several change at once is not lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import pytest
import trio

import hookhub
from hookhub.config import Settings
from hookhub.contracts.deliveries import Endpoint, EndpointOptions, NewEndpoint
from hookhub.contracts.errors import NotFound, ValidationFailed
from hookhub.contracts.sinks import Attempt, AttemptResult, DurableSink, Outcome
from hookhub.delivery.endpoints import Endpoints
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.server import open_hub
from hookhub.store.units.endpoints import endpoints_as_of


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


class PickyPlugin:
    """Brings that sink."""

    @hookhub.hookimpl
    def hookhub_sinks(self, hub: Hub) -> Iterable[DurableSink]:
        return [Picky()]


@pytest.fixture
async def hub(any_database: str) -> AsyncIterator[Hub]:
    """A hub with that plugin alone."""
    settings = Settings.model_validate({"database": {"url": any_database}})
    plugins = Plugins.load(settings.plugins, [("picky", PickyPlugin())], installed=[])
    async with open_hub(settings, plugins) as opened:
        yield opened


@pytest.fixture
def endpoints(hub: Hub) -> Endpoints:
    """The service."""
    return hub.endpoints


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


async def test_no_change_is_none(hub: Hub) -> None:
    """A function that finds nothing to change leaves the endpoint, and every engine, alone."""
    made = await hub.endpoints.create("picky", NewEndpoint("one", ("*",), {}))
    before = await hub.read(endpoints_as_of)
    assert await hub.endpoints.update("picky", made.id, lambda _: {}) == made
    assert await hub.read(endpoints_as_of) == before


async def test_options_are_kept(endpoints: Endpoints) -> None:
    """All of them, and what is not changed stays."""
    options = EndpointOptions((1.0, 2.5), 7, 0.5, True)
    made = await endpoints.create("picky", NewEndpoint("one", ("*",), {}, options=options))
    assert made.options == options

    def faster(endpoint: Endpoint) -> Mapping[str, Any]:
        return {"options": EndpointOptions(endpoint.options.retry_schedule, rate_limit=2.0)}

    changed = await endpoints.update("picky", made.id, faster)
    assert changed.options == EndpointOptions((1.0, 2.5), None, 2.0, False)
