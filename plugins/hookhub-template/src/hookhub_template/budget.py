"""How much work one rendering may do. Pure, so it counts steps rather than time.

A step is about what a look-up costs. The count is the same on every machine and at every load, so
a template that worked when it was saved does not fail because the hub is busy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hookhub.contracts.transforms import TransformError

STEPS_MAX = 150_000
"""Steps of one rendering: within a tenth of a second or so on any machine of today."""
_CHARACTERS = 32
"""Characters that are handled in one step."""
_BITS = 16
"""Bits of a whole number: to write a long one costs more than its length."""

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
                f"more than {STEPS_MAX:,} steps of work; loop over less, or over smaller values."
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
            elif isinstance(item, int):
                self.spend(item.bit_length() // _BITS)
            elif isinstance(item, _OBJECT):
                self.spend(len(item))
                waiting += item.values()
            elif isinstance(item, _ARRAY):
                waiting += item
