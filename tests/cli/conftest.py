"""What the tests of the command line share."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from hookhub.cli import main

Run = Callable[..., Result]
Install = Callable[[str, str], None]

PLUGIN = """
import click
from hookhub import EventType, Payload, hookimpl

class Greeting(Payload):
    text: str

@hookimpl
def hookhub_event_types():
    return [EventType("demo.greeting", Greeting, "Somebody says hello.", {"text": "hello"})]

@hookimpl
def hookhub_commands(cli):
    @cli.command()
    @click.argument("whom")
    def greet(whom):
        "Say hello."
        click.echo(f"Hello, {whom}!")
"""


DEADLINE = 60
"""Seconds that a program may take in all, on a busy machine."""


class Program:
    """A ``hookhub …`` that runs; its stdout is read line by line, its stderr is a file."""

    def __init__(self, *arguments: str) -> None:
        self._errors = Path(f"stderr-{len(list(Path().glob('stderr-*')))}.txt")
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hookhub", *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        # A program that hangs must fail its test, not hold it.
        self._timer = threading.Timer(DEADLINE, self.process.kill)
        self._timer.start()

    @property
    def stderr(self) -> str:
        return self._errors.read_text()

    def line(self, pattern: str) -> re.Match[str]:
        """The next line of stdout that the pattern matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found = re.search(pattern, line)
            if found:
                return found
        raise AssertionError(f"no line with {pattern!r}; stderr: {self.stderr}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its exit status, and what it had still to print on stdout."""
        self.process.send_signal(number)
        return self.end()

    def end(self) -> tuple[int, str]:
        """Wait until it ends by itself."""
        assert self.process.stdout is not None
        rest = self.process.stdout.read()
        status = self.process.wait()
        self._timer.cancel()
        return status, rest


@contextmanager
def running(*arguments: str) -> Iterator[Program]:
    program = Program(*arguments)
    try:
        yield program
    finally:
        program.process.kill()
        program.end()
        assert program.process.stdout is not None
        program.process.stdout.close()


@pytest.fixture
def hookhub() -> Callable[..., AbstractContextManager[Program]]:
    """``with hookhub("tail") as program``: that command as a program, killed at the end."""
    return running


@pytest.fixture(autouse=True)
def clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty working directory, no HOOKHUB_ variables, and logging as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    directory = tmp_path / "cwd"
    directory.mkdir()
    monkeypatch.chdir(directory)
    for name in os.environ:
        if name.startswith("HOOKHUB_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def run() -> Run:
    """``run("token", "list")``: the result of that command."""

    def invoke(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(main, arguments, prog_name="hookhub", **options)

    return invoke


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """``install("greet", code)``: a distribution with that plugin, as pip would leave it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    # For programs that the test starts.
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)

    def place(plugin: str, code: str) -> None:
        module = f"cli_test_{tmp_path.name}_{plugin}".replace("-", "_")
        (site / f"{module}.py").write_text(code)
        info = site / f"{module}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: cli-test-{plugin}\nVersion: 1.5\n"
        )
        (info / "entry_points.txt").write_text(f"[hookhub]\n{plugin} = {module}\n")

    return place


@pytest.fixture
def greet(install: Install) -> None:
    """A plugin with an event type and a command is installed."""
    install("greet", PLUGIN)
