"""Which events a connection wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hookhub import filters
from hookhub.contracts.events import check_pattern
from hookhub.feed import Select, Wanted


class ConnectionFilter:
    """The subscriptions of one connection: type patterns, each with a payload condition or none.

    Without any, it gets everything; the first subscription replaces that, later ones add to it.
    An event is wanted if one of the patterns wants it.

    Args:
        select: makes the predicate; see :meth:`hookhub.feed.Feed.select`.
        max_patterns: how many patterns there may be.
        max_conditions: how many different payload conditions.
    """

    def __init__(
        self, select: Callable[[Wanted], Select], max_patterns: int, max_conditions: int = 20
    ) -> None:
        self._select = select
        self._max_patterns = max_patterns
        self._max_conditions = max_conditions
        self._wanted: dict[str, filters.Filter | None] = {"*": None}
        self._chosen = False
        self.match: Select = select(self._wanted)

    @property
    def wanted(self) -> Wanted:
        """Pattern to condition."""
        return self._wanted

    @property
    def patterns(self) -> list[str]:
        """What is subscribed, in the order it was asked for."""
        return list(self._wanted)

    @property
    def where(self) -> dict[str, Any]:
        """Pattern to the condition of those that have one, as JSON shows it."""
        return {name: where.spec for name, where in self._wanted.items() if where is not None}

    def subscribe(self, patterns: Sequence[str], where: filters.Filter | None = None) -> None:
        """Add patterns, all or none; one that is there already gets this condition.

        Raises:
            ValueError: one of them is no pattern, or they or their conditions are too many.
        """
        wanted = dict(self._wanted) if self._chosen else {}
        wanted.update(dict.fromkeys(map(check_pattern, patterns), where))
        if len(wanted) > self._max_patterns:
            raise ValueError(
                f"a connection may have {self._max_patterns} patterns at most; "
                "use prefixes such as 'user.*'"
            )
        if len({item for item in wanted.values() if item is not None}) > self._max_conditions:
            raise ValueError(
                f"a connection may have {self._max_conditions} different 'where' at most; "
                "join some with '$or', or open another connection"
            )
        self._set(wanted)

    def unsubscribe(self, patterns: Iterable[str] | None) -> None:
        """Remove patterns as they were subscribed; None removes all. Unknown ones are ignored."""
        gone = set(self._wanted if patterns is None else patterns)
        self._set({name: where for name, where in self._wanted.items() if name not in gone})

    def _set(self, wanted: dict[str, filters.Filter | None]) -> None:
        self._wanted, self._chosen = wanted, True
        self.match = self._select(wanted)
