"""Does the clock go right? Receivers refuse requests whose time is minutes off."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from functools import partial

import trio

from hookhub.cli.check.findings import Finding
from hookhub.cli.shared.local import existing_store
from hookhub.config import Settings
from hookhub.contracts.errors import HookhubError
from hookhub.contracts.events import format_timestamp, parse_timestamp
from hookhub.store import Reader

TOLERATED = 30.0
"""Seconds that may lie between clocks; receivers refuse what is 300 off."""
RELEASED = parse_timestamp("2026-01-01T00:00:00Z")
"""No clock that goes right shows less."""
TIMEOUT = 3.0

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
