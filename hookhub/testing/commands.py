"""``hookhub …`` within the process of a test: the whole command, without the start of a program."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from click.testing import CliRunner

from hookhub.cli import main


def run_hookhub(
    *arguments: str, stdin: str | bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``hookhub ARGUMENTS``, blind to this process's ``HOOKHUB_*``.

    For commands that end by themselves, piped as in a script; from Trio, call it through
    ``trio.to_thread.run_sync``. What needs a terminal, signals or a working directory of its own is
    for :meth:`hookhub.testing.hub_process.HubProcess.run`.

    Args:
        stdin: what it reads.

    Raises:
        Exception: what left the command, and a person would have seen as a traceback.
    """
    without = {name: None for name in os.environ if name.startswith("HOOKHUB_")}
    with _logging_as_before():
        done = CliRunner(env=without).invoke(main, arguments, input=stdin, prog_name="hookhub")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(
        ["hookhub", *arguments], done.exit_code, done.stdout, done.stderr
    )


@contextmanager
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
