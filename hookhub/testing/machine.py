"""What tests need of the machine: ports, and programs without which a test is skipped or fails.

``HOOKHUB_TEST_REQUIRE=postgres,pgbouncer,node,chromium`` turns those skips into failures, so that a
build machine on which something went missing is not green.
"""

from __future__ import annotations

import os
import shutil
import socket
from typing import NoReturn

import pytest

VARIABLE = "HOOKHUB_TEST_REQUIRE"
_SERVERS = "/usr/sbin:/usr/local/sbin"


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on.

    Somebody else may take it before it is used; the system hands ports out in turn, so that is
    rare, and whoever listens on it then says so.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def missing(name: str, advice: str) -> NoReturn:
    """Skip the test, or fail it if this run must have ``name``.

    Args:
        name: what is missing: ``postgres``.
        advice: a sentence that says how to get it.
    """
    if name in {item.strip() for item in os.environ.get(VARIABLE, "").split(",")}:
        pytest.fail(f"{name} is missing although {VARIABLE} names it. {advice}", pytrace=False)
    pytest.skip(f"{name} is missing. {advice}")


def find_program(name: str, *programs: str) -> str:
    """The path of the first of ``programs`` that is installed; skips or fails without.

    Args:
        name: what stands in HOOKHUB_TEST_REQUIRE.
        programs: names to look for on PATH, and where servers are; none for ``name`` itself.
    """
    for program in programs or (name,):
        found = shutil.which(program) or shutil.which(program, path=_SERVERS)
        if found is not None:
            return found
    missing(name, f"Install one of these programs: {', '.join(programs or (name,))}.")
