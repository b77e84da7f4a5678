"""Tokens in the database here, or of a hub elsewhere: the same answers from both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import trio

from hookhub.cli.shared import moments
from hookhub.cli.shared.remote import Remote
from hookhub.cli.shared.where import Here
from hookhub.contracts.errors import NotFound
from hookhub.contracts.events import format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from hookhub.access.tokens import Token, Tokens
    from hookhub.config import Settings

Json = dict[str, Any]


class TokenBook(Protocol):
    """What the commands do with tokens; each answers as the REST API does, and with ``state``."""

    def create(
        self, name: str, scopes: Sequence[str], description: str | None, expires: int | None
    ) -> Json:
        """A new token; the member ``token`` is its secret. Raises Conflict."""

    def list(self) -> list[Json]:
        """All of them."""

    def revoke(self, name_or_id: str) -> Json:
        """Make it useless. Raises NotFound."""


def token_book(where: Here | Remote) -> TokenBook:
    """The tokens there. Raises ConfigError."""
    return There(where) if isinstance(where, Remote) else Local(where.settings())


class There:
    """Over REST, with a token that has the scope ``admin``."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    def create(
        self, name: str, scopes: Sequence[str], description: str | None, expires: int | None
    ) -> Json:
        new: Json = {"name": name, "scopes": list(scopes), "description": description}
        new["expires_at"] = None if expires is None else format_timestamp(expires)
        with self._remote.client() as client:
            return _with_state(client.call("POST", "/tokens", body=new))

    def list(self) -> list[Json]:
        with self._remote.client() as client:
            return [_with_state(item) for item in client.items("/tokens")]

    def revoke(self, name_or_id: str) -> Json:
        found = _find(self.list(), name_or_id)
        with self._remote.client() as client:
            return _with_state(client.call("POST", f"/tokens/{found['id']}/revoke"))


class Local:
    """In the database itself, beside a running hub or without one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def create(
        self, name: str, scopes: Sequence[str], description: str | None, expires: int | None
    ) -> Json:
        async def create() -> Json:
            async with self._open() as tokens:
                made, secret = await tokens.create(
                    name, list(scopes), description=description, expires_at=expires
                )
                return {**_shown(made), "token": secret}

        return trio.run(create)

    def list(self) -> list[Json]:
        async def look() -> list[Json]:
            from hookhub.access.tokens import Tokens
            from hookhub.cli.shared.local import existing_store

            async with existing_store(self._settings.database) as store:
                return [_shown(item) for item in await Tokens(store).list()]

        return trio.run(look)

    def revoke(self, name_or_id: str) -> Json:
        from hookhub.cli.shared.local import require_database

        async def revoke() -> Json:
            async with self._open() as tokens:
                items = [_shown(item) for item in await tokens.list()]
                return _shown(await tokens.revoke(_find(items, name_or_id)["id"]))

        require_database(self._settings.database)
        return trio.run(revoke)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Tokens]:
        from hookhub.access.tokens import Tokens
        from hookhub.store import open_store

        async with open_store(self._settings.database) as store:
            yield Tokens(store)


def _find(items: Sequence[Json], name_or_id: str) -> Json:
    """By its name, or else by its id."""
    found = [item for item in items if item["name"] == name_or_id]
    found += [item for item in items if str(item["id"]) == name_or_id]
    if not found:
        raise NotFound(f"There is no token {name_or_id!r}; 'hookhub token list' shows all.")
    return found[0]


def _shown(item: Token) -> Json:
    return _with_state(
        {
            "id": item.id,
            "name": item.name,
            "prefix": item.prefix,
            "description": item.description,
            "scopes": list(item.scopes),
            "created_at": format_timestamp(item.created_at),
            "expires_at": _time(item.expires_at),
            "last_used_at": _time(item.last_used_at),
            "revoked_at": _time(item.revoked_at),
        }
    )


def _time(moment: int | None) -> str | None:
    return None if moment is None else format_timestamp(moment)


def _with_state(item: Json) -> Json:
    ends = item["expires_at"]
    expired = ends is not None and parse_timestamp(ends) <= moments.now()
    state = "revoked" if item["revoked_at"] is not None else "expired" if expired else "active"
    return {**item, "state": state}
