"""Bad input as people send it: the right status, a sentence that helps, and nothing half-done.

Over REST against a hub process with all plugins, and on the command line.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from hookhub.config import Settings
from hookhub.testing.hub_process import HubProcess
from hookhub.web.resources.models import ENVELOPE

MAX_BODY = 100_000
MAX_PAYLOAD = 10_000
USER = {"type": "user.created", "payload": {"user_id": 1}}
PAID = {"user_id": 1, "type": "deposit", "amount_kopeks": 100}
SECRET = "a-token-that-nobody-has-made"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for all requests: none of them may leave anything behind."""
    limits = {"server": {"max_body": MAX_BODY}, "events": {"max_payload": MAX_PAYLOAD}}
    with HubProcess(tmp_path_factory.mktemp("hub"), limits) as hub:
        yield hub


@pytest.fixture
def http(hub: HubProcess) -> Iterator[httpx.Client]:
    """A client with the admin token. Afterwards the hub holds as little as before."""
    with hub.client() as client:
        before = contents(client)
        yield client
        assert contents(client) == before


def contents(http: httpx.Client) -> dict[str, Any]:
    """How much there is of everything."""
    totals = {
        path: http.get(path).json()["total"]
        for path in ("/users", "/transactions", "/tickets", "/webhooks", "/tokens")
    }
    return {**totals, "cursor": http.get("/events", params={"newest": "true"}).json()["cursor"]}


