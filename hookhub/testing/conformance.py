"""What a sink must keep to, as tests: subclass a suite, give it your sink, and pytest runs it.

    class TestMySink(LiveSinkConformance):
        @pytest.fixture
        def sink(self) -> LiveSink:
            return MySink()

The core leans on every rule here; a sink that passes is as safe in the hub as the built-in ones.
All tests are async, so that your fixtures may be.
"""

from __future__ import annotations

import copy
import inspect
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from hookhub.config import Settings
from hookhub.contracts.components import Component
from hookhub.contracts.errors import EgressBlocked, ValidationFailed
from hookhub.contracts.sinks import Attempt, AttemptResult, DurableSink, LiveSink, Outcome
from hookhub.hub import Hub
from hookhub.plugins import (
    COMPONENT_NAME,
    Plugins,
    check_numbers,
    claim_addresses,
    inspect_component,
)
from hookhub.store import Store
from hookhub.testing.samples import attempt_of, entries
from hookhub.testing.serving import sqlite_url


class ComponentConformance:
    """What sources and sinks have in common. Give the fixture ``component`` or ``sink``."""

    deadline = 10.0
    """Seconds that any step may take; only a sink that hangs needs as long."""

    @pytest.fixture
    def component(self, sink: Component) -> Component:
        """The component under test; for a sink, the sink."""
        return sink

    async def test_the_hub_takes_it(self, component: Component) -> None:
        """It has a name, and nothing that the hub holds against it before it runs: methods, routes,
        takeovers, migrations."""
        assert COMPONENT_NAME.fullmatch(component.name)
        brought = inspect_component(component)
        claim_addresses("this", brought.routes, brought.upgrades, {})

    async def test_statistics_are_numbers(self, component: Component) -> None:
        """Statistics are finite numbers under snake_case names: they become metrics."""
        check_numbers(component.statistics())

    async def test_routes_are_documented(self, component: Component) -> None:
        """The docstring of a handler is what the API says of its route."""
        for route in component.routes():
            assert route.handler.__doc__, f"{route.method} {route.path} has no docstring"

    async def test_migrations_do_something(self, component: Component) -> None:
        """Each has a statement."""
        assert all(step.statements for step in component.migrations())

    async def test_run_is_ready_and_ends_when_cancelled(self, component: Component) -> None:
        """``run`` reports that it has started, and ends when the hub stops."""
        async with running(component, self.deadline):
            pass

    async def test_run_can_be_run_again(self, component: Component) -> None:
        """A supervisor may run the same component again after a failure."""
        for _ in range(2):
            async with running(component, self.deadline):
                pass

    async def test_stop_without_run(self, component: Component) -> None:
        """A hub that fails while it starts stops components that never ran."""
        with trio.fail_after(self.deadline):
            await component.stop()


class SourceConformance(ComponentConformance):
    """A source: give its name; ``hub_settings`` and ``hub_plugins`` say in which hub it is."""

    name: str

    @pytest.fixture
    def hub_database(self, tmp_path: Path) -> str:
        """One kind is enough: the database is not opened."""
        return sqlite_url(tmp_path)

    @pytest.fixture
    def component(self, hub_settings: Settings, hub_plugins: Plugins | None) -> Component:
        """The source of a hub that is not open."""
        plugins = hub_plugins or Plugins.load(hub_settings.plugins)
        hub = Hub(hub_settings, Store(hub_settings.database), plugins)
        return hub.components.sources[self.name]


