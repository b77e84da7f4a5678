"""Which plugins there are: entry points of the group ``hookhub``, and objects handed over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from functools import partial
from importlib.metadata import EntryPoint, entry_points

from hookhub import __version__
from hookhub.contracts.errors import PluginError

_OF_HOOKHUB = re.compile(r"hookhub\b(?![-_.])\s*[^\s]", re.IGNORECASE)
GROUP = "hookhub"
"""The entry point group, and the project name of pluggy's markers."""


@dataclass(slots=True)
class Loadable:
    """A plugin that could be loaded."""

    version: str
    distribution: str
    load: Callable[[], object]
    requires: Sequence[str] = ()
    """What its distribution needs (``Requires-Dist``)."""


def find(
    extra: Sequence[tuple[str, object]], installed: Iterable[EntryPoint] | None
) -> Mapping[str, list[Loadable]]:
    """All candidates by name; more than one of a name is a conflict for the caller to tell."""
    found = _installed(entry_points(group=GROUP) if installed is None else installed)
    for name in {name for name, _ in extra}:
        found[name] = [
            Loadable("", "", partial(_the, plugin)) for at, plugin in extra if at == name
        ]
    return found


def _installed(points: Iterable[EntryPoint]) -> dict[str, list[Loadable]]:
    found: dict[str, dict[tuple[str, str], Loadable]] = {}
    for point in points:
        # Each look at these reads the file anew.
        metadata = point.dist.metadata if point.dist else Message()
        owner, version = metadata["Name"] or "", metadata["Version"] or ""
        requires = metadata.get_all("Requires-Dist") or ()
        # An editable installation may be seen twice; it is one plugin all the same.
        found.setdefault(point.name, {})[owner, point.value] = Loadable(
            version, owner, point.load, requires
        )
    return {name: list(candidates.values()) for name, candidates in found.items()}


def _the(plugin: object) -> object:
    return plugin


def check_requirements(candidate: Loadable) -> None:
    """Whether this hookhub is one that the plugin's distribution can do with.

    Raises:
        PluginError: it is not; names both versions.
    """
    # Nearly every plugin asks for just any hookhub, and the library is large.
    asked = [text for text in candidate.requires if _OF_HOOKHUB.match(text)]
    if not asked:
        return
    from packaging.requirements import Requirement

    for requirement in map(Requirement, asked):
        marker, specifier = requirement.marker, requirement.specifier
        meant = marker is None or marker.evaluate({"extra": ""})
        if meant and not specifier.contains(__version__, prereleases=True):
            raise PluginError(
                f"{candidate.distribution} {candidate.version} needs hookhub{specifier}, and this "
                f"is hookhub {__version__}; install a version of one that goes with the other."
            )


def claimed_twice(name: str, candidates: Sequence[Loadable]) -> PluginError:
    """The error for a name that several distributions use."""
    owners = [
        f"{item.distribution} {item.version}" if item.distribution else "the calling program"
        for item in candidates
    ]
    return PluginError(
        f"The plugin name {name!r} is claimed by {' and by '.join(owners)}; uninstall one of them."
    )
