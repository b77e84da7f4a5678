"""A realistic trickle: people come, pay, and ask for help."""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from hookhub.client import AsyncClient
from hookhub.contracts.errors import Conflict, NotFound

FIRST_NAMES = ("Ada", "Zoë", "Алексей", "Björk", "明", "Grace", "Мария", "Noor", "Çağla", "José")
LAST_NAMES = ("Lovelace", "Иванова", "Hopper", "李", "Šimek", "García", "O'Brien", "Núñez")
METHODS = ("yookassa", "telegram_stars", "cryptobot", "tribute")
QUESTIONS = (
    ("Payment did not arrive", "I paid ten minutes ago, the balance is still 0."),
    ("Как сменить язык?", "Не могу найти, где переключить язык. Подскажите, пожалуйста."),
    ("Invoice", "Could I have an invoice for the last payment? Thanks!"),
    ("App crashes 😞", "It closes as soon as I open the settings."),
)
ANSWERS = (
    ("We are looking into it.", True),
    ("Спасибо, всё получилось!", False),
    ("Please try once more and tell us what you see.", True),
    ("Still the same, sorry.", False),
)
NEXT_STATUS = {"open": "answered", "pending": "answered", "answered": "closed"}

Action = Callable[[], Awaitable[object]]


class Traffic:
    """Makes domain calls through the REST routes of the source plugins that are there.

    Args:
        client: of the hub.
        chance: where the variety comes from.
    """

    def __init__(self, client: AsyncClient, chance: random.Random) -> None:
        self._client = client
        self._chance = chance
        self._users: list[int] = []
        self._tickets: dict[int, str] = {}
        self._actions: dict[str, tuple[int, Action]] = {}
        self.made = 0

    async def prepare(self) -> None:
        """Find out which sources there are, and what an earlier demo left in them.

        Raises:
            NotFound: none of the three source plugins is installed.
        """
        if (users := await self._existing("/users")) is not None:
            self._actions["user"] = (8, self._user)
            self._users = [item["id"] for item in users]
        if await self._existing("/transactions") is not None:
            self._actions["payment"] = (6, self._payment)
            self._actions["spending"] = (3, self._spending)
        if (tickets := await self._existing("/tickets")) is not None:
            self._actions["ticket"] = (3, self._ticket)
            self._actions["reply"] = (3, self._reply)
            self._actions["status"] = (2, self._status)
            self._tickets = {
                item["id"]: item["status"] for item in tickets if item["status"] in NEXT_STATUS
            }
        if not self._actions:
            raise NotFound(
                "The demo needs one of the plugins hookhub-users, hookhub-payments and "
                "hookhub-tickets; install one with pip."
            )

    async def _existing(self, path: str) -> list[dict[str, Any]] | None:
        try:
            page = await self._client.call("GET", path, params={"limit": 50})
        except NotFound:
            return None
        items: list[dict[str, Any]] = page["items"]
        return items

    async def run(self, rate: float, count: int | None) -> None:
        """Make events until there are ``count`` (None: for ever), about ``rate`` per second."""
        while True:
            await self.step()
            if self.made == count:
                return
            await trio.sleep(self._chance.expovariate(rate))

    async def step(self) -> None:
        """Make one event."""
        weights = [weight for weight, _ in self._actions.values()]
        [(_, action)] = self._chance.choices(list(self._actions.values()), weights)
        if action in (self._reply, self._status) and not self._tickets:
            action = self._ticket
        try:
            await action()
        except (Conflict, NotFound):
            return
        self.made += 1

    async def _user(self) -> None:
        number = self._chance.randrange(10**8, 10**10)
        user = {
            "telegram_id": number,
            "username": f"user_{number}",
            "first_name": self._chance.choice(FIRST_NAMES),
            "last_name": self._chance.choice((None, *LAST_NAMES)),
        }
        if self._users and self._chance.random() < 0.3:
            user["referred_by_id"] = self._chance.choice(self._users)
        made = await self._client.call("POST", "/users", body=user)
        self._users.append(made["id"])

    async def _payment(self) -> None:
        method = self._chance.choice(METHODS)
        await self._transaction(
            {
                "type": "deposit",
                "amount_kopeks": self._chance.choice((10_000, 25_000, 49_900, 100_000)),
                "payment_method": method,
                "external_id": uuid.UUID(int=self._chance.getrandbits(128)).hex,
                "description": f"Пополнение через {method}",
            }
        )

    async def _spending(self) -> None:
        kind = self._chance.choice(("subscription_payment", "withdrawal", "referral_reward"))
        amount = self._chance.randrange(1_00, 500_00)
        await self._transaction({"type": kind, "amount_kopeks": amount})

    async def _transaction(self, transaction: dict[str, Any]) -> None:
        await self._client.call(
            "POST", "/transactions", body={"user_id": self._someone(), **transaction}
        )

    async def _ticket(self) -> None:
        title, text = self._chance.choice(QUESTIONS)
        priority = self._chance.choice(("low", "normal", "normal", "high"))
        ticket = {"user_id": self._someone(), "title": title, "message_text": text}
        made = await self._client.call("POST", "/tickets", body=ticket | {"priority": priority})
        self._tickets[made["id"]] = made["status"]

    async def _reply(self) -> None:
        ticket_id = self._chance.choice(list(self._tickets))
        text, from_admin = self._chance.choice(ANSWERS)
        message = {"message_text": text, "is_from_admin": from_admin}
        await self._change(ticket_id, "reply", message)

    async def _status(self) -> None:
        ticket_id = self._chance.choice(list(self._tickets))
        status = NEXT_STATUS[self._tickets.pop(ticket_id)]
        await self._change(ticket_id, "status", {"status": status})
        if status in NEXT_STATUS:
            self._tickets[ticket_id] = status

    async def _change(self, ticket_id: int, what: str, body: dict[str, Any]) -> None:
        try:
            await self._client.call("POST", f"/tickets/{ticket_id}/{what}", body=body)
        except (Conflict, NotFound):
            # Somebody plays with the demo's tickets by hand.
            self._tickets.pop(ticket_id, None)
            raise

    def _someone(self) -> int:
        """A user's id; without the users' plugin, one that could be."""
        if self._users:
            return self._chance.choice(self._users)
        return self._chance.randrange(1, 1000)