class LiveSinkConformance(ComponentConformance):
    """A live sink sees every event, may miss some, and never slows the hub.

    Give the fixture ``sink``; it may be async. For a sink that writes somewhere, override
    :meth:`seen` to prove that events arrive.
    """

    publish_budget = 50e-6
    """CPU seconds that publishing one event may cost the producer, on average."""

    async def seen(self, sink: LiveSink, sequence: int) -> None:
        """Return when the event with this sequence has come out at the other end."""

    async def test_publish_is_synchronous(self, sink: LiveSink) -> None:
        """``publish`` is a plain function: it cannot await while a producer waits."""
        assert not inspect.iscoroutinefunction(sink.publish)
        assert not inspect.isasyncgenfunction(sink.publish)

    async def test_publish_takes_a_flood_at_once(self, sink: LiveSink) -> None:
        """10,000 events are taken without awaiting, though nobody reads them and nothing runs."""
        flood = entries(10_000)
        began = time.thread_time()
        for entry in flood:
            sink.publish([entry])
        spent = time.thread_time() - began
        assert spent < self.publish_budget * len(flood), f"{spent / len(flood):.6f} s per event"

    async def test_publish_takes_a_flood_while_it_runs(self, sink: LiveSink) -> None:
        """A flood in one call does not stop a running sink, which takes events afterwards."""
        async with running(sink, self.deadline):
            sink.publish(entries(10_000))
            await trio.lowlevel.checkpoint()
            sink.publish(entries(1, first=10_001))

    async def test_events_come_out(self, sink: LiveSink) -> None:
        """What is published while the sink runs comes out of it."""
        async with running(sink, self.deadline):
            sink.publish(entries(3))
            with trio.fail_after(self.deadline):
                await self.seen(sink, 3)

    async def test_publish_leaves_entries_alone(self, sink: LiveSink) -> None:
        """Entries are shared with every other sink, so none of them is changed."""
        given = entries(3)
        before = list(given)
        sink.publish(given)
        assert list(given) == before

    async def test_publish_when_stopped(self, sink: LiveSink) -> None:
        """Events that are committed while the hub stops do no harm."""
        async with running(sink, self.deadline):
            pass
        sink.publish(entries(3))

    async def test_publish_of_nothing(self, sink: LiveSink) -> None:
        """An empty batch is no error."""
        sink.publish([])


