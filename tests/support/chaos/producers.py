"""Producers: single posts, batches, domain calls and outbox rows; they keep what was answered."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio

from support.chaos.calls import Caller
from support.chaos.database import Database
from support.chaos.ledger import Ledger
from support.chaos.moments import Moments
from support.chaos.operators import Operator

SOURCE = "chaos"
TYPES = ("user.created", "payment.completed", "transaction.created", "ticket.status_changed")
STATUSES = ("open", "answered", "pending", "closed")
WEIGHTS = {
    **{"post": 8, "batch": 3, "user": 3, "payment": 3, "ticket": 3, "outbox": 2},
    **{"rotate": 0.4, "retry": 0.4, "replay": 0.4, "webhook": 0.8},
}
PAUSE = 0.08
"""Seconds between two things that one producer does, at most."""


class Producer:
    """One program that sends events, and sometimes a person who looks after the webhooks.

    Args:
        name: no other producer has it.
        examples: event type to a payload that fits it.
    """

    def __init__(
        self,
        name: str,
        call: Caller,
        database: Database,
        ledger: Ledger,
        moments: Moments,
        chance: random.Random,
        examples: dict[str, dict[str, Any]],
        operator: Operator | None,
    ) -> None:
        self._name = name
        self._call = call
        self._database = database
        self._ledger = ledger
        self._moments = moments
        self._chance = chance
        self._examples = examples
        self._number = 0
        self._does: dict[str, Callable[[], Awaitable[None]]] = {
            kind: getattr(self, kind)
            for kind in ("post", "batch", "user", "payment", "ticket", "outbox")
        }
        if operator is not None:
            self._does |= {
                kind: getattr(operator, kind) for kind in ("rotate", "retry", "replay", "webhook")
            }

    async def run(self, ending: trio.Event) -> None:
        """Do one thing after the other until it ends; the last one is brought to its end."""
        kinds = list(self._does)
        weights = [WEIGHTS[kind] for kind in kinds]
        while not ending.is_set():
            wish = self._moments.take_wish(self._does)
            (kind,) = [wish] if wish else self._chance.choices(kinds, weights)
            await self._does[kind]()
            await trio.sleep(self._chance.uniform(0, PAUSE))

    # -- /events ---------------------------------------------------------------------------

    async def post(self) -> None:
        """One event, under an Idempotency-Key or an id of its own."""
        (item,), group = self._events(1)
        headers = {"Idempotency-Key": group}
        if self._chance.random() < 0.5:
            item["id"], headers = f"own-{group}", {}
        options = {"headers": headers, "repeat": self._chance.random() < 0.9, "kind": "post"}
        response = await self._call.send("POST", "/events", item, **options)
        self._answered(group, response, lambda answer: [answer])

    async def batch(self) -> None:
        """Some events, all or nothing."""
        items, group = self._events(self._chance.randint(2, 8))
        options: dict[str, Any] = {"repeat": self._chance.random() < 0.9, "kind": "batch"}
        options["headers"] = {"Idempotency-Key": group}
        if self._chance.random() < 0.5:
            options["headers"]["Content-Type"] = "application/x-ndjson"
            options["content"] = "\n".join(map(json.dumps, items))
        else:
            options["json"] = items
        response = await self._call.send("POST", "/events/batch", **options)
        self._answered(group, response, lambda answer: answer["items"])

    def _events(self, count: int) -> tuple[list[dict[str, Any]], str]:
        group = self._fresh()
        markers = [f"{group}.{position}" for position in range(count)]
        self._ledger.groups[group] = markers
        return [self._event(marker) for marker in markers], group

    def _event(self, marker: str) -> dict[str, Any]:
        kind = self._chance.choice(TYPES)
        payload = {**self._examples[kind], "marker": marker}
        event: dict[str, Any] = {"type": kind, "payload": payload, "source": SOURCE}
        if self._chance.random() < 0.7:
            event["key"] = f"key-{self._chance.randrange(8)}"
        return event

    def _answered(self, group: str, response: Any, items: Callable[[Any], Any]) -> None:
        if response is None:
            self._ledger.unsure.add(group)
            return
        assert response.status_code == 202, f"{response.status_code} {response.text}"
        self._ledger.accept(group, items(response.json()))

    def _fresh(self) -> str:
        self._number += 1
        return f"{self._name}-{self._number}"

    # -- domain calls ----------------------------------------------------------------------

    async def user(self) -> None:
        """A user; a repeat is told that the telegram_id is taken, which is as good."""
        telegram_id = self._chance.getrandbits(50) + 1
        self._ledger.users_asked.add(telegram_id)
        body = {"telegram_id": telegram_id, "first_name": self._name}
        response = await self._call.send("POST", "/users", body, kind="user")
        assert response is not None
        assert response.status_code in (201, 409), response.text
        self._ledger.users.add(telegram_id)

    async def payment(self) -> None:
        """A transaction; a repeat is answered with the first."""
        external_id = self._fresh()
        self._ledger.payments_asked.add(external_id)
        kind = self._chance.choice(["deposit", "withdrawal", "refund"])
        body = {"user_id": 1, "type": kind, "amount_kopeks": 100, "external_id": external_id}
        response = await self._call.send("POST", "/transactions", body, kind="payment")
        assert response is not None
        assert response.status_code in (200, 201), response.text
        self._ledger.payments.add(external_id)

    async def ticket(self) -> None:
        """A ticket, a message in one, or a change of its status."""
        tickets = list(self._ledger.tickets)
        if not tickets or self._chance.random() < 0.3:
            await self._open_ticket()
        elif self._chance.random() < 0.5:
            await self._reply(self._chance.choice(tickets))
        else:
            path = f"/tickets/{self._chance.choice(tickets)}/status"
            body = {"status": self._chance.choice(STATUSES)}
            response = await self._call.send("POST", path, body, kind="ticket")
            assert response is not None
            assert response.is_success, response.text

    async def _open_ticket(self) -> None:
        title = self._fresh()
        self._ledger.titles_asked.add(title)
        body = {"user_id": 1, "title": title, "message_text": "help"}
        # There is nothing to recognise a repeat by, so nothing is repeated.
        response = await self._call.send("POST", "/tickets", body, kind="ticket", repeat=False)
        if response is not None:
            assert response.is_success, response.text
            self._ledger.tickets[response.json()["id"]] = title

    async def _reply(self, ticket: int) -> None:
        text = self._fresh()
        self._ledger.replies_asked.add(text)
        path, body = f"/tickets/{ticket}/reply", {"message_text": text}
        response = await self._call.send("POST", path, body, kind="ticket", repeat=False)
        if response is not None and response.is_success:
            self._ledger.replies.add(text)

    # -- the outbox ------------------------------------------------------------------------

    async def outbox(self) -> None:
        """Rows in another program's transaction, which now and then is undone."""
        items = [self._event(f"{self._fresh()}.outbox") for _ in range(self._chance.randint(1, 3))]
        commit = self._chance.random() < 0.8
        rows = [(item["type"], json.dumps(item["payload"]), item.get("key")) for item in items]
        markers = [item["payload"]["marker"] for item in items]
        try:
            await trio.to_thread.run_sync(partial(self._database.insert, rows, commit=commit))
        except self._database.gone:
            self._ledger.outbox_unsure.update(markers)
            return
        except Exception as error:
            if "full" not in str(error) and "I/O" not in str(error):
                raise
            commit = False
        (self._ledger.outbox if commit else self._ledger.never).update(markers)
        self._moments.passed("outbox")
