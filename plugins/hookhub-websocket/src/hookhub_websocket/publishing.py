"""Events that come in over a WebSocket: one in each message, acknowledged once it is committed."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import trio
from pydantic import BaseModel, ConfigDict

from hookhub.contracts.errors import HookhubError, IdempotencyMismatch, MalformedRequest
from hookhub.contracts.events import Accepted, Draft, parse_json
from hookhub.contracts.routes import Principal, checked
from hookhub_websocket import messages
from hookhub_websocket.closing import Why
from hookhub_websocket.frames import text_frame
from hookhub_websocket.link import Link
from hookhub_websocket.messages import BadMessage
from hookhub_websocket.settings import WebSocketSettings
from hookhub_websocket.watch import Watch

if TYPE_CHECKING:
    from hookhub.hub import Hub

IN_FLIGHT = 1_000
"""Events of one client that wait for their commit; what comes then is not read yet."""
BATCH = 500
"""Events that are committed together."""


class PublishedEvent(BaseModel):
    """What a message may hold: the body of ``POST /events``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: str
    payload: dict[str, Any]
    id: str | None = None
    key: str | None = None
    source: str | None = None


class NoFeed:
    """The place in the feed of one who does not read it."""

    sent = lag = 0
    catching_up = True
    cursor = None

    def skip(self) -> bytes:
        """Nothing is said."""
        return b""


class _Arrived(NamedTuple):
    """A message, in its turn."""

    draft: Draft | None
    error: HookhubError | None
    """Why it is none."""
    id: str | None
    """The client's own, if it can be read."""


class Publishing:
    """A client that publishes, from its first message to its end.

    Args:
        hub: takes the events.
        link: the open WebSocket.
        principal: whose token it came with.
        client: the peer's address.
        settings: ``[plugins.websocket]``.
    """

    def __init__(
        self,
        hub: Hub,
        link: Link,
        principal: Principal,
        client: str,
        settings: WebSocketSettings,
    ) -> None:
        self.link = link
        self.principal = principal
        self.client = client
        self.feeder = NoFeed()
        self.watch = Watch(hub, link, self.feeder, principal, settings)
        self.messages_received = 0
        self._hub = hub
        self._waiting: deque[_Arrived] = deque()
        self._committing = 0
        self._arrived = trio.Event()
        self._room = trio.Event()
        self._last_words: str | None = None
        """The reason of the close that follows the last acknowledgement."""

    async def run(self) -> None:
        """Serve the client until one side closes or the connection breaks."""
        async with trio.open_nursery() as nursery:
            self.link.scope = nursery.cancel_scope
            ready = {"type": "ready", "in_flight": IN_FLIGHT}
            self.link.post(json.dumps(ready).encode())
            self.link.outbox.attach(partial(nursery.start_soon, self._flush))
            nursery.start_soon(self._commit)
            try:
                await self.link.read(self._take)
            finally:
                self.link.outbox.detach()
            if self.link.closed is None:
                nursery.cancel_scope.cancel()
            else:
                self.link.end_soon()

    def goodbye(self, after: float) -> None:
        """The hub restarts: acknowledge what has come, and take nothing more.

        Args:
            after: seconds until the client may come back.
        """
        self._last_words = f"Restarting; reconnect in {after:g} s"
        self._arrived.set()

    async def _flush(self) -> None:
        outbox = self.link.outbox
        try:
            while await outbox.flush():
                if outbox.rest():
                    return
            self.link.end_soon()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.link.abort()

    # -- what comes in ---------------------------------------------------------------------

    async def _take(self, text: str | None) -> None:
        self.messages_received += 1
        if self._last_words is not None:
            # Not acknowledged: the client sends it again.
            return
        self._waiting.append(self._read(text))
        self._arrived.set()
        while len(self._waiting) + self._committing >= IN_FLIGHT:
            self._room = trio.Event()
            await self._room.wait()

    def _read(self, text: str | None) -> _Arrived:
        own: str | None = None
        try:
            if text is None:
                raise MalformedRequest("Send JSON in text messages, not in binary ones.")
            value = parse_json(text, "The message")
            if not isinstance(value, dict):
                raise MalformedRequest("A message is one event: a JSON object.")
            if isinstance(value.get("id"), str):
                own = value["id"]
            event = checked(PublishedEvent, **value)
            draft = self._hub.draft(
                event.type, event.payload, key=event.key, source=event.source, id=event.id
            )
            return _Arrived(draft, None, own)
        except HookhubError as error:
            return _Arrived(None, error, own)

    # -- what is committed -----------------------------------------------------------------

    async def _commit(self) -> None:
        """Commit what waits, one batch after the other, and acknowledge each message in turn."""
        while self.link.closed is None:
            if not self._waiting:
                if self._last_words is not None:
                    self.link.close(Why.RESTART, self._last_words)
                    return
                self._arrived = trio.Event()
                await self._arrived.wait()
                continue
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._committing = len(batch)
            frames = await self._answers(batch)
            self._committing = 0
            self._room.set()
            self.link.outbox.post(frames)
            await self.link.outbox.wait_room()

    async def _answers(self, batch: Sequence[_Arrived]) -> bytes:
        drafts = [item.draft for item in batch if item.draft is not None]
        found = iter(await self._accepted(drafts))
        return b"".join(
            _answer(item, next(found) if item.error is None else item.error) for item in batch
        )

    async def _accepted(self, drafts: Sequence[Draft]) -> Sequence[Accepted | HookhubError]:
        """What became of each."""
        if not drafts:
            return []
        try:
            return await self._hub.accept(drafts)
        except IdempotencyMismatch as error:
            if len(drafts) == 1:
                return [error]
            # All or none: the others are not to suffer for it.
            return [found for draft in drafts for found in await self._accepted([draft])]
        except HookhubError as error:
            return [error] * len(drafts)


def _answer(item: _Arrived, result: Accepted | HookhubError) -> bytes:
    if isinstance(result, HookhubError):
        return text_frame(messages.error(BadMessage.of(result, item.id)))
    said = {
        "type": "accepted",
        "id": result.id,
        "sequence": result.sequence,
        "deliveries": result.deliveries,
        "repeated": result.repeated,
    }
    return text_frame(json.dumps(said).encode())
