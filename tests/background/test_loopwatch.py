"""Whoever holds the event loop is named while it does, and counted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

import hookhub
from hookhub import Attempt, AttemptResult, DurableSink, EventType, Outcome, Payload, Source
from hookhub.background.loopwatch import LoopWatch, holder, was_stopped
from hookhub.config import Settings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.server import open_hub


class Said(Payload):
    text: str


class Sleepy(DurableSink):
    """Blocks in its attempts for as long as a test says."""

    name = "sleepy"

    def __init__(self, may_end: Callable[[], object]) -> None:
        self.may_end = may_end

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        end = time.monotonic() + 20
        while not self.may_end() and time.monotonic() < end:
            time.sleep(0.01)  # noqa: ASYNC251 - that is the mistake
        return AttemptResult(Outcome.DELIVERED)

    @hookhub.hookimpl
    def hookhub_event_types(self) -> Iterable[EventType]:
        return [EventType("thing.said", Said, "It is said.", {"text": ""})]

    @hookhub.hookimpl
    def hookhub_sinks(self, hub: Hub) -> Iterable[DurableSink]:
        return [self]


async def test_a_blocking_attempt_is_named(tmp_path: Path) -> None:
    """While it blocks: its sink and the line; afterwards for how long, and in the metrics."""
    settings = Settings.model_validate(
        {"database": {"url": f"sqlite:///{tmp_path / 'hub.db'}"}, "plugins": {}}
    )
    with capture_logs() as logs:

        def told(event: str) -> list[Any]:
            found = [line for line in logs if line["event"] == event]
            return [line for line in found if line["component"] == "sleepy"]

        sink = Sleepy(lambda: told("loop.held"))
        plugins = Plugins.load(settings.plugins, [("sleepy", sink)], installed=())
        async with open_hub(settings, plugins) as hub:
            hub.loop.limit = 0.05
            await hub.endpoints.create("sleepy", NewEndpoint("one", ("*",), {}))
            await hub.emit("thing.said", {"text": ""})
            with trio.fail_after(20):
                while not told("loop.released"):
                    await trio.sleep(0.01)
            numbers = hub.statistics()["loop"]
    [held] = told("loop.held")
    assert "time.sleep(0.01)" in held["stack"]
    assert "run_attempt" in held["stack"]
    assert "unrolled_run" not in held["stack"]
    assert numbers["held_total"] >= 1
    assert numbers["held_seconds_total"] >= 0.05
    assert told("loop.released")[0]["seconds"] <= numbers["held_seconds_total"] + 0.1


async def test_a_loop_that_turns_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is asked."""
    monkeypatch.setattr("hookhub.background.loopwatch.PAUSE", 0.001)
    watch = LoopWatch(limit=20.0)
    with capture_logs() as logs, watch.watching():
        await trio.sleep(0.1)
    assert logs == []
    assert watch.statistics() == {"held_total": 0, "held_seconds_total": 0.0}


@pytest.mark.parametrize(
    ("waited", "worked", "stopped"),
    [
        (1.0, 0.0, False),  # it sleeps, and the watch was there in time
        (5.0, 4.9, False),  # it computed without letting the watch have its turn
        (5.0, 0.1, True),  # neither ran
    ],
)
def test_a_process_that_was_stopped_holds_nothing(
    waited: float, worked: float, stopped: bool
) -> None:
    """Only what ran can have held the loop."""
    assert was_stopped(waited, worked, limit=1.0) is stopped


class Asked(Source):
    """Is asked who holds the loop, from within."""

    name = "asked"

    def statistics(self) -> Mapping[str, float]:
        return {str(holder(sys._getframe())): 1.0}


def test_the_innermost_component_holds_it() -> None:
    """A method of its own, or a function that was given it; nobody, where there is none."""

    def ask(component: Asked) -> str | None:
        return holder(sys._getframe())

    assert list(Asked().statistics()) == ["asked"]
    assert ask(Asked()) == "asked"
    assert holder(sys._getframe()) is None
