"""The suite for live sinks passes good sinks and catches each way of being a bad one."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio

from hookhub.contracts.errors import PluginError
from hookhub.contracts.sinks import Entry, LiveSink, QueuedLiveSink
from hookhub.testing.conformance import LiveSinkConformance


class Collecting(QueuedLiveSink):
    """A good sink: keeps what it is given."""

    name = "collecting"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.arrived = trio.Event()

    async def deliver(self, entries: Sequence[Entry]) -> None:
        self.seen += [entry.event.sequence for entry in entries]
        self.arrived.set()


class Counting(LiveSink):
    """A good sink without a task of its own."""

    name = "counting"

    def __init__(self) -> None:
        self.count = 0

    def publish(self, entries: Sequence[Entry]) -> None:
        self.count += len(entries)


class TestQueuedSink(LiveSinkConformance):
    """The base class that most live sinks build on keeps every rule."""

    @pytest.fixture
    def sink(self) -> LiveSink:
        return Collecting()

    async def seen(self, sink: LiveSink, sequence: int) -> None:
        assert isinstance(sink, Collecting)
        while sequence not in sink.seen:
            await sink.arrived.wait()
            sink.arrived = trio.Event()


class TestPlainSink(LiveSinkConformance):
    """A sink that is only a function keeps every rule."""

    @pytest.fixture
    def sink(self) -> LiveSink:
        return Counting()


class BadName(Counting):
    name = "Bad Name"


class Slow(Counting):
    def publish(self, entries: Sequence[Entry]) -> None:
        end = time.thread_time() + 0.0002
        while time.thread_time() < end:
            pass


class Raising(Counting):
    def publish(self, entries: Sequence[Entry]) -> None:
        if len(entries) > 1:
            raise trio.WouldBlock


class Changing(Counting):
    def publish(self, entries: Sequence[Entry]) -> None:
        assert isinstance(entries, list)
        entries.clear()


class Asynchronous(Counting):
    async def publish(self, entries: Sequence[Entry]) -> None:  # type: ignore[override]
        await trio.lowlevel.checkpoint()


class Crashing(Counting):
    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        raise OSError("no such device")


class NeverReady(Counting):
    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()


class OnceOnly(Counting):
    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        assert self.count == 0
        self.count += 1
        await trio.sleep_forever()


class StopHangs(Counting):
    async def stop(self) -> None:
        await trio.sleep_forever()


class OddStatistics(Counting):
    def statistics(self) -> dict[str, float]:
        return {"Sent Total": 1}


class Suite(LiveSinkConformance):
    """Not collected; its methods are called by hand, with little patience."""

    __test__ = False
    deadline = 0.1


# How a suite may fail; not TypeError, which would be a mistake of this test.
BROKEN = (AssertionError, PluginError, trio.TooSlowError, trio.WouldBlock, ExceptionGroup)

BAD: list[tuple[type[LiveSink], Callable[..., object]]] = [
    (BadName, Suite.test_the_hub_takes_it),
    (Asynchronous, Suite.test_the_hub_takes_it),
    (Slow, Suite.test_publish_takes_a_flood_at_once),
    (Raising, Suite.test_publish_takes_a_flood_while_it_runs),
    (Raising, Suite.test_publish_when_stopped),
    (Changing, Suite.test_publish_leaves_entries_alone),
    (Asynchronous, Suite.test_publish_is_synchronous),
    (Crashing, Suite.test_run_is_ready_and_ends_when_cancelled),
    (NeverReady, Suite.test_run_is_ready_and_ends_when_cancelled),
    (OnceOnly, Suite.test_run_can_be_run_again),
    (StopHangs, Suite.test_stop_without_run),
    (StopHangs, Suite.test_run_is_ready_and_ends_when_cancelled),
    (OddStatistics, Suite.test_statistics_are_numbers),
]


@pytest.mark.parametrize(
    ("kind", "rule"), BAD, ids=[f"{kind.__name__}-{rule.__name__}" for kind, rule in BAD]
)
async def test_bad_sinks_are_caught(kind: type[LiveSink], rule: Callable[..., object]) -> None:
    """Each rule fails for a sink that breaks it."""

    async def apply() -> None:
        outcome = rule(Suite(), kind())
        if isinstance(outcome, Awaitable):
            await outcome

    with pytest.raises(BROKEN):
        await apply()
