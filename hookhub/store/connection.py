"""A psycopg connection that does not wait for ever. Needs psycopg, which is optional."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import Any

import psycopg


class PatientConnection(psycopg.Connection[Any]):
    """Gives itself up when the server says nothing for too long.

    Keep-alives find a machine that is gone, but not a process (of a proxy, of the server) that is
    there and does nothing.
    """

    pipelines = psycopg.Pipeline.is_supported()
    """Whether the client's library can send statements before it has the answers."""
    patience: float = 0
    """Seconds that the server may be silent; 0: for ever."""

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:
        """Consume a generator of psycopg's, as its own connections do.

        Raises:
            psycopg.OperationalError: also when patience is at an end; the connection is closed.
        """
        if self.patience:
            gen = self._impatient(gen, self.patience)
        return super().wait(gen, *args, **options)

    def _impatient(self, gen: Generator[Any, Any, Any], patience: float) -> Any:
        try:
            wanted = next(gen)
            until = time.monotonic() + patience
            while True:
                # Every now and then nothing is ready.
                ready = yield wanted
                if ready:
                    until = time.monotonic() + patience
                elif time.monotonic() > until:
                    self.close()
                    raise psycopg.OperationalError(f"no answer within {patience:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value

    def set_where_known(self, values: Mapping[str, str]) -> None:
        """Set what this version of the server has, for the session."""
        self.execute(
            "SELECT set_config(name, value, false) FROM pg_settings "
            "JOIN unnest(%s::text[], %s::text[]) AS wanted (name, value) USING (name)",
            (list(values), list(values.values())),
        )
