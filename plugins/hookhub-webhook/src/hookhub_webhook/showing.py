"""From what the hub holds to what is shown over REST."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hookhub.contracts.answers import delivery_json
from hookhub.contracts.deliveries import Delivery, Endpoint, EndpointStats, Page
from hookhub.contracts.events import Event, format_timestamp
from hookhub.contracts.sinks import AttemptResult, Outcome
from hookhub_webhook.config import shown_headers, shown_url
from hookhub_webhook.shapes import (
    ChangedWebhook,
    TestResult,
    Webhook,
    WebhookList,
    WebhookStats,
    WebhookWithSecret,
)
from hookhub_webhook.signing import signing_secret


def show_webhook(endpoint: Endpoint, breaker: str, *, whole: bool = True) -> Webhook:
    """The answer for an endpoint.

    Args:
        whole: with the path and query of its URL, for those who may change it.
    """
    members = _webhook_members(endpoint, breaker)
    return Webhook(**members if whole else {**members, "url": shown_url(members["url"])})


def show_changed(endpoint: Endpoint, breaker: str, dropped: list[str]) -> ChangedWebhook:
    """The answer for an endpoint that was changed.

    Args:
        dropped: names of headers that were dropped with it.
    """
    return ChangedWebhook(**_webhook_members(endpoint, breaker), dropped_headers=dropped)


def show_with_secret(endpoint: Endpoint, breaker: str, secret: str) -> WebhookWithSecret:
    """The answer for an endpoint whose new secret is shown."""
    return WebhookWithSecret(
        **_webhook_members(endpoint, breaker), secret=secret, signing_secret=signing_secret(secret)
    )


def _webhook_members(endpoint: Endpoint, breaker: str) -> dict[str, Any]:
    config, options = endpoint.config, endpoint.options
    schedule = options.retry_schedule
    return {
        "id": endpoint.id,
        "name": endpoint.name,
        "url": config.get("url", ""),
        "event_type": endpoint.event_types[0],
        "event_types": list(endpoint.event_types),
        "description": endpoint.description,
        "is_active": endpoint.is_active,
        "disabled_reason": endpoint.disabled_reason,
        "unreadable": None if endpoint.unreadable is None else endpoint.unreadable.reason,
        "failing_since": format_timestamp(endpoint.failing_since),
        "breaker": breaker,
        "has_secret": any(secret.expires_at is None for secret in endpoint.secrets),
        "format": config.get("format", "payload"),
        "headers": shown_headers(config.get("headers", {})),
        "timeout": config.get("timeout"),
        "ca": config.get("ca"),
        "retry_schedule": None if schedule is None else list(schedule),
        "concurrency": options.concurrency,
        "rate_limit": options.rate_limit,
        "ordered": options.ordered,
        "filter": options.filter,
        "transform": options.transform,
        "created_at": format_timestamp(endpoint.created_at),
        "updated_at": format_timestamp(endpoint.updated_at),
        "last_triggered_at": format_timestamp(endpoint.last_triggered_at),
        "failure_count": endpoint.failure_count,
        "success_count": endpoint.success_count,
    }


def show_webhooks(page: Page[Endpoint], breakers: Mapping[int, str], *, whole: bool) -> WebhookList:
    """The answer for a page of endpoints.

    Args:
        breakers: the states of their breakers by id.
        whole: as :func:`show_webhook`.
    """
    return WebhookList(
        items=[show_webhook(item, breakers[item.id], whole=whole) for item in page.items],
        total=page.total,
        limit=page.limit,
        offset=page.offset,
    )


def deliveries_json(
    deliveries: Sequence[Delivery], *, total: int | None, limit: int, offset: int, after: int | None
) -> bytes:
    """A page of deliveries as :class:`DeliveryList` has it, each payload exactly as it was sent.

    Args:
        after: the id below which the next page begins; None at the end.
    """
    items = b", ".join(map(delivery_json, deliveries))
    rest = json.dumps({"total": total, "limit": limit, "offset": offset, "next": after})
    return b'{"items": [%b], %b' % (items, rest[1:].encode("ascii"))


def show_stats(stats: EndpointStats) -> WebhookStats:
    """The answer for totals; the rate is over all deliveries, as the original's was."""
    rate = 100 * stats.delivered / stats.deliveries if stats.deliveries else 0.0
    return WebhookStats(
        total_webhooks=stats.total,
        active_webhooks=stats.active,
        total_deliveries=stats.deliveries,
        successful_deliveries=stats.delivered,
        failed_deliveries=stats.failed,
        pending_deliveries=stats.pending,
        success_rate=round(rate, 2),
    )


def show_test(event: Event, result: AttemptResult, duration: float) -> TestResult:
    """The answer for a test."""
    return TestResult(
        success=result.outcome is Outcome.DELIVERED,
        event_id=event.id,
        event_type=event.type,
        payload=event.data(),
        response_status=result.response_status,
        response_body=result.response_body,
        error=result.error,
        error_message=result.error_message,
        duration=round(duration, 6),
        timings={name: round(seconds, 6) for name, seconds in result.timings.items()},
    )
