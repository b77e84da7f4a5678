"""``/tokens``: secrets are shown once, and revoking works at once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hookhub.hub import Hub


@pytest.fixture
def hub_database(any_database: str) -> str:
    """Everything here holds on SQLite and on PostgreSQL."""
    return any_database


async def create(api: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    response = await api.post("/tokens", json={"scopes": ["events:read"], **members})
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    token: dict[str, Any] = response.json()
    return token


async def test_a_token_and_its_life(api: httpx.AsyncClient) -> None:
    """Made, used, revoked, activated, deleted."""
    made = await create(api, name="reader", description="reads\nall", scopes=["events:read"] * 2)
    headers = {"Authorization": f"Bearer {made['token']}"}
    address = f"/tokens/{made['id']}"
    assert made["scopes"] == ["events:read"]
    assert made["token"].startswith(made["prefix"])
    assert (made["expires_at"], made["revoked_at"], made["last_used_at"]) == (None, None, None)

    assert (await api.get("/events", headers=headers)).status_code == 200
    revoked = await api.post(f"{address}/revoke")
    assert revoked.json()["revoked_at"].endswith("Z")
    assert (await api.get("/events", headers=headers)).status_code == 401
    activated = await api.post(f"{address}/activate")
    assert activated.json()["revoked_at"] is None
    assert (await api.get("/events", headers=headers)).status_code == 200
    assert (await api.delete(address)).status_code == 204
    assert (await api.get("/events", headers=headers)).status_code == 401
    assert (await api.delete(address)).status_code == 404


async def test_the_list_shows_no_secret(api: httpx.AsyncClient) -> None:
    """All members but the secret, in pages."""
    made = [await create(api, name=f"t{number}") for number in range(3)]
    listed = (await api.get("/tokens", params={"limit": 2, "offset": 1})).json()
    assert (listed["total"], listed["limit"], listed["offset"]) == (4, 2, 1)
    assert [item["name"] for item in listed["items"]] == ["t0", "t1"]
    del made[0]["token"]
    assert listed["items"][0] == made[0]


async def test_names_are_unique(api: httpx.AsyncClient) -> None:
    """409 for a name that is taken."""
    await create(api, name="mine")
    response = await api.post("/tokens", json={"name": "mine", "scopes": ["admin"]})
    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert "mine" in response.json()["detail"]


async def test_expiry(api: httpx.AsyncClient) -> None:
    """Any RFC 3339 time with a zone is taken and shown in UTC."""
    made = await create(api, name="a", expires_at="2999-12-31t23:59:59.5+01:00")
    assert made["expires_at"] == "2999-12-31T22:59:59.500000Z"


async def test_what_is_refused(api: httpx.AsyncClient, hub: Hub) -> None:
    """422 that names the member; nothing is made."""
    for member, value in (
        ("name", ""),
        ("name", "x" * 256),
        ("name", "a\0b"),
        ("name", "a\nb"),
        ("name", 5),
        ("name", None),
        ("scopes", []),
        ("scopes", ["everything"]),
        ("scopes", "admin"),
        ("scopes", ["admin"] * 21),
        ("description", "\0"),
        ("description", "x" * 1001),
        ("expires_at", "2020-01-01T00:00:00Z"),
        ("expires_at", "2999-13-01T00:00:00Z"),
        ("expires_at", "2999-01-01T00:00:60Z"),
        ("expires_at", "2999-01-01"),
        ("expires_at", "2999-01-01T00:00:00"),
        ("expires_at", "9999-12-31T23:59:59-14:00"),
        ("expires_at", "0001-01-01T00:00:00+14:00"),
        ("expires_at", 4_000_000_000),
        ("expires_at", ""),
        ("token", "my-own-secret"),
    ):
        body = {"name": "a", "scopes": ["admin"], member: value}
        response = await api.post("/tokens", json=body)
        assert response.status_code == 422, body
        assert response.json()["errors"][0]["loc"][0] == member
    assert len(await hub.tokens.list()) == 1


async def test_unknown_tokens(api: httpx.AsyncClient) -> None:
    """404, whatever the number."""
    for token_id in ("0", "99", str(2**63 - 1), str(2**63), "x", "-1"):
        assert (await api.delete(f"/tokens/{token_id}")).status_code == 404
        assert (await api.post(f"/tokens/{token_id}/revoke")).status_code == 404
        assert (await api.post(f"/tokens/{token_id}/activate")).status_code == 404
