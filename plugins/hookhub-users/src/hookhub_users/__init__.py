"""Users as a source of hookhub events: the domain row and ``user.created`` in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hookhub import EventType, Source, hookimpl
from hookhub.contracts.lazy import lazy

if TYPE_CHECKING:
    from hookhub.hub import Hub
    from hookhub_users.shapes import NewUser, User
    from hookhub_users.units import find_user, insert_user
    from hookhub_users.users import create_user

__all__ = ["NewUser", "User", "create_user", "find_user", "insert_user"]

__getattr__ = lazy(__name__, __all__, "shapes", "units", "users")


@hookimpl
def hookhub_event_types() -> Iterable[EventType]:
    from hookhub_users.events import EVENT_TYPES

    return EVENT_TYPES


@hookimpl
def hookhub_sources(hub: Hub) -> Iterable[Source]:
    from hookhub_users.source import UsersSource

    return [UsersSource(hub)]
