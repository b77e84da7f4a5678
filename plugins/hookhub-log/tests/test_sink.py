"""The sink ``log``: a line of JSON for each event."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from hookhub.contracts.errors import PluginError
from hookhub.contracts.events import Event
from hookhub.contracts.sinks import Entry, LiveSink
from hookhub.testing.conformance import LiveSinkConformance, running
from hookhub.testing.samples import EPOCH, entries
from hookhub_log.output import FileOutput, StandardOutput
from hookhub_log.sink import LogSink


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file that the sink under test writes."""
    return tmp_path / "events.jsonl"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The reading and the writing end of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


async def wait_until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail if it does not within seconds."""
    with trio.fail_after(10):
        while True:
            if condition():
                return
            await trio.sleep(0.005)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def frames(published: list[Entry]) -> list[bytes]:
    return [entry.frame for entry in published]


class TestConformance(LiveSinkConformance):
    """The rules that every live sink keeps."""

    @pytest.fixture
    def path(self, path: Path) -> Path:
        self._path = path
        return path

    @pytest.fixture
    def sink(self, path: Path) -> LiveSink:
        return LogSink(FileOutput(str(path)))

    async def seen(self, sink: LiveSink, sequence: int) -> None:
        await wait_until(lambda: f'"sequence": {sequence},'.encode() in self._path.read_bytes())


async def test_a_line_is_the_frame(path: Path) -> None:
    """Each event is one line, in order: the JSON object that clients of the live feed get."""
    sink, published = LogSink(FileOutput(str(path))), entries(3)
    async with running(sink, 10):
        sink.publish(published)
        await wait_until(lambda: lines_of(path) == frames(published))
    assert sink.statistics()["delivered_total"] == 3


async def test_only_matching_events(path: Path) -> None:
    """``events`` chooses types by pattern."""
    payments = Event(1, "evt_1", "payment.completed", "{}", 0)
    other, payment = entries(1)[0], Entry(payments, EPOCH)
    sink = LogSink(FileOutput(str(path)), ["payment.*", "ticket.created"])
    async with running(sink, 10):
        sink.publish([other, payment, other])
        await wait_until(lambda: lines_of(path) == [payment.frame])


async def test_appends(path: Path) -> None:
    """What is in the file already stays there."""
    await trio.Path(path).write_bytes(b"yesterday\n")
    sink, published = LogSink(FileOutput(str(path))), entries(1)
    async with running(sink, 10):
        sink.publish(published)
        await wait_until(lambda: lines_of(path) == [b"yesterday", *frames(published)])


async def test_rotation(path: Path) -> None:
    """After logrotate has moved the file away, lines go to a new one of the same name."""
    sink, (first, second) = LogSink(FileOutput(str(path))), entries(2)
    async with running(sink, 10):
        sink.publish([first])
        await wait_until(lambda: lines_of(path) == [first.frame])
        moved = await trio.Path(path).rename(path.with_suffix(".1"))
        sink.publish([second])
        await wait_until(lambda: lines_of(path) == [second.frame])
    assert lines_of(Path(moved)) == [first.frame]


async def test_unwritable_file(tmp_path: Path) -> None:
    """A file that cannot be written is named with its setting; meanwhile events wait."""
    path = tmp_path / "missing" / "events.jsonl"
    sink, published = LogSink(FileOutput(str(path))), entries(2)
    sink.publish(published)
    with pytest.raises(PluginError, match=r"\[plugins.log\] file = '.*missing/events.jsonl'"):
        await sink.run(trio.TASK_STATUS_IGNORED)
    await trio.Path(path.parent).mkdir()
    async with running(sink, 10):
        await wait_until(lambda: lines_of(path) == frames(published))


async def test_lines_that_are_lost_are_counted(pipe: tuple[int, int]) -> None:
    """Events that the output refused are in ``statistics()`` as dropped."""
    broken = os.dup(pipe[0])  # Open, but not for writing.
    sink = LogSink(StandardOutput(broken))
    sink.publish(entries(3))
    try:
        with pytest.raises(PluginError, match="standard output"):
            await sink.run(trio.TASK_STATUS_IGNORED)
    finally:
        os.close(broken)
    assert sink.statistics()["dropped_total"] == 3


async def test_hanging_reader_does_not_hold_up_the_stop(pipe: tuple[int, int]) -> None:
    """A reader that stopped reading costs events, not the hub's stop."""
    reading, writing = pipe
    sink = LogSink(StandardOutput(writing))
    with trio.fail_after(10):
        async with running(sink, 10):
            sink.publish(entries(1000))  # More than a pipe holds.
            await wait_until(lambda: sink.statistics()["queued"] == 500)
    while not os.read(reading, 1 << 20).endswith(b"\n"):  # Let the thread end.
        pass


async def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    """Without a file, lines go to the standard output of the process."""
    sink, published = LogSink(StandardOutput()), entries(2)
    async with running(sink, 10):
        sink.publish(published)
        await wait_until(lambda: sink.statistics()["delivered_total"] == 2)
    assert capfd.readouterr().out.encode().splitlines() == frames(published)
