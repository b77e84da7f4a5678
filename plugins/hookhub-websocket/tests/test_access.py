"""Who may connect, with which credentials, from which pages, and how many."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from hookhub.config import Settings
from hookhub.contracts.errors import TooManyRequests, Unauthorized
from hookhub.contracts.routes import UpgradeRequest
from hookhub.feed import normal_origin
from hookhub.hub import Hub
from hookhub.testing.serving import TOKEN
from hookhub.testing.waiting import wait_until_async
from hookhub_websocket.auth import Parameters, authorize, check_origin
from hookhub_websocket.sink import WebSocketSink


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, {"token": TOKEN}),
        ({}, {"api_key": TOKEN}),
        ({"Authorization": f"Bearer {TOKEN}"}, {}),
        ({"Authorization": f"bearer  {TOKEN}"}, {}),
        ({"X-API-Key": TOKEN}, {}),
        ({"Authorization": "Basic eDp5", "X-API-Key": TOKEN}, {"token": ""}),
    ],
    ids=["token", "api_key", "bearer", "bearer-spaced", "x-api-key", "others-ignored"],
)
async def test_credentials(
    anonymous: Callable[..., Any], headers: dict[str, str], query: dict[str, str]
) -> None:
    """A token in the address or in a header."""
    async with anonymous(headers, **query) as client:
        assert (await client.receive())["status"] == "connected"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({}, "Unauthorized: send a token"),
        ({"token": "wrong"}, "Unauthorized: This token is unknown"),
        ({"api_key": "wrong"}, "Unauthorized: This token is unknown"),
        ({"ticket": "wrong"}, "Unauthorized: This ticket is unknown"),
    ],
)
async def test_strangers_are_accepted_and_closed(
    anonymous: Callable[..., Any], query: dict[str, str], reason: str
) -> None:
    """A browser sees close code 1008 and a reason that begins with Unauthorized, never a 401."""
    async with anonymous(**query) as client:
        code, told = await client.closing()
    assert code == 1008
    assert told.startswith(reason)


async def test_wrong_tokens_are_slowed_down(anonymous: Callable[..., Any], hub: Hub) -> None:
    """Beyond the limit of an address they are closed as ever, not looked up, and not logged."""
    while True:
        with contextlib.suppress(Unauthorized, TooManyRequests):
            await hub.tokens.authenticate("hh_" + "x" * 43, "127.0.0.1")
        if hub.tokens.statistics()["throttled_total"]:
            break
    reads = hub.store.statistics()["reads_total"]
    with capture_logs() as lines:
        async with anonymous(token="hh_" + "y" * 43) as client:
            code, reason = await client.closing()
    assert code == 1008
    assert reason.startswith("Unauthorized: Too many unknown tokens came from this address")
    assert [line for line in lines if line["log_level"] != "debug"] == []
    assert hub.store.statistics()["reads_total"] - reads <= 10  # what the hub reads by itself
    async with anonymous(token=TOKEN) as client:
        assert (await client.receive())["status"] == "connected"


async def test_the_scope_is_needed(anonymous: Callable[..., Any], hub: Hub) -> None:
    """A token that may only write events cannot read them here either."""
    _, secret = await hub.tokens.create("writer", ["events:write"])
    async with anonymous(token=secret) as client:
        assert await client.closing() == (
            1008,
            "Unauthorized: this token lacks the scope events:read.",
        )


async def test_revoked_tokens_are_refused(anonymous: Callable[..., Any], hub: Hub) -> None:
    """A token that was revoked before opens nothing."""
    token, secret = await hub.tokens.create("reader", ["events:read"])
    await hub.tokens.revoke(token.id)
    async with anonymous(token=secret) as client:
        code, reason = await client.closing()
    assert code == 1008
    assert reason.startswith("Unauthorized: This token is revoked")


async def test_tickets_work_once(anonymous: Callable[..., Any], api: httpx.AsyncClient) -> None:
    """POST /ws/ticket gives a ticket that opens one connection."""
    answer = await api.post("/ws/ticket")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"ticket", "expires_in"}
    assert answer.json()["expires_in"] == 30
    async with anonymous(ticket=answer.json()["ticket"]) as client:
        assert (await client.receive())["status"] == "connected"
    async with anonymous(ticket=answer.json()["ticket"]) as client:
        code, reason = await client.closing()
    assert code == 1008
    assert reason.startswith("Unauthorized: This ticket is unknown, used or too old")


async def test_tickets_need_the_scope(api: httpx.AsyncClient, hub: Hub) -> None:
    """A token without events:read gets no ticket; nobody gets one without a token."""
    _, secret = await hub.tokens.create("writer", ["events:write"])
    answer = await api.post("/ws/ticket", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 403
    answer = await api.post("/ws/ticket", headers={"Authorization": ""})
    assert answer.status_code == 401


@pytest.mark.parametrize("hub_tables", [{"server": {"public_url": "https://hub.example"}}])
async def test_foreign_pages_are_kept_out(anonymous: Callable[..., Any]) -> None:
    """With a public URL, browsers connect from its pages only; programs send no Origin."""
    async with anonymous({"Origin": "https://evil.example"}, token=TOKEN) as client:
        code, reason = await client.closing()
        assert code == 1008
        assert reason.startswith("Unauthorized: origin 'https://evil.example' is not allowed")
    async with anonymous({"Origin": "https://hub.example"}, token=TOKEN) as client:
        assert (await client.receive())["status"] == "connected"
    async with anonymous(token=TOKEN) as client:
        assert (await client.receive())["status"] == "connected"


def request_from(*origins: str) -> UpgradeRequest:
    headers = [(b"origin", origin.encode()) for origin in origins]
    return UpgradeRequest("/ws", b"", headers, "192.0.2.1", secure=False)


@pytest.mark.parametrize(
    ("tables", "origin", "good"),
    [
        ({}, "https://any.example", True),
        ({"live": {"origins": ["*"]}}, "https://any.example", True),
        ({"live": {"origins": ["https://app.example"]}}, "https://app.example", True),
        ({"live": {"origins": ["https://app.example"]}}, "HTTPS://APP.example:443", True),
        ({"live": {"origins": ["https://app.example"]}}, "http://app.example", False),
        ({"live": {"origins": ["https://app.example"]}}, "https://app.example:8443", False),
        ({"live": {"origins": ["https://app.example"]}}, "https://app.example.evil", False),
        ({"live": {"origins": ["https://app.example"]}}, "null", False),
        ({"live": {"origins": ["https://app.example"]}}, "", False),
        ({"server": {"public_url": "http://hub.example:80"}}, "http://hub.example", True),
        ({"server": {"public_url": "http://[::1]:8080"}}, "http://[::1]:8080", True),
    ],
)
def test_origins(tables: dict[str, Any], origin: str, good: bool) -> None:
    """Scheme, host and port must be those of an allowed origin; default ports may be left out."""
    settings = Settings.model_validate(tables)
    if good:
        check_origin(settings, request_from(origin))
    else:
        with pytest.raises(Exception, match="is not allowed; add it to"):
            check_origin(settings, request_from(origin))


def test_a_second_origin_does_not_help() -> None:
    """Every Origin header counts."""
    settings = Settings.model_validate({"live": {"origins": ["https://app.example"]}})
    with pytest.raises(Exception, match="evil"):
        check_origin(settings, request_from("https://app.example", "https://evil.example"))


@pytest.mark.parametrize("text", ["http://[", "http://x:port", "::::", "\x00"])
def test_garbage_is_no_origin(text: str) -> None:
    """What is no URL equals no origin."""
    assert normal_origin(text) != normal_origin("https://app.example")


async def test_query_strings_that_nobody_means(hub: Hub) -> None:
    """Thousands of parameters, or bytes that are no text, are as good as none."""
    for query in (b"&".join(b"a=1" for _ in range(5_000)), b"\xff=%ff&token", b"token=%"):
        request = UpgradeRequest("/ws", query, [], "192.0.2.1", secure=False)
        with pytest.raises(Exception, match="token"):
            await authorize(hub.tokens, request, Parameters(query))


@pytest.mark.parametrize("hub_tables", [{"live": {"max_connections": 2}}])
async def test_connections_are_limited(
    connect: Callable[..., Any], anonymous: Callable[..., Any], sink: WebSocketSink
) -> None:
    """One too many gets 1013; a place that becomes free can be taken."""

    async def only_one_left() -> bool:
        return sink.statistics()["connections"] == 1

    async with connect():
        async with connect():
            async with anonymous(token=TOKEN) as client:
                code, reason = await client.closing()
                assert code == 1013
                assert reason.startswith("Full: the hub has 2 connections")
        await wait_until_async(only_one_left)
        async with connect() as client:
            assert await client.ask(type="ping") == {"type": "pong"}
    assert sink.statistics()["closed_full_total"] == 1


@pytest.mark.parametrize("hub_tables", [{"live": {"max_connections_per_token": 1}}])
async def test_connections_of_a_token_are_limited(
    connect: Callable[..., Any], anonymous: Callable[..., Any], hub: Hub
) -> None:
    """A token's limit is its own."""
    _, secret = await hub.tokens.create("reader", ["events:read"])
    async with connect():
        async with anonymous(token=TOKEN) as client:
            code, reason = await client.closing()
            assert code == 1013
            assert reason.startswith("Full: this token has 1 connections")
        async with anonymous(token=secret) as client:
            assert (await client.receive())["status"] == "connected"


async def test_tokens_reach_no_log(anonymous: Callable[..., Any], emit: Callable[..., Any]) -> None:
    """Neither a good token nor a bad one is in any line, nor the query string."""
    with capture_logs() as logs:
        async with anonymous(token=TOKEN) as client:
            await client.receive()
        async with anonymous(token="a-wrong-token") as client:
            await client.closing()
        async with anonymous(ticket="a-wrong-ticket") as client:
            await client.closing()
    assert {"websocket.opened", "websocket.refused"} <= {line["event"] for line in logs}
    assert not any(secret in repr(logs) for secret in (TOKEN, "a-wrong-token", "a-wrong-ticket"))
