"""A PostgreSQL that goes away and comes back, under a whole hub."""

from __future__ import annotations

import pytest
import trio

from hookhub.config import Settings
from hookhub.contracts.errors import StoreUnavailable
from hookhub.plugins import Plugins
from hookhub.server import open_hub
from hookhub.testing.postgres import running_cluster

pytestmark = pytest.mark.postgres


async def test_the_hub_outlives_a_restart_of_the_database() -> None:
    """While it is down: 503, not ready. When it is back: everything goes on by itself."""
    with running_cluster() as cluster:
        settings = Settings.model_validate(
            {"database": {"url": cluster.new_database(), "timeout": 2.0}}
        )
        plugins = Plugins.load(settings.plugins, (), installed=())
        async with open_hub(settings, plugins) as hub:
            await hub.tokens.list()
            await trio.to_thread.run_sync(cluster.stop, "immediate")
            for call in (hub.tokens.list, lambda: hub.tokens.create("no", ["admin"])):
                with pytest.raises(StoreUnavailable):
                    await call()
            # Several rounds of the engine, the broadcaster and the outbox with nobody there.
            with trio.move_on_after(3):
                while hub.engine.check() is None or hub.broadcaster.check() is None:
                    await trio.sleep(0.05)
            assert hub.engine.check() is not None
            assert (await hub.readiness())["store"] is not None
            await trio.to_thread.run_sync(cluster.start)
            with trio.fail_after(20):
                while True:
                    try:
                        await hub.tokens.create("back", ["admin"])
                        break
                    except StoreUnavailable:
                        await trio.sleep(0.1)
                while any((await hub.readiness()).values()):
                    await trio.sleep(0.1)
            assert [token.name for token in await hub.tokens.list()] == ["back"]
