"""Requests stay Hypercorn's; upgrades of registered paths leave it with their socket; what
listens where."""

from __future__ import annotations

import inspect
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import TrioSingleTask, WorkerContext
from hypercorn.utils import LifespanFailureError
from structlog.testing import capture_logs

from hookhub.config import ServerSettings
from hookhub.contracts.errors import ConfigError
from hookhub.contracts.routes import UpgradeRequest
from hookhub.http.connections import ServerConnection, serve
from hookhub.http.limits import QuietLogger, hypercorn_config
from hookhub.http.listeners import (
    listener_url,
    open_listeners,
    refuse_connections,
    wait_accepted,
)
from hookhub.http.protocol import TakeoverRequired, UpgradableH11
from support.tiny import (
    HELLO,
    UPGRADE,
    ask,
    echo_upgrade,
    make_app,
    read_answer,
    read_exactly,
    running,
)


async def test_requests_are_served_as_before() -> None:
    """Requests on a kept connection reach the app, bodies and bugs included."""
    async with running({"/ws": echo_upgrade}) as server:
        stream = await server.connect()
        assert await ask(stream, HELLO) == (200, b"hello")
        post = b"POST /echo HTTP/1.1\r\nHost: hub\r\nContent-Length: 5\r\n\r\n12345"
        assert await ask(stream, post) == (200, b"12345")
        with capture_logs():
            status, _ = await ask(stream, HELLO.replace(b"hello", b"broken"))
        assert status == 500
        assert await ask(stream, HELLO) == (200, b"hello")


async def test_upgrade_on_a_fresh_connection() -> None:
    """A registered path gets the request and the raw stream."""
    seen: list[UpgradeRequest] = []

    async def handler(request: UpgradeRequest, stream: trio.abc.Stream) -> None:
        seen.append(request)
        await stream.send_all(b"taken")

    async with running({"/ws": handler}) as server:
        stream = await server.connect()
        await stream.send_all(UPGRADE % b"/%77s?token=secret&x=1")
        assert await read_exactly(stream, 5) == b"taken"
        assert await stream.receive_some() == b""
    (request,) = seen
    assert (request.path, request.query_string) == ("/ws", b"token=secret&x=1")
    assert (request.client, request.secure) == ("127.0.0.1", False)
    assert dict(request.headers)[b"upgrade"] == b"WebSocket"


async def test_upgrade_on_a_reused_connection() -> None:
    """Proxies upgrade connections that carried other requests before."""
    async with running({"/ws": echo_upgrade}) as server:
        stream = await server.connect()
        for _ in range(3):
            assert await ask(stream, HELLO) == (200, b"hello")
        await stream.send_all(UPGRADE % b"/ws")
        assert await read_exactly(stream, 10) == b"taken /ws\n"
        await stream.send_all(b"ping")
        assert await read_exactly(stream, 4) == b"ping"


async def test_pipelined_upgrade() -> None:
    """A request, an upgrade and the first bytes after it in one packet: nothing is lost."""
    async with running({"/ws": echo_upgrade}) as server:
        stream = await server.connect()
        await stream.send_all(HELLO + UPGRADE % b"/ws" + b"first ")
        answer = await read_exactly(stream, 1)
        while not answer.endswith(b"hello"):
            answer += await read_exactly(stream, 1)
        assert await read_exactly(stream, 16) == b"taken /ws\nfirst "
        await stream.send_all(b"second")
        assert await read_exactly(stream, 6) == b"second"


async def test_upgrade_in_pieces() -> None:
    """The request may arrive byte by byte."""
    async with running({"/ws": echo_upgrade}) as server:
        stream = await server.connect()
        data = UPGRADE % b"/ws"
        for position in range(len(data)):
            await stream.send_all(data[position : position + 1])
        assert await read_exactly(stream, 10) == b"taken /ws\n"


async def test_taken_connection_outlives_the_idle_timeout() -> None:
    """Hypercorn's keep-alive timer does not end a connection that is no longer its own."""
    async with running({"/ws": echo_upgrade}) as server:
        stream = await server.connect()
        assert await ask(stream, HELLO) == (200, b"hello")
        await stream.send_all(UPGRADE % b"/ws")
        await read_exactly(stream, 10)
        timers = [
            task.name
            for task in _all_tasks()
            if "_idle_timeout" in str(task.coro) or "_cancel_wrapper" in task.name
        ]
        assert timers == []


def _all_tasks() -> list[trio.lowlevel.Task]:
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found, rest = [], [root]
    while rest:
        task = rest.pop()
        found.append(task)
        rest.extend(child for nursery in task.child_nurseries for child in nursery.child_tasks)
    return found


