"""Waiting for what another process does: look again until it is so, never longer than stated."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")

_INTERVAL = 0.02


def wait_until(check: Callable[[], T], timeout: float = 15.0) -> T:
    """Call ``check`` until what it returns is true, and return that.

    Args:
        check: looks once; may return anything.
        timeout: seconds.

    Raises:
        AssertionError: with the last result, if it never was.
    """
    deadline = time.monotonic() + timeout
    while not (found := check()):
        if time.monotonic() > deadline:
            raise _never(found, timeout)
        time.sleep(_INTERVAL)
    return found


async def wait_until_async(check: Callable[[], Awaitable[T]], timeout: float = 15.0) -> T:
    """As :func:`wait_until`, for Trio; ``check`` is awaited."""
    deadline = trio.current_time() + timeout
    while not (found := await check()):
        if trio.current_time() > deadline:
            raise _never(found, timeout)
        await trio.sleep(_INTERVAL)
    return found


def _never(found: object, timeout: float) -> AssertionError:
    return AssertionError(f"still not so after {timeout:g} s; the last look found {found!r}")
