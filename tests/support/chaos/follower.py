"""A reader of the history that goes on from its cursor through all of it."""

from __future__ import annotations

import trio

from support.chaos.calls import Caller


class Follower:
    """Pages through ``GET /events`` as the events come: never a gap, never one twice."""

    def __init__(self, call: Caller) -> None:
        self._call = call
        self._cursor = ""
        self.ids: list[str] = []
        """Of the events seen, in order."""
        self.wrong: list[str] = []

    async def run(self, ending: trio.Event) -> None:
        """Follow until it ends, and then to the end of the history."""
        last = 0
        while True:
            ended = ending.is_set()
            page = await self._call.get(f"/events?limit=200{self._cursor}")
            for item in page["items"]:
                if item["sequence"] != last + 1:
                    self.wrong.append(f"the feed went from {last} to {item['sequence']}")
                last = item["sequence"]
                self.ids.append(item["id"])
            self._cursor = f"&after={page['cursor']}"
            if "gap" in page:
                self.wrong.append(f"the feed has a gap after {last}: {page['gap']}")
            if ended and not page["has_more"]:
                return
            await trio.sleep(0.05)
