"""Which plugins there are: entry points of the group ``hookhub``, and objects handed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points

from hookhub.errors import PluginError

GROUP = "hookhub"
"""The entry point group, and the project name of pluggy's markers."""


@dataclass(slots=True)
class Candidate:
    """A plugin that could be loaded."""

    version: str
    distribution: str
    load: Callable[[], object]


def find(
    extra: Sequence[tuple[str, object]], installed: Iterable[EntryPoint] | None
) -> Mapping[str, list[Candidate]]:
    """All candidates by name; more than one of a name is a conflict for the caller to tell."""
    found = _installed(entry_points(group=GROUP) if installed is None else installed)
    for name in {name for name, _ in extra}:
        found[name] = [
            Candidate("", "", partial(_the, plugin)) for at, plugin in extra if at == name
        ]
    return found


def _installed(points: Iterable[EntryPoint]) -> dict[str, list[Candidate]]:
    found: dict[str, dict[tuple[str, str], Candidate]] = {}
    for point in points:
        owner = point.dist.metadata["Name"] if point.dist else ""
        version = point.dist.version if point.dist else ""
        # An editable installation may be seen twice; it is one plugin all the same.
        found.setdefault(point.name, {})[owner, point.value] = Candidate(version, owner, point.load)
    return {name: list(candidates.values()) for name, candidates in found.items()}


def _the(plugin: object) -> object:
    return plugin


def claimed_twice(name: str, candidates: Sequence[Candidate]) -> PluginError:
    """The error for a name that several distributions use."""
    owners = [
        f"{item.distribution} {item.version}" if item.distribution else "the calling program"
        for item in candidates
    ]
    return PluginError(
        f"The plugin name {name!r} is claimed by {' and by '.join(owners)}; uninstall one of them."
    )
