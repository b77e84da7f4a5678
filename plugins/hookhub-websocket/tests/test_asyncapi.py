"""``/asyncapi.json`` describes every message that is said here, member by member."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from operator import getitem
from typing import Any

import httpx
import pytest

from hookhub import Cursor
from hookhub.hub import Hub
from hookhub.testing.serving import TOKEN
from hookhub_websocket import messages
from hookhub_websocket.messages import BadMessage

SAID = [
    messages.connection("c", ["*"], {}),
    messages.connection("c", ["a"], {"a": {"x": 1}}),
    messages.pong(),
    messages.pong("id"),
    messages.subscribed(["a"], {}, 1),
    messages.subscribed(["a"], {"a": {"x": 1}}),
    messages.resumed(5, "id"),
    messages.gap(None, "c", "id"),
    messages.replaying("c", "c", True, "id"),
    messages.replayed(5, False),
    messages.dropped(3),
    messages.restarting(1.5),
    messages.error(BadMessage("code", "sentence", "id", [{"loc": ["where"], "msg": "no"}])),
]
HEARD: list[dict[str, Any]] = [
    {"type": "ping", "id": 1},
    {"type": "subscribe", "events": ["a"], "where": {}, "id": 1},
    {"type": "unsubscribe"},
    {"type": "unsubscribe", "events": ["a"], "id": 1},
    {"type": "resume", "cursor": "c", "id": 1},
    {"type": "replay", "since": "c", "until": "c", "id": 1},
]


@pytest.fixture
async def document(api: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get("/asyncapi.json")).json()
    return found


def references(node: Any) -> list[str]:
    """All ``$ref`` in a document."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


async def test_a_message_for_every_event_type(document: dict[str, Any], hub: Hub) -> None:
    """In both feeds, with the schema of its payload; and every reference leads somewhere."""
    assert document["asyncapi"] == "3.0.0"
    for reference in references(document):
        reduce(getitem, reference.removeprefix("#/").split("/"), document)
    types = [item.name for item in hub.registry]
    assert types
    for channel in ("sse", "websocket"):
        assert {*types, "gap"} <= document["channels"][channel]["messages"].keys()
    for item in hub.registry:
        payload = document["components"]["messages"][item.name]["payload"]["properties"]["payload"]
        assert payload["properties"].keys() == item.json_schema()["properties"].keys()


def check(document: dict[str, Any], value: dict[str, Any], direction: str) -> None:
    """The operation has the message; its members are all described, and the needed ones there."""
    name = value["type"]
    operation = document["operations"][direction]
    assert {"$ref": f"{operation['channel']['$ref']}/messages/{name}"} in operation["messages"]
    schema = document["components"]["messages"][name]["payload"]
    assert set(schema["required"]) <= value.keys() <= schema["properties"].keys(), name


@pytest.mark.parametrize("said", SAID, ids=lambda said: json.loads(said)["type"])
async def test_what_the_hub_says(document: dict[str, Any], said: bytes) -> None:
    """Each message, with all members that it may have."""
    check(document, json.loads(said), "sendToWebSocket")


@pytest.mark.parametrize("heard", HEARD, ids=lambda heard: heard["type"])
async def test_what_clients_say(document: dict[str, Any], heard: dict[str, Any]) -> None:
    """Each message is understood as it is described."""
    check(document, heard, "receiveFromWebSocket")
    assert messages.parse_message(json.dumps(heard)).type == heard["type"]


async def test_events_and_signals(
    document: dict[str, Any], connect: Callable[..., Any], emit: Callable[..., Any], hub: Hub
) -> None:
    """As they come, live and replayed."""
    async with connect(events="user.*,delivery.*") as client:
        await emit()
        check(document, await client.receive(), "sendToWebSocket")
        hub.signals.send("delivery.attempted", {}, hub.now())
        check(document, await client.receive(), "sendToWebSocket")
        await client.ask(type="replay", since=str(Cursor(hub.feed.epoch, 0)))
        replayed = await client.receive()
        assert replayed["replay"] is True
        check(document, replayed, "sendToWebSocket")


async def test_what_publishers_are_told(document: dict[str, Any], raw: Callable[[], Any]) -> None:
    """The first message, an acknowledgement and a refusal."""
    client = await raw()
    await client.open(f"/events/publish?token={TOKEN}")
    check(document, await client.message(), "sendToPublisher")
    for kind in ("user.created", "no.such"):
        event = {"type": kind, "payload": {"user_id": 1}, "id": kind}
        await client.stream.send_all(client.text(event))
        check(document, await client.message(), "sendToPublisher")
