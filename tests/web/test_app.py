"""Routes become addresses: methods, parameters, tokens, media types and sizes are seen to once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from hookhub.access.wrong_tokens import BURST, INTERVAL
from hookhub.contracts.routes import ID_MAX
from hookhub.hub import Hub
from hookhub.server import Started

NOWHERE = [
    "/nope",
    "/things/",
    "/things/x",
    "/things/-1",
    "/things/+1",
    "/things/1.0",
    "/things/%D9%A5",
    f"/things/{ID_MAX + 1}",
    "/things/" + "9" * 5000,
    "/things/1/parts",
    "/things/1/parts/",
    "/things/1/parts/a%00b",
    "/events/%00",
    "/events/" + "x" * 3000,
    "/%FF",
    "/..%2f..%2fetc/passwd",
    "/docs/..%2Fdocs.html",
    "/docs/docs.html",
    "/static/x",
    "/ws",
]


def code_of(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    return response.status_code, problem["code"]


# -- addresses -------------------------------------------------------------------------------


async def test_nothing_is_there(api: httpx.AsyncClient) -> None:
    """An address that does not exist, or names nothing, is 404; never 500."""
    for path in NOWHERE:
        assert code_of(await api.get(path)) == (404, "not_found"), path


async def test_parameters_have_their_types(api: httpx.AsyncClient) -> None:
    """``{id:int}`` gives an int up to the largest 64-bit one, ``{name}`` decoded text."""
    assert (await api.get(f"/things/{ID_MAX}")).json() == {"said": {"thing_id": ID_MAX}}
    shown = (await api.get("/things/7/parts/a%20%D0%AF")).json()["said"]
    assert shown == {"thing_id": 7, "part": "a Я"}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", "/things", "GET, HEAD, POST, PUT"),
        ("OPTIONS", "/things", "GET, HEAD, POST, PUT"),
        ("TRACE", "/things", "GET, HEAD, POST, PUT"),
        ("BREW", "/things", "GET, HEAD, POST, PUT"),
        ("GET", "/events/batch", "POST"),
        ("DELETE", "/events/stream", "GET, HEAD"),
        ("POST", "/events/some-id", "GET, HEAD"),
        ("POST", "/things/5", "DELETE, GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_other_methods(api: httpx.AsyncClient, method: str, path: str, allow: str) -> None:
    """405 with the methods that there are; a fixed path is never taken for a parameter."""
    response = await api.request(method, path)
    assert code_of(response) == (405, "method_not_allowed")
    assert response.headers["allow"] == allow


async def test_head_is_get_without_a_body(api: httpx.AsyncClient) -> None:
    """Also for streams, which would otherwise never end."""
    got, head = await api.get("/things"), await api.head("/things")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]
    assert (await api.head("/events/stream")).headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize(
    "host", ["a..b", "x:99999", "ä".encode().decode("latin-1"), "[::1", "hub:"]
)
async def test_any_host_will_do(api: httpx.AsyncClient, host: str) -> None:
    """The name that a client uses for the hub makes no difference."""
    response = await api.get("/things", headers={"Host": host.encode("latin-1")})
    assert response.status_code in (200, 400)  # 400: the server itself refuses it


# -- tokens ----------------------------------------------------------------------------------


@pytest.fixture
async def anonymous(hub_server: Started) -> Any:
    async with httpx.AsyncClient(base_url=hub_server.addresses[0], trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"X-API-Key": "wrong"},
        {"Authorization": "Basic YTpi"},
    ],
)
async def test_without_a_good_token(anonymous: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """401 before anything else is looked at, and it says how to authenticate."""
    response = await anonymous.post("/things?x=1", headers=headers, content=b"{")
    assert code_of(response) == (401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_wrong_tokens_are_slowed_down(
    anonymous: httpx.AsyncClient, api: httpx.AsyncClient
) -> None:
    """After some guesses an address gets 429 with the time to wait; a good token is let in."""
    wrong = {"Authorization": f"Bearer hh_{'x' * 43}"}
    codes = [code_of(await anonymous.get("/events/stream", headers=wrong)) for _ in range(BURST)]
    assert codes == [(401, "unauthorized")] * BURST
    limited = await anonymous.get("/events", headers=wrong)
    assert code_of(limited) == (429, "too_many_requests")
    assert 1 <= int(limited.headers["retry-after"]) <= INTERVAL
    assert "this address" in limited.json()["detail"]
    stream = await anonymous.get("/events/stream", headers=wrong)
    assert stream.headers["access-control-expose-headers"] == "Retry-After"
    assert stream.status_code == 429
    assert (await api.get("/events")).status_code == 200
    metrics = (await anonymous.get("/metrics", headers=wrong)).text
    assert "hookhub_tokens_throttled_total 2.0" in metrics
    assert f"hookhub_tokens_rejected_total {BURST + 2}.0" in metrics


async def test_a_token_in_a_query_string_is_no_token(anonymous: httpx.AsyncClient) -> None:
    """Query strings end up in logs: REST takes headers only."""
    assert (await anonymous.get("/events?token=x")).status_code == 401


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
async def test_scopes(anonymous: httpx.AsyncClient, hub: Hub, header: str) -> None:
    """A token does what its scopes say; a missing scope is named."""
    _, secret = await hub.tokens.create("reader", ["events:read"])
    headers = {header: f"Bearer {secret}" if header == "Authorization" else secret}
    assert (await anonymous.get("/events", headers=headers)).status_code == 200
    response = await anonymous.post("/events", headers=headers, json={})
    assert code_of(response) == (403, "missing_scope")
    assert response.json()["scope"] == "events:write"
    assert "'events:write'" in response.json()["detail"]


async def test_a_revoked_token(anonymous: httpx.AsyncClient, hub: Hub) -> None:
    """Useless at once."""
    token, secret = await hub.tokens.create("short", ["admin"])
    headers = {"X-API-Key": secret}
    assert (await anonymous.get("/tokens", headers=headers)).status_code == 200
    await hub.tokens.revoke(token.id)
    assert (await anonymous.get("/tokens", headers=headers)).status_code == 401


async def test_routes_without_a_scope_let_everybody_in(anonymous: httpx.AsyncClient) -> None:
    """Even with a wrong token."""
    assert (await anonymous.get("/things", headers={"X-API-Key": "wrong"})).status_code == 200


# -- bodies ----------------------------------------------------------------------------------


async def test_a_good_body(api: httpx.AsyncClient) -> None:
    """The handler is given the model."""
    response = await api.post("/things", json={"name": "a", "due": "2024-05-06T07:08:09Z"})
    assert response.json()["said"]["due"] == "2024-05-06T07:08:09Z"


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"", {}, (400, "malformed_request")),
        (b"{", {}, (400, "malformed_request")),
        (b"\xff", {}, (400, "malformed_request")),
        (b"[]", {}, (422, "validation_failed")),
        (b'{"name": 1}', {}, (422, "validation_failed")),
        (b'{"name": "a"}', {"Content-Type": "text/plain"}, (415, "unsupported_media_type")),
        (
            b"name=a",
            {"Content-Type": "application/x-www-form-urlencoded"},
            (415, "unsupported_media_type"),
        ),
    ],
)
async def test_bad_bodies(
    api: httpx.AsyncClient, content: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    """Each kind of mistake has its status."""
    assert code_of(await api.post("/things", content=content, headers=headers)) == expected


async def test_a_body_that_may_be_left_out(api: httpx.AsyncClient) -> None:
    """No body is an empty object where nothing is required."""
    assert (await api.put("/things")).json() == {"said": {"loud": False}}


async def test_unknown_query_parameters(api: httpx.AsyncClient) -> None:
    """A misspelt parameter is told, not ignored: also where there are none."""
    assert code_of(await api.get("/things?limt=5")) == (422, "validation_failed")
    assert code_of(await api.put("/things?loud=true")) == (422, "validation_failed")


# -- answers and failures --------------------------------------------------------------------


async def test_no_content(api: httpx.AsyncClient) -> None:
    """A 204 has neither body nor Content-Type nor Content-Length (RFC 9110 §8.6)."""
    response = await api.delete("/things/1")
    assert response.status_code == 204
    assert "content-type" not in response.headers
    assert "content-length" not in response.headers


async def test_bytes_and_their_type(api: httpx.AsyncClient) -> None:
    """What a handler encoded itself is sent as it is."""
    response = await api.get("/things/fail/not")
    assert response.status_code == 203
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.content == b"\x00\xff"


@pytest.mark.parametrize(
    ("way", "expected"), [("conflict", (409, "conflict")), ("group", (404, "not_found"))]
)
async def test_errors_of_handlers(
    api: httpx.AsyncClient, way: str, expected: tuple[int, str]
) -> None:
    """Hookhub's errors are answers, also out of a nursery."""
    assert code_of(await api.get(f"/things/fail/{way}")) == expected


@pytest.mark.parametrize("way", ["bug", "exit"])
async def test_a_bug(api: httpx.AsyncClient, way: str) -> None:
    """A 500 that tells nothing but a number; the log tells the rest, and the hub lives on."""
    with capture_logs() as logs:
        response = await api.get(f"/things/fail/{way}")
    assert code_of(response) == (500, "internal_error")
    assert "the-secret" not in response.text
    [line] = [item for item in logs if item["event"] == "http.failed"]
    assert line["incident"] == response.json()["incident"]
    assert (await api.get("/things")).status_code == 200


async def test_nothing_of_the_query_is_logged(api: httpx.AsyncClient) -> None:
    """Query strings may hold tokens: no log line shows one, whatever happens."""
    with capture_logs() as logs:
        await api.get("/things/fail/bug?token=query-secret")
        await api.get("/events?after=query-secret")
        await api.get("/query?token=query-secret")
    assert logs
    assert "query-secret" not in str(logs)
