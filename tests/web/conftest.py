"""A hub with one small plugin: two event types, routes of every kind, a sink that keeps events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
import trio
from pydantic import Field

import hookhub
from hookhub.config import Settings
from hookhub.contracts.components import Source
from hookhub.contracts.errors import Conflict, NotFound
from hookhub.contracts.events import EventType, Payload
from hookhub.contracts.routes import (
    Answer,
    Body,
    EventTypeName,
    EventTypePattern,
    Line,
    Query,
    Request,
    Response,
    Route,
)
from hookhub.contracts.sinks import Attempt, AttemptResult, DurableSink, Outcome
from hookhub.plugins import Plugins


class UserCreated(Payload):
    user_id: int
    first_name: str | None = None


class TicketCreated(Payload):
    ticket_id: int


class Thing(Body):
    name: Line = Field(max_length=20)
    amount: float = 0.0
    due: datetime | None = None
    tags: list[str] = []
    free: dict[str, Any] = {}


class Options(Body):
    loud: bool = False


class Subscription(Body):
    type: EventTypeName | None = None
    patterns: list[EventTypePattern] = []


class Which(Query):
    limit: int = Field(50, ge=1, le=200)
    active: bool | None = None
    ratio: float = 1.0
    name: str | None = None


class Echo(Answer):
    said: dict[str, Any]


class Things(Source):
    """Routes that say what they were given, or fail in every way."""

    name = "things"

    def __init__(self) -> None:
        self.left = trio.Event()

    async def echo(self, request: Request) -> dict[str, Any]:
        """Say what came."""
        return {"said": request.body.model_dump(mode="json")}

    async def which(self, request: Request) -> dict[str, Any]:
        """Say which."""
        return {"said": request.query_as(Which).model_dump()}

    async def show(self, request: Request) -> dict[str, Any]:
        """Show the parameters."""
        return {"said": dict(request.params)}

    async def fail(self, request: Request) -> Response:
        """Fail as the path says."""
        match request.params["way"]:
            case "conflict":
                raise Conflict("There is one already.")
            case "group":
                raise ExceptionGroup("of a nursery", [NotFound("There is none.")])
            case "bug":
                raise RuntimeError("the-secret-of-the-bug")
            case "exit":
                raise SystemExit("the-secret-of-the-bug")
            case "stream":
                return Response(self._broken(), content_type="text/plain")
            case _:
                return Response(b"\x00\xff", content_type="application/octet-stream", status=203)

    async def endless(self, request: Request) -> Response:
        """Never end."""
        return Response(self._endless(), content_type="text/plain")

    async def _broken(self) -> AsyncIterator[bytes]:
        yield b"so far"
        raise RuntimeError("in the middle")

    async def _endless(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"on and on\n"
                await trio.sleep(0.01)
        finally:
            self.left.set()

    def routes(self) -> Sequence[Route]:
        return [
            Route("POST", "/things", self.echo, "events:write", "things", body=Thing),
            Route("PUT", "/things", self.echo, None, "things", body=Options),
            Route("POST", "/things/wanted", self.echo, None, "things", body=Subscription),
            Route("GET", "/things", self.which, None, "things", query=Which),
            Route("GET", "/things/{thing_id:int}", self.show, None, "things"),
            Route("GET", "/things/{thing_id:int}/parts/{part}", self.show, None, "things"),
            Route("GET", "/things/fail/{way}", self.fail, None, "things"),
            Route("GET", "/things/endless", self.endless, None, "things"),
            Route(
                "DELETE",
                "/things/{thing_id:int}",
                self.gone,
                "admin",
                "things",
                None,
                None,
                {204: None},
            ),
        ]

    async def gone(self, request: Request) -> None:
        """Do nothing."""


class Box(DurableSink):
    """Refuses what its endpoint's configuration says to refuse."""

    name = "box"

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        if attempt.config.get("refuse"):
            return AttemptResult(Outcome.GIVE_UP, 400, "no", "status", "It answered 400.")
        timings = {"dns": 0.25, "total": 0.5} if attempt.config.get("timings") else {}
        return AttemptResult(Outcome.DELIVERED, 200, "ok", timings=timings)


class SamplePlugin:
    def __init__(self) -> None:
        self.things = Things()

    @hookhub.hookimpl
    def hookhub_event_types(self) -> Iterable[EventType]:
        user = {"user_id": 1, "first_name": "Аня"}
        return [
            EventType("user.created", UserCreated, "A user was created.", user),
            EventType("ticket.created", TicketCreated, "A ticket was opened.", {"ticket_id": 1}),
        ]

    @hookhub.hookimpl
    def hookhub_sources(self, hub: Any) -> Iterable[Source]:
        return [self.things]

    @hookhub.hookimpl
    def hookhub_sinks(self, hub: Any) -> Iterable[DurableSink]:
        return [Box()]


@pytest.fixture
def sample() -> SamplePlugin:
    """The plugin of the hub under test."""
    return SamplePlugin()


@pytest.fixture
def hub_plugins(hub_settings: Settings, sample: SamplePlugin) -> Plugins:
    """Only that plugin, whatever is installed."""
    return Plugins.load(hub_settings.plugins, [("sample", sample)], installed=[])
