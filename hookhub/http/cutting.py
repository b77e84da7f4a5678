"""How a request cuts the connection it came on: the way around writes that Hypercorn shields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ABORT: ContextVar[Callable[[], None]] = ContextVar("abort")


@contextmanager
def cuttable(abort: Callable[[], None]) -> Iterator[None]:
    """Within the block, and in all tasks that are started from it, :func:`abort_connection` works.

    Args:
        abort: closes the socket at once.
    """
    token = _ABORT.set(abort)
    try:
        yield
    finally:
        _ABORT.reset(token)


def abort_connection() -> None:
    """Close the socket below the current request; without one, do nothing."""
    abort = _ABORT.get(None)
    if abort is not None:
        abort()