@pytest.mark.parametrize(
    "data",
    [
        UPGRADE % b"/elsewhere",
        (UPGRADE % b"/ws").replace(b"Upgrade: WebSocket", b"Upgrade: other"),
        (UPGRADE % b"/ws").replace(b"Upgrade: WebSocket\r\n", b""),
        (UPGRADE % b"/ws").replace(b"keep-alive, Upgrade", b"keep-alive"),
        (UPGRADE % b"/ws").replace(b"GET", b"DELETE"),
    ],
    ids=["path", "protocol", "no-protocol", "no-connection", "method"],
)
async def test_other_upgrades_are_plain_requests(data: bytes) -> None:
    """What is no WebSocket upgrade of a registered path is answered by the app: here a 404."""
    async with running({"/ws": echo_upgrade}) as server:
        stream = await server.connect()
        await stream.send_all(data)
        response, body = await read_answer(stream, data)
        assert response.status_code == 404
        assert dict(response.headers)[b"content-type"] == b"application/problem+json"
        assert json.loads(body)["code"] == "not_found"
        assert await ask(stream, HELLO) == (200, b"hello"), "the connection goes on"


async def test_websocket_clients_get_a_404_without_plugin() -> None:
    """No plugin at /ws: the upgrade is refused over HTTP with a problem document."""
    async with running() as server:
        stream = await server.connect()
        status, body = await ask(stream, UPGRADE % b"/ws?token=x")
        assert (status, json.loads(body)["code"]) == (404, "not_found")


async def test_handler_errors_are_logged_and_touch_nobody_else() -> None:
    """A bug in one taken connection ends that one; its query string is not logged."""

    async def handler(request: UpgradeRequest, stream: trio.abc.Stream) -> None:
        raise RuntimeError("a bug")

    async with running({"/bad": handler, "/ws": echo_upgrade}) as server:
        good = await server.connect()
        await good.send_all(UPGRADE % b"/ws")
        await read_exactly(good, 10)
        with capture_logs() as logs:
            bad = await server.connect()
            await bad.send_all(UPGRADE % b"/bad?token=secret")
            assert await bad.receive_some() == b""
        failed = [line["path"] for line in logs if line["event"] == "upgrade.failed"]
        assert failed == ["/bad"]
        assert "secret" not in repr(logs)
        await good.send_all(b"still")
        assert await read_exactly(good, 5) == b"still"
        assert await ask(await server.connect(), HELLO) == (200, b"hello")


async def test_vanishing_clients_are_not_errors() -> None:
    """A handler that finds its client gone needs no handling of that, and nothing is logged."""
    gone = trio.Event()

    async def handler(request: UpgradeRequest, stream: trio.abc.Stream) -> None:
        try:
            while True:
                await stream.send_all(b"x" * 65536)
        finally:
            gone.set()

    async with running({"/ws": handler}) as server:
        with capture_logs() as logs:
            stream = await server.connect()
            await stream.send_all(UPGRADE % b"/ws")
            await stream.receive_some(10)
            await stream.aclose()
            await gone.wait()
        assert logs == []


async def test_access_and_error_logs_have_no_query_strings() -> None:
    """The query string may hold a token; it reaches no log."""
    with capture_logs() as logs:
        async with running() as server:
            stream = await server.connect()
            await ask(stream, HELLO.replace(b"/hello", b"/hello?token=secret"))
            await ask(stream, HELLO.replace(b"/hello", b"/broken?token=secret"))
            await ask(stream, UPGRADE % b"/ws?token=secret")
    paths = [line["path"] for line in logs if line["event"] == "http.request"]
    assert paths == ["/hello", "/broken", "/ws"]
    assert "secret" not in repr(logs)


async def test_a_failing_start_is_told() -> None:
    """An app that cannot start raises its error, and the port is free again."""
    app = make_app()

    @app.before_serving
    async def refuse() -> None:
        raise ValueError("no database")

    listeners = await open_listeners(ServerSettings(bind="127.0.0.1:0"))
    bind = listener_url(listeners[0]).removeprefix("http://")
    with pytest.raises(LifespanFailureError, match="no database"):
        await serve(
            app,
            listeners,
            upgrades={},
            config=hypercorn_config(),
            draining=trio.Event(),
            stopping=trio.Event(),
            grace=1,
        )
    for listener in await open_listeners(ServerSettings(bind=bind)):
        await listener.aclose()


