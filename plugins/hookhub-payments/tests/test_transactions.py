"""Transactions: the row and its event are written together, or not at all."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import trio

from hookhub.config import Settings
from hookhub.contracts.errors import PayloadTooLarge
from hookhub.hub import Hub
from hookhub.store import Transaction
from hookhub.testing.conformance import SourceConformance
from hookhub_payments import (
    NewTransaction,
    PaymentTransaction,
    create_transaction,
    insert_transaction,
)
from hookhub_payments.models import TransactionRow

DEPOSIT: dict[str, Any] = {
    "user_id": 123,
    "type": "deposit",
    "amount_kopeks": 49901,
    "payment_method": "yookassa",
    "external_id": "2d9f1c1e",
    "description": "Пополнение баланса",
}
OTHER_TYPES = ("withdrawal", "subscription_payment", "refund", "referral_reward")


async def events(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    """All events that were committed, in order."""
    answer = await api.get("/events", params={"limit": 200})
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def count_rows(hub: Hub) -> int:
    return len(await hub.read(lambda reader: reader.rows(TransactionRow.select())))


class TestConformance(SourceConformance):
    """The rules that every component keeps."""

    name = "payments"


async def test_deposit(hub: Hub, api: httpx.AsyncClient) -> None:
    """A deposit is stored and announced as ``payment.completed``, with the same time."""
    made = await create_transaction(hub, **DEPOSIT)
    (event,) = await events(api)
    assert event["type"] == "payment.completed"
    assert event["payload"] == DEPOSIT | {
        "transaction_id": made.id,
        "amount_rubles": 499.01,
        "is_completed": True,
    }
    assert event["timestamp"] == made.created_at
    assert (event["key"], event["source"]) == ("user:123", "hookhub-payments")


@pytest.mark.parametrize("kind", OTHER_TYPES)
async def test_other_types(hub: Hub, api: httpx.AsyncClient, kind: Any) -> None:
    """Every other type is announced as ``transaction.created``; what is not known is null."""
    made = await create_transaction(hub, user_id=5, type=kind, amount_kopeks=100)
    (event,) = await events(api)
    assert event["type"] == "transaction.created"
    assert event["payload"] == {
        "transaction_id": made.id,
        "user_id": 5,
        "type": kind,
        "amount_kopeks": 100,
        "amount_rubles": 1.0,
        "payment_method": None,
        "external_id": None,
        "is_completed": True,
        "description": None,
    }


async def test_deposit_that_is_not_completed(hub: Hub, api: httpx.AsyncClient) -> None:
    """A deposit is announced when it is made; ``is_completed`` says whether the money is there."""
    await create_transaction(hub, **DEPOSIT, is_completed=False)
    (event,) = await events(api)
    assert event["type"] == "payment.completed"
    assert event["payload"]["is_completed"] is False


@pytest.mark.parametrize(
    ("kopeks", "rubles"), [(1, "0.01"), (49950, "499.5"), (10**15 - 1, "9999999999999.99")]
)
async def test_rubles(hub: Hub, api: httpx.AsyncClient, kopeks: int, rubles: str) -> None:
    """Rubles are a JSON number that is exact to the kopek, up to the largest amount."""
    await create_transaction(hub, user_id=1, type="refund", amount_kopeks=kopeks)
    assert f'"amount_rubles": {rubles},' in (await api.get("/events")).text


@pytest.mark.parametrize("method", ["yookassa", None])
async def test_repeat(hub: Hub, api: httpx.AsyncClient, method: str | None) -> None:
    """A repeated external_id of one payment method answers with the first; no second event."""
    body = DEPOSIT | {"payment_method": method}
    first = await api.post("/transactions", json=body)
    again = await api.post("/transactions", json=body)
    other = await api.post("/transactions", json=body | {"amount_kopeks": 1, "type": "refund"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 200)
    assert first.json() == again.json() == other.json()
    assert (await create_transaction(hub, **body)).repeated
    assert await count_rows(hub) == len(await events(api)) == 1


async def test_no_repeat(hub: Hub, api: httpx.AsyncClient) -> None:
    """Another payment method, or no external_id, makes another transaction."""
    await create_transaction(hub, **DEPOSIT)
    for changes in (
        {"payment_method": "cryptobot"},
        {"payment_method": None},
        {"external_id": None},
        {"external_id": None},
    ):
        assert not (await create_transaction(hub, **(DEPOSIT | changes))).repeated
    assert await count_rows(hub) == len(await events(api)) == 5


class TestTogether:
    """Neither the row nor the event is there without the other."""

    @pytest.fixture
    def hub_settings(self, hub_settings: Settings) -> Settings:
        """Payloads of more than 400 bytes are refused."""
        changed = hub_settings.events.model_copy(update={"max_payload": 400})
        return hub_settings.model_copy(update={"events": changed})

    async def test_event_refused(self, hub: Hub, api: httpx.AsyncClient) -> None:
        """If the event is refused, there is no row."""
        with pytest.raises(PayloadTooLarge):
            await create_transaction(hub, **(DEPOSIT | {"description": "a" * 400}))
        assert await count_rows(hub) == len(await events(api)) == 0

    async def test_unit_fails(self, hub: Hub, api: httpx.AsyncClient) -> None:
        """A unit of one's own that fails after the insert takes the transaction back."""

        def pay_in(tx: Transaction) -> PaymentTransaction:
            insert_transaction(tx, hub, NewTransaction(**DEPOSIT))
            raise RuntimeError("no balance")

        with pytest.raises(RuntimeError, match="no balance"):
            await hub.write(pay_in)
        assert await count_rows(hub) == len(await events(api)) == 0


