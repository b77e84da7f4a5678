"""Which events a connection wants. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from hookhub.events import check_pattern, type_matcher


class Filter:
    """The type patterns of one connection.

    Without any, it gets everything; the first subscription replaces that, later ones add to it.

    Args:
        max_patterns: how many there may be.
    """

    def __init__(self, max_patterns: int) -> None:
        self._max_patterns = max_patterns
        self._patterns: dict[str, None] = {"*": None}
        self._chosen = False
        self.match: Callable[[str], bool] = type_matcher(("*",))

    @property
    def patterns(self) -> list[str]:
        """What is subscribed, in the order it was asked for."""
        return list(self._patterns)

    def subscribe(self, patterns: Sequence[str]) -> None:
        """Add patterns, all or none.

        Raises:
            ValueError: one of them is no pattern, or they are too many.
        """
        wanted = dict(self._patterns) if self._chosen else {}
        wanted.update(dict.fromkeys(map(check_pattern, patterns)))
        if len(wanted) > self._max_patterns:
            raise ValueError(
                f"a connection may have {self._max_patterns} patterns at most; "
                "use prefixes such as 'user.*'"
            )
        self._set(wanted)

    def unsubscribe(self, patterns: Iterable[str] | None) -> None:
        """Remove patterns as they were subscribed; None removes all. Unknown ones are ignored."""
        gone = set(self._patterns if patterns is None else patterns)
        self._set({item: None for item in self._patterns if item not in gone})

    def _set(self, patterns: dict[str, None]) -> None:
        self._patterns, self._chosen = patterns, True
        self.match = type_matcher(patterns)
