"""What retention deleted is shown to nobody, from memory neither."""

from __future__ import annotations

import httpx
import trio

from hookhub.background.retention import Retention
from hookhub.config import DatabaseSettings, LiveSettings, RetentionSettings
from hookhub.contracts.events import Cursor, Draft, new_event_id
from hookhub.feed import Broadcaster, Feed
from hookhub.feed.selection import everything
from hookhub.hub import Hub
from hookhub.store import open_store
from hookhub.testing.waiting import wait_until_async

DAY = 86_400_000_000


async def first_listed(feed: Feed) -> int:
    found = (await feed.read(Cursor(feed.epoch, 0), everything)).entries
    return found[0].event.sequence if found else 0


async def test_every_node_forgets_them(any_database: str) -> None:
    """The one that deletes at once, the others within their poll; readers are told of the gap."""
    settings = DatabaseSettings(url=any_database)
    async with open_store(settings) as store, open_store(settings) as other:
        now = store.clock()
        feeds = []
        async with trio.open_nursery() as nursery:
            # Only the second one looks of its own accord, often enough for a test.
            for node, poll in ((store, 3600.0), (other, 0.02)):
                feed = Feed(node, LiveSettings())
                await feed.open()
                broadcaster = Broadcaster(node, feed, [], poll)
                node.on_commit(broadcaster.committed)
                await nursery.start(broadcaster.run)
                feeds.append((feed, broadcaster))
            for moment in (now - 40 * DAY, now - 39 * DAY, now):
                draft = Draft(new_event_id(0), "user.created", "{}", moment)
                await store.write(lambda tx, draft=draft: tx.append(draft))
            for feed, _ in feeds:
                with trio.fail_after(5):
                    await feed.wait(Cursor(feed.epoch, 2))
                assert await first_listed(feed) == 1
            retention = Retention(store, RetentionSettings(), feeds[0][1].look)
            assert (await retention.sweep()).events == 2
            for feed, _ in feeds:
                await wait_until_async(lambda feed=feed: is_first(feed, 3))
                part = await feed.read(Cursor(feed.epoch, 0), everything)
                assert part.gap == (2, Cursor(feed.epoch, 2))
                assert feed.recent(1, 10) is None
            nursery.cancel_scope.cancel()


async def is_first(feed: Feed, sequence: int) -> bool:
    return await first_listed(feed) == sequence


async def test_pages_do_not_list_them(hub: Hub, api: httpx.AsyncClient) -> None:
    """Without a restart."""
    for age in (40, 0):
        moment = hub.now() - age * DAY
        await hub.accept([hub.draft("user.created", {"user_id": age}, timestamp=moment)])
    await hub.retention.sweep()

    async def listed() -> bool:
        items = (await api.get("/events")).json()["items"]
        return [item["sequence"] for item in items] == [2]

    await wait_until_async(listed)
