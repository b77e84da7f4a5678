"""How much work one rendering may do. Pure, so it counts steps rather than time.

A step is about what a look-up costs. The count is the same on every machine and at every load, so
a template that worked when it was saved does not fail because the hub is busy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hookhub.transforms.model import TransformError

STEPS_MAX = 300_000
"""Steps of one rendering: well below a tenth of a second."""
_CHARACTERS = 32
"""Characters that are handled in one step."""

_OBJECT: Final = (dict, Mapping)
_ARRAY: Final = (list, tuple)


class Budget:
    """The steps that are left to one rendering."""

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS_MAX) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take steps.

        Raises:
            TransformError: there are not so many left.
        """
        self.left -= steps
        if self.left < 0:
            raise TransformError(
                f"The template does too much work: more than {STEPS_MAX:,} steps; loop over less."
            )

    def charge(self, value: Any) -> None:
        """Take steps for looking at all of a value: one for each string, number, array, object.

        What holds the same array twice is as large as if it held two.

        Raises:
            TransformError: there are not so many left.
        """
        if isinstance(value, str):
            self.spend(1 + len(value) // _CHARACTERS)
            return
        waiting = [value]
        while waiting:
            self.spend(1)
            item = waiting.pop()
            if isinstance(item, str):
                self.spend(len(item) // _CHARACTERS)
            elif isinstance(item, _OBJECT):
                self.spend(len(item))
                waiting += item.values()
            elif isinstance(item, _ARRAY):
                waiting += item
