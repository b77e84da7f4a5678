"""Whose fault is it: what a plugin's code raises, told apart from what only passes through it."""

from __future__ import annotations

import trio

NO_FAULT = (trio.Cancelled, KeyboardInterrupt, GeneratorExit)


def only_fault(error: BaseException) -> None:
    """Return if this is a failure of the code that raised it, be it a ``SystemExit``.

    Raises:
        trio.Cancelled, KeyboardInterrupt, GeneratorExit: the error is or holds one of them; alone,
            or in a group without what else it held.
    """
    if isinstance(error, NO_FAULT):
        raise error
    if isinstance(error, BaseExceptionGroup):
        passing = error.subgroup(NO_FAULT)
        if passing is not None:
            raise passing
