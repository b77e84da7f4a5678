"""From an attempt to the request that is sent, byte for byte. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from hookhub import __version__
from hookhub.contracts.events import Event, format_timestamp
from hookhub.contracts.sinks import Attempt
from hookhub_webhook.signing import Sign, hub_signature, standard_signatures

USER_AGENT = f"hookhub/{__version__}"


class WebhookRequest(NamedTuple):
    """A POST to make."""

    url: str
    headers: list[tuple[str, str]]
    body: bytes


def build_request(attempt: Attempt, signs: Sequence[Sign] = ()) -> WebhookRequest:
    """The request of an attempt: the body and its signatures, all over the same bytes.

    Args:
        signs: the hub's own keys, newest first.
    """
    config = attempt.config
    body, content_type = _content(attempt)
    return WebhookRequest(
        # One whose URL was lost with its key has none until it is given one again.
        config.get("url", ""),
        [
            ("Content-Type", content_type),
            ("User-Agent", USER_AGENT),
            ("X-Webhook-Event", attempt.event.type),
            ("X-Webhook-Id", str(attempt.endpoint_id)),
            ("X-Webhook-Delivery", str(attempt.delivery_id)),
            ("X-Webhook-Attempt", str(attempt.number)),
            ("webhook-id", attempt.event.id),
            ("webhook-timestamp", str(attempt.timestamp)),
            *_signatures(attempt, body, signs),
            *config.get("headers", {}).items(),
        ],
        body,
    )


def _content(attempt: Attempt) -> tuple[bytes, str]:
    """The body and its type: what a transform made, or the payload, alone or in an envelope."""
    if attempt.content is not None:
        return attempt.content.body, attempt.content.content_type
    if attempt.config.get("format") == "envelope":
        return envelope_body(attempt.event), "application/json"
    return attempt.event.payload.encode("utf-8"), "application/json"


def envelope_body(event: Event) -> bytes:
    """The body that Standard Webhooks recommends, with the stored text of the payload in it."""
    type_, timestamp, id_ = (
        json.dumps(text) for text in (event.type, format_timestamp(event.timestamp), event.id)
    )
    text = f'{{"type":{type_},"timestamp":{timestamp},"data":{event.payload},"id":{id_}}}'
    return text.encode("utf-8")


def _signatures(attempt: Attempt, body: bytes, signs: Sequence[Sign]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if attempt.secrets:
        # It has room for one: during a rotation it is the new secret's, and only
        # webhook-signature carries the old one's as well.
        found.append(("X-Webhook-Signature", hub_signature(attempt.secrets[0], body)))
    standard = standard_signatures(
        attempt.secrets, attempt.event.id, attempt.timestamp, body, signs
    )
    if standard:
        found.append(("webhook-signature", standard))
    return found
