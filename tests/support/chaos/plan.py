"""Which moments to kill at, in a run of so many rounds."""

from __future__ import annotations

import os
import random

from support.chaos.moments import ALL

ROUNDS = "HOOKHUB_TEST_CHAOS_ROUNDS"
SEED = "HOOKHUB_TEST_CHAOS_SEED"


def plan(rounds: int, seed: int, kinds: tuple[str, ...] = ALL) -> list[str]:
    """Every moment as often as every other one, in an order of chance."""
    chance = random.Random(f"{seed} plan")
    planned: list[str] = []
    while len(planned) < rounds:
        planned += chance.sample(kinds, len(kinds))
    return planned[:rounds]


def seed() -> int:
    """Of the environment, else a new one; the table prints it."""
    return int(os.environ.get(SEED, random.randrange(1_000_000)))


def rounds(usual: int) -> int:
    """Of the environment, else the usual number."""
    return int(os.environ.get(ROUNDS, usual))
