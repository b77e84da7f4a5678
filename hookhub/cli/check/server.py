"""Is the address free, or does a hub answer there?"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import httpx
import trio

from hookhub.cli.check.findings import Finding
from hookhub.config import Settings

TIMEOUT = 3.0
SPARE_FILES = 200
"""Open files that a hub needs besides its connections: database, idle connections, libraries."""


async def check_server(settings: Settings) -> list[Finding]:
    """The address, what is there now, and how many files may be open."""
    return [await _address(settings), *_open_files(settings)]


async def _address(settings: Settings) -> Finding:
    bind = settings.server.bind
    if bind.startswith("unix:"):
        return _socket_file(bind.removeprefix("unix:"))
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    if port == "0":
        return Finding("server", "ok", f"{bind}: the system chooses a port at each start.")
    ready = await _answer(settings, host, port)
    if ready is not None:
        state = "ok" if ready.status_code == 200 else "warning"
        what = "and is ready" if state == "ok" else f"but is not ready: {ready.text[:300]}"
        return Finding(
            "server", "ok" if state == "ok" else "warning", f"A hub runs at {bind} {what}."
        )
    try:
        await trio.to_thread.run_sync(_bind, host, int(port))
    except OSError as error:
        return Finding(
            "server",
            "error",
            f"A hub cannot listen on {bind}: {error.strerror}.",
            "Stop what uses it ('ss -ltnp' shows that), or set [server] bind to another one.",
        )
    return Finding("server", "ok", f"{bind} is free.")


async def _answer(settings: Settings, host: str, port: str) -> httpx.Response | None:
    """What a hub that runs there says about itself; None if there is none."""
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    name = f"[{name}]" if ":" in name else name
    scheme = "https" if settings.server.certfile else "http"
    # Whoever answers is on this machine: its certificate may be for another name.
    async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT, verify=False) as http:  # noqa: S501
        try:
            response = await http.get(f"{scheme}://{name}:{port}/health/ready")
        except httpx.HTTPError:
            return None
    is_hub = response.status_code in (200, 503) and '"checks"' in response.text
    return response if is_hub else None


def _bind(host: str, port: int) -> None:
    """Take the address for a moment. Raises OSError."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM) as sock:
        # As the hub does: connections of a hub that has just ended do not count.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))


def _socket_file(path: str) -> Finding:
    directory = os.path.dirname(path) or "."
    if not os.access(directory, os.W_OK | os.X_OK):
        message = f"A hub cannot make {path}: no right to write in {directory}."
        return Finding("server", "error", message, "Make the directory, or change its owner.")
    return Finding("server", "ok", f"unix:{path}")


def _open_files(settings: Settings) -> Iterator[Finding]:
    try:
        import resource
    except ImportError:
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.live.max_connections + settings.delivery.concurrency + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        yield Finding(
            "server",
            "warning",
            f"{soft} files may be open at once; with [live] max_connections and [delivery] "
            f"concurrency as they are, {wanted} could be.",
            f"Raise the limit (LimitNOFILE={wanted} in the systemd unit, or ulimit -n), or lower "
            "these settings.",
        )
