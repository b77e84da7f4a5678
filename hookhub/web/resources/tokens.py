"""``/tokens``: who may use the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from hookhub.access import Token
from hookhub.contracts.answers import Time, id_field
from hookhub.contracts.errors import Conflict
from hookhub.contracts.events import format_timestamp, parse_timestamp
from hookhub.contracts.routes import (
    RFC_3339,
    Answer,
    Body,
    Line,
    PageAnswer,
    Paging,
    Request,
    Response,
    Route,
    Scope,
    Text,
    wrong_field,
)

if TYPE_CHECKING:
    from hookhub.hub import Hub

TIME_MAX = parse_timestamp("9999-12-31T23:59:59Z")


TIMES = ("created_at", "expires_at", "last_used_at", "revoked_at")


class NewToken(Body):
    """A token to make."""

    name: Line = Field(min_length=1, max_length=255)
    scopes: list[Scope] = Field(min_length=1, max_length=20, description="What it may do")
    description: Text | None = Field(None, max_length=1000)
    expires_at: str | None = Field(
        None,
        pattern=f"^{RFC_3339}$",
        json_schema_extra={"format": "date-time"},
        description="RFC 3339; never if left out",
    )


class TokenItem(Answer):
    """A token without its secret."""

    id: int = id_field("Its number, for revoking")
    name: str
    prefix: str = Field(description="Its first characters, to recognise it by")
    description: str | None
    scopes: list[str]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None


class CreatedToken(TokenItem):
    """A new token with its secret."""

    token: str = Field(description="The secret; shown now and never again")


class TokenList(PageAnswer[TokenItem]):
    """Tokens in the order they were made."""


def token_json(token: Token) -> dict[str, Any]:
    """A token as :class:`TokenItem` has it."""
    times = {name: format_timestamp(getattr(token, name)) for name in TIMES}
    return {**asdict(token), **times}


def token_routes(hub: Hub) -> Sequence[Route]:
    """Making, listing, revoking and deleting tokens."""

    async def create(request: Request) -> Response:
        """Make a token; the answer is the only place that ever shows its secret."""
        new = request.body_as(NewToken)
        token, secret = await hub.tokens.create(
            new.name,
            list(dict.fromkeys(new.scopes)),
            description=new.description,
            expires_at=expiry(new.expires_at),
        )
        return Response(
            {**token_json(token), "token": secret}, headers={"Cache-Control": "no-store"}
        )

    def expiry(text: str | None) -> int | None:
        if text is None:
            return None
        try:
            moment = parse_timestamp(text.upper())
        except ValueError:
            raise wrong_field(f"There is no such time as {text}.", "expires_at") from None
        if not hub.now() < moment <= TIME_MAX:
            raise wrong_field("expires_at must be in the future (before year 10000).", "expires_at")
        return moment

    async def list_tokens(request: Request) -> dict[str, Any]:
        """All tokens, without their secrets."""
        asked = request.query_as(Paging)
        tokens = await hub.tokens.list()
        part = tokens[asked.offset : asked.offset + asked.limit]
        return asked.page([token_json(token) for token in part], len(tokens))

    async def revoke(request: Request) -> dict[str, Any]:
        """Make a token useless, at once and everywhere; its live connections are closed."""
        return token_json(await hub.tokens.revoke(request.id("token_id")))

    async def activate(request: Request) -> dict[str, Any]:
        """Make a revoked token good again."""
        return token_json(await hub.tokens.activate(request.id("token_id")))

    async def delete(request: Request) -> None:
        """Delete a token; it is useless at once."""
        await hub.tokens.delete(request.id("token_id"))

    route = partial(Route, scope="admin", tag="tokens")
    one = "/tokens/{token_id:int}"
    created = {201: CreatedToken}
    return [
        route("POST", "/tokens", create, body=NewToken, responses=created, errors=(Conflict,)),
        route("GET", "/tokens", list_tokens, query=Paging, responses={200: TokenList}),
        route("POST", f"{one}/revoke", revoke, responses={200: TokenItem}),
        route("POST", f"{one}/activate", activate, responses={200: TokenItem}),
        route("DELETE", one, delete, responses={204: None}),
    ]
