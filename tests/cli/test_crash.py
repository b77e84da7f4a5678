"""What a hub that a bug ends leaves behind: one line of the log, and exit status 1."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Install = Callable[[str, str], None]

TOKEN = "bootstrap-of-this-test"
CRASHING = f"""
import os
import trio
from hookhub import hookimpl
from hookhub.background.retention import Retention

async def crash(self, task_status):
    task_status.started()
    while not os.path.exists("crash"):
        await trio.sleep(0.01)
    raise RuntimeError("a bug after hh_abcdefgh and {TOKEN}")

@hookimpl
def hookhub_sources(hub):
    Retention.run = crash
    return []
"""


def crashed(level: str, form: str) -> tuple[int, list[str]]:
    """Exit status and lines on stderr of a hub that served, and then met its bug."""
    Path("hookhub.toml").write_text(
        f"[server]\nbind = '127.0.0.1:0'\n[log]\nformat = '{form}'\nlevel = '{level}'\n"
        f"[auth]\nbootstrap_token = '{TOKEN}'\n"
    )
    with Path("stderr.txt").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "hookhub", "serve"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        with process:
            assert process.stdout is not None
            assert "runs at" in process.stdout.readline(), Path("stderr.txt").read_text()
            Path("crash").touch()
            try:
                status = process.wait(30)
            finally:
                process.kill()
    text = Path("stderr.txt").read_text()
    assert TOKEN not in text
    assert "hh_abcdefgh" not in text
    return status, text.splitlines()


def test_a_crash_is_one_json_line(install: Install) -> None:
    """With the traceback in it, without secrets; every other line is JSON as well."""
    install("crashing", CRASHING)
    status, lines = crashed("info", "json")
    assert status == 1
    [line] = [item for item in map(json.loads, lines) if item["event"] == "hub.crashed"]
    assert line["level"] == "critical"
    assert line["error"] == "RuntimeError: a bug after hh_*** and ***"
    assert line["where"].split(":")[0].endswith("_crashing")
    assert "Traceback" in line["exception"]
    assert "in crash" in line["exception"]


@pytest.mark.parametrize("level", ["error", "debug"])
def test_a_crash_on_a_console(install: Install, level: str) -> None:
    """One line that says what and where; the traceback only for who wants to debug."""
    install("crashing", CRASHING)
    status, lines = crashed(level, "console")
    assert status == 1
    [line] = [item for item in lines if "hub.crashed" in item]
    assert "RuntimeError: a bug after" in line
    assert "_crashing:" in line
    assert any("Traceback" in item for item in lines) is (level == "debug")
    if level == "error":
        assert lines == [line]


def test_a_crash_of_the_demo_is_one_line_too(install: Install) -> None:
    """The demo's hub meets the same bug as any other, and what its traffic says of that is not
    what matters."""
    install("crashing", CRASHING)
    with Path("stderr.txt").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "hookhub", "demo", "--bind", "127.0.0.1:0", "--rate", "200"],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        with process:
            assert process.stdout is not None
            while "user.created" not in process.stdout.readline():
                assert process.poll() is None, Path("stderr.txt").read_text()
            Path("crash").touch()
            try:
                process.communicate(timeout=30)
            finally:
                process.kill()
    text = Path("stderr.txt").read_text()
    assert process.returncode == 1
    [line] = [item for item in text.splitlines() if "hub.crashed" in item]
    assert "RuntimeError: a bug after hh_***" in line
    assert "Exception occurred" not in text, "the receiver's connections were broken off"