class DurableSinkConformance(ComponentConformance):
    """A durable sink makes one attempt; it never sleeps, retries or stores.

    Give the fixtures ``sink``, ``config`` (an endpoint whose attempts succeed), ``failing_config``
    (one whose attempts fail) and ``hanging_config`` (one that takes the attempt and never
    answers); each may be async.
    """

    secrets: Sequence[str] = ()
    """Texts in ``config`` that must not be shown."""

    bad_configs: Sequence[Mapping[str, Any]] = ({"no_such_setting": True},)
    """Configurations that must be refused."""

    @pytest.fixture
    def config(self) -> Mapping[str, Any]:
        """An endpoint's configuration, as a person would send it; attempts to it succeed."""
        raise NotImplementedError("give the fixture config")

    @pytest.fixture
    def failing_config(self) -> Mapping[str, Any]:
        """A configuration whose attempts fail: a closed port, say."""
        raise NotImplementedError("give the fixture failing_config")

    @pytest.fixture
    def hanging_config(self) -> Mapping[str, Any]:
        """A configuration whose attempts never end: a server that accepts and is silent."""
        raise NotImplementedError("give the fixture hanging_config")

    def attempt(self, sink: DurableSink, config: Mapping[str, Any], number: int = 1) -> Attempt:
        """The attempt to make; override it to send other events."""
        return attempt_of(sink.validate(config), number)

    async def test_validate_returns_json(
        self, sink: DurableSink, config: Mapping[str, Any]
    ) -> None:
        """A validated configuration can be stored as JSON and read back equal."""
        valid = sink.validate(config)
        assert isinstance(valid, dict)
        assert json.loads(json.dumps(valid, allow_nan=False)) == valid

    async def test_validate_is_stable(self, sink: DurableSink, config: Mapping[str, Any]) -> None:
        """A stored configuration validates to itself, so editing another field changes nothing."""
        valid = sink.validate(config)
        assert sink.validate(valid) == valid

    async def test_validate_leaves_its_argument(
        self, sink: DurableSink, config: Mapping[str, Any]
    ) -> None:
        """The configuration that came in is not changed."""
        before = copy.deepcopy(dict(config))
        sink.validate(config)
        assert dict(config) == before

    async def test_validate_refuses_garbage(self, sink: DurableSink) -> None:
        """A configuration that cannot work is refused when it is made, naming the wrong fields."""
        for bad in self.bad_configs:
            with pytest.raises((ValidationFailed, EgressBlocked)) as refused:
                sink.validate(bad)
            if isinstance(refused.value, ValidationFailed):
                assert refused.value.errors, f"the error for {bad!r} names no field"

    async def test_redact_hides_secrets(self, sink: DurableSink, config: Mapping[str, Any]) -> None:
        """Passwords and keys of a configuration are not shown; the rest of it is JSON."""
        valid = sink.validate(config)
        before = copy.deepcopy(valid)
        shown = json.dumps(sink.redact(valid))
        assert valid == before
        assert not [secret for secret in self.secrets if secret in shown]

    async def test_secret_values_are_told(
        self, sink: DurableSink, config: Mapping[str, Any]
    ) -> None:
        """What is masked in answers holds every password and key of the configuration."""
        told = sink.secret_values(sink.validate(config))
        assert all(isinstance(value, str) for value in told)
        assert not [secret for secret in self.secrets if not any(secret in one for one in told)]

    async def test_timeout_is_positive(self, sink: DurableSink, config: Mapping[str, Any]) -> None:
        """The deadline of an attempt is a time in seconds."""
        assert sink.timeout(sink.validate(config), 15.0) > 0

    async def test_attempt_delivers(self, sink: DurableSink, config: Mapping[str, Any]) -> None:
        """An attempt to a good endpoint is delivered."""
        result = await self._made(sink, config)
        assert result.outcome is Outcome.DELIVERED, result

    async def test_repeated_attempt_delivers(
        self, sink: DurableSink, config: Mapping[str, Any]
    ) -> None:
        """The same event may be attempted again: delivery is at least once."""
        for number in (1, 2):
            result = await self._made(sink, config, number)
            assert result.outcome is Outcome.DELIVERED, result

    async def test_attempt_reports_failure(
        self, sink: DurableSink, failing_config: Mapping[str, Any]
    ) -> None:
        """A failure is a result with a reason for a person, not an exception."""
        result = await self._made(sink, failing_config)
        assert result.outcome in (Outcome.RETRY, Outcome.GIVE_UP)
        assert result.error, "error is a stable word"
        assert result.error_message, "error_message is a sentence"

    async def test_results_hide_secrets(
        self, sink: DurableSink, config: Mapping[str, Any], failing_config: Mapping[str, Any]
    ) -> None:
        """What an attempt reports is shown to people and must hold no secret."""
        for candidate in (config, failing_config):
            attempt = self.attempt(sink, candidate)
            result = await self._made(sink, candidate)
            shown = f"{result.error} {result.error_message}"
            hidden = [*self.secrets, *attempt.secrets]
            assert not [secret for secret in hidden if secret in shown]

    async def test_attempt_is_cancellable(
        self, sink: DurableSink, hanging_config: Mapping[str, Any], config: Mapping[str, Any]
    ) -> None:
        """Cancelled means that there was no attempt: it ends at once, returns no result, and the
        next attempt is not the worse for it."""
        with trio.fail_after(self.deadline):
            with trio.move_on_after(0.2) as scope:
                await sink.attempt(self.attempt(sink, hanging_config))
            assert scope.cancelled_caught, "an attempt to a silent endpoint returned"
        assert (await self._made(sink, config)).outcome is Outcome.DELIVERED

    async def test_attempts_run_side_by_side(
        self, sink: DurableSink, hanging_config: Mapping[str, Any], config: Mapping[str, Any]
    ) -> None:
        """A hanging endpoint costs only itself: attempts to others go on meanwhile."""
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(sink.attempt, self.attempt(sink, hanging_config))
            assert (await self._made(sink, config)).outcome is Outcome.DELIVERED
            nursery.cancel_scope.cancel()

    async def test_attempt_leaves_no_task(
        self, sink: DurableSink, config: Mapping[str, Any]
    ) -> None:
        """When an attempt returns, nothing of it goes on in the background."""
        task = trio.lowlevel.current_task()
        before = _descendants(task)
        await self._made(sink, config)
        assert _descendants(task) == before

    async def _made(
        self, sink: DurableSink, config: Mapping[str, Any], number: int = 1
    ) -> AttemptResult:
        with trio.fail_after(self.deadline):
            result = await sink.attempt(self.attempt(sink, config, number))
        assert isinstance(result, AttemptResult)
        assert isinstance(result.outcome, Outcome)
        assert result.response_body is None or isinstance(result.response_body, str)
        assert result.retry_after is None or result.retry_after >= 0
        assert all(seconds >= 0 for seconds in result.timings.values())
        return result


@asynccontextmanager
async def running(component: Component, deadline: float) -> AsyncIterator[None]:
    """Run a component as the hub does: ready before the body, stopped and cancelled after it.

    Args:
        component: its ``run`` is started in a nursery.
        deadline: seconds for each of starting and stopping.

    Raises:
        trio.TooSlowError: one of them took longer.
    """
    async with trio.open_nursery() as nursery:
        with trio.fail_after(deadline):
            await nursery.start(component.run)
        yield
        with trio.fail_after(deadline):
            await component.stop()
        nursery.cancel_scope.cancel()


def _descendants(task: trio.lowlevel.Task) -> set[trio.lowlevel.Task]:
    def walk(parent: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
        for nursery in parent.child_nurseries:
            for child in nursery.child_tasks:
                yield child
                yield from walk(child)

    return set(walk(task))
