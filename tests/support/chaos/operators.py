"""Those who look after webhooks: rotations, retries, replays, new webhooks and changed ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import trio

from support.chaos.calls import Caller
from support.chaos.ledger import Ledger, Webhook
from support.chaos.receivers import Receiver

EXTRA = 3
"""Webhooks that come and go, at most, at one time."""
PATTERNS = (("*",), ("user.*", "ticket.*"), ("payment.completed",), ("transaction.*",))


class Operator:
    """Uses everything that can be done to a webhook.

    Args:
        new_receiver: makes a listening receiver of a character.
    """

    def __init__(
        self,
        call: Caller,
        ledger: Ledger,
        chance: random.Random,
        new_receiver: Callable[[str, str], Receiver],
    ) -> None:
        self._call = call
        self._ledger = ledger
        self._chance = chance
        self._new_receiver = new_receiver
        self._number = 0
        self.deletes = True
        """Whether webhooks are deleted too: a day later, which a moved clock makes of a moment,
        retention has removed all of them that could be checked."""

    def _any(self) -> Webhook:
        return self._chance.choice(self._ledger.living)

    async def rotate(self) -> None:
        """A new secret."""
        webhook = self._any()
        self._number += 1
        secrets = webhook.receiver.secrets
        secrets.append(f"secret-{self._number}-of-{webhook.name}-and-long-enough")
        # A repeat gives the same secret once more.
        response = await self._call.send(
            "POST",
            f"/webhooks/{webhook.id}/rotate-secret",
            {"secret": secrets[-1]},
            kind="rotate",
        )
        assert response is not None
        assert response.status_code in (200, 404), response.text

    async def retry(self) -> None:
        """All failed deliveries of a webhook, or a single one that failed or waits."""
        path = f"/webhooks/{self._any().id}"
        if self._chance.random() < 0.5:
            response = await self._call.send("POST", f"{path}/retry-failed", kind="retry")
            assert response is not None
            assert response.status_code in (200, 404), response.text
            return
        status = self._chance.choice(["failed", "pending"])
        listed = await self._call.send("GET", f"{path}/deliveries?status={status}&limit=5")
        assert listed is not None
        for item in listed.json().get("items", []):
            retried = await self._call.send("POST", f"/deliveries/{item['id']}/retry", kind="retry")
            assert retried is not None
            # 409: delivered meanwhile, or held back by its key.
            assert retried.status_code in (200, 404, 409), retried.text

    async def replay(self) -> None:
        """Some of the last events once more, sometimes with a pause in between."""
        webhook = self._chance.choice([item for item in self._ledger.living if item.always_on])
        newest = (await self._call.get("/events?newest=true&limit=25"))["items"]
        if not newest:
            return
        body = {
            "endpoint_id": webhook.id,
            "since": newest[0]["cursor"],
            "only": self._chance.choice(["all", "all", "failed", "never_sent"]),
        }
        response = await self._call.send("POST", "/replays", body, kind="replay", repeat=False)
        if response is None or response.status_code == 404:
            return
        assert response.status_code == 201, response.text
        if self._chance.random() < 0.3:
            path = f"/replays/{response.json()['id']}"
            for verb in ("pause", "resume"):
                changed = await self._call.send("POST", f"{path}/{verb}", kind="replay")
                assert changed is not None
                assert changed.status_code in (200, 409), changed.text

    # -- webhooks --------------------------------------------------------------------------

    async def webhook(self) -> None:
        """Make one, change one, switch one off and on, or delete one."""
        extra = [item for item in self._ledger.living if item.name.startswith("extra")]
        fleeting = [item for item in self._ledger.living if not item.always_on]
        what = self._chance.choice(["make", "change", "switch", "delete"])
        if what == "make" and len(extra) < EXTRA:
            self._number += 1
            await self.make(f"extra-{self._number}", "healthy", self._chance.choice(PATTERNS))
        elif what == "delete" and extra and self.deletes:
            await self._delete(self._chance.choice(extra))
        elif what == "switch" and fleeting:
            await self._switch(self._chance.choice(fleeting))
        else:
            await self._change(self._any())

    async def make(
        self, name: str, character: str, event_types: tuple[str, ...], **options: object
    ) -> Webhook:
        """Make a webhook with a receiver of its own."""
        receiver = self._new_receiver(name, character)
        webhook = Webhook(name, receiver, event_types, ordered=bool(options.get("ordered")))
        webhook.not_before = await self._newest()
        body = {
            "name": name,
            "url": receiver.url,
            "event_types": event_types,
            "secret": receiver.secrets[0],
            **options,
        }
        webhook.id = await self._made(name, body)
        webhook.after = await self._newest()
        self._ledger.webhooks.append(webhook)
        return webhook

    async def _made(self, name: str, body: Mapping[str, object]) -> int:
        # A repeat would make another; whether the first was made, the list says.
        while True:
            response = await self._call.send(
                "POST", "/webhooks", body, kind="webhook", repeat=False
            )
            if response is not None:
                assert response.status_code == 201, response.text
                return int(response.json()["id"])
            listed = (await self._call.get("/webhooks?limit=200"))["items"]
            for item in listed:
                if item["name"] == name:
                    return int(item["id"])

    async def _newest(self) -> int:
        newest = (await self._call.get("/events?newest=true&limit=1"))["items"]
        return newest[-1]["sequence"] if newest else 0

    async def _change(self, webhook: Webhook) -> None:
        body: dict[str, object] = {"description": str(self._chance.random())}
        if self._chance.random() < 0.5:
            body["concurrency"] = self._chance.choice([None, 1, 4])
        path = f"/webhooks/{webhook.id}"
        response = await self._call.send("PATCH", path, body, kind="webhook")
        assert response is not None
        assert response.status_code in (200, 404), response.text

    async def _switch(self, webhook: Webhook) -> None:
        for verb in ("disable", "enable"):
            path = f"/webhooks/{webhook.id}/{verb}"
            response = await self._call.send("POST", path, kind="webhook")
            assert response is not None
            assert response.status_code == 200, response.text
            await trio.sleep(self._chance.uniform(0, 0.2))

    async def _delete(self, webhook: Webhook) -> None:
        webhook.deleted_at = float("inf")
        response = await self._call.send("DELETE", f"/webhooks/{webhook.id}", kind="webhook")
        assert response is not None
        assert response.status_code in (204, 404), response.text
        webhook.deleted_at = trio.current_time()
