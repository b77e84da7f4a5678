"""Names of a package that are imported when somebody asks for one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any


def lazy(package: str, names: Sequence[str], *modules: str) -> Callable[[str], Any]:
    """A ``__getattr__`` for a package (PEP 562), so that whoever imports it does not wait.

    ``hookhub --help`` imports every plugin, and needs neither the database's library nor a server.

    Args:
        package: its ``__name__``.
        names: its ``__all__``: what may be asked for.
        modules: of the package, in which the names are looked for.
    """

    def find(name: str) -> Any:
        for module in modules if name in names else ():
            found = import_module(f"{package}.{module}")
            if hasattr(found, name):
                return getattr(found, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
