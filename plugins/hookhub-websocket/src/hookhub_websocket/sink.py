"""The live sink: takes over ``/ws``, hands out tickets, watches its clients."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import structlog
import trio
from pydantic import Field

from hookhub import Answer, Entry, LiveSink, Request, Response, Route
from hookhub.contracts.errors import HookhubError, TooManyRequests, Unauthorized
from hookhub.contracts.routes import Principal, UpgradeHandler, UpgradeRequest
from hookhub.feed import USER_AGENT_MAX
from hookhub_websocket.asyncapi import asyncapi_document
from hookhub_websocket.auth import SCOPE, Parameters, authorize, check_origin, header_values
from hookhub_websocket.batches import Batches
from hookhub_websocket.closing import Why
from hookhub_websocket.connections import Connections, LiveSession
from hookhub_websocket.deflate import SharedDeflate, SharedFrames
from hookhub_websocket.fanout import Fanout
from hookhub_websocket.frames import plain_frame
from hookhub_websocket.handshake import BadHandshake, open_handshake, turn_away
from hookhub_websocket.link import Link
from hookhub_websocket.publishing import Publishing
from hookhub_websocket.session import Begin, Session
from hookhub_websocket.settings import WebSocketSettings

if TYPE_CHECKING:
    from hookhub.hub import Hub

PATH = "/ws"
PUBLISH_PATH, PUBLISH_SCOPE = "/events/publish", "events:write"
ENVELOPE = 16 * 1024
"""Bytes of a published event around its payload, blanks and escapes included."""
WATCH = 0.5
"""Seconds between looks at every connection: a revoked token closes its own within a second."""

log = structlog.get_logger("hookhub.websocket")


class LiveTicket(Answer):
    """A one-time ticket for a live connection."""

    ticket: str = Field(description="For `/ws?ticket=…` or `/events/stream?ticket=…`; works once")
    expires_in: float = Field(description="Seconds until it is useless")


class WebSocketSink(LiveSink):
    """Every committed event to every connected client.

    Sessions read the feed themselves, each at its own pace; nothing is copied for them here.
    """

    name = "websocket"

    def __init__(self, hub: Hub, settings: WebSocketSettings) -> None:
        self._hub = hub
        self._settings = settings
        self._connections = Connections()
        self._batches = Batches(hub.feed)
        self._deflated = SharedFrames(settings.compress_from)
        self._fanout = Fanout(hub.feed, self._batches)
        self._publishers = 0
        self._stopping = False
        self._frames = 0
        self._frame_bytes = 0

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/ws/ticket",
                self.issue_ticket,
                scope=SCOPE,
                tag="live",
                responses={200: LiveTicket},
                cross_origin=True,
            ),
            Route("GET", "/asyncapi.json", self.describe, None, "pages", described=False),
        ]

    def upgrades(self) -> Mapping[str, UpgradeHandler]:
        return {PATH: self.take, PUBLISH_PATH: self.take_publisher}

    def publish(self, entries: Sequence[Entry]) -> None:
        self._frames += len(entries)
        self._frame_bytes += sum([entry.size for entry in entries])
        self._fanout.publish()

    def epoch_began(self) -> None:
        self._deflated.clear()
        self._fanout.publish()

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        live = self._hub.settings.live
        pause = min(WATCH, live.heartbeat / 2, live.heartbeat_timeout / 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._fanout.run)
            nursery.start_soon(self._watch, pause)
            task_status.started()

    async def _watch(self, pause: float) -> None:
        while True:
            await trio.sleep(pause)
            self._connections.check(self._frame_bytes / max(self._frames, 1))

    async def stop(self) -> None:
        self._stopping = True
        self._connections.goodbye()
        with trio.move_on_after(self._settings.close_timeout):
            await self._connections.wait_empty()
        self._connections.abort()

    def statistics(self) -> Mapping[str, float]:
        return {
            **self._connections.statistics(),
            **self._fanout.statistics(),
            "publishers": self._publishers,
        }

    async def issue_ticket(self, request: Request) -> Response:
        """Get a ticket that opens one WebSocket or event stream.

        So no token stands in an address, where a browser would have to put it. The ticket can do
        what its token can, for as long as the token is good.
        """
        assert request.principal is not None
        ticket, lifetime = await self._hub.tokens.issue_ticket(request.principal)
        return Response(
            LiveTicket(ticket=ticket, expires_in=lifetime),
            headers={"Cache-Control": "no-store"},
        )

    async def describe(self, request: Request) -> Response:
        """The live feed as AsyncAPI 3.0."""
        return Response(self._description)

    @cached_property
    def _description(self) -> bytes:
        return json.dumps(asyncapi_document(self._hub.registry)).encode()

    # -- connections -----------------------------------------------------------------------

    async def take(self, request: UpgradeRequest, stream: trio.abc.Stream) -> None:
        """Serve one reader of the feed from its handshake to its end."""
        opened = await self._open(request, stream, SCOPE)
        if opened is None:
            return
        parameters = Parameters(request.query_string)
        where, since = parameters.first("where"), parameters.first("since")
        begin = Begin(_patterns(parameters), where, since)
        session = Session(
            self._hub,
            opened.link,
            opened.principal,
            request.client,
            self._settings,
            self._fanout,
            self._batches,
            ", ".join(header_values(request, b"user-agent"))[:USER_AGENT_MAX],
            self._deflated.encode if opened.deflated else plain_frame,
        )
        # What was asked is not kept for as long as the connection lives.
        del request, stream, opened, parameters, where, since
        with self._hub.presence.member(session):
            await self._serve(session, partial(session.run, begin))

    async def take_publisher(self, request: UpgradeRequest, stream: trio.abc.Stream) -> None:
        """Serve one publisher from its handshake to its end."""
        opened = await self._open(request, stream, PUBLISH_SCOPE)
        if opened is not None:
            session = Publishing(
                self._hub, opened.link, opened.principal, request.client, self._settings
            )
            self._publishers += 1
            try:
                await self._serve(session, session.run)
            finally:
                self._publishers -= 1

    async def _open(
        self, request: UpgradeRequest, stream: trio.abc.Stream, scope: str
    ) -> _Opened | None:
        """The connection of a client that comes in; None if it was turned away."""
        live = self._hub.settings.live
        deflate = SharedDeflate(live.max_message)
        offered = self._settings.compress_from and scope == SCOPE
        try:
            ws, answer = open_handshake(request, [deflate] if offered else [])
        except BadHandshake as bad:
            with trio.move_on_after(self._settings.close_timeout):
                await stream.send_all(bad.answer)
            return None
        try:
            principal = await self._admit(request, scope)
        except _Refused as refused:
            self._connections.turned_away(refused.why)
            tell = log.debug if refused.quiet else log.info
            tell("websocket.refused", client=request.client, reason=refused.reason)
            wait = self._settings.close_timeout
            await turn_away(ws, stream, answer, refused.why, refused.reason, wait)
            return None
        largest = live.max_message
        if scope == PUBLISH_SCOPE:
            largest = max(largest, self._hub.settings.events.max_payload + ENVELOPE)
        link = Link(ws, stream, largest, self._settings)
        link.outbox.post(answer)
        return _Opened(link, principal, deflate.enabled())

    async def _admit(self, request: UpgradeRequest, scope: str) -> Principal:
        """Who comes in.

        Raises:
            _Refused: nobody, and why.
        """
        try:
            if self._stopping:
                raise _Refused(Why.RESTART, "Restarting")
            check_origin(self._hub.settings, request)
            if scope == SCOPE and (full := self._hub.presence.full()):
                raise _Refused(Why.FULL, f"Full: {full}")
            parameters = Parameters(request.query_string)
            principal = await authorize(self._hub.tokens, request, parameters, scope)
        except Unauthorized as error:
            raise _Refused(Why.UNAUTHORIZED, f"Unauthorized: {error.detail}") from None
        except TooManyRequests as error:
            # The hub logs these together.
            raise _Refused(Why.UNAUTHORIZED, f"Unauthorized: {error.detail}", quiet=True) from None
        except HookhubError as error:
            raise _Refused(Why.ERROR, f"Try again later: {error.detail}") from None
        if self._stopping:
            raise _Refused(Why.RESTART, "Restarting")
        if full := self._full(principal, scope):
            raise _Refused(Why.FULL, f"Full: {full}")
        return principal

    def _full(self, principal: Principal, scope: str) -> str | None:
        most = self._settings.max_publishers
        if scope == PUBLISH_SCOPE:
            told = f"{most} publish already ([plugins.websocket] max_publishers); try again later"
            return told if self._publishers >= most else None
        return self._hub.presence.full(principal)

    async def _serve(self, session: LiveSession, run: Callable[[], Awaitable[None]]) -> None:
        link, name = session.link, session.principal.name
        began = trio.current_time()
        log.debug("websocket.opened", client=session.client, principal=name)
        with self._connections.member(session):
            try:
                await run()
            except* (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the client is gone
            except* Exception as errors:
                link.closed = Why.ERROR
                log.error("websocket.failed", client=session.client, exc_info=errors)
        log.info(
            "websocket.closed",
            client=session.client,
            by=(link.closed or Why.CLIENT).word,
            # Not under the key "token": that would be masked.
            principal=name,
            seconds=round(trio.current_time() - began, 3),
            events=session.feeder.sent,
            received=session.messages_received,
        )


class _Opened(NamedTuple):
    """A client that was let in."""

    link: Link
    principal: Principal
    deflated: bool


class _Refused(Exception):
    """A client is turned away; nothing in ``reason`` is secret."""

    def __init__(self, why: Why, reason: str, *, quiet: bool = False) -> None:
        super().__init__(reason)
        self.why = why
        self.reason = reason
        self.quiet = quiet


def _patterns(parameters: Parameters) -> list[str]:
    """``?events=user.*,ticket.created``, also given several times."""
    values = parameters.all("events")
    patterns = [item.strip() for value in values for item in value.split(",") if item.strip()]
    # Nothing but commas is a mistake, and not "everything".
    return patterns or values
