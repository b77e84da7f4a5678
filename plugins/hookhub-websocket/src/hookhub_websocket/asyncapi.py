"""``/asyncapi.json``: the live feed over WebSocket and Server-Sent Events, as AsyncAPI 3.0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hookhub import __version__
from hookhub.contracts.events import EventType
from hookhub.contracts.own_events import DeliverySignal
from hookhub.contracts.strict_json import Json
from hookhub_websocket.publishing import PublishedEvent

BOTH = ("resumed", "gap", "dropped", "restarting")
"""What the hub says in the feed besides events, however it is followed."""

SAID = ("connection", "subscribed", "replaying", "replayed", "pong", "error")
"""What it says on a WebSocket alone."""

HEARD = ("ping", "subscribe", "unsubscribe", "resume", "replay")
"""What a client may say on a WebSocket."""

SIGNALS = {
    "delivery.attempted": "An attempt was made to deliver an event",
    "delivery.delivered": "A delivery succeeded",
    "delivery.retry_scheduled": "An attempt failed, and there will be another",
}
"""What happens to deliveries; sent to those who ask for it by name."""

FAILED_SIGNAL = "delivery.failed.signal"
"""Its name in the document: there is an event of the same type."""

ACKNOWLEDGED = ("ready", "accepted", "error")
"""What the hub says to a publisher."""

PUBLISHED = "published event"
"""The name, in the document, of what a publisher says."""

_STRING: Json = {"type": "string"}
_ID: Json = {"type": ["string", "integer"], "description": "As the client chose it"}


def asyncapi_document(event_types: Iterable[EventType]) -> Json:
    """The AsyncAPI document of a hub with these event types."""
    events = {item.name: _event_message(item) for item in event_types}
    signals = {
        **{name: _signal_message(name, text) for name, text in SIGNALS.items()},
        FAILED_SIGNAL: _signal_message(
            "delivery.failed", "A delivery of one of the hub's own events failed: no event is made"
        ),
    }
    feed = [*events, *signals, *BOTH]
    stream = [*feed, "closing"]
    said = [*feed, *SAID]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "hookhub live feed",
            "version": __version__,
            "description": "Every committed event, as it happens or from a cursor on.",
        },
        "channels": {
            "sse": _channel("/events/stream", "The live feed as Server-Sent Events", stream),
            "websocket": _channel("/ws", "The live feed as a WebSocket", [*said, *HEARD]),
            "publish": _channel(
                "/events/publish", "Publishing over a WebSocket", [PUBLISHED, *ACKNOWLEDGED]
            ),
        },
        "operations": {
            "sendToStream": _operation("send", "sse", stream),
            "sendToWebSocket": _operation("send", "websocket", said),
            "receiveFromWebSocket": _operation("receive", "websocket", HEARD),
            "receiveFromPublisher": _operation("receive", "publish", [PUBLISHED]),
            "sendToPublisher": _operation("send", "publish", ACKNOWLEDGED),
        },
        "components": {"messages": {**events, **signals, **_control_messages()}},
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
                "replay": {
                    "type": ["string", "integer", "boolean"],
                    "description": "Only in a replay on a WebSocket: the id of what asked for it",
                },
            },
            "required": ["type", "payload", "timestamp", "id", "sequence", "cursor"],
        },
    }


def _signal_message(name: str, summary: str) -> Json:
    return {
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "properties": {
                "type": {"const": name},
                "payload": DeliverySignal.model_json_schema(),
                "timestamp": {"type": "string", "format": "date-time"},
                "ephemeral": {"const": True},
            },
            "required": ["type", "payload", "timestamp", "ephemeral"],
        },
    }


def _control_messages() -> dict[str, Json]:
    return {
        item["name"]: item
        for item in (
            *_feed_messages(),
            *_said_messages(),
            *_heard_messages(),
            *_publishing_messages(),
        )
    }


_PATTERNS: Json = {"type": "array", "items": _STRING}
_COUNT: Json = {"type": "integer", "minimum": 0}
_FILTER: Json = {"type": "object", "description": "A payload filter"}
_WHERE: Json = {"type": "object", "description": "Pattern to its payload filter"}
_COMPLETE: Json = {
    "type": "boolean",
    "description": "Whether the history reaches back to what was asked for",
}


def _feed_messages() -> list[Json]:
    missed = {"type": ["integer", "null"], "minimum": 0}
    seconds = {"type": "number", "minimum": 0}
    code = {"type": "integer", "description": "As the close codes of the WebSocket"}
    return [
        _control(
            "resumed",
            "Everything up to cursor was sent",
            {"id": _ID},
            replayed=_COUNT,
            cursor=_STRING,
        ),
        _control(
            "gap",
            "Events are gone; on after cursor",
            {"id": _ID},
            missed=missed,
            cursor=_STRING,
        ),
        _control("dropped", "Signals were left out: the client was behind", count=_COUNT),
        _control("restarting", "The hub stops; come back", retry_after=seconds),
        _control("closing", "The stream ends, and why", code=code, reason=_STRING),
    ]


def _said_messages() -> list[Json]:
    errors: Json = {
        "type": "array",
        "items": {"type": "object", "properties": {"loc": {"type": "array"}, "msg": _STRING}},
    }
    return [
        _control(
            "connection",
            "The first message",
            {"where": _WHERE},
            status={"const": "connected"},
            message=_STRING,
            cursor=_STRING,
            events=_PATTERNS,
        ),
        _control(
            "subscribed", "What is subscribed now", {"where": _WHERE, "id": _ID}, events=_PATTERNS
        ),
        _control(
            "replaying",
            "A part of the history comes once more",
            {"id": _ID},
            since=_STRING,
            until=_STRING,
            complete=_COMPLETE,
        ),
        _control("replayed", "A replay is over", {"id": _ID}, replayed=_COUNT, complete=_COMPLETE),
        _control("pong", "Answers a ping", {"id": _ID}),
        _control(
            "error",
            "A message was not understood, or not obeyed",
            {"errors": errors, "id": _ID},
            code=_STRING,
            message=_STRING,
        ),
    ]


def _heard_messages() -> list[Json]:
    return [
        _control("ping", "Asks for a pong", {"id": _ID}),
        _control(
            "subscribe",
            "Add event type patterns, with one payload filter or none",
            {"where": _FILTER, "id": _ID},
            events=_PATTERNS,
        ),
        _control(
            "unsubscribe",
            "Remove event type patterns; all, if none are named",
            {"events": _PATTERNS, "id": _ID},
        ),
        _control("resume", "Go on from a cursor", {"id": _ID}, cursor=_STRING),
        _control(
            "replay",
            "Send a part of the history once more; each end is a time or a cursor",
            {"until": _STRING, "id": _ID},
            since=_STRING,
        ),
    ]


def _publishing_messages() -> list[Json]:
    return [
        {
            "name": PUBLISHED,
            "summary": "An event, as the body of POST /events",
            "contentType": "application/json",
            "payload": PublishedEvent.model_json_schema(),
        },
        _control("ready", "The first message to a publisher", in_flight=_COUNT),
        _control(
            "accepted",
            "An event is committed; in the order of the messages",
            id=_STRING,
            sequence={"type": "integer"},
            deliveries=_COUNT,
            repeated={"type": "boolean"},
        ),
    ]


def _control(
    name: str, summary: str, optional: Mapping[str, Json] | None = None, **members: Json
) -> Json:
    return {
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "properties": {"type": {"const": name}, **members, **(optional or {})},
            "required": ["type", *members],
        },
    }
