"""The source: its table and its routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hookhub import Migration, Request, Route, Source
from hookhub.contracts.errors import Conflict, NotFound
from hookhub_users.models import MIGRATIONS
from hookhub_users.shapes import NewUser, User, UserList, UserQuery
from hookhub_users.units import find_user, insert_user, list_users

if TYPE_CHECKING:
    from hookhub.hub import Hub


class UsersSource(Source):
    """Users over REST."""

    name = "users"

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def migrations(self) -> Sequence[Migration]:
        return MIGRATIONS

    def routes(self) -> Sequence[Route]:
        return (
            Route(
                "POST",
                "/users",
                self.create,
                scope="events:write",
                tag="users",
                body=NewUser,
                responses={201: User},
                errors=(Conflict,),
            ),
            Route(
                "GET",
                "/users",
                self.list,
                scope="events:read",
                tag="users",
                query=UserQuery,
                responses={200: UserList},
            ),
            Route(
                "GET",
                "/users/{user_id:int}",
                self.get,
                scope="events:read",
                tag="users",
                responses={200: User},
                errors=(NotFound,),
            ),
        )

    async def create(self, request: Request) -> User:
        """Create a user; emits `user.created`.

        A taken `telegram_id` or `email` is a conflict that names the field and the user; so is a
        `referred_by_id` that nobody has, without a user.
        """
        new = request.body_as(NewUser)
        return await self._hub.write(lambda tx: insert_user(tx, self._hub, new))

    async def list(self, request: Request) -> UserList:
        """List users, newest first."""
        query = request.query_as(UserQuery)
        return await self._hub.read(lambda reader: list_users(reader, query))

    async def get(self, request: Request) -> User:
        """Get one user."""
        return await self._hub.read(lambda reader: find_user(reader, request.id("user_id")))
