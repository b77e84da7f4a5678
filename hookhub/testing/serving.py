"""A whole hub with its HTTP server inside the test's own Trio run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from hookhub.config import Settings
from hookhub.plugins import Plugins
from hookhub.server import Started, serve

TOKEN = "hookhub-testing-admin-token"
"""The bootstrap token of hubs under test."""


def settings_for_tests(database_url: str, bind: str = "127.0.0.1:0") -> dict[str, dict[str, Any]]:
    """The tables of ``hookhub.toml`` that tests want otherwise than people.

    Args:
        database_url: ``sqlite:///…`` or ``postgresql://…``.
        bind: address and port.
    """
    return {
        "server": {"bind": bind, "graceful_timeout": 10.0},
        "database": {"url": database_url},
        "auth": {"bootstrap_token": TOKEN},
        # Receivers under test listen on the loopback interface.
        "egress": {"allow": ["127.0.0.0/8", "::1/128"]},
        "log": {"format": "json"},
    }


def sqlite_url(directory: Path) -> str:
    """The URL of a database file in this directory."""
    return f"sqlite:///{directory / 'hookhub.db'}"


def client_of(started: Started, token: str = TOKEN) -> httpx.AsyncClient:
    """An HTTP client of a served hub, blind to proxies; close it.

    Args:
        started: what :func:`serving` gave.
        token: an admin token, unless given.
    """
    return httpx.AsyncClient(
        base_url=started.addresses[0],
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=30.0,
    )


@asynccontextmanager
async def serving(
    settings: Settings, plugins: Plugins | None = None, *, deadline: float = 30.0
) -> AsyncIterator[Started]:
    """Serve a hub for the length of the block, then stop it in an orderly way.

    Args:
        settings: all settings; port 0 takes a free one, see ``Started.addresses``.
        plugins: None for the installed ones.
        deadline: seconds that starting, and stopping, may take.

    Raises:
        trio.TooSlowError: it did not start or stop in time.
        ExceptionGroup: with the error for which it could not start, or failed later.
    """
    send, receive = trio.open_memory_channel[Started](1)

    async def run() -> None:
        await serve(settings, started=send.send_nowait, plugins=plugins, handle_signals=False)

    async with trio.open_nursery() as nursery, send, receive:
        nursery.start_soon(run)
        with trio.fail_after(deadline):
            started = await receive.receive()
        try:
            yield started
        finally:
            started.hub.stopping.set()
            nursery.cancel_scope.deadline = trio.current_time() + deadline
    if nursery.cancel_scope.cancelled_caught:
        raise trio.TooSlowError(f"the hub did not stop within {deadline:g} s")
