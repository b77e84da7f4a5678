"""Services that a test needs: absent, the test is skipped, unless this run must have them.

``HOOKHUB_TEST_REQUIRE=postgres,pgbouncer,node,chromium`` turns those skips into failures, so that a
build machine on which something went missing is not green.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

VARIABLE = "HOOKHUB_TEST_REQUIRE"
_SERVERS = "/usr/sbin:/usr/local/sbin"


def is_required(name: str) -> bool:
    """Whether this run must have ``name``: ``postgres``, ``node``, ``chromium`` …"""
    return name in {item.strip() for item in os.environ.get(VARIABLE, "").split(",")}


def missing(name: str, advice: str) -> NoReturn:
    """Skip the test, or fail it if this run must have ``name``.

    Args:
        name: what is missing: ``postgres``.
        advice: a sentence that says how to get it.
    """
    if is_required(name):
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
