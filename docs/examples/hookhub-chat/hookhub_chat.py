"""A durable sink: posts a line into a chat (Slack, Mattermost and the like) for each event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import httpx

from hookhub import (
    Answer,
    Attempt,
    AttemptResult,
    Body,
    DurableSink,
    Outcome,
    Request,
    Route,
    hookimpl,
)
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.routes import checked
from hookhub.egress import EGRESS_ERRORS, classify

if TYPE_CHECKING:
    from hookhub.hub import Hub


class Config(Body):
    url: str


class NewChat(Config):
    name: str
    event_types: list[str]


class Chat(Answer):
    id: int
    name: str


class ChatSink(DurableSink):
    name = "chat"

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> Sequence[Route]:
        made = {201: Chat}
        return [Route("POST", "/chats", self.create, "admin", "chats", NewChat, responses=made)]

    async def create(self, request: Request) -> Chat:
        """Make a chat that events are posted to."""
        new = request.body_as(NewChat)
        endpoint = NewEndpoint(new.name, tuple(new.event_types), {"url": new.url})
        made = await self._hub.endpoints.create(self.name, endpoint)
        return Chat(id=made.id, name=made.name)

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {"url": self._hub.egress.check_url(checked(Config, **config).url)}

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {"url": "***"}  # whoever knows it can post

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        text = f"{attempt.event.type}: {attempt.event.payload}"
        owner = {"owner": attempt.endpoint_id}
        request = httpx.Request(
            "POST", attempt.config["url"], json={"text": text}, extensions=owner
        )
        try:
            response = await self._hub.egress.transport().handle_async_request(request)
            await response.aclose()
        except EGRESS_ERRORS as error:
            return AttemptResult(Outcome.RETRY, None, None, *classify(error))
        if response.is_success:
            return AttemptResult(Outcome.DELIVERED, response.status_code)
        message = f"The chat answered {response.status_code}."
        return AttemptResult(Outcome.RETRY, response.status_code, None, "status", message)


@hookimpl
def hookhub_sinks(hub: Hub) -> Iterable[DurableSink]:
    return [ChatSink(hub)]
