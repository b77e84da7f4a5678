"""Users: the row and ``user.created`` are written together, or not at all."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from hookhub.config import Settings
from hookhub.contracts.errors import Conflict, NotFound, PayloadTooLarge
from hookhub.hub import Hub
from hookhub.store import Transaction
from hookhub.testing.conformance import SourceConformance
from hookhub_users import NewUser, User, create_user, find_user, insert_user
from hookhub_users.models import UserRow

FULL: dict[str, Any] = {
    "telegram_id": 456789,
    "username": "testuser",
    "first_name": "Тест",
    "last_name": "User",
    "email": "Anna@Example.com",
    "language": "ru",
}


async def events(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    """All events that were committed, in order."""
    answer = await api.get("/events", params={"limit": 200})
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def count_users(hub: Hub) -> int:
    return len(await hub.read(lambda reader: reader.rows(UserRow.select())))


class TestConformance(SourceConformance):
    """The rules that every component keeps."""

    name = "users"


async def test_row_and_event(hub: Hub, api: httpx.AsyncClient) -> None:
    """A user is stored and announced, with all fields of the original and the same time."""
    inviter = await create_user(hub, telegram_id=1)
    user = await create_user(hub, **FULL, referred_by_id=inviter.id)

    assert await hub.read(lambda reader: find_user(reader, user.id)) == user
    event = (await events(api))[1]
    assert event["payload"] == {
        "user_id": user.id,
        "telegram_id": 456789,
        "username": "testuser",
        "first_name": "Тест",
        "last_name": "User",
        "referral_code": user.referral_code,
        "referred_by_id": inviter.id,
    }
    assert event["type"] == "user.created"
    assert event["timestamp"] == user.created_at
    assert (event["key"], event["source"]) == (f"user:{user.id}", "hookhub-users")


async def test_nothing_is_needed(hub: Hub, api: httpx.AsyncClient) -> None:
    """A user without any field is created; in the event what is not known is null."""
    user = await create_user(hub)
    (event,) = await events(api)
    known = {"user_id": user.id, "referral_code": user.referral_code}
    assert event["payload"] == known | dict.fromkeys(
        ["telegram_id", "username", "first_name", "last_name", "referred_by_id"]
    )


async def test_email_users(hub: Hub, api: httpx.AsyncClient) -> None:
    """For users who signed up by e-mail the event says so, with the address as they wrote it."""
    await create_user(hub, email="Anna@Example.com")
    (event,) = await events(api)
    assert event["payload"]["email"] == "Anna@Example.com"
    assert event["payload"]["auth_type"] == "email"


async def test_referral_codes(hub: Hub) -> None:
    """Each user gets a code of ``ref`` and eight characters."""
    codes = {(await create_user(hub)).referral_code for _ in range(5)}
    assert len(codes) == 5
    assert all(re.fullmatch(r"ref[A-Z0-9]{8}", code) for code in codes)


@pytest.mark.parametrize(
    ("fields", "taken"),
    [({"telegram_id": 456789}, "telegram_id"), ({"email": "anna@EXAMPLE.com"}, "email")],
)
async def test_taken(hub: Hub, api: httpx.AsyncClient, fields: dict[str, Any], taken: str) -> None:
    """A taken telegram_id or email (in any case) is a conflict that names the user who has it."""
    first = await create_user(hub, **FULL)
    with pytest.raises(Conflict, match=f"{taken} is taken by user {first.id}"):
        await create_user(hub, **fields)
    answer = await api.post("/users", json=fields)
    assert answer.status_code == 409
    assert (answer.json()["field"], answer.json()["user_id"]) == (taken, first.id)
    assert len(await events(api)) == await count_users(hub) == 1


async def test_unknown_referrer(hub: Hub, api: httpx.AsyncClient) -> None:
    """Nobody can be invited by a user who does not exist: a conflict, for tomorrow he may."""
    with pytest.raises(Conflict, match="no user 99") as refused:
        await create_user(hub, referred_by_id=99)
    assert refused.value.errors[0]["loc"] == ["referred_by_id"]
    answer = await api.post("/users", json={"referred_by_id": 99})
    assert (answer.status_code, answer.json()["field"]) == (409, "referred_by_id")
    assert await events(api) == []


class TestTogether:
    """Neither the row nor the event is there without the other."""

    @pytest.fixture
    def hub_settings(self, hub_settings: Settings) -> Settings:
        """Payloads of more than 300 bytes are refused."""
        changed = hub_settings.events.model_copy(update={"max_payload": 300})
        return hub_settings.model_copy(update={"events": changed})

    async def test_event_refused(self, hub: Hub, api: httpx.AsyncClient) -> None:
        """If the event is refused, there is no row."""
        with pytest.raises(PayloadTooLarge):
            await create_user(hub, first_name="a" * 200)
        assert await count_users(hub) == len(await events(api)) == 0

    async def test_row_refused(self, hub: Hub, api: httpx.AsyncClient) -> None:
        """If a row is refused, its event is not there, and nor is anything else of the unit."""

        def twice(tx: Transaction) -> None:
            insert_user(tx, hub, NewUser(telegram_id=1))
            insert_user(tx, hub, NewUser(telegram_id=1))

        with pytest.raises(Conflict):
            await hub.write(twice)
        assert await count_users(hub) == len(await events(api)) == 0

    async def test_units_compose(self, hub: Hub, api: httpx.AsyncClient) -> None:
        """A unit of one's own that fails after the user was created takes the user back."""

        def sign_up(tx: Transaction) -> User:
            insert_user(tx, hub, NewUser(telegram_id=1))
            raise RuntimeError("no profile")

        with pytest.raises(RuntimeError, match="no profile"):
            await hub.write(sign_up)
        assert await count_users(hub) == len(await events(api)) == 0


async def test_find_unknown(hub: Hub) -> None:
    """An unknown id is an error that says where to look."""
    with pytest.raises(NotFound, match="GET /users"):
        await hub.read(lambda reader: find_user(reader, 1))


async def test_routes(api: httpx.AsyncClient) -> None:
    """POST answers 201 with the user, and GET finds it."""
    made = await api.post("/users", json=FULL)
    assert made.status_code == 201
    user = made.json()
    assert {name: user[name] for name in FULL} == FULL
    assert set(user) == {"id", "referral_code", "referred_by_id", "created_at", *FULL}
    assert (await api.get(f"/users/{user['id']}")).json() == user
    assert (await api.get("/users/99")).status_code == 404
    assert (await api.get(f"/users/{2**63}")).status_code == 404
    assert (await api.post("/users", json={"name": "Anna"})).status_code == 422


async def test_list(hub: Hub, api: httpx.AsyncClient) -> None:
    """The list has the newest first, in pages, and can be filtered."""
    first = await create_user(hub, email="anna@example.com")
    second = await create_user(hub, telegram_id=2, referred_by_id=first.id)

    async def ids(**query: Any) -> list[int]:
        return [user["id"] for user in (await api.get("/users", params=query)).json()["items"]]

    assert await ids() == [second.id, first.id]
    assert await ids(limit=1, offset=1) == [first.id]
    assert await ids(email="ANNA@example.com") == [first.id]
    assert await ids(telegram_id=2) == await ids(referred_by_id=first.id) == [second.id]
    page = (await api.get("/users", params={"limit": 1, "telegram_id": 3})).json()
    assert page == {"items": [], "total": 0, "limit": 1, "offset": 0}
    assert (await api.get("/users", params={"limit": 1})).json()["total"] == 2
    assert (await api.get("/users", params={"limit": -1})).status_code == 422
