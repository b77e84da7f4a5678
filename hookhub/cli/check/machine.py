"""Is the address free, or does a hub answer there?"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial

import httpx
import trio

from hookhub.cli.check.findings import Finding
from hookhub.cli.shared.local import existing_store
from hookhub.config import Settings
from hookhub.config.checks import parse_bind
from hookhub.contracts.errors import HookhubError
from hookhub.contracts.events import format_timestamp, parse_timestamp
from hookhub.store import Reader

TIMEOUT = 3.0
"""Seconds for a hub that runs there, and for what the system knows of its clock."""
SPARE_FILES = 200
"""Open files that a hub needs besides its connections: database, idle connections, libraries."""


async def check_server(settings: Settings) -> list[Finding]:
    """The address, what is there now, and how many files may be open."""
    return [await _address(settings), *_open_files(settings)]


async def _address(settings: Settings) -> Finding:
    bind = settings.server.bind
    host, port, path = parse_bind(bind)
    if path is not None:
        return _socket_file(path)
    if port == 0:
        return Finding("server", "ok", f"{bind}: the system chooses a port at each start.")
    ready = await _answer(settings, host, port)
    if ready is not None:
        if ready.status_code == 200:
            return Finding("server", "ok", f"A hub runs at {bind} and is ready.")
        what = f"but is not ready: {ready.text[:300]}"
        return Finding("server", "warning", f"A hub runs at {bind} {what}.")
    try:
        await trio.to_thread.run_sync(_bind, host, port)
    except OSError as error:
        return Finding(
            "server",
            "error",
            f"A hub cannot listen on {bind}: {error.strerror}.",
            "Stop what uses it ('ss -ltnp' shows that), or set [server] bind to another one.",
        )
    return Finding("server", "ok", f"{bind} is free.")


async def _answer(settings: Settings, host: str, port: int) -> httpx.Response | None:
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


TOLERATED = 30.0
"""Seconds that may lie between clocks; receivers refuse what is 300 off."""
RELEASED = parse_timestamp("2026-01-01T00:00:00Z")
"""No clock that goes right shows less."""


ADVICE = "Let the system keep the clock: timedatectl set-ntp true (systemd), chrony or ntpd."


async def check_clock(settings: Settings) -> list[Finding]:
    """Against the system's own synchronisation, the database's server and the newest event."""
    now = time.time_ns() // 1000
    found = [*_plausible(now), *await trio.to_thread.run_sync(_synchronised)]
    try:
        async with existing_store(settings.database) as store:
            found += await store.read(partial(_against, now=now))
    except HookhubError:
        pass  # There is none yet, or the check of the database has said it.
    if not found:
        found = [Finding("clock", "ok", format_timestamp(now))]
    return found


def _plausible(now: int) -> Iterator[Finding]:
    if now < RELEASED:
        message = f"It says {format_timestamp(now)}, which is long past."
        yield Finding("clock", "error", message, ADVICE)


def _synchronised() -> list[Finding]:
    """What systemd knows; nothing where there is none."""
    program = shutil.which("timedatectl")
    if program is None:
        return []
    try:
        done = subprocess.run(  # noqa: S603 - the system's own, without a shell
            [program, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    if done.stdout.strip() != "no":
        return []
    message = "The system does not keep it synchronised."
    return [Finding("clock", "warning", message, ADVICE)]


def _against(reader: Reader, now: int) -> list[Finding]:
    found = []
    if not reader.is_sqlite:
        [[server]] = reader.sql("SELECT EXTRACT(EPOCH FROM clock_timestamp())")
        # What the two looks took lies between them as well.
        away = float(server) - time.time()
        if abs(away) > TOLERATED:
            message = f"The database's server is {away:+.0f} s away from it; one of them is wrong."
            found.append(Finding("clock", "warning", message, ADVICE))
    newest = reader.sql("SELECT timestamp FROM hookhub_events ORDER BY sequence DESC LIMIT 1")
    if newest and newest[0][0] > now + TOLERATED * 1_000_000:
        ahead = (newest[0][0] - now) / 1_000_000
        message = f"The newest event is {ahead:.0f} s in the future: the clock was set back."
        found.append(Finding("clock", "warning", message, ADVICE))
    return found
