"""One node that does nothing but commit. Runs by itself.

    python committing.py URL TASKS SECONDS

Each task commits one event after the other, with an id of its own, as a producer does that may
repeat it. Prints events and transactions a second.
"""

from __future__ import annotations

import secrets
import sys
import time
from functools import partial

import trio

from hookhub.config import DatabaseSettings
from hookhub.contracts.events import Draft, canonical_json
from hookhub.store import Appends, Store, open_store
from hookhub.store.units.events import accept


async def commit(store: Store, number: int, end: float) -> None:
    """Commit until the end."""
    payload = canonical_json({"user_id": number, "name": "x" * 200})
    while time.perf_counter() < end:
        draft = Draft(secrets.token_hex(12), "user.created", payload, store.clock(), own_id=True)
        await store.write(partial(accept, drafts=[draft]), appends=Appends([draft]))


async def main(url: str, tasks: int, seconds: float) -> None:
    """Prints what was reached."""
    async with open_store(DatabaseSettings(url=url)) as store:
        # All nodes begin when they are connected.
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
        before, begin = store.statistics(), time.perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(tasks):
                nursery.start_soon(commit, store, number, begin + seconds)
        passed, after = time.perf_counter() - begin, store.statistics()
        for name in ("events_total", "commits_total"):
            print((after[name] - before[name]) / passed, flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
