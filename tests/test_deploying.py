"""What deploying.md shows works: proxies, unit, container file, backups, alerts."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import trio
import yaml
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from hookhub.client import Client
from hookhub.config import Settings, load_settings
from hookhub.testing.fixtures import StartHub
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import find_program, free_port, missing
from hookhub.testing.postgres import PostgresCluster, find_binaries

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SHOWN = DOCS / "examples" / "deploying"


def page(name: str) -> str:
    """The text of one page."""
    return (DOCS / name).read_text("utf-8")


def put(text: str, replacements: dict[str, str]) -> str:
    """The text with each of these replaced; each must be there."""
    for old, new in replacements.items():
        assert old in text, f"{old!r} is not shown any more"
        text = text.replace(old, new)
    return text


# -- proxies ---------------------------------------------------------------------------------


class Proxy(NamedTuple):
    """A proxy with the documented configuration before a hub."""

    hub: HubProcess
    port: int
    trust: ssl.SSLContext
    log: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.hub.token}"}

    def client(self, local: str | None = None) -> httpx.AsyncClient:
        """A client of the proxy, perhaps from another address of this machine's loopback."""
        return httpx.AsyncClient(
            base_url=self.url,
            headers=self.headers,
            transport=httpx.AsyncHTTPTransport(verify=self.trust, local_address=local),
            timeout=30,
        )


class Files(NamedTuple):
    """Where a proxy's files are in this test."""

    directory: Path
    certificate: Path
    key: Path
    log: Path


def nginx_command(files: Files, hub: int, port: int) -> list[str]:
    """nginx with the documented file as it is included from ``conf.d``."""
    program = find_program("nginx")
    site = put(
        (SHOWN / "nginx.conf").read_text(),
        {
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "127.0.0.1:8080": f"127.0.0.1:{hub}",
            "/etc/ssl/hub.example.org.pem": str(files.certificate),
            "/etc/ssl/hub.example.org.key": str(files.key),
            "/var/log/nginx/hookhub.log": str(files.log),
        },
    )
    return nginx_main(program, files, site)


def nginx_main(program: str, files: Files, site: str) -> list[str]:
    """nginx with a main configuration that includes ``site``."""
    temporary = "".join(
        f"{name}_temp_path {files.directory}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its workers would be nobody, who may not enter a test's directory.
    user = "user root;\n" if os.geteuid() == 0 else ""
    main = files.directory / "nginx.conf"
    main.write_text(
        f"{user}daemon off;\npid {files.directory}/nginx.pid;\nworker_processes 1;\n"
        f"events {{ worker_connections 64; }}\nhttp {{\n{temporary}\n{site}\n}}\n"
    )
    errors = files.directory / "error.log"
    return [program, "-p", str(files.directory), "-e", str(errors), "-c", str(main)]


def caddy_command(files: Files, hub: int, port: int) -> list[str]:
    """Caddy with the documented file, a certificate of the test's, and no port 80."""
    program = find_program("caddy")
    site = put(
        (SHOWN / "Caddyfile").read_text(),
        {
            "hub.example.org {": f"https://127.0.0.1:{port} {{\n"
            f"\ttls {files.certificate} {files.key}",
            "127.0.0.1:8080": f"127.0.0.1:{hub}",
            "/var/log/caddy/hookhub.log": str(files.log),
        },
    )
    main = files.directory / "Caddyfile"
    main.write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}")
    return [program, "run", "--config", str(main), "--adapter", "caddyfile"]


def haproxy_command(files: Files, hub: int, port: int) -> list[str]:
    """HAProxy with the documented file; the second hub that it names is not there."""
    program = find_program("haproxy")
    both = files.directory / "both.pem"
    both.write_text(files.key.read_text() + files.certificate.read_text())
    site = put(
        (SHOWN / "haproxy.cfg").read_text(),
        {
            "maxconn 65536": "maxconn 200",
            "bind :443": f"bind 127.0.0.1:{port}",
            "/etc/haproxy/hub.pem": str(both),
            "127.0.0.1:8080": f"127.0.0.1:{hub}",
            "127.0.0.1:8081": f"127.0.0.1:{free_port()}",
        },
    )
    main = files.directory / "haproxy.cfg"
    main.write_text(site)
    return [program, "-db", "-f", str(main)]


