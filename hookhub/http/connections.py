"""The HTTP server: Hypercorn's connections in an accept loop of our own.

Differs from ``hypercorn.trio.serve`` in five things: requests to upgrade a registered path leave
Hypercorn with their socket, what is no HTTP/1.1 is refused with a problem document and HTTP/2 is
not spoken (:mod:`hookhub.http.protocol`), how long a client may take and how long a stop lasts are
bounded whatever clients do, a stop breaks no request off (:class:`Leave`), and a bug in one
connection is logged and touches no other.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.events import Closed, Event, RawData
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import LifespanFailureError
from quart_trio import QuartTrio

from hookhub.contracts.routes import UpgradeHandler
from hookhub.http.app_queue import AppQueues
from hookhub.http.limits import ServerConfig
from hookhub.http.listeners import Listener, refuse_connections, wait_accepted, wait_taken
from hookhub.http.problems import RequestTimedOut
from hookhub.http.protocol import (
    ReplayStream,
    RequestRefused,
    TakeoverRequired,
    UpgradableH11,
    upgrade_request,
)

SocketStream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

USER_TIMEOUT = 30.0
"""Seconds that sent data may stay unacknowledged, or unsent because the peer does not read.

Hypercorn shields its writes without a deadline; the kernel's timer is what ends those to a peer
that is gone or stalled (tcp(7), TCP_USER_TIMEOUT)."""

LINGER = 5.0
"""Seconds to go on reading after a refusal: a client that is still sending when the connection
closes gets a reset, and may never see the answer that says why."""

MOMENT = 0.5
"""Seconds that a connection which was just made or served is kept at a stop: a client that asks one
thing after the other then learns from its next answer that it is the last, and loses nothing."""

CLOSE_TIMEOUT = 1.0
"""Seconds for the goodbye of TLS when a connection that was taken over is closed."""

_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
_ABORT: ContextVar[Callable[[], None]] = ContextVar("abort")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Leave:
    """What connections are told about the end.

    Hypercorn's own ``WorkerContext.terminated`` is never set: it closes a connection after an
    answer that promised to take another request.
    """

    draining: trio.Event
    """Set when each answer that begins is the last of its connection, and says so."""
    stopping: trio.Event
    """Set when connections without a request are to end; ``draining`` is set then as well."""


class ServerConnection(TCPServer):
    """One accepted connection: Hypercorn's, until an upgrade takes it away."""

    stream: SocketStream  # type: ignore[assignment]

    def __init__(
        self,
        app: AppWrapper,
        config: ServerConfig,
        context: WorkerContext,
        state: LifespanState,
        upgrades: Mapping[str, UpgradeHandler],
        leave: Leave,
        stream: SocketStream,
    ) -> None:
        super().__init__(app, config, context, state, stream)  # type: ignore[arg-type]
        self._config = config
        self._upgrades = upgrades
        self._leave = leave
        self._reading = trio.CancelScope()
        self._receiving = trio.CancelScope()
        self._http: UpgradableH11
        self._takeover: TakeoverRequired | None = None

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
        # The task that answers may be cancelled once the answer is complete. It still has to close
        # the connection or to start its idle timer; cancelled there, an idle connection would stay
        # open for ever. What bounds the shield: USER_TIMEOUT and abort().
        with trio.CancelScope(shield=True):
            if isinstance(event, RawData):
                try:
                    async with self.send_lock:
                        await self.stream.send_all(event.data)
                except _GONE:
                    await self.protocol.handle(Closed())
            else:
                await super().protocol_send(event)
        if isinstance(event, Closed):
            # The reader may hold the next request, and wait for this one to make room for it.
            self._reading.cancel()

    async def run(self) -> None:
        """Serve HTTP, then whoever takes the connection over.

        By then nothing of Hypercorn is left, neither on the stack nor in memory: there may be
        thousands of them.
        """
        await super().run()
        takeover, self._takeover = self._takeover, None
        if takeover is not None:
            request = upgrade_request(
                takeover.request, client=takeover.client, secure=self.protocol.ssl
            )
            stream: trio.abc.Stream = self.stream
            if takeover.trailing_data:
                stream = ReplayStream(stream, takeover.trailing_data)
            path = request.path
            handling = self._upgrades[path](request, stream)
            del takeover, request, stream, self.protocol, self._http
            await self._hand_over(path, handling)

    async def _close(self) -> None:
        if self._takeover is None:
            await super()._close()

    async def _read_data(self) -> None:
        outer = self.protocol
        # Nothing was read yet, so one fresh protocol may stand in for another.
        self._http = outer.protocol = UpgradableH11(
            self._upgrades,
            self._head_begun,
            self._leave.draining.is_set,
            outer.app,
            outer.config,
            outer.context,
            AppQueues(outer.task_group),
            outer.state,
            outer.ssl,
            outer.client,
            outer.server,
            outer.send,
        )
        try:
            with self._reading:
                await self._read_all()
        except TakeoverRequired as takeover:
            self._takeover = takeover.with_traceback(None)
        except RequestRefused as refused:
            await self._refuse(refused)
        finally:
            # Whoever connects and goes without a word must not keep a socket until the idle
            # time-out: TCP health checks do just that, all day.
            with trio.CancelScope(shield=True):
                await self.idle_task.stop()

    async def _head_begun(self) -> None:
        await self.idle_task.restart(self._task_group, self._head_timeout)

    async def _read_all(self) -> None:
        """In place of Hypercorn's loop, which can only be ended by closing the socket.

        Cancelling a receive takes nothing away that has been received: it is the safe way.
        """
        data = b"-"
        with suppress(*_GONE):
            while data:
                data = b""
                with trio.CancelScope() as self._receiving:
                    data = bytes(await self.stream.receive_some(MAX_RECV))
                await self.protocol.handle(RawData(data))
        await self.protocol.handle(Closed())

    async def _idle_timeout(self) -> None:
        await self._patience(self._config.keep_alive_timeout)
        await wait_taken(self.socket)  # It is the next request: its reader cancels this.
        self._receiving.cancel()

    async def _head_timeout(self) -> None:
        """In place of the idle timer, from the first byte of a request to the end of its head."""
        late = await self._patience(self._config.head_timeout)
        if late and self._http.waits_for_head:
            detail = "The head of the request did not arrive in time; send it faster."
            await self._answer_last(RequestRefused(RequestTimedOut(detail)))
            with trio.move_on_after(LINGER):  # Whoever reads goes on, and cancels this at the end.
                await self._leave.stopping.wait()
        with trio.CancelScope(shield=True):
            await self._initiate_server_close()

    async def _patience(self, seconds: float) -> bool:
        """Wait for so long, at a stop for no more than a moment; whether it was the whole time."""
        begin = trio.current_time()
        with trio.move_on_after(seconds) as whole:
            await self._leave.stopping.wait()
            await trio.sleep_until(begin + MOMENT)
        return whole.cancelled_caught

    async def _answer_last(self, refused: RequestRefused) -> None:
        with suppress(*_GONE, trio.BusyResourceError):
            await self._http.refuse(refused)
            if isinstance(self.stream, trio.SocketStream):
                await self.stream.send_eof()

    async def _refuse(self, refused: RequestRefused) -> None:
        await self.idle_task.stop()
        await self._answer_last(refused)
        with trio.move_on_after(LINGER), suppress(*_GONE):
            while await self.stream.receive_some():
                pass
        # A request whose body was refused half-way is still being answered.
        await self.protocol.handle(Closed())

    async def _hand_over(self, path: str, handling: Awaitable[None]) -> None:
        try:
            await handling
        except* _GONE:
            pass  # the client is gone
        except* (Exception, SystemExit) as errors:
            _log.error("upgrade.failed", path=path, exc_info=errors)
        finally:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await self.stream.aclose()


