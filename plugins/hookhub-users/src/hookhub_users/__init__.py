"""Users as a source of hookhub events: the domain row and ``user.created`` in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hookhub import EventType, Source, hookimpl

if TYPE_CHECKING:
    from hookhub.hub import Hub
    from hookhub_users.shapes import NewUser, User
    from hookhub_users.units import find_user, insert_user
    from hookhub_users.users import create_user

__all__ = ["NewUser", "User", "create_user", "find_user", "insert_user"]


_PLACES = {
    "NewUser": "hookhub_users.shapes",
    "User": "hookhub_users.shapes",
    "create_user": "hookhub_users.users",
    "find_user": "hookhub_users.units",
    "insert_user": "hookhub_users.units",
}


def __getattr__(name: str) -> Any:
    # PEP 562: 'hookhub --help' imports every plugin, and need not wait for the database's library.
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@hookimpl
def hookhub_event_types() -> Iterable[EventType]:
    from hookhub_users.events import EVENT_TYPES

    return EVENT_TYPES


@hookimpl
def hookhub_sources(hub: Hub) -> Iterable[Source]:
    from hookhub_users.source import UsersSource

    return [UsersSource(hub)]