async def test_connections_that_say_nothing_leave_nothing_behind() -> None:
    """TCP health checks connect and go; no socket waits for the idle time-out after that."""
    async with running() as server:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            await trio.aclose_forcefully(await server.connect())
        while len(os.listdir("/proc/self/fd")) > before:
            await trio.sleep(0.01)


async def test_accepted_sockets_have_a_user_timeout() -> None:
    """The kernel ends writes to a peer that is gone or stalled; small writes are not delayed."""
    options: list[int] = []

    async def handler(request: UpgradeRequest, stream: Any) -> None:
        for option in (socket.TCP_USER_TIMEOUT, socket.TCP_NODELAY):
            options.append(stream.socket.getsockopt(socket.IPPROTO_TCP, option))

    async with running({"/ws": handler}) as server:
        stream = await server.connect()
        await stream.send_all(UPGRADE % b"/ws")
        assert await stream.receive_some() == b""
    assert options == [30_000, 1]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    directory = tmp_path_factory.mktemp("tls")
    cert, key = str(directory / "cert.pem"), str(directory / "key.pem")
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
        f"-subj /CN=hub -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return cert, key


async def test_takeover_over_tls(certificate: tuple[str, str]) -> None:
    """TLS is the same, HTTP/2 is not negotiated, and a stop closes those connections too."""
    cert, key = certificate
    async with running({"/ws": echo_upgrade}, certfile=cert, keyfile=key, grace=0.2) as server:
        assert server.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=cert)
        context.set_alpn_protocols(["h2", "http/1.1"])
        stream = await trio.open_ssl_over_tcp_stream(
            "127.0.0.1", int(server.url.rsplit(":", 1)[1]), ssl_context=context
        )
        assert await ask(stream, HELLO) == (200, b"hello")
        assert stream.selected_alpn_protocol() == "http/1.1"
        await stream.send_all(UPGRADE % b"/ws")
        assert await read_exactly(stream, 10) == b"taken /ws\n"
        await stream.send_all(b"ping")
        assert await read_exactly(stream, 4) == b"ping"
        await trio.aclose_forcefully(stream)


def test_hypercorn_internals() -> None:
    """The names of Hypercorn 0.18 that the takeover leans on; look here after an upgrade."""

    def parameters(function: Callable[..., Any]) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert parameters(TCPServer.__init__)[1:] == ["app", "config", "context", "state", "stream"]
    assert parameters(Lifespan.__init__)[1:] == ["app", "config", "state"]
    assert parameters(WorkerContext.__init__)[1:] == ["max_requests"]
    assert parameters(ASGIWrapper.__init__)[1:] == ["app"]
    wrapper = (
        *("app", "config", "context", "task_group"),
        *("state", "ssl", "client", "server", "send"),
    )
    assert parameters(ProtocolWrapper.__init__)[1:] == [*wrapper, "alpn_protocol"]
    protocol = [name.replace("state", "connection_state") for name in wrapper]
    assert parameters(H11Protocol.__init__)[1:] == protocol
    for owner, names in {
        TCPServer: "run _read_data _close _idle_timeout _initiate_server_close protocol_send",
        H11Protocol: "initiate handle stream_send _check_protocol _create_stream _handle_events "
        "_send_error_response",
        TaskGroup: "spawn_app spawn",
        Lifespan: "handle_lifespan wait_for_startup wait_for_shutdown",
        TrioSingleTask: "restart stop",
        Config: "logger_class log accesslog errorlog keep_alive_timeout ssl_handshake_timeout "
        "max_app_queue_size response_headers",
    }.items():
        for name in names.split():
            assert hasattr(owner, name), f"{owner.__name__}.{name}"
    assert parameters(TaskGroup.spawn_app)[1:] == ["app", "config", "scope", "send"]
    read = inspect.getsource(TCPServer.run)
    assert read.index("self.protocol = ProtocolWrapper(") < read.index("self._read_data()")
    assert read.index("self._read_data()") < read.rindex("await self._close()")
    handle = inspect.getsource(H11Protocol._handle_events)
    assert handle.index("Updated(idle=False)") < handle.index("self._check_protocol(event)")
    assert handle.index("self._check_protocol(event)") < handle.index("self._create_stream(event)")
    assert issubclass(UpgradableH11, H11Protocol)
    assert issubclass(ServerConnection, TCPServer)
    assert not issubclass(TakeoverRequired, OSError), "TCPServer.run swallows OSError"