def abort_connection() -> None:
    """Close the socket below the current request: the way around writes that Hypercorn shields.
    Without one, do nothing."""
    abort = _ABORT.get(None)
    if abort is not None:
        abort()


class _Connections:
    """Makes, runs and counts the connections of one server."""

    def __init__(self, connect: Callable[[SocketStream], ServerConnection]) -> None:
        self._connect = connect
        self._open: set[ServerConnection] = set()
        self._left = trio.lowlevel.ParkingLot()

    async def run(self, stream: SocketStream) -> None:
        """Serve one connection to its end; raises nothing but cancellation."""
        connection = self._connect(stream)
        self._open.add(connection)
        try:
            connection.tune()
            _ABORT.set(connection.abort)  # This task has a context of its own.
            await connection.run()
        except* _GONE:
            pass  # the client is gone, or a stop took the socket away
        except* (Exception, SystemExit) as errors:
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


SUPERVISED = 0.1
"""Seconds that a worker goes on accepting: who started it refuses new connections meanwhile, if all
workers stop."""


async def serve(
    app: QuartTrio,
    listeners: Sequence[Listener],
    *,
    upgrades: Mapping[str, UpgradeHandler],
    config: ServerConfig,
    draining: trio.Event,
    stopping: trio.Event,
    grace: float,
    shared: bool = False,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve HTTP until ``stopping`` is set and the running requests are done.

    Starts and shuts down the app (ASGI lifespan) around it. The listeners are closed in any case.

    Args:
        app: the web application.
        listeners: open listeners; see :func:`hookhub.http.listeners.open_listeners`.
        upgrades: path to the handler that takes over a WebSocket upgrade of that path.
        config: Hypercorn's settings; see :func:`hookhub.http.limits.hypercorn_config`.
        draining: when set, each answer is the last of its connection, and says so.
        stopping: when set, nothing more is accepted, connections without a request are closed, and
            ``draining`` is set.
        grace: seconds that requests and taken-over connections may go on after that.
        shared: whether other processes accept from the same sockets, and may go on to.
        task_status: started when connections are accepted.

    Raises:
        LifespanFailureError: the app refused to start or to shut down.
    """
    state: LifespanState = {}
    wrapped = ASGIWrapper(app)
    lifespan = Lifespan(wrapped, config, state)
    leave = Leave(draining, stopping)
    context, connection_state = WorkerContext(None), ConnectionState(state)
    connections = _Connections(
        partial(ServerConnection, wrapped, config, context, connection_state, upgrades, leave)
    )
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            await _accept(connections, listeners, leave, grace, shared, task_status)
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
    leave: Leave,
    grace: float,
    shared: bool,
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
                await leave.stopping.wait()
                leave.draining.set()
                if shared:
                    await trio.sleep(SUPERVISED)
                for listener in listeners:
                    if not shared:
                        refuse_connections(listener)
                    await wait_accepted(listener)
                acceptor.cancel_scope.cancel()
            with trio.move_on_after(grace):
                await connections.wait_drained()
        finally:
            # Also when cancelled from outside: a shielded write would outlive the cancellation.
            connections.abort()
            handlers.cancel_scope.cancel()