COMMANDS: dict[str, Callable[[Files, int, int], list[str]]] = {
    "nginx": nginx_command,
    "caddy": caddy_command,
    "haproxy": haproxy_command,
}


@pytest.fixture(params=sorted(COMMANDS))
def proxy(request: pytest.FixtureRequest, tmp_path: Path, start_hub: StartHub) -> Iterator[Proxy]:
    """Each documented proxy before a hub that knows its public address."""
    port = free_port()
    files = Files(tmp_path, tmp_path / "hub.pem", tmp_path / "hub.key", tmp_path / "access.log")
    make = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
        f"-subj /CN=hub -addext subjectAltName=IP:127.0.0.1 -keyout {files.key} "
        f"-out {files.certificate}"
    )
    subprocess.run(make.split(), check=True, capture_output=True)
    server = {"public_url": f"https://127.0.0.1:{port}", "trusted_proxies": ["127.0.0.1"]}
    hub = start_hub({"server": server})
    command = COMMANDS[request.param](files, hub.port, port)
    env = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    with open(tmp_path / "said", "wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=env)
        try:
            wait_listening(process, port, tmp_path / "said")
            trust = ssl.create_default_context(cafile=str(files.certificate))
            # HAProxy logs where it was started.
            log = tmp_path / "said" if request.param == "haproxy" else files.log
            yield Proxy(hub, port, trust, log)
        finally:
            process.terminate()
            process.wait(10)


def wait_listening(process: subprocess.Popen[bytes], port: int, said: Path) -> None:
    """Wait until the proxy takes connections."""
    limit = time.monotonic() + 20
    while True:
        assert process.poll() is None, said.read_text(errors="replace")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < limit, said.read_text(errors="replace")
            time.sleep(0.02)
        else:
            return


@asynccontextmanager
async def following(
    proxy: Proxy, query: str = "", origin: str | None = None, local: str | None = None
) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket through the proxy, with the token in its address.

    The socket is the test's own: trio-websocket leaves it open when the proxy closes first.
    """
    tcp = await trio.open_tcp_stream("127.0.0.1", proxy.port, local_address=local)
    tls = trio.SSLStream(tcp, proxy.trust, server_hostname="127.0.0.1", https_compatible=True)
    headers = [] if origin is None else [(b"Origin", origin.encode())]
    path = f"/ws?{query}&token={proxy.hub.token}"
    async with trio.open_nursery() as nursery:
        try:
            host = f"127.0.0.1:{proxy.port}"
            yield await wrap_client_stream(nursery, tls, host, path, extra_headers=headers)
        finally:
            await trio.aclose_forcefully(tcp)
            nursery.cancel_scope.cancel()


EVENT = {"type": "user.created", "payload": {"user_id": 1}}


async def test_proxies_pass_everything(proxy: Proxy) -> None:
    """REST, a large batch, a WebSocket and an event stream pass, each event as it comes."""
    with trio.fail_after(60):
        async with proxy.client() as http:
            many = [{**EVENT, "payload": {"user_id": 1, "note": "x" * 2000}}] * 1000
            answer = await http.post("/events/batch", json=many)
            assert answer.status_code == 202, answer.text
            async with following(proxy) as ws:
                assert json.loads(await ws.get_message())["status"] == "connected"
                streamed = await trio.to_thread.run_sync(send_and_read, proxy)
                assert streamed["payload"] == {"user_id": 1}
                told = json.loads(await ws.get_message())
                assert told["payload"] == {"user_id": 1}
            page_ = await http.get("/admin/")
            assert page_.status_code == 200


def send_and_read(proxy: Proxy) -> Any:
    """Open an event stream, send an event, and read it from the stream, which goes on.

    What a proxy would hold back until the end of the answer would never come.
    """
    with httpx.Client(
        base_url=proxy.url, headers=proxy.headers, verify=proxy.trust, trust_env=False, timeout=30
    ) as http:
        with http.stream("GET", "/events/stream") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            http.post("/events", json=EVENT).raise_for_status()
            data = next(line for line in stream.iter_lines() if line.startswith("data:"))
    return json.loads(data.removeprefix("data:"))


async def test_browsers_of_the_public_url_only(proxy: Proxy) -> None:
    """Host and Origin arrive as the browser sent them, so the hub's own page may connect."""
    with trio.fail_after(20):
        async with following(proxy, origin=proxy.url) as ws:
            assert json.loads(await ws.get_message())["status"] == "connected"
        async with following(proxy, origin="https://elsewhere.example") as ws:
            with pytest.raises(ConnectionClosed) as closed:
                await ws.get_message()
    assert closed.value.reason is not None
    assert closed.value.reason.code == 1008


async def test_the_hub_knows_whose_a_connection_is(proxy: Proxy) -> None:
    """A trusted proxy names the client, over HTTP and WebSocket; nobody can name himself."""
    with trio.fail_after(20):
        async with proxy.client("127.0.0.2") as http:
            async with following(proxy, local="127.0.0.2") as ws:
                await ws.get_message()
                async with http.stream(
                    "GET", "/events/stream", headers={"X-Forwarded-For": "203.0.113.9"}
                ):
                    items = (await http.get("/live/connections")).json()["items"]
    assert {item["kind"]: item["address"] for item in items} == {
        "ws": "127.0.0.2",
        "sse": "127.0.0.2",
    }


async def test_proxies_keep_what_is_inside(proxy: Proxy) -> None:
    """/metrics is not for the outside, and no token is in the access log."""
    async with proxy.client() as http:
        assert (await http.get("/metrics")).status_code == 404
        async with following(proxy, "events=*") as ws:
            await ws.get_message()
        await http.get("/webhooks", headers={"X-API-Key": proxy.hub.token})
    with trio.fail_after(10):
        while not all(path in (text := proxy.log.read_text()) for path in ("/ws", "/webhooks")):
            await trio.sleep(0.05)
    assert proxy.hub.token not in text


# -- unit, container, alerts -----------------------------------------------------------------


def test_unit_is_one(tmp_path: Path) -> None:
    """systemd finds nothing wrong with the unit; its command is one."""
    program = find_program("systemd-analyze")
    text = (SHOWN / "hookhub.service").read_text()
    command = re.search(r"^ExecStart=/opt/hookhub/bin/hookhub (.*)$", text, re.MULTILINE)
    assert command is not None
    assert shlex.split(command[1]) == ["serve", "--config", "/etc/hookhub/hookhub.toml"]
    unit = tmp_path / "hookhub.service"
    unit.write_text(put(text, {"/opt/hookhub/bin/hookhub": shutil.which("true") or "/bin/true"}))
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True)
    if "Failed to initialize manager" in done.stderr or "Operation not permitted" in done.stderr:
        missing("systemd-analyze", "systemd cannot look at units here.")
    assert (done.returncode, done.stderr) == (0, "")