def refused(response: httpx.Response, status: int, code: str, *words: str) -> dict[str, Any]:
    """The problem document of a refusal, whose sentence has these words in it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"][-1] == "."
    for word in words:
        assert word in problem["detail"], problem["detail"]
    return problem


def places(problem: dict[str, Any]) -> list[Any]:
    return [error["loc"] for error in problem["errors"]]


# -- requests --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "The body is empty; send JSON"),
        (b'{"type": "user.created", "payload": {"user_id": 1}', "line 1, column 51"),
        (b'{"type":\n "user.created",}', "line 2, column"),
        (b"type=user.created&user_id=1", "is not JSON"),
        (b"{'type': 'user.created'}", "line 1, column 2"),
        (b'{"type": "user.created", "payload": {"user_id": NaN}}', "NaN is not JSON"),
        ('{"type": "визит"}'.encode("cp1251"), "not UTF-8"),
    ],
)
def test_wrong_json(http: httpx.Client, body: bytes, words: str) -> None:
    """What is no JSON gets 400 and the place of the mistake, at every operation alike."""
    headers = {"Content-Type": "application/json"}
    for path in ("/events", "/tickets", "/webhooks"):
        answer = http.post(path, content=body, headers=headers)
        refused(answer, 400, "malformed_request", words)


def test_a_form_is_no_json(http: httpx.Client) -> None:
    """Another Content-Type gets 415, and the sentence names the right one."""
    answer = http.post("/events", data={"type": "user.created"})
    refused(answer, 415, "unsupported_media_type", "application/json")


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("/events", {"type": "user.created", "payload": {"user_id": "1"}}, ["payload", "user_id"]),
        ("/events", {"type": "user.created", "payload": {"user_id": True}}, ["payload", "user_id"]),
        ("/events", {"type": "user.created", "payload": [1]}, ["payload"]),
        ("/events", [USER], []),
        ("/events", {**USER, "key": 5}, ["key"]),
        ("/events", {**USER, "timestamp": "2026-01-01T00:00:00Z"}, ["timestamp"]),
        ("/users", {"telegram_id": "456789"}, ["telegram_id"]),
        ("/users", {"email": "nobody"}, ["email"]),
        ("/transactions", {**PAID, "type": "gift"}, ["type"]),
        ("/transactions", {**PAID, "amount_kopeks": 99.5}, ["amount_kopeks"]),
        ("/tickets", {"user_id": 1, "title": "", "message_text": "?"}, ["title"]),
        ("/webhooks", {"name": "A", "url": "example.com", "event_type": "*"}, ["url"]),
        ("/webhooks", {"name": "A", "url": "https://example.com"}, ["event_type"]),
        ("/tokens", {"name": "A", "scopes": ["everything"]}, ["scopes", 0]),
        ("/tokens", {"name": "A", "scopes": ["admin"], "expires_at": "soon"}, ["expires_at"]),
    ],
)
def test_wrong_types(http: httpx.Client, path: str, body: Any, wrong: list[Any]) -> None:
    """A body that is JSON but not what is asked for gets 422 and the place of each wrong field."""
    problem = refused(http.post(path, json=body), 422, "validation_failed")
    assert places(problem) == [wrong]
    assert all(error["msg"] for error in problem["errors"])


def test_all_wrong_fields_at_once(http: httpx.Client) -> None:
    """Whoever made three mistakes hears of three."""
    body = {"user_id": "1", "type": "deposit", "amount_kopeks": -5, "amount": 5}
    problem = refused(http.post("/transactions", json=body), 422, "validation_failed")
    assert sorted(places(problem)) == [["amount"], ["amount_kopeks"], ["user_id"]]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("user.create", "user.created"), ("tiket.created", "ticket.created"), ("x", None)],
)
def test_unknown_event_type(http: httpx.Client, name: str, nearest: str | None) -> None:
    """An unknown type gets 422 that names the nearest known one, or all if none is near."""
    event = {"type": name, "payload": {}}
    said = repr(nearest) if nearest else "payment.completed"
    problem = refused(http.post("/events", json=event), 422, "unknown_event_type", repr(name), said)
    assert problem["nearest"] == nearest
    hook = {"name": "A", "url": "https://example.com", "event_type": f"{name}.x"}
    refused(http.post("/webhooks", json=hook), 422, "unknown_event_type")


def test_one_bad_event_of_a_batch(http: httpx.Client) -> None:
    """A batch is all or nothing, and the answer has the index of each bad item."""
    batch = [USER, {"type": "user.creatd", "payload": {}}, USER, {**USER, "payload": {}}]
    problem = refused(
        http.post("/events/batch", json=batch), 422, "validation_failed", "Nothing was stored"
    )
    assert places(problem) == [[1, "type"], [3, "payload", "user_id"]]
    lines = b'{"type": "user.created", "payload": {"user_id": 1}}\n{"type": \n'
    headers = {"Content-Type": "application/x-ndjson"}
    answer = http.post("/events/batch", content=lines, headers=headers)
    assert places(refused(answer, 422, "validation_failed")) == [[1]]


@pytest.mark.parametrize(
    ("path", "limit", "setting"),
    [
        ("/events", MAX_PAYLOAD + ENVELOPE, "[events] max_payload"),
        ("/events/batch", MAX_BODY, "[server] max_body"),
        ("/webhooks", MAX_BODY, "[server] max_body"),
    ],
)
def test_oversized_body(http: httpx.Client, path: str, limit: int, setting: str) -> None:
    """A body over the limit gets 413 that names it, whether its length is told or not."""
    event = json.dumps({"type": "user.created", "payload": {"user_id": 1, "x": "x" * MAX_BODY}})

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(event), 1000):
            yield event[start : start + 1000].encode()

    for content in (event, pieces()):  # what comes in pieces is sent without Content-Length
        answer = http.post(path, content=content)
        problem = refused(answer, 413, "payload_too_large", str(limit), setting)
        assert problem["limit"] == limit


def test_a_body_that_claims_to_be_endless(hub: HubProcess) -> None:
    """The answer comes before the body: nobody sends a gigabyte to hear that it is too much."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=10) as connection:
        connection.sendall(
            b"POST /events HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
            b"Authorization: Bearer %b\r\nContent-Length: 1000000000\r\n\r\n{" % hub.token.encode()
        )
        answer = connection.makefile("rb").readline()
    assert answer.split()[1] == b"413"


def test_oversized_payload(http: httpx.Client) -> None:
    """A payload over [events] max_payload gets 413 with the limit, alone and in a batch."""
    event = {"type": "user.created", "payload": {"user_id": 1, "x": "x" * MAX_PAYLOAD}}
    problem = refused(http.post("/events", json=event), 413, "payload_too_large", "max_payload")
    assert problem["limit"] == MAX_PAYLOAD
    batch = http.post("/events/batch", json=[USER, event])
    assert batch.status_code in (413, 422)
    assert "max_payload" in batch.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {SECRET}"},
        {"X-API-Key": SECRET},
        {"Authorization": f"Basic {SECRET}"},
        {"Authorization": "Bearer"},
    ],
)
def test_wrong_token(hub: HubProcess, headers: dict[str, str]) -> None:
    """No token, or one that nobody made, gets 401 and how to send one; it is never repeated."""
    with httpx.Client(base_url=hub.url, headers=headers, trust_env=False) as http:
        for path in ("/events", "/webhooks", "/tokens", "/events/stream", "/users"):
            answer = http.get(path)
            problem = refused(answer, 401, "unauthorized", "token")
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert SECRET not in json.dumps(problem)
        refused(http.post("/events", content=b"{"), 401, "unauthorized")
    assert SECRET not in "\n".join(hub.lines)


