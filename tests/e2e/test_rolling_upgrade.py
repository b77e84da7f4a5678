"""Two versions of the hub on one PostgreSQL, the newer in the place of the older, one by one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import trio

from hookhub.store.schema import CORE_MIGRATIONS
from hookhub.testing.hub_process import HubFailed, HubProcess
from support.chaos.viewers import Audience

SEED = 1729
KNOWN = len(CORE_MIGRATIONS)
ADDED = (KNOWN + 1, "added", ("ALTER TABLE hookhub_events ADD COLUMN colour TEXT",))
TAKEN = (KNOWN + 2, "taken", ("CREATE TABLE hookhub_new (id {pk})",), KNOWN + 1)
"""What only those can go on beside who know the one before."""
PROGRAM = """
import sys
from importlib import machinery, util
from pathlib import Path

NAME = "hookhub.store.schema"
PATH = Path(util.find_spec("hookhub").origin).with_name("store") / "schema.py"
MORE = f"CORE_MIGRATIONS += tuple(Migration(*step) for step in {STEPS!r})"

class Later(machinery.SourceFileLoader):
    def get_code(self, name):
        return compile(PATH.read_text() + MORE, str(PATH), "exec")

class Finder:
    def find_spec(name, path=None, target=None):
        return util.spec_from_loader(name, Later(name, str(PATH))) if name == NAME else None

sys.meta_path.insert(0, Finder)
from hookhub.cli import main
main(prog_name="hookhub")
"""


@pytest.fixture
def hub_of(tmp_path: Path, postgres_url: str) -> Callable[..., HubProcess]:
    """A hub of a version whose tables have these further steps."""

    def make(name: str, *steps: tuple[object, ...]) -> HubProcess:
        directory = tmp_path / name
        directory.mkdir()
        (directory / "version.py").write_text(f"STEPS = {steps!r}\n{PROGRAM}")
        settings = {
            "log": {"level": "warning"},
            "live": {"ring_events": 50},
            "server": {"name": name},
            "database": {"url": postgres_url},
        }
        return HubProcess(directory, settings, program="version")

    return make


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.05)


async def test_one_version_after_the_other(hub_of: Callable[..., HubProcess]) -> None:
    """Under load nothing is lost, no request is cut off and no client misses an event; what the
    older version could not go on beside waits until it is gone, and then refuses it."""
    older, newer, newest = hub_of("older"), hub_of("newer", ADDED), hub_of("newest", ADDED, TAKEN)
    with ExitStack() as stack:
        for hub in (older, newer, newest):
            stack.callback(hub.kill)
        await trio.to_thread.run_sync(older.start)
        with pytest.raises(HubFailed, match=r"still there: older"):
            await trio.to_thread.run_sync(newest.start)
        audience = Audience([older, newer], clients=20, rate=30, stay=1e9, seed=SEED)
        async with audience.watching():
            await trio.to_thread.run_sync(newer.start)
            assert await trio.to_thread.run_sync(older.terminate) == 0
            await until(lambda: all(viewer.resumed >= 1 for viewer in audience.viewers))
            # And back: the tables were only added to.
            await trio.to_thread.run_sync(older.start)
            assert await trio.to_thread.run_sync(newer.terminate) == 0
            await until(lambda: all(viewer.resumed >= 2 for viewer in audience.viewers))
        assert audience.wrong == []
        assert audience.cut_off == 0
        assert await trio.to_thread.run_sync(older.terminate) == 0
        await trio.to_thread.run_sync(newest.start)
        with pytest.raises(HubFailed, match=f"know version {KNOWN + 1}|knows version {KNOWN + 1}"):
            await trio.to_thread.run_sync(older.start)


async def test_a_hub_that_is_too_old_stops(hub_of: Callable[..., HubProcess]) -> None:
    """Whoever insists does not break the tables under it: it stops as for SIGTERM, and says why."""
    older, newest = hub_of("older"), hub_of("newest", ADDED, TAKEN)
    with ExitStack() as stack:
        stack.callback(older.kill)
        await trio.to_thread.run_sync(older.start)
        run = partial(newest.run, "migrate", "--config", "hookhub.toml")
        refused = await trio.to_thread.run_sync(run)
        assert refused.returncode == 1
        assert "still there: older" in refused.stderr
        done = await trio.to_thread.run_sync(partial(newest.run, "migrate", "--force"))
        assert done.returncode == 0, done.stderr
        assert await trio.to_thread.run_sync(older.wait) == 1
        assert "This hub has stopped." in "\n".join(older.lines)
