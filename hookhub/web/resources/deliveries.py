"""``/deliveries``: one delivery of any durable sink, with its attempts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from hookhub.contracts.answers import DeliverySearch, Time, delivery_json, id_field
from hookhub.contracts.deliveries import AttemptRecord, Delivery
from hookhub.contracts.errors import Conflict, NotFound
from hookhub.contracts.events import format_timestamp
from hookhub.contracts.routes import Answer, Id, PageAnswer, Paging, Request, Response, Route
from hookhub.delivery.answer_headers import CUT, MAX_FIELDS, MAX_HEADERS, header_pairs

if TYPE_CHECKING:
    from hookhub.hub import Hub


class HeaderItem(Answer):
    """A header field."""

    name: str
    value: str


class AttemptItem(Answer):
    """One attempt that was made."""

    number: int = Field(description="1 for the first")
    started_at: Time
    duration: float = Field(description="Seconds")
    outcome: str = Field(description="`delivered`, `retry` or `give_up`")
    response_status: int | None
    response_headers: list[HeaderItem] = Field(
        description="The answer's header fields in the order in which they came: at most "
        f"{MAX_FIELDS} and {MAX_HEADERS} characters; a value that was cut ends in `{CUT}`, a last "
        f"field named `{CUT}` says how many are missing, cookies are masked"
    )
    response_body: str | None = Field(description="The first part of the answer")
    error: str | None = Field(description="A stable word: `dns`, `refused`, `read_timeout` …")
    error_message: str | None
    timings: dict[str, float] | None = Field(
        description="Seconds by phase, as far as it came: `dns`, `connect`, `tls`, `wait`, `total`"
    )


class ListedDelivery(Answer):
    """One event on its way to one endpoint; `GET /deliveries/{delivery_id}` has its attempts."""

    id: int = id_field("Its number")
    endpoint_id: int = id_field("The endpoint")
    webhook_id: int = id_field("The same, as it was called when all endpoints were webhooks")
    endpoint_name: str
    sink: str = Field(description="The kind of endpoint", examples=["webhook"])
    event_id: str
    event_type: str
    payload: dict[str, Any]
    status: Literal["pending", "success", "failed"]
    response_status: int | None
    response_body: str | None
    error: str | None
    error_message: str | None
    attempt_number: int = Field(description="Attempts made so far")
    created_at: Time
    delivered_at: Time | None
    next_retry_at: Time | None = Field(description="When the next attempt is due; if pending")
    held: bool = Field(description="Whether an earlier one of its key must end first")


class DeliveryItem(ListedDelivery):
    """One event on its way to one endpoint."""

    attempts: list[AttemptItem] = Field(description="Oldest first")


class RetriedDelivery(DeliveryItem):
    """A delivery that is due now, and what it has to wait for all the same."""

    waits_for: Literal["endpoint", "order", "circuit_breaker"] | None = Field(
        description="`endpoint`: until it is switched on; `order`: until an earlier one of its key "
        "has ended; `circuit_breaker`: until a probe of its endpoint succeeds; null: for its turn"
    )
    probe_in: float | None = Field(
        description="Seconds until the circuit breaker lets the next probe through, 0 while that "
        "is under way; null without one"
    )


class DeliveriesQuery(DeliverySearch):
    """Which deliveries to list, of all endpoints."""

    endpoint_id: Id | None = Field(None, description="To this endpoint")
    webhook_id: Id | None = Field(None, description="The same by its old name")
    limit: int = Field(50, ge=1, le=200, description="How many items at most")


class FoundDeliveries(Answer):
    """Deliveries that match, newest first."""

    items: list[ListedDelivery]
    next: int | None = Field(
        description="There may be more, even if this page is not full: send it as `before`; null "
        "at the end"
    )
    limit: int


class DeliveryItems(PageAnswer[DeliveryItem]):
    """Where an event went, oldest first."""


def _shown(delivery: Delivery, **more: Any) -> bytes:
    """A delivery as :class:`DeliveryItem` has it (in a list :class:`ListedDelivery`)."""
    more |= {
        "endpoint_id": delivery.endpoint_id,
        "endpoint_name": delivery.endpoint_name,
        "sink": delivery.sink,
    }
    if delivery.attempts is not None:
        more["attempts"] = [_attempt_json(attempt) for attempt in delivery.attempts]
    return delivery_json(delivery, **more)


def _obstacles(hub: Hub, delivery: Delivery) -> dict[str, Any]:
    """What :class:`RetriedDelivery` says besides."""
    obstacle = hub.engine.obstacle(delivery.endpoint_id)
    if delivery.held and (obstacle is None or obstacle.reason != "endpoint"):
        return {"waits_for": "order", "probe_in": None}
    if obstacle is None:
        return {"waits_for": None, "probe_in": None}
    wait = obstacle.seconds
    return {
        "waits_for": obstacle.reason,
        "probe_in": None if wait is None else round(wait, 3),
    }


def _attempt_json(attempt: AttemptRecord) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "started_at": format_timestamp(attempt.started_at),
        "duration": attempt.duration,
        "outcome": attempt.outcome,
        "response_status": attempt.response_status,
        "response_headers": [
            {"name": name, "value": value} for name, value in header_pairs(attempt.response_headers)
        ],
        "response_body": attempt.response_body,
        "error": attempt.error,
        "error_message": attempt.error_message,
        "timings": attempt.timings,
    }


def delivery_routes(hub: Hub) -> Sequence[Route]:
    """Showing deliveries, trying one again, and giving it up."""

    async def list_deliveries(request: Request) -> Response:
        """Deliveries to all endpoints, newest first, without their attempts."""
        asked = request.query_as(DeliveriesQuery)
        found = await hub.deliveries.search(
            asked.filter(asked.endpoint_id or asked.webhook_id),
            before=asked.before,
            limit=asked.limit,
        )
        items = b", ".join(_shown(item) for item in found.items)
        rest = {"next": found.before, "limit": asked.limit}
        return Response(b'{"items": [%s], %s' % (items, json.dumps(rest)[1:].encode()))

    async def get_delivery(request: Request) -> Response:
        """A delivery with all its attempts."""
        return Response(_shown(await hub.deliveries.get(request.id("delivery_id"))))

    async def event_deliveries(request: Request) -> Response:
        """Where an event went: its deliveries to all endpoints, with their attempts."""
        asked = request.query_as(Paging)
        page = await hub.deliveries.of_event(
            str(request.params["event_id"]), limit=asked.limit, offset=asked.offset
        )
        items = b", ".join(_shown(item) for item in page.items)
        rest = {"total": page.total, "limit": page.limit, "offset": page.offset}
        return Response(b'{"items": [%s], %s' % (items, json.dumps(rest)[1:].encode()))

    async def retry_delivery(request: Request) -> Response:
        """Try a delivery again, now; its status is `pending` until then, and `waits_for` says what
        holds it back."""
        delivery = await hub.deliveries.retry(request.id("delivery_id"))
        return Response(_shown(delivery, **_obstacles(hub, delivery)))

    async def skip_delivery(request: Request) -> Response:
        """Give up a delivery that holds back its key (strict order); the next one of it goes."""
        return Response(_shown(await hub.deliveries.skip(request.id("delivery_id"))))

    reads = partial(Route, scope="webhooks:read", tag="deliveries")
    writes = partial(Route, scope="webhooks:write", tag="deliveries", errors=(Conflict,))
    one, of_event = "/deliveries/{delivery_id:int}", "/events/{event_id}/deliveries"
    return [
        reads(
            "GET",
            "/deliveries",
            list_deliveries,
            query=DeliveriesQuery,
            responses={200: FoundDeliveries},
            errors=(NotFound,),
        ),
        reads("GET", one, get_delivery, responses={200: DeliveryItem}),
        reads("GET", of_event, event_deliveries, query=Paging, responses={200: DeliveryItems}),
        writes("POST", f"{one}/retry", retry_delivery, responses={200: RetriedDelivery}),
        writes("POST", f"{one}/skip", skip_delivery, responses={200: DeliveryItem}),
    ]
