"""Where events come from: small domains that write their rows and their events together. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hookhub.contracts.sinks import Component


@dataclass(frozen=True, slots=True)
class Migration:
    """One forward step of a component's tables.

    ``statements`` are SQL that SQLite and PostgreSQL both take; these words are replaced for each:

    - ``{pk}``: an integer primary key that the database fills, never reusing a number;
    - ``{bigint}``: a 64-bit integer; ``{double}``: a 64-bit float; ``{bool}``: a truth value;
    - ``{true}``, ``{false}``: the literals.

    A released migration is never edited; what it got wrong, the next one mends.
    """

    version: int
    """1, 2, 3 … without a gap, per component."""
    name: str
    statements: tuple[str, ...]


class Source(Component):
    """A domain with tables, functions and routes of its own.

    Its rows and its events are written in one transaction: ``hub.write(unit)`` with
    ``tx.append(...)`` inside; if either fails, neither is there.
    """