async def test_every_log_level_of_hypercorn_has_a_line() -> None:
    """Hypercorn's own messages become structured lines of the same level."""
    logger = QuietLogger(Config())
    with capture_logs() as logs:
        for level in ("debug", "info", "warning", "error", "critical"):
            await getattr(logger, level)("%s happened", level)
        await logger.log(40, "it happened")
        try:
            raise ValueError("oh")
        except ValueError:
            await logger.exception("it broke")
    levels = ["debug", "info", "warning", "error", "critical", "error", "error"]
    assert [line["log_level"] for line in logs] == levels
    assert logs[0]["message"] == "debug happened"
    assert logs[-1]["exc_info"]


@pytest.mark.parametrize(
    ("bind", "host"), [("127.0.0.1:0", "127.0.0.1"), ("localhost:0", ""), (":0", "")]
)
async def test_listen_on_tcp(bind: str, host: str) -> None:
    """Port 0 gives one free port; the listener says which."""
    (listener,) = await open_listeners(ServerSettings(bind=bind))
    async with listener:
        url = listener_url(listener)
        assert url.startswith(f"http://{host}")
        assert int(url.rsplit(":", 1)[1]) > 0


async def test_listen_on_ipv6() -> None:
    """IPv6 addresses stand in brackets, both ways."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    (listener,) = await open_listeners(ServerSettings(bind="[::1]:0"))
    async with listener:
        assert listener_url(listener).startswith("http://[::1]:")


async def test_serve_on_a_unix_socket(tmp_path: Path) -> None:
    """A socket file left behind is replaced, a live one is not; anything else is left alone."""
    path = tmp_path / "hub.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    settings = ServerSettings(bind=f"unix:{path}")
    (listener,) = await open_listeners(settings)
    with pytest.raises(ConfigError, match=r"hub.sock is in use by another program"):
        await open_listeners(settings)
    stopping = trio.Event()
    run = partial(
        serve,
        make_app(),
        [listener],
        upgrades={"/ws": echo_upgrade},
        config=hypercorn_config(),
        draining=trio.Event(),
        stopping=stopping,
        grace=1,
    )
    assert listener_url(listener) == f"unix:{path}"
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            async with await trio.open_unix_socket(str(path)) as stream:
                assert await ask(stream, HELLO) == (200, b"hello")
                await stream.send_all(UPGRADE % b"/ws")
                assert await read_exactly(stream, 10) == b"taken /ws\n"
            stopping.set()
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(ConfigError, match="is not a socket"):
        await open_listeners(settings)
    assert path.read_text() == "precious"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's filter")
async def test_refused_connections_are_not_made() -> None:
    """Whoever waits for its acceptance is accepted; nobody comes after that to be reset."""
    (listener,) = await open_listeners(ServerSettings(bind="127.0.0.1:0"))
    async with listener:
        address = ("127.0.0.1", int(listener_url(listener).rsplit(":", 1)[1]))
        with socket.create_connection(address), socket.socket() as late:
            async with trio.open_nursery() as nursery:
                refuse_connections(listener)
                nursery.start_soon(wait_accepted, listener)
                await trio.testing.wait_all_tasks_blocked()
                assert nursery.child_tasks, "one waits still"
                late.setblocking(False)
                late.connect_ex(address)
                await (await listener.accept()).aclose()
            with pytest.raises(OSError, match="not connected"):
                late.getpeername()


async def test_a_port_in_use_is_told() -> None:
    """The message names the address and what to do."""
    (listener,) = await open_listeners(ServerSettings(bind="127.0.0.1:0"))
    async with listener:
        bind = listener_url(listener).removeprefix("http://")
        with pytest.raises(ConfigError) as told:
            await open_listeners(ServerSettings(bind=bind))
        assert told.value.detail == (
            f"{bind} is in use by another program (perhaps another hub); stop that one, "
            "or set [server] bind (or HOOKHUB_SERVER__BIND) to another address."
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bind": "unix:/no/such/directory/x"}, r"Cannot listen on unix:/no/such"),
        ({"bind": "203.0.113.1:0"}, r"does not have the address of 203.0.113.1:0"),
        ({"certfile": "/no/such.pem", "keyfile": "/no/key.pem"}, r"no file '/no/such.pem'"),
        ({"certfile": __file__, "keyfile": __file__}, r"both must be PEM"),
    ],
)
async def test_impossible_addresses_are_told(settings: dict[str, str], message: str) -> None:
    """What only shows when it is tried names its setting, too."""
    with pytest.raises(ConfigError, match=message):
        await open_listeners(ServerSettings(**{"bind": "127.0.0.1:0", **settings}))
