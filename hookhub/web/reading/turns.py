"""One long piece of work among others: how a task gives way."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked


class Turns:
    """The turns of one task, which begin when this is made."""

    def __init__(self) -> None:
        self._begin = trio.current_time()

    async def give_way(self) -> None:
        """Let all others go on until none has anything to do, or they had as long as this one.

        A bare checkpoint lets each of them do one step, and a request is a dozen of those: it
        would wait for as many turns.
        """
        with trio.move_on_after(trio.current_time() - self._begin):
            await wait_all_tasks_blocked()
        self._begin = trio.current_time()
