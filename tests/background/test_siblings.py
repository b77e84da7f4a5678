"""Numbers of several workers, added up."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from hookhub.background import siblings as module
from hookhub.background.siblings import Siblings, Snapshot
from hookhub.http.listeners import Worker
from hookhub.statistics.histogram import Histogram


def snapshot(**numbers: float) -> Snapshot:
    latency = Histogram()
    latency.observe(0.5)
    return Snapshot({"store": numbers}, latency)


def test_adding_up() -> None:
    """Counters and gauges are sums; gauges of one thing that all see are the highest."""
    both = snapshot(a_total=1, queued=2, lag_max=3, nodes=2) + snapshot(
        a_total=10, queued=20, lag_max=1, nodes=2, b_total=5
    )
    assert both.numbers == {
        "store": {"a_total": 11, "queued": 22, "lag_max": 3, "nodes": 2, "b_total": 5}
    }
    assert (len(both.latency), both.latency.total) == (2, 1.0)


def test_what_is_left_of_one_that_is_gone() -> None:
    """What it has counted, and none of its gauges."""
    left = snapshot(a_total=1, queued=2).counters()
    assert left.numbers == {"store": {"a_total": 1}}
    assert len(left.latency) == 1


def test_written_and_read() -> None:
    """A snapshot, and what a supervisor hands to a worker."""
    one = snapshot(a_total=1, seconds=0.25)
    again = Snapshot.parse(one.text())
    assert again.numbers == one.numbers
    assert again.latency == one.latency
    worker = Worker(2, Path("/tmp/x"), 7, (8, 9))
    assert Worker.parse(worker.option()) == worker


async def test_workers_ask_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is gone, in order or without a word, counts on; one that is silent as it said."""
    counts = {"one": 1.0, "two": 10.0, "three": 100.0}

    def sibling(name: str) -> Siblings:
        return Siblings(tmp_path, name, lambda: snapshot(a_total=counts[name], queued=1))

    async def total(asked: Siblings) -> dict[str, float]:
        return dict((await asked.all()).numbers["store"])

    one, two, three = map(sibling, counts)
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        async with trio.open_nursery() as others:
            await others.start(two.run)
            await others.start(three.run)
            assert await total(one) == {"a_total": 111, "queued": 3}
            counts["two"] = 20.0
            assert await total(three) == {"a_total": 121, "queued": 3}
            counts["two"] = 25.0
            others.cancel_scope.cancel()
        assert await total(one) == {"a_total": 126, "queued": 1}
        # It dies without a word: its socket is there, and nobody behind it.
        with trio.socket.socket(trio.socket.AF_UNIX) as dead:
            await dead.bind(str(tmp_path / "two.sock"))
        assert await total(one) == {"a_total": 126, "queued": 1}
        # It does not answer.
        monkeypatch.setattr(module, "PATIENCE", 0.1)
        with trio.socket.socket(trio.socket.AF_UNIX) as silent:
            await silent.bind(str(tmp_path / "three.sock"))
            silent.listen()
            assert await total(one) == {"a_total": 126, "queued": 2}
        nursery.cancel_scope.cancel()