def test_wrong_scope(hub: HubProcess) -> None:
    """A token without the scope gets 403, which names the scope; with it the same request works."""
    with hub.client() as admin:
        new = {"name": "reader", "scopes": ["events:read"]}
        made = admin.post("/tokens", json=new).json()
        try:
            with hub.client(headers={"Authorization": f"Bearer {made['token']}"}) as http:
                for method, path, scope in (
                    ("POST", "/events", "events:write"),
                    ("POST", "/users", "events:write"),
                    ("GET", "/webhooks", "webhooks:read"),
                    ("DELETE", "/webhooks/1", "webhooks:write"),
                    ("POST", "/tokens", "admin"),
                ):
                    problem = refused(http.request(method, path), 403, "missing_scope", scope)
                    assert problem["scope"] == scope
                assert http.get("/events").status_code == 200
        finally:
            admin.delete(f"/tokens/{made['id']}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/events/evt_0"),
        ("GET", "/users/99"),
        ("GET", "/tickets/99"),
        ("POST", "/tickets/99/status"),
        ("GET", "/webhooks/99"),
        ("PATCH", "/webhooks/99"),
        ("DELETE", "/webhooks/99"),
        ("POST", "/webhooks/99/test"),
        ("GET", "/webhooks/99/deliveries"),
        ("GET", "/deliveries/99"),
        ("POST", "/deliveries/99/retry"),
        ("POST", "/tokens/99/revoke"),
        ("DELETE", "/tokens/99"),
        ("GET", f"/webhooks/{10**30}"),
        ("GET", "/webhooks/-1"),
        ("GET", "/webhooks/one"),
        ("GET", "/webhook"),
    ],
)
def test_unknown_id(http: httpx.Client, method: str, path: str) -> None:
    """What is not there gets 404 with a sentence that says what, or where to look."""
    body = {"status": "open"} if path.endswith("/status") else None
    problem = refused(http.request(method, path, json=body), 404, "not_found")
    name = path.split("/")[2] if path.count("/") > 1 else ""
    assert name[:9] in problem["detail"] or "/docs" in problem["detail"]


@pytest.mark.parametrize("query", ["limit=-1", "limit=0", "limit=201", "limit=ten", "limit="])
def test_negative_limit(http: httpx.Client, query: str) -> None:
    """A limit is 1 to 200 on every list; anything else gets 422 that names it."""
    for path in ("/events", "/users", "/transactions", "/tickets", "/webhooks", "/tokens"):
        problem = refused(http.get(f"{path}?{query}"), 422, "validation_failed", "limit")
        assert places(problem) == [["query", "limit"]]
    refused(http.get("/users?offset=-1"), 422, "validation_failed", "offset")
    refused(http.get("/users?limits=5"), 422, "validation_failed", "limits")


def test_duplicate_name(hub: HubProcess) -> None:
    """A token's name that is taken gets 409 that says by what, and the first one is as it was."""
    first = {"name": "CRM", "scopes": ["events:read"]}
    with hub.client() as http:
        made = http.post("/tokens", json=first).json()
        try:
            second = {**first, "description": "another"}
            refused(http.post("/tokens", json=second), 409, "conflict", "'CRM'", str(made["id"]))
            items = http.get("/tokens").json()["items"]
            assert [item["description"] for item in items if item["name"] == "CRM"] == [None]
        finally:
            http.delete(f"/tokens/{made['id']}")


def test_wrong_method(http: httpx.Client) -> None:
    """The wrong method gets 405 that names the right ones."""
    answer = http.delete("/events")
    refused(answer, 405, "method_not_allowed", "GET", "POST")
    assert answer.headers["allow"] == "GET, HEAD, POST"


# -- commands --------------------------------------------------------------------------------


@pytest.fixture
def stopped(tmp_path: Path) -> HubProcess:
    """A hub that was never started, in an empty directory."""
    return HubProcess(tmp_path)


