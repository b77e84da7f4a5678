"""Tickets: rows and events are written together, or not at all."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hookhub.config import Settings
from hookhub.contracts.errors import Conflict, NotFound, PayloadTooLarge
from hookhub.hub import Hub
from hookhub.store import Transaction
from hookhub.testing.conformance import SourceConformance
from hookhub_tickets import (
    NewMessage,
    NewStatus,
    Ticket,
    add_ticket_message,
    change_ticket_status,
    create_ticket,
    find_ticket,
    insert_ticket_message,
    update_ticket_status,
)
from hookhub_tickets.models import MessageRow, TicketRow
from hookhub_tickets.shapes import MESSAGES_SHOWN

NEW: dict[str, Any] = {
    "user_id": 123,
    "title": "Не приходит оплата",
    "message_text": "Оплатил час назад.\nБаланс прежний.",
}


async def events(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    """All events that were committed, in order."""
    answer = await api.get("/events", params={"limit": 200})
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def count_rows(hub: Hub) -> tuple[int, int]:
    """How many tickets and messages there are."""
    tickets = await hub.read(lambda reader: reader.rows(TicketRow.select()))
    messages = await hub.read(lambda reader: reader.rows(MessageRow.select()))
    return len(tickets), len(messages)


@pytest.fixture
async def ticket(hub: Hub) -> Ticket:
    """An open ticket."""
    return await create_ticket(hub, **NEW)


class TestConformance(SourceConformance):
    """The rules that every component keeps."""

    name = "tickets"


# -- opening ---------------------------------------------------------------------------------


async def test_open(hub: Hub, api: httpx.AsyncClient) -> None:
    """A ticket and its first message are stored and announced with one ``ticket.created``."""
    ticket = await create_ticket(hub, **NEW, priority="high", has_media=True)
    assert await hub.read(lambda reader: find_ticket(reader, ticket.id)) == ticket
    (message,) = ticket.messages
    assert message.message_text == NEW["message_text"]
    assert not message.is_from_admin

    (event,) = await events(api)
    assert event["type"] == "ticket.created"
    assert event["payload"] == {
        "ticket_id": ticket.id,
        "user_id": 123,
        "title": "Не приходит оплата",
        "status": "open",
        "priority": "high",
        "has_media": True,
    }
    assert event["timestamp"] == ticket.created_at
    assert (event["key"], event["source"]) == (f"ticket:{ticket.id}", "hookhub-tickets")


# -- status ----------------------------------------------------------------------------------


async def test_status_changes(hub: Hub, api: httpx.AsyncClient, ticket: Ticket) -> None:
    """Each change is announced with what the status really was, and when it was closed."""
    for status in ("answered", "closed", "open"):
        ticket = await update_ticket_status(hub, ticket.id, status)
        assert ticket.status == status
        assert (ticket.closed_at is not None) == (status == "closed")
    changed = [event["payload"] for event in await events(api)][1:]
    assert [(item["old_status"], item["new_status"]) for item in changed] == [
        ("open", "answered"),
        ("answered", "closed"),
        ("closed", "open"),
    ]
    assert changed[0] == {
        "ticket_id": ticket.id,
        "user_id": 123,
        "old_status": "open",
        "new_status": "answered",
        "closed_at": None,
    }
    assert changed[1]["closed_at"].endswith("Z")
    assert changed[2]["closed_at"] is None


async def test_same_status(hub: Hub, api: httpx.AsyncClient, ticket: Ticket) -> None:
    """Nothing changed, nothing is announced, and the ticket is as it was."""
    closed = await update_ticket_status(hub, ticket.id, "closed")
    assert await update_ticket_status(hub, ticket.id, "closed") == closed
    assert len(await events(api)) == 2


async def test_unknown_ticket(hub: Hub) -> None:
    """An unknown id is an error that says where to look."""
    with pytest.raises(NotFound, match="GET /tickets"):
        await update_ticket_status(hub, 99, "closed")
    with pytest.raises(NotFound, match="GET /tickets"):
        await add_ticket_message(hub, 99, "Hello?")


# -- messages --------------------------------------------------------------------------------


async def test_message(hub: Hub, api: httpx.AsyncClient, ticket: Ticket) -> None:
    """A message is stored whole and announced with its first 200 characters."""
    text = "Ж" * 250
    message = await add_ticket_message(hub, ticket.id, text, is_from_admin=True, has_media=True)
    assert message.message_text == text
    event = (await events(api))[1]
    assert event["type"] == "ticket.message_added"
    assert event["payload"] == {
        "ticket_id": ticket.id,
        "message_id": message.id,
        "user_id": 123,
        "is_from_admin": True,
        "message_text": "Ж" * 200,
        "has_media": True,
        "status": "open",
    }
    assert event["timestamp"] == message.created_at


async def test_message_leaves_the_status(hub: Hub, ticket: Ticket) -> None:
    """Writing in a ticket changes when it was updated, and nothing else of it."""
    await update_ticket_status(hub, ticket.id, "pending")
    message = await add_ticket_message(hub, ticket.id, "One moment", is_from_admin=True)
    found = await hub.read(lambda reader: find_ticket(reader, ticket.id))
    assert found.status == "pending"
    assert found.updated_at == message.created_at
    assert [item.id for item in found.messages] == [ticket.messages[0].id, message.id]


async def test_closed_ticket_takes_no_message(
    hub: Hub, api: httpx.AsyncClient, ticket: Ticket
) -> None:
    """A closed ticket must be opened before anyone writes in it."""
    await update_ticket_status(hub, ticket.id, "closed")
    with pytest.raises(Conflict, match="closed"):
        await add_ticket_message(hub, ticket.id, "One more thing")
    assert await count_rows(hub) == (1, 1)
    assert len(await events(api)) == 2


async def test_newest_messages(hub: Hub, ticket: Ticket) -> None:
    """A long ticket is shown with its newest messages, oldest first."""

    def write_many(tx: Transaction) -> None:
        for number in range(MESSAGES_SHOWN):
            insert_ticket_message(tx, hub, ticket.id, NewMessage(message_text=f"{number}"))

    await hub.write(write_many)
    found = await hub.read(lambda reader: find_ticket(reader, ticket.id))
    assert [item.message_text for item in found.messages] == [
        str(number) for number in range(MESSAGES_SHOWN)
    ]


# -- together --------------------------------------------------------------------------------


class TestTogether:
    """Neither a row nor its event is there without the other."""

    @pytest.fixture
    def hub_settings(self, hub_settings: Settings) -> Settings:
        """Payloads of more than 200 bytes are refused."""
        changed = hub_settings.events.model_copy(update={"max_payload": 200})
        return hub_settings.model_copy(update={"events": changed})

    async def test_event_refused(self, hub: Hub, api: httpx.AsyncClient) -> None:
        """If the event is refused, there is neither ticket nor message."""
        with pytest.raises(PayloadTooLarge):
            await create_ticket(hub, user_id=1, title="a" * 200, message_text="a")
        ticket = await create_ticket(hub, user_id=1, title="a", message_text="a")
        with pytest.raises(PayloadTooLarge):
            await add_ticket_message(hub, ticket.id, "a" * 200)
        assert await count_rows(hub) == (1, 1)
        assert len(await events(api)) == 1

    async def test_units_compose(self, hub: Hub, api: httpx.AsyncClient) -> None:
        """Answering and its status are one transaction; if the second fails, so does the first."""
        ticket = await create_ticket(hub, user_id=1, title="a", message_text="a")

        def answer(tx: Transaction) -> None:
            insert_ticket_message(tx, hub, ticket.id, NewMessage(message_text="Found it."))
            change_ticket_status(tx, hub, ticket.id, NewStatus(status="answered"))

        def answer_and_fail(tx: Transaction) -> None:
            answer(tx)
            raise RuntimeError("no mail")

        with pytest.raises(RuntimeError, match="no mail"):
            await hub.write(answer_and_fail)
        assert await count_rows(hub) == (1, 1)
        await hub.write(answer)
        assert [event["type"] for event in await events(api)] == [
            "ticket.created",
            "ticket.message_added",
            "ticket.status_changed",
        ]


# -- REST ------------------------------------------------------------------------------------


async def test_routes(api: httpx.AsyncClient) -> None:
    """The five routes: open, list, show, set the status, reply."""
    made = await api.post("/tickets", json=NEW)
    assert made.status_code == 201
    ticket = made.json()
    address = f"/tickets/{ticket['id']}"
    assert (ticket["status"], ticket["priority"]) == ("open", "normal")
    assert (await api.get(address)).json() == ticket
    assert (await api.get("/tickets")).json()["items"] == [ticket | {"messages": []}]

    answered = await api.post(f"{address}/status", json={"status": "answered"})
    assert answered.status_code == 200
    assert answered.json()["status"] == "answered"
    assert answered.json()["messages"] == ticket["messages"]

    replied = await api.post(f"{address}/reply", json={"message_text": "Found it."})
    assert replied.status_code == 201
    message = replied.json()["message"]
    assert message["is_from_admin"] is True
    assert replied.json()["ticket"]["messages"] == [*ticket["messages"], message]


async def test_routes_refuse(api: httpx.AsyncClient) -> None:
    """Unknown tickets are 404, closed ones 409, wrong bodies 422."""
    address = f"/tickets/{(await api.post('/tickets', json=NEW)).json()['id']}"
    await api.post(f"{address}/status", json={"status": "closed"})
    reply = {"message_text": "a", "is_from_admin": False}
    for method, path, body, status in (
        ("GET", "/tickets/99", None, 404),
        ("POST", "/tickets/99/status", {"status": "open"}, 404),
        ("POST", "/tickets/99/reply", reply, 404),
        ("POST", f"/tickets/{2**63}/reply", reply, 404),
        ("POST", f"{address}/reply", reply, 409),
        ("POST", f"{address}/status", {"status": "lost"}, 422),
        ("POST", f"{address}/reply", {}, 422),
        ("POST", "/tickets", NEW | {"status": "open"}, 422),
        ("GET", "/tickets?status=lost", None, 422),
    ):
        answer = await api.request(method, path, json=body)
        assert answer.status_code == status, f"{method} {path}: {answer.text}"


async def test_a_refused_reply_tells_the_status_of_the_ticket(
    hub: Hub, api: httpx.AsyncClient
) -> None:
    """As ``ticket_status``: ``status`` is the answer's own, as in every problem document."""
    ticket = await create_ticket(hub, **NEW)
    await update_ticket_status(hub, ticket.id, "closed")
    answer = await api.post(f"/tickets/{ticket.id}/reply", json={"message_text": "a"})
    problem = answer.json()
    assert (problem["status"], problem["ticket_status"]) == (409, "closed")


async def test_list(hub: Hub, api: httpx.AsyncClient) -> None:
    """The list has the newest first, in pages, and can be filtered."""
    first = await create_ticket(hub, **NEW)
    second = await create_ticket(hub, user_id=5, title="a", message_text="a", priority="urgent")
    await update_ticket_status(hub, second.id, "pending")

    async def ids(**query: Any) -> list[int]:
        answer = await api.get("/tickets", params=query)
        return [item["id"] for item in answer.json()["items"]]

    assert await ids() == [second.id, first.id]
    assert await ids(limit=1, offset=1) == await ids(status="open") == [first.id]
    assert await ids(user_id=5) == await ids(priority="urgent") == [second.id]
    page = (await api.get("/tickets", params={"user_id": 6, "limit": 1})).json()
    assert page == {"items": [], "total": 0, "limit": 1, "offset": 0}
