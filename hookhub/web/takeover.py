"""The HTTP server: Hypercorn's connections in an accept loop of our own.

Differs from ``hypercorn.trio.serve`` in three things: requests to upgrade a registered path leave
Hypercorn with their socket (:mod:`hookhub.web.upgrade`), a stop is bounded whatever clients do,
and a bug in one connection is logged and touches no other.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Event
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import LifespanFailureError
from quart_trio import QuartTrio

from hookhub.routes import UpgradeHandler
from hookhub.web.listen import Listener
from hookhub.web.upgrade import ReplayStream, TakeoverRequired, UpgradableH11, upgrade_request

SocketStream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

USER_TIMEOUT = 30.0
"""Seconds that sent data may stay unacknowledged, or unsent because the peer does not read.

Hypercorn shields its writes without a deadline; the kernel's timer is what ends those to a peer
that is gone or stalled (tcp(7), TCP_USER_TIMEOUT)."""

CLOSE_TIMEOUT = 1.0
"""Seconds for the goodbye of TLS when a connection that was taken over is closed."""

_log = structlog.get_logger(__name__)


class Connection(TCPServer):
    """One accepted connection: Hypercorn's, until an upgrade takes it away."""

    stream: SocketStream  # type: ignore[assignment]

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: LifespanState,
        upgrades: Mapping[str, UpgradeHandler],
        stream: SocketStream,
    ) -> None:
        super().__init__(app, config, context, state, stream)  # type: ignore[arg-type]
        self._upgrades = upgrades

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket below, whether TLS is in between or not."""
        stream = self.stream
        return (stream if isinstance(stream, trio.SocketStream) else stream.transport_stream).socket

    def tune(self) -> None:
        """Set the socket options that Trio does not (it sets TCP_NODELAY and TCP_NOTSENT_LOWAT)."""
        if sys.platform == "linux":
            with suppress(OSError):  # not TCP
                self.socket.setsockopt(
                    trio.socket.IPPROTO_TCP,
                    trio.socket.TCP_USER_TIMEOUT,
                    int(USER_TIMEOUT * 1000),
                )

    def abort(self) -> None:
        """Close the socket at once. Wakes even a write that Hypercorn shields."""
        self.socket.close()

    async def protocol_send(self, event: Event) -> None:
        # quart-trio cancels the task that answers once the answer is complete. That task still
        # has to close the connection or to start its idle timer; cancelled there, an idle
        # connection would stay open for ever. What bounds the shield: USER_TIMEOUT and abort().
        with trio.CancelScope(shield=True):
            await super().protocol_send(event)

    async def _read_data(self) -> None:
        outer = self.protocol
        if type(outer.protocol) is H11Protocol:
            # Nothing was read yet, so one fresh protocol may stand in for another.
            outer.protocol = UpgradableH11(
                self._upgrades,
                outer.app,
                outer.config,
                outer.context,
                outer.task_group,
                outer.state,
                outer.ssl,
                outer.client,
                outer.server,
                outer.send,
            )
        try:
            await super()._read_data()
        except TakeoverRequired as takeover:
            await self._hand_over(takeover)
        finally:
            # Whoever connects and goes without a word must not keep a socket until the idle
            # time-out: TCP health checks do just that, all day.
            with trio.CancelScope(shield=True):
                await self.idle_task.stop()

    async def _hand_over(self, takeover: TakeoverRequired) -> None:
        await self.idle_task.stop()
        request = upgrade_request(
            takeover.request, client=self.protocol.client, secure=self.protocol.ssl
        )
        handler = self._upgrades[request.path]
        try:
            await handler(request, ReplayStream(self.stream, takeover.trailing_data))
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client is gone
        except* Exception as errors:
            _log.error("upgrade.failed", path=request.path, exc_info=errors)
        finally:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await self.stream.aclose()


class _Connections:
    """Makes, runs and counts the connections of one server."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: LifespanState,
        upgrades: Mapping[str, UpgradeHandler],
    ) -> None:
        self._connect = partial(Connection, app, config, context, state, upgrades)
        self._open: set[Connection] = set()
        self._left = trio.lowlevel.ParkingLot()

    async def run(self, stream: SocketStream) -> None:
        """Serve one connection to its end; raises nothing but cancellation."""
        connection = self._connect(stream)
        self._open.add(connection)
        try:
            connection.tune()
            await connection.run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client is gone, or a stop took the socket away
        except* Exception as errors:
            _log.error("connection.failed", exc_info=errors)
        finally:
            self._open.discard(connection)
            self._left.unpark_all()

    async def wait_drained(self) -> None:
        """Wait until no connection is open."""
        while self._open:
            await self._left.park()

    def abort(self) -> None:
        """Close the sockets of all that are still open."""
        for connection in self._open:
            connection.abort()


async def serve(
    app: QuartTrio,
    listeners: Sequence[Listener],
    *,
    upgrades: Mapping[str, UpgradeHandler],
    config: Config,
    stopping: trio.Event,
    grace: float,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve HTTP until ``stopping`` is set and the running requests are done.

    Starts and shuts down the app (ASGI lifespan) around it. The listeners are closed in any case.

    Args:
        app: the web application.
        listeners: open listeners; see :func:`hookhub.web.listen.open_listeners`.
        upgrades: path to the handler that takes over a WebSocket upgrade of that path.
        config: Hypercorn's settings; see :func:`hookhub.web.hypercorn_config.hypercorn_config`.
        stopping: when set, nothing more is accepted and idle connections are closed at once.
        grace: seconds that requests and taken-over connections may go on after that.
        task_status: started when connections are accepted.

    Raises:
        LifespanFailureError: the app refused to start or to shut down.
    """
    state: LifespanState = {}
    wrapped = ASGIWrapper(app)
    lifespan = Lifespan(wrapped, config, state)
    context = WorkerContext(None)
    connections = _Connections(wrapped, config, context, ConnectionState(state), upgrades)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            await _accept(connections, listeners, context, stopping, grace, task_status)
            await lifespan.wait_for_shutdown()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as errors:
        failed = _first(errors, LifespanFailureError)
        if failed is None:
            raise
        raise failed from None
    finally:
        for listener in listeners:
            with trio.CancelScope(shield=True):
                await listener.aclose()


def _first(errors: BaseExceptionGroup, kind: type[Exception]) -> BaseException | None:
    found: BaseException | None = errors.subgroup(kind)
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


async def _accept(
    connections: _Connections,
    listeners: Sequence[Listener],
    context: WorkerContext,
    stopping: trio.Event,
    grace: float,
    task_status: trio.TaskStatus[None],
) -> None:
    async with trio.open_nursery() as handlers:
        try:
            async with trio.open_nursery() as acceptor:
                await acceptor.start(
                    partial(
                        trio.serve_listeners,
                        connections.run,
                        list(listeners),
                        handler_nursery=handlers,
                    )
                )
                task_status.started()
                await stopping.wait()
                acceptor.cancel_scope.cancel()
            await context.terminated.set()
            with trio.move_on_after(grace):
                await connections.wait_drained()
        finally:
            # Also when cancelled from outside: a shielded write would outlive the cancellation.
            connections.abort()
            handlers.cancel_scope.cancel()
