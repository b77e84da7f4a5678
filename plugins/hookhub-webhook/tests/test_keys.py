"""The hub's own keys: every request is signed with them, and everybody may see the public ones."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from hookhub import client
from hookhub.config import PluginsSettings, Settings
from hookhub.contracts.errors import ConfigError
from hookhub.hub import Hub
from hookhub.testing.receiver import ReceivedRequest, Receiver
from hookhub_webhook.settings import WebhookSettings

PATH = "/.well-known/webhook-keys.json"


async def receive(api: httpx.AsyncClient, receiver: Receiver, **members: Any) -> ReceivedRequest:
    """The request that a new webhook is sent."""
    name = f"w{len(receiver.requests)}"
    body = {"name": name, "url": receiver.url, "event_type": "user.created", **members}
    made = (await api.post("/webhooks", json=body)).json()
    await api.post(f"/webhooks/{made['id']}/test")
    return receiver.requests[-1]


async def published(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The keys, as somebody without a token sees them."""
    answer = await api.get(PATH, headers={"Authorization": ""})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys: list[dict[str, Any]] = answer.json()["keys"]
    return keys


def holds(request: ReceivedRequest, *keys: dict[str, Any], secret: str | None = None) -> bool:
    """Whether a receiver with these public keys takes the request."""
    texts = [key["public_key"] for key in keys]
    try:
        client.verify(request.body, dict(request.headers), secret, public_keys=texts)
    except client.InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("secret", [None, "s"])
async def test_every_request_is_signed(
    api: httpx.AsyncClient, receiver: Receiver, secret: str | None
) -> None:
    """With a secret or without: the public key alone verifies it."""
    request = await receive(api, receiver, secret=secret)
    versions = [
        entry.partition(",")[0] for entry in str(request.header("webhook-signature")).split()
    ]
    assert versions == ["v1"] * (secret is not None) + ["v1a"]
    assert (request.header("x-webhook-signature") is None) == (secret is None)
    [key] = await published(api)
    assert holds(request, key)
    assert secret is None or holds(request, secret=secret)


async def test_the_key_is_there_before_the_first_request(api: httpx.AsyncClient) -> None:
    """A receiver may ask for it when it is set up; it is a JSON Web Key as well."""
    [key] = await published(api)
    raw = base64.b64decode(key["public_key"].removeprefix("whpk_"), validate=True)
    assert len(raw) == 32
    assert key == {
        "public_key": key["public_key"],
        "created_at": key["created_at"],
        "retires_at": None,
        "kid": "1",
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "x": base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }
    assert await published(api) == [key]


async def test_rotation(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """Holders of the old key and of the new one both verify; only an admin may rotate."""
    [old] = await published(api)
    made = await api.post("/tokens", json={"name": "t", "scopes": ["webhooks:write"]})
    lacking = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await api.post("/webhook-keys/rotate", headers=lacking)).status_code == 403
    new = (await api.post("/webhook-keys/rotate")).json()
    newest, retiring = await published(api)
    assert newest == new
    assert retiring == {**old, "retires_at": retiring["retires_at"]}
    assert retiring["retires_at"] > new["created_at"]
    request = await receive(api, receiver)
    assert holds(request, old)
    assert holds(request, new)
    assert holds(request, newest, retiring)


async def test_private_keys_are_never_shown(api: httpx.AsyncClient, hub: Hub) -> None:
    """Neither in an answer, nor in what a log or a traceback may hold."""
    await api.post("/webhook-keys/rotate")
    rows = await hub.read(lambda reader: reader.sql("SELECT private FROM hookhub_keys"))
    shown = (await api.get(PATH)).text + repr(hub.keys.__dict__)
    for (private,) in rows:
        assert private not in shown


class TestWithSecretKey:
    """With ``[auth] secret_key``."""

    @pytest.fixture
    def hub_settings(self, hub_settings: Settings) -> Settings:
        auth = hub_settings.auth.model_copy(update={"secret_key": "k" * 32})
        return hub_settings.model_copy(update={"auth": auth})

    async def test_secrets_and_keys_are_encrypted(
        self, api: httpx.AsyncClient, hub: Hub, receiver: Receiver
    ) -> None:
        """Nothing in the database can be signed with, and requests are signed as ever."""
        request = await receive(api, receiver, secret="a-secret")
        assert holds(request, secret="a-secret")
        assert holds(request, *await published(api))

        def unit(reader: Any) -> list[tuple[str]]:
            found: list[tuple[str]] = reader.sql("SELECT private FROM hookhub_keys")
            return found + reader.sql("SELECT secrets FROM hookhub_endpoints")

        key, secrets = (row[0] for row in await hub.read(unit))
        assert key.startswith("sealed:v1:")
        assert "sealed:v1:" in secrets
        assert "a-secret" not in secrets


class TestSwitchedOff:
    """With ``[plugins.webhook] ed25519 = false``."""

    @pytest.fixture
    def hub_settings(self, hub_settings: Settings) -> Settings:
        tables = hub_settings.model_dump()
        tables["plugins"]["webhook"] = {"ed25519": False}
        return Settings.model_validate(tables)

    async def test_no_key_signs(self, api: httpx.AsyncClient, receiver: Receiver) -> None:
        """Requests have the secret's signatures only, and no key is made."""
        assert (await receive(api, receiver)).header("webhook-signature") is None
        request = await receive(api, receiver, secret="s")
        assert "v1a" not in str(request.header("webhook-signature"))
        assert await published(api) == []


def test_wrong_settings_are_named() -> None:
    """What ``[plugins.webhook]`` may hold is told."""
    with pytest.raises(ConfigError, match=r"\[plugins.webhook\] ed25519: .* It may hold: ed25519"):
        PluginsSettings(webhook={"ed25519": "yes"}).read("webhook", WebhookSettings)
    with pytest.raises(ConfigError, match="ed25591"):
        PluginsSettings(webhook={"ed25591": True}).read("webhook", WebhookSettings)