def test_container_file(start_hub: StartHub, tmp_path: Path) -> None:
    """What it copies and installs is there, its settings are, and its health check tells."""
    lines = (SHOWN / "Containerfile").read_text().splitlines()
    steps = [line.partition(" ")[::2] for line in lines if line and not line.startswith("#")]
    env = dict(text.split("=", 1) for word, text in steps if word == "ENV")
    settings = {name: value for name, value in env.items() if name.startswith("HOOKHUB_")}
    command = [json.loads(text) for word, text in steps if word in ("ENTRYPOINT", "CMD")]
    assert command == [["hookhub"], ["serve"]]
    assert settings["HOOKHUB_SERVER__BIND"] == "0.0.0.0:8080"
    (install,) = [text for _, text in steps if "pip install" in text]
    for pattern in re.findall(r"(?<=\./)[\w*/-]+", install):
        assert list(ROOT.glob(f"{pattern}/setup.cfg")), pattern
    (check,) = [text for word, text in steps if word == "HEALTHCHECK"]
    program = json.loads(check[check.index("[") :])
    hub = start_hub(env={name: settings[name] for name in settings if "BIND" not in name})
    program[2] = put(program[2], {"127.0.0.1:8080": f"127.0.0.1:{hub.port}"})
    healthy = subprocess.run(program, capture_output=True, env={**os.environ, "no_proxy": "*"})
    assert healthy.returncode == 0, healthy.stderr
    hub.kill()
    assert subprocess.run(program, capture_output=True).returncode == 1


