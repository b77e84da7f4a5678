"""What somebody meant who misspelt a name. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 255
"""Characters that are compared at most; the time of it grows with their square."""


def nearest(name: object, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like this one, or None if none is like it.

    Args:
        cutoff: how like it must be, from 0 to 1.
    """
    return next(iter(difflib.get_close_matches(str(name)[:_LONGEST], known, 1, cutoff)), None)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """What follows an unknown name in a sentence: `` (did you mean 'bind'?)``, or nothing."""
    near = nearest(name, known)
    return f" (did you mean {near!r}?)" if near else ""
