"""SIGTERM under clients that post on kept connections: no request is broken off."""

from __future__ import annotations

import random
import statistics
from pathlib import Path

from hookhub.testing.hub_process import HubProcess
from support.chaos.plan import rounds, seed
from support.chaos.posters import Stop, open_trial
from support.chaos.world import SETTINGS

POSTERS = 64
DELAYS = (0.0, 1.0)


async def test_sigterm_breaks_no_request_off(tmp_path: Path) -> None:
    """With and without a delay, soon after the start and later; each stop in time."""
    number = seed()
    chance = random.Random(number)
    hub = HubProcess(tmp_path, {**SETTINGS, "log": {"level": "info"}})
    stops: list[Stop] = []
    async with open_trial(hub) as trial:
        for turn in range(rounds(50)):
            delay = DELAYS[turn % len(DELAYS)]
            stops.append(await trial.stop(POSTERS, chance.uniform(0.2, 1.5), delay))
    aborted = sum(len(stop.posters.aborted) for stop in stops)
    answers = sum(stop.posters.answers.total() for stop in stops)
    late = [stop.late for stop in stops]
    print(f"\nseed {number}: {len(stops)} stops, {answers} answers, {aborted} aborted")
    print(f"beyond delay and attempts: median {statistics.median(late):.2f} s, {max(late):.2f} s")
    assert [fault for stop in stops for fault in stop.faults] == []
