"""``/.well-known/webhook-keys.json``: the public keys that requests can be verified with."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from hookhub.contracts.events import format_timestamp
from hookhub.contracts.routes import Answer, Request, Response, Route
from hookhub_webhook.signing import public_key_text

if TYPE_CHECKING:
    from hookhub.access import PublicKey
    from hookhub.hub import Hub

MAX_AGE = 300
"""Seconds that the keys may be cached; a new key signs beside the old one for much longer."""


class WebhookKey(Answer):
    """A public key, as Standard Webhooks writes it and as a JSON Web Key (RFC 7517, RFC 8037)."""

    public_key: str = Field(description="whpk_ and base64 of its 32 bytes")
    created_at: str = Field(description="RFC 3339, UTC")
    retires_at: str | None = Field(description="When it signs no more; null for the newest")
    kid: str
    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    alg: Literal["EdDSA"]
    use: Literal["sig"]
    x: str = Field(description="base64url of its 32 bytes")


class WebhookKeys(Answer):
    """All keys that something under way may be signed with, newest first."""

    keys: list[WebhookKey]


class KeysApi:
    """The hub's keys over REST.

    Args:
        signing: whether requests are signed with them.
    """

    def __init__(self, hub: Hub, *, signing: bool) -> None:
        self._hub = hub
        self._signing = signing

    def routes(self) -> Sequence[Route]:
        """All routes."""
        return (
            Route(
                "GET",
                "/.well-known/webhook-keys.json",
                self.published,
                scope=None,
                tag="webhooks",
                responses={200: WebhookKeys},
            ),
            Route(
                "POST",
                "/webhook-keys/rotate",
                self.rotate,
                scope="admin",
                tag="webhooks",
                responses={200: WebhookKey},
            ),
        )

    async def published(self, request: Request) -> Response:
        """The public keys for the `v1a` signatures in `webhook-signature`.

        Needs no token. An unknown key means that it was rotated: ask again.
        """
        if self._signing:
            await self._hub.keys.signers()  # There is one from now on.
        keys = [show_key(key) for key in await self._hub.keys.published()]
        return Response(
            WebhookKeys(keys=keys), headers={"Cache-Control": f"public, max-age={MAX_AGE}"}
        )

    async def rotate(self, request: Request) -> WebhookKey:
        """Make a new key. The one before it signs as well for 24 hours, and is told until then."""
        return show_key(await self._hub.keys.rotate())


def show_key(key: PublicKey) -> WebhookKey:
    """The answer for a key."""
    return WebhookKey(
        public_key=public_key_text(key.raw),
        created_at=format_timestamp(key.created_at),
        retires_at=format_timestamp(key.retired_at),
        kid=str(key.id),
        kty="OKP",
        crv="Ed25519",
        alg="EdDSA",
        use="sig",
        x=base64.urlsafe_b64encode(key.raw).decode("ascii").rstrip("="),
    )
