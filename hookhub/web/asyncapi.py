"""AsyncAPI 3.0 of a hub: the live feed over WebSocket and Server-Sent Events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hookhub import __version__
from hookhub.events import EventType

Json = dict[str, Any]

SAID = ("connection", "subscribed", "resumed", "pong", "error", "restarting")
"""What the hub says on a WebSocket besides the feed."""

HEARD = ("ping", "subscribe", "unsubscribe", "resume")
"""What a client may say on a WebSocket."""

_STRING: Json = {"type": "string"}


def asyncapi_document(event_types: Iterable[EventType], *, websocket: bool) -> Json:
    """The AsyncAPI document of a hub with these event types.

    Args:
        websocket: whether a plugin serves ``/ws``.
    """
    events = {item.name: _event_message(item) for item in event_types}
    controls = _control_messages()
    feed = [*events, "gap"]
    channels = {"sse": _channel("/events/stream", "The live feed as Server-Sent Events", feed)}
    operations = {"sendToStream": _operation("send", "sse", feed)}
    if websocket:
        said = [*feed, *SAID]
        channels["websocket"] = _channel("/ws", "The live feed as a WebSocket", [*said, *HEARD])
        operations["sendToWebSocket"] = _operation("send", "websocket", said)
        operations["receiveFromWebSocket"] = _operation("receive", "websocket", HEARD)
    else:
        controls = {"gap": controls["gap"]}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "hookhub live feed",
            "version": __version__,
            "description": "Every committed event, as it happens or from a cursor on.",
        },
        "channels": channels,
        "operations": operations,
        "components": {"messages": {**events, **controls}},
    }


def _channel(address: str, title: str, messages: Iterable[str]) -> Json:
    return {
        "address": address,
        "title": title,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _operation(action: str, channel: str, messages: Iterable[str]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _event_message(item: EventType) -> Json:
    # References start at the document's root, wherever they stand.
    root = f"#/components/messages/{item.name}/payload/properties/payload/$defs/{{model}}"
    return {
        "name": item.name,
        "summary": item.description,
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "properties": {
                "type": {"const": item.name},
                "payload": item.model.model_json_schema(ref_template=root),
                "timestamp": {"type": "string", "format": "date-time"},
                "id": _STRING,
                "sequence": {"type": "integer"},
                "cursor": _STRING,
                "key": _STRING,
                "source": _STRING,
            },
            "required": ["type", "payload", "timestamp", "id", "sequence", "cursor"],
        },
    }


def _control_messages() -> dict[str, Json]:
    patterns = {"type": "array", "items": _STRING}
    count = {"type": "integer", "minimum": 0}
    missed = {"type": ["integer", "null"], "minimum": 0}
    seconds = {"type": "number", "minimum": 0}
    return {
        "connection": _control(
            "connection",
            "The first message",
            status={"const": "connected"},
            message=_STRING,
            cursor=_STRING,
            events=patterns,
        ),
        "subscribed": _control("subscribed", "What is subscribed now", events=patterns),
        "resumed": _control("resumed", "Everything missed was sent", replayed=count),
        "gap": _control("gap", "Events are gone; on after cursor", missed=missed, cursor=_STRING),
        "error": _control("error", "A message was not understood", code=_STRING, message=_STRING),
        "restarting": _control("restarting", "The hub stops; come back", retry_after=seconds),
        "ping": _control("ping", "Asks for a pong"),
        "pong": _control("pong", "Answers a ping"),
        "subscribe": _control("subscribe", "Add event type patterns", events=patterns),
        "unsubscribe": _control("unsubscribe", "Remove event type patterns", events=patterns),
        "resume": _control("resume", "Replay what followed a cursor", cursor=_STRING),
    }


def _control(name: str, summary: str, **members: Json) -> Json:
    return {
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "properties": {"type": {"const": name}, **members},
            "required": ["type", *members],
        },
    }
