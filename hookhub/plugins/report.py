"""What became of each plugin, for people and for ``/health/ready``."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hookhub.contracts.errors import HookhubError

SLOW = 1.0
"""``load_seconds`` from where on a plugin is named in the log."""


@dataclass(frozen=True, slots=True)
class PluginReport:
    """What ``hookhub plugins`` and ``/health/ready`` tell of a plugin."""

    name: str
    version: str
    distribution: str
    """Empty for a plugin that was handed over as an object."""
    contributes: dict[str, list[str]]
    """Kind to names: ``{"event_types": ["user.created"], "sinks": ["webhook"]}``."""
    error: str | None
    """A sentence; None while all is well."""
    traceback: str | None = None
    """Where the error came from, for the plugin's author."""
    disabled: bool = False
    """Left out by ``[plugins] disabled``."""
    load_seconds: float = field(default=0.0, compare=False)
    """What its import and its hooks took; the first plugin that imports a library pays for it."""


@dataclass(slots=True)
class PluginRecord:
    """A plugin that was found, and what became of it; :class:`PluginReport` in the making."""

    version: str
    distribution: str
    disabled: bool = False
    load_seconds: float = 0.0
    error: str | None = None
    traceback: str | None = None
    contributes: dict[str, list[str]] = field(default_factory=dict)
    undo: list[Callable[[], object]] = field(default_factory=list)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time of the block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.load_seconds += time.perf_counter() - began

    def note(self, error: BaseException | str | None) -> None:
        """Set or clear the error."""
        self.error = None if error is None else _sentence(error)
        self.traceback = _traceback(error) if isinstance(error, BaseException) else None

    def take_back(self) -> None:
        """Undo what was registered, newest first."""
        undo, self.undo = self.undo, []
        self.contributes = {}
        for step in reversed(undo):
            step()

    def report(self, name: str) -> PluginReport:
        """What may be shown."""
        contributes = {kind: sorted(names) for kind, names in sorted(self.contributes.items())}
        return PluginReport(
            name,
            self.version,
            self.distribution,
            contributes,
            self.error,
            self.traceback,
            self.disabled,
            round(self.load_seconds, 4),
        )


def _sentence(error: BaseException | str) -> str:
    if isinstance(error, str):
        return error
    if isinstance(error, HookhubError):
        return error.detail
    # pluggy's messages have lines; one line is what a table and a log can hold.
    return " ".join(f"{type(error).__name__}: {error}".split())


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