class TestRace:
    """Another program that shares the database uses the external_id at the same moment."""

    @pytest.fixture
    def hub_database(self, postgres_url: str) -> str:
        """SQLite lets only one write at a time, so there is no such moment."""
        return postgres_url

    async def test_slower_one_gets_the_first(
        self, hub: Hub, api: httpx.AsyncClient, postgres_url: str
    ) -> None:
        """Who comes second waits for the first, and then answers with it."""
        import psycopg

        async def wait_until_blocked() -> None:
            waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            with psycopg.connect(postgres_url, autocommit=True) as watcher:
                while watcher.execute(waits).fetchone() == (0,):
                    await trio.lowlevel.checkpoint()

        made: list[PaymentTransaction] = []

        async def make() -> None:
            made.append(await create_transaction(hub, **DEPOSIT))

        with trio.fail_after(20), psycopg.connect(postgres_url) as other:
            other.execute(
                "INSERT INTO hookhub_transactions (user_id, type, amount_kopeks, payment_method, "
                "external_id, is_completed, created_at) "
                "VALUES (7, 'deposit', 1, 'yookassa', '2d9f1c1e', TRUE, 0)"
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(make)
                await wait_until_blocked()
                other.commit()
        assert made[0].repeated
        assert made[0].user_id == 7
        assert await events(api) == []


async def test_routes(api: httpx.AsyncClient) -> None:
    """POST answers 201 with the transaction, in the form in which GET lists it."""
    made = await api.post("/transactions", json=DEPOSIT)
    assert made.status_code == 201
    transaction = made.json()
    assert {name: transaction[name] for name in DEPOSIT} == DEPOSIT
    assert set(transaction) == {"id", "amount_rubles", "is_completed", "created_at", *DEPOSIT}
    assert (await api.get("/transactions")).json()["items"] == [transaction]
    assert (await api.post("/transactions", json=DEPOSIT | {"currency": "RUB"})).status_code == 422


async def test_list(hub: Hub, api: httpx.AsyncClient) -> None:
    """The list has the newest first, in pages, and can be filtered."""
    first = await create_transaction(hub, **DEPOSIT)
    second = await create_transaction(hub, user_id=5, type="refund", amount_kopeks=100)

    async def ids(**query: Any) -> list[int]:
        answer = await api.get("/transactions", params=query)
        return [item["id"] for item in answer.json()["items"]]

    assert await ids() == [second.id, first.id]
    assert await ids(limit=1, offset=1) == [first.id]
    assert await ids(user_id=5) == await ids(type="refund") == [second.id]
    assert await ids(payment_method="yookassa") == await ids(external_id="2d9f1c1e") == [first.id]
    page = (await api.get("/transactions", params={"user_id": 6})).json()
    assert page == {"items": [], "total": 0, "limit": 50, "offset": 0}
    assert (await api.get("/transactions", params={"type": "gift"})).status_code == 422
