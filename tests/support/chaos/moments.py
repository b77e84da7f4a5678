"""What passes by, so that a kill can come in the middle of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Container

import trio

OPERATIONS = (
    *("post", "batch", "user", "payment", "ticket", "outbox"),
    *("rotate", "retry", "replay", "webhook"),
)
"""What producers do; a kill may ask for one of them."""
ATTEMPTS = ("attempt", "again", "answer")
"""A request reached a receiver; one that is not the first of its delivery; its acknowledgement."""
ALL = ("any", *OPERATIONS, *ATTEMPTS, "start")
"""Moments to kill at; ``start`` is while the hub starts."""
PATIENCE = 3.0
"""Seconds to wait for a moment before any moment will do."""


class Moments:
    """Producers and receivers say what passes; whoever kills waits for it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._kind = ""
        self._passed = trio.Event()
        self._wish: str = ""
        self.kills: Counter[str] = Counter()
        """Moment to how often the hub was killed at it."""

    def passed(self, kind: str) -> None:
        """Something of this kind is under way."""
        if kind == self._kind:
            self._passed.set()

    def take_wish(self, can: Container[str]) -> str | None:
        """What a producer shall do next, if somebody waits for it and this one can do it."""
        if not self._wish or self._wish not in can:
            return None
        wish, self._wish = self._wish, ""
        return wish

    async def wait(self, kind: str) -> str:
        """Return shortly after something of this kind has passed, with the kind that it was."""
        self._kind, self._passed = kind, trio.Event()
        self._wish = kind if kind in OPERATIONS else ""
        if kind != "any":
            with trio.move_on_after(PATIENCE):
                await self._passed.wait()
            if not self._passed.is_set():
                kind = "any"
        self._kind = self._wish = ""
        # From "not read yet" to "long answered".
        await trio.sleep(self._chance.choice([0, 0.003, 0.01, 0.03, 0.1]) * self._chance.random())
        return kind
