"""What sources and sinks have in common, and the sources. Pure.

A source is where events come from: a small domain that writes its rows and its events together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import trio

from hookhub.contracts.routes import Route, UpgradeHandler


@dataclass(frozen=True, slots=True)
class Migration:
    """One forward step of a component's tables.

    ``statements`` are SQL that SQLite and PostgreSQL both take; these words are replaced for each:

    - ``{pk}``: an integer primary key that the database fills, never reusing a number;
    - ``{bigint}``: a 64-bit integer; ``{double}``: a 64-bit float; ``{bool}``: a truth value;
    - ``{true}``, ``{false}``: the literals.

    A statement that begins with ``{postgresql}`` is left out on SQLite.

    A released migration is never edited; what it got wrong, the next one mends.

    Where several hubs share a database, they are upgraded one after the other: an older one goes
    on beside the tables of a newer one. So a step only adds (tables, indexes, columns that have a
    default), and what nobody needs any more is taken away, or what everybody must know by then is
    asked for, by a step of a later release that says what it ``needs``.
    """

    version: int
    """1, 2, 3 … without a gap, per component."""
    name: str
    statements: tuple[str, ...]
    needs: int = 0
    """The version of the tables that a program must know at least to go on beside this step; 0:
    whoever went on before it goes on. Often the number of the step before, or its own."""


class Component:
    """What sources and sinks have in common; everything is optional but the name."""

    name: str
    """Unique in the hub; a word in lower case: at most 64 letters, digits, ``_`` and ``-``."""

    def routes(self) -> Sequence[Route]:
        """REST routes to serve."""
        return ()

    def upgrades(self) -> Mapping[str, UpgradeHandler]:
        """Connection takeovers: path to handler (``{"/ws": …}``)."""
        return {}

    def migrations(self) -> Sequence[Migration]:
        """Tables of its own, forward only."""
        return ()

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Background work for as long as the hub runs. Call ``task_status.started()`` when ready.

        Supervised: an exception is logged, the task restarted after a pause that grows, and the
        component shown as failing in ``/health/ready`` and ``hookhub plugins`` meanwhile. It is
        cancelled when the hub stops. Returning is fine for a component without such work.
        """
        task_status.started()

    async def stop(self) -> None:
        """The hub is stopping: say goodbye (before ``run`` is cancelled). Bounded by the caller."""

    def statistics(self) -> Mapping[str, float]:
        """Counters and gauges for ``/metrics``: snake_case name to number."""
        return {}


class Source(Component):
    """A domain with tables, functions and routes of its own.

    Its rows and its events are written in one transaction: ``hub.write(unit)`` with
    ``tx.append(...)`` inside; if either fails, neither is there.
    """
