"""Units of work that a store's writer takes into one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import trio
import trio.testing

from hookhub.store import Appends, Store, Transaction


class Planned(NamedTuple):
    """A unit that says beforehand what it appends."""

    unit: Callable[[Transaction], object]
    appends: Appends


async def hold_writer(
    store: Store,
    release: threading.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Keep the writer's thread busy, so that what is written meanwhile becomes one group."""
    running = threading.Event()

    def hold(tx: Transaction) -> None:
        running.set()
        release.wait(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.write, hold)
        await trio.to_thread.run_sync(running.wait)
        task_status.started()


async def together(store: Store, *units: Callable[[Transaction], object] | Planned) -> list[Any]:
    """Run units in one group, in this order; returns results and errors."""
    release = threading.Event()
    outcomes: list[Any] = [None] * len(units)

    async def one(position: int, unit: Callable[[Transaction], object] | Planned) -> None:
        function, appends = unit if isinstance(unit, Planned) else (unit, None)
        try:
            outcomes[position] = await store.write(function, appends=appends)
        except Exception as error:
            outcomes[position] = error

    async with trio.open_nursery() as nursery:
        await nursery.start(hold_writer, store, release)
        for position, unit in enumerate(units):
            nursery.start_soon(one, position, unit)
            await trio.testing.wait_all_tasks_blocked()
        release.set()
    return outcomes