def test_container_steps(tmp_path: Path) -> None:
    """What it installs starts in an empty environment: wheels, with all files that are served.

    The libraries are those of this environment; its own hookhub, installed in place, is not seen.
    """
    text = (SHOWN / "Containerfile").read_text()
    [places] = re.findall(r"pip install --no-cache-dir (.*)", text)
    source, made, wheels = tmp_path / "src", tmp_path / "made", tmp_path / "wheels"
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "tests", "docs")
    shutil.copytree(ROOT, source, ignore=left_out)
    venv.create(made)
    pip = f"{sys.executable} -m pip"
    steps = (
        f"{pip} wheel -q --no-deps --no-build-isolation -w {wheels} {places} && "
        f"{pip} --python {made}/bin/python install -q --no-deps --no-index {wheels}/*.whl"
    )
    done = subprocess.run(steps, shell=True, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [packages] = made.glob("lib/python*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    port = free_port()
    env = {"PATH": os.environ["PATH"], "HOOKHUB_SERVER__BIND": f"127.0.0.1:{port}"}
    with subprocess.Popen([f"{made}/bin/hookhub", "serve"], cwd=tmp_path, env=env) as process:
        try:
            for path in ("/health/live", "/admin/", "/hub.js"):
                assert get_patiently(f"http://127.0.0.1:{port}{path}") == 200
        finally:
            process.kill()


def get_patiently(url: str) -> int:
    """The status of an answer, as soon as somebody answers."""
    deadline = time.monotonic() + 30
    with httpx.Client(trust_env=False) as http:
        while True:
            try:
                return http.get(url).status_code
            except httpx.ConnectError:
                assert time.monotonic() < deadline, url
                time.sleep(0.05)


def known_settings(env: dict[str, str]) -> Settings:
    """What a hub with this environment goes by."""
    return load_settings(None, {name: text for name, text in env.items() if "HOOKHUB_" in name})


def test_compose_file() -> None:
    """Its settings are, its hubs are those of its proxy, and a stop has the time that it needs."""
    text = (SHOWN / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]
    hubs = [name for name, service in services.items() if service.get("image") == "hookhub"]
    assert hubs == services["proxy"]["depends_on"]
    for name in hubs:
        env = {
            key: re.sub(r"\$\{\w+:\?.*\}", "x" * 40, value)
            for key, value in services[name]["environment"].items()
        }
        server = known_settings(env).server
        grace = float(services[name]["stop_grace_period"].removesuffix("s"))
        assert grace > server.drain() + server.graceful_timeout
    upstream = (SHOWN / "compose-nginx.conf").read_text()
    assert re.findall(r"server (\w+):8080;", upstream) == hubs
    assert (SHOWN / services["proxy"]["volumes"][0].split(":")[0]).is_file()
    build = services[hubs[0]]["build"]
    assert (SHOWN / build["context"] / build["dockerfile"]).resolve().is_file()


def test_compose_takes_its_file(tmp_path: Path) -> None:
    """Compose finds nothing wrong with it, and says which variable was forgotten."""
    program = find_program("compose", "docker-compose")
    # Its name of the project is the one thing that Debian's Compose 1.29 does not know.
    text = put((SHOWN / "compose.yaml").read_text(), {"name: hookhub\n": ""})
    (tmp_path / "compose.yaml").write_text(text)
    variables = dict.fromkeys(re.findall(r"\$\{(\w+):\?", text), "x" * 40)
    assert list(variables) == ["HOOKHUB_SECRET_KEY", "HOOKHUB_TOKEN"]

    def config(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        env = {"PATH": os.environ["PATH"], **env}
        command = [program, "-f", "compose.yaml", "config"]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    taken = config(variables)
    assert taken.returncode == 0, taken.stderr
    assert sorted(yaml.safe_load(taken.stdout)["services"]) == ["database", "one", "proxy", "two"]
    refused = config({"HOOKHUB_SECRET_KEY": "x" * 40})
    assert refused.returncode != 0
    assert "an admin token of at least 32 characters" in refused.stderr


def test_compose_proxy(tmp_path: Path, start_hub: StartHub, postgres_url: str) -> None:
    """Its nginx before two such hubs: one is killed, and nothing that is sent is refused."""
    program = find_program("nginx")
    database = {"database": {"url": postgres_url}}
    one, two = start_hub(database), start_hub(database)
    port = free_port()
    site = put(
        (SHOWN / "compose-nginx.conf").read_text(),
        {
            "one:8080": f"127.0.0.1:{one.port}",
            "two:8080": f"127.0.0.1:{two.port}",
            "listen 80": f"listen 127.0.0.1:{port}",
            "/dev/stdout": str(tmp_path / "access.log"),
        },
    )
    command = nginx_main(program, Files(tmp_path, tmp_path, tmp_path, tmp_path), site)
    with open(tmp_path / "said", "wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            wait_listening(process, port, tmp_path / "said")
            headers = {"Authorization": f"Bearer {one.token}"}
            url = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=url, headers=headers, trust_env=False) as http:
                for number in range(20):
                    if number == 10:
                        two.kill()
                    answer = http.post("/events", json=EVENT)
                    assert answer.status_code == 202, answer.text
                assert http.get("/metrics").status_code == 404
        finally:
            process.terminate()
            process.wait(10)


def test_kubernetes_manifests(start_hub: StartHub) -> None:
    """Settings and probes are a hub's, selectors find its pods, and a stop has its time."""
    deployment, budget, service = yaml.safe_load_all((SHOWN / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert budget["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert budget["spec"]["maxUnavailable"] < deployment["spec"]["replicas"]
    [container] = pod["spec"]["containers"]
    env = {item["name"]: item.get("value", "x") for item in container["env"]}
    server = known_settings(env).server
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    assert grace > server.drain() + server.graceful_timeout
    probe = container["readinessProbe"]
    assert server.drain() > probe["periodSeconds"] * probe["failureThreshold"]
    [port] = container["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"] == probe["httpGet"]["port"]
    with start_hub().client() as http:
        for kind in ("readinessProbe", "livenessProbe"):
            assert http.get(container[kind]["httpGet"]["path"]).status_code == 200


def test_alerts_name_metrics_that_exist() -> None:
    """Every metric of the rules is one that operations.md lists."""
    known = set(re.findall(r"^\| `(hookhub_\w+)`", page("operations.md"), re.MULTILINE))
    expressions = re.findall(r"expr: (.*)", (SHOWN / "alerts.yml").read_text())
    named = {name for text in expressions for name in re.findall(r"hookhub_\w+", text)}
    assert named
    assert {name.removesuffix("_bucket") for name in named} <= known


# -- backups ---------------------------------------------------------------------------------


def send(client: Client, *users: int) -> None:
    """One event for each user."""
    for user in users:
        client.send("user.created", {"user_id": user})


def newest_cursor(client: Client) -> str:
    """The cursor of the newest event."""
    return str(client.call("GET", "/events", params={"newest": True, "limit": 1})["cursor"])


def check_restored(hub: HubProcess, cursors: list[str]) -> None:
    """The hub has the events of the copy, and takes no cursor of before the restore for one."""
    with Client(hub.url, hub.token) as client:
        kept = [event.payload["user_id"] for event in client.events()]
        assert kept == [1, 2]
        # Their sequences are given out again; the cursors must not mean the new events.
        send(client, 5, 6, 7)
        for cursor in cursors:
            answer = client.call("GET", "/events", params={"after": cursor})
            assert "gap" in answer, answer
    done = hub.run("audit")
    assert done.returncode == 0, done.stdout + done.stderr


def test_sqlite_backup_and_restore(start_hub: StartHub, tmp_path: Path) -> None:
    """The scripts copy a running hub's database and put it back, with a new epoch."""
    find_program("sqlite3")
    hub = start_hub()
    database, copies = tmp_path / "hookhub.db", tmp_path / "copies"
    with Client(hub.url, hub.token) as client:
        send(client, 1, 2)
        cursors = [newest_cursor(client)]
        run = [str(SHOWN / "backup.sh"), str(database), str(copies)]
        copy = Path(subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip())
        assert copy.stat().st_mode & 0o077 == 0
        send(client, 3, 4)
        cursors.append(newest_cursor(client))
    hub.kill()
    assert Path(f"{database}-wal").exists()
    run = [str(SHOWN / "restore.sh"), str(copy), str(database)]
    subprocess.run(run, check=True, capture_output=True)
    (aside,) = tmp_path.glob("before-*")
    assert {path.name for path in aside.iterdir()} >= {"hookhub.db", "hookhub.db-wal"}
    hub.start()
    check_restored(hub, cursors)


def test_sqlite_dot_backup(start_hub: StartHub, tmp_path: Path) -> None:
    """The other way to copy, in one line, gives a whole database too."""
    find_program("sqlite3")
    hub = start_hub()
    with Client(hub.url, hub.token) as client:
        send(client, 1, 2)
    (line,) = re.findall(r"^sqlite3 .*\.backup.*$", page("deploying.md"), re.MULTILINE)
    copy = tmp_path / "copy.db"
    command = put(
        line,
        {
            "/var/lib/hookhub/hookhub.db": str(tmp_path / "hookhub.db"),
            "/var/backups/hookhub/copy.db": str(copy),
        },
    )
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT COUNT(*) FROM hookhub_events").fetchall() == [(2,)]
    connection.close()


def test_postgres_dump_and_restore(
    start_hub: StartHub, postgres_url: str, postgres_cluster: PostgresCluster, tmp_path: Path
) -> None:
    """The shown commands dump a running hub's database and restore it, with a new epoch."""
    binaries = find_binaries()
    assert binaries is not None
    hub = start_hub({"database": {"url": postgres_url}})
    with Client(hub.url, hub.token) as client:
        send(client, 1, 2)
        cursors = [newest_cursor(client)]
        shown = re.findall(r"^(?:pg_dump|pg_restore|psql) .*$", page("deploying.md"), re.MULTILINE)
        assert [line.split()[0] for line in shown] == ["pg_dump", "pg_restore", "psql"]

        def run(line: str, url: str) -> None:
            words = shlex.split(put(line, {"postgresql://hookhub@db/hookhub": url}))
            words = [word.replace("hookhub.dump", str(tmp_path / "hub.dump")) for word in words]
            program = shutil.which(words[0]) or str(binaries / words[0])
            subprocess.run([program, *words[1:]], check=True, capture_output=True)

        run(shown[0], postgres_url)
        send(client, 3, 4)
        cursors.append(newest_cursor(client))
    hub.kill()
    fresh = postgres_cluster.new_database()
    for line in shown[1:]:
        run(line, fresh)
    hub.configure({"database": {"url": fresh}})
    hub.start()
    check_restored(hub, cursors)
