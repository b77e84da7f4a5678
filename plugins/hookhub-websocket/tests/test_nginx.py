"""A real nginx before the hub, which keeps its connections to it and uses them again."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from trio_websocket import open_websocket_url

from hookhub.server import Started
from hookhub.testing.machine import find_program, free_port
from hookhub.testing.serving import TOKEN
from hookhub_websocket.sink import WebSocketSink

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream hub {{ server 127.0.0.1:{hub}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {scheme}://hub;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 60s;
        }}
    }}
}}
"""

Nginx = Callable[[str], int]


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Nginx]:
    """Start an nginx before a hub at this address, and give its port."""
    program = find_program("nginx")
    running: list[subprocess.Popen[bytes]] = []

    def start(address: str) -> int:
        port = free_port()
        scheme, _, host = address.partition("://")
        configuration = tmp_path / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(
                directory=tmp_path, scheme=scheme, hub=host.rpartition(":")[2], port=port
            )
        )
        command = [program, "-p", str(tmp_path), "-c", str(configuration)]
        running.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        return port

    yield start
    for process in running:
        process.terminate()
        process.wait()


@pytest.fixture(params=["plain", "tls"])
def hub_tables(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The hub speaks plain HTTP, or TLS."""
    if request.param == "plain":
        return {}
    pem, key = str(tmp_path / "hub.pem"), str(tmp_path / "hub.key")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
        f"-subj /CN=hub -keyout {key} -out {pem}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return {"server": {"bind": "127.0.0.1:0", "certfile": pem, "keyfile": key}}


def upstream(started: Started) -> set[str]:
    """The ports of nginx's connections to the hub, as the kernel shows them."""
    ours = f"0100007F:{int(started.addresses[0].rpartition(':')[2]):04X}"
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if remote == ours and state == "01":  # ESTABLISHED
            found.add(local)
    return found


async def wait_listening(port: int) -> None:
    """Wait until nginx listens; the hub sees nothing of it."""
    with trio.fail_after(10):
        while True:
            try:
                await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
            except OSError:
                await trio.sleep(0.02)
            else:
                return


async def converse(port: int, emit: Callable[..., Any], cursor: str | None = None) -> str:
    """A client behind nginx: it gets events, asks, and closes. Returns the last cursor."""
    since = f"&since={cursor}" if cursor is not None else ""
    async with open_websocket_url(f"ws://127.0.0.1:{port}/ws?token={TOKEN}{since}") as ws:
        first = json.loads(await ws.get_message())
        assert first["status"] == "connected"
        if cursor is not None:
            verdict = {"type": "resumed", "replayed": 0, "cursor": cursor}
            assert json.loads(await ws.get_message()) == verdict
        await emit(3)
        received = [json.loads(await ws.get_message()) for _ in range(3)]
        await ws.send_message('{"type": "ping"}')
        assert json.loads(await ws.get_message()) == {"type": "pong"}
        return str(received[-1]["cursor"])


async def test_upgrades_on_fresh_and_on_reused_connections(
    nginx: Nginx, hub_server: Started, emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """nginx sends the upgrade on whatever connection it has; the hub takes any of them over."""
    port = nginx(hub_server.addresses[0])
    await wait_listening(port)
    assert not upstream(hub_server)
    with trio.fail_after(30):
        cursor = await converse(port, emit)  # the first request of its connection
        await sink._connections.wait_empty()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False
        ) as client:
            for _ in range(2):
                assert (await client.get("/health/live")).status_code == 200
            while len(before := upstream(hub_server)) != 1:
                await trio.sleep(0.01)
            used: set[str] = set()

            async def emit_and_look(count: int) -> None:
                used.update(upstream(hub_server))
                await emit(count)

            await converse(port, emit_and_look, cursor)
            assert used == before, "the upgrade came on the connection of the requests before it"
            assert (await client.get("/health/live")).status_code == 200