def failed(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command said one thing, with these words in it, and ended with status 1."""
    assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def files(hub: HubProcess) -> set[str]:
    return {path.name for path in hub.directory.iterdir()} - {"hookhub.toml"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"server": {"bnd": "x"}}, "[server] bnd is unknown; did you mean 'bind'?"),
        ({"delivry": {"timeout": 3}}, "[delivry] is unknown; did you mean [delivery]?"),
        ({"delivery": {"timeout": "3"}}, "[delivery] timeout = '3' must be a number"),
        ({"egress": {"allow": ["10.0.0.1/8"]}}, "[egress] allow"),
    ],
)
def test_misspelt_setting(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    """A wrong key or value stops the start with its name, its line and what is allowed."""
    hub = HubProcess(tmp_path, settings)
    done = hub.run("serve")
    failed(done, words)
    [(table, members)] = settings.items()
    wrong = f'["{table}"]' if table not in Settings.model_fields else f'"{next(iter(members))}" ='
    lines = hub.config.read_text(encoding="utf-8").splitlines()
    [place] = [number for number, text in enumerate(lines, 1) if text.startswith(wrong)]
    assert f"hookhub.toml, line {place}: " in done.stderr
    assert files(hub) == set()


def test_a_configuration_that_is_no_toml(stopped: HubProcess) -> None:
    """Nothing starts, and the line is named."""
    (stopped.directory / "other.toml").write_text("[server]\nbind = 127.0.0.1:8080\n")
    failed(stopped.run("serve", "--config", "other.toml"), "other.toml, line 2: this is not TOML")
    assert files(stopped) == {"other.toml"}


@pytest.mark.parametrize("content", [b"Dear diary, " * 500, b"\x00" * 5000, b"SQLite"])
def test_a_database_that_is_none(stopped: HubProcess, content: bytes) -> None:
    """A file that is no database is named, and left as it is."""
    database = stopped.directory / "hookhub.db"
    database.write_bytes(content)
    failed(stopped.run("serve"), "hookhub.db is not an SQLite database", "[database] url")
    assert database.read_bytes() == content
    assert files(stopped) == {"hookhub.db"}


def test_a_database_that_is_damaged(stopped: HubProcess) -> None:
    """A database whose pages are garbage is named, and not made worse."""
    database = stopped.directory / "hookhub.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE x (y)")
    content = database.read_bytes()[:100] + b"garbage!" * 1000
    database.write_bytes(content)
    failed(stopped.run("token", "list"), "hookhub.db")
    assert database.read_bytes() == content


def test_a_database_where_there_is_no_directory(tmp_path: Path) -> None:
    """The directory is named; the hub does not make it."""
    hub = HubProcess(tmp_path, {"database": {"url": f"sqlite:///{tmp_path}/none/hookhub.db"}})
    failed(hub.run("serve"), f"{tmp_path}/none does not exist")
    assert files(hub) == set()


def test_a_port_in_use(stopped: HubProcess) -> None:
    """The address is named and nothing is begun: no database, no token."""
    with socket.create_server(("127.0.0.1", stopped.port)):
        failed(stopped.run("serve"), f"127.0.0.1:{stopped.port} is in use", "[server] bind")
    assert files(stopped) == set()


def test_a_second_hub_on_the_port(hub: HubProcess) -> None:
    """Starting a hub twice says so, and the first serves on."""
    failed(hub.run("serve"), f"127.0.0.1:{hub.port} is in use", "another hub")
    with hub.client() as http:
        assert http.get("/health/ready").status_code == 200


def test_sending_what_is_wrong(hub: HubProcess) -> None:
    """``hookhub send`` says what the hub said, and what to do where there is no hub."""
    target = ("--url", hub.url, "--token", hub.token)
    failed(hub.run("send", "user.creatd", "user_id=1", *target), "'user.created'")
    failed(hub.run("send", "user.created", "user_id=one", *target), "payload.user_id: ")
    wrong = ("--url", hub.url, "--token", SECRET)
    unauthorized = hub.run("send", "user.created", "user_id=1", *wrong)
    failed(unauthorized, "token")
    assert SECRET not in unauthorized.stderr
    nobody = ("--url", "http://127.0.0.1:1", "--token", SECRET)
    failed(hub.run("send", "user.created", "user_id=1", *nobody), "127.0.0.1:1")


@pytest.mark.parametrize(
    "arguments",
    [("surve",), ("serve", "--prot", "1"), ("token", "create")],
)
def test_wrong_usage(stopped: HubProcess, arguments: tuple[str, ...]) -> None:
    """A command that does not exist, or lacks something, is status 2 with the usage."""
    done = stopped.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ")
    assert "Error: " in done.stderr
    assert files(stopped) == set()
