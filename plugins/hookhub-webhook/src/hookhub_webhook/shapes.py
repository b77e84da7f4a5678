"""What is asked for and what is shown over REST."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from hookhub.contracts.answers import DeliverySearch
from hookhub.contracts.deliveries import DeliveryStatus
from hookhub.contracts.routes import (
    Answer,
    Body,
    EventTypeName,
    EventTypePattern,
    Line,
    PageAnswer,
    Paging,
    Query,
    Text,
    TypePattern,
)
from hookhub_webhook.config import (
    Certificates,
    Format,
    Headers,
    Timeout,
    Url,
    WebhookConfig,
)
from hookhub_webhook.options import (
    Concurrency,
    FilterSpec,
    Rate,
    RetrySchedule,
    TransformChoice,
    WebhookOptions,
)
from hookhub_webhook.signing import check_secret

EVENT_TYPES_MAX = 100

# Without control characters, and not of spaces alone.
_NAME = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=_NAME)]
Description = Annotated[Text, StringConstraints(max_length=1000)]
SecretText = Annotated[
    Line, StringConstraints(min_length=1, max_length=255), AfterValidator(check_secret)
]
EventTypes = Annotated[list[EventTypePattern], Field(min_length=1, max_length=EVENT_TYPES_MAX)]

# JSON Schema of what the handler checks of a creation.
_SAYS_WHICH_EVENTS: list[Any] = [
    {"properties": {"event_type": {"type": "string"}}, "required": ["event_type"]},
    {"properties": {"event_types": {"type": "array"}}, "required": ["event_types"]},
]
_TWO_SECRETS: dict[str, Any] = {
    "properties": {"secret": {"type": "string"}, "generate_secret": {"const": True}},
    "required": ["secret", "generate_secret"],
}


class NewWebhook(WebhookConfig, WebhookOptions):
    """A webhook to create; `event_type` or `event_types` is needed."""

    model_config = ConfigDict(json_schema_extra={"anyOf": _SAYS_WHICH_EVENTS, "not": _TWO_SECRETS})

    name: Name = Field(description="What people call it; need not be unique")
    event_type: EventTypePattern | None = Field(
        None, description="An exact type, a prefix such as ticket.*, or *", examples=["ticket.*"]
    )
    event_types: EventTypes | None = Field(
        None, description="Several of them, after `event_type` if that is sent too"
    )
    secret: SecretText | None = Field(
        None, description="Signs every request; never shown again. Not with `generate_secret`"
    )
    generate_secret: bool = Field(False, description="Let the hub make one, shown in the answer")
    description: Description | None = None
    is_active: bool = True


def _unset() -> Any:
    """The value of a field that was not sent; the field itself cannot be null."""


class WebhookChanges(Body):
    """What to change; what is left out stays as it is.

    `null` removes the description, the secret, the certificates, the rate limit, the filter and
    the transform, and takes
    `timeout`, `retry_schedule` and `concurrency` back to the hub's own.
    """

    name: Name = Field(default_factory=_unset)
    url: Url = Field(
        default_factory=_unset,
        description="Of another origin: drops headers with masked values that are not given again",
    )
    event_type: EventTypePattern = Field(
        default_factory=_unset, description="With `event_types` or without it, replaces them all"
    )
    event_types: EventTypes = Field(default_factory=_unset)
    secret: SecretText | None = Field(
        None, description="Replaces the old one at once; else rotate it"
    )
    description: Description | None = None
    is_active: bool = Field(default_factory=_unset)
    format: Format = Field(default_factory=_unset)
    headers: Headers = Field(
        default_factory=_unset, description="All of them; a masked value stays as it is stored"
    )
    timeout: Timeout | None = None
    ca: Certificates | None = None
    retry_schedule: RetrySchedule | None = None
    concurrency: Concurrency | None = None
    rate_limit: Rate | None = None
    ordered: bool = Field(default_factory=_unset)
    filter: FilterSpec | None = None
    transform: TransformChoice | None = None


class NewSecret(Body):
    """A secret to rotate to."""

    secret: SecretText | None = Field(None, description="Left out: the hub makes one")


class TestRequest(Body):
    """What to send as a test."""

    __test__ = False  # no test case, whatever pytest makes of the name

    event_type: EventTypeName | None = Field(
        None, description="Whose example; left out: the first type that the webhook wants"
    )


class WebhookQuery(Paging):
    """Which webhooks to list."""

    event_type: TypePattern | None = Field(
        None, description="That would get this type, or name this pattern"
    )
    is_active: bool | None = None


class DeliveryQuery(DeliverySearch, Paging):
    """Which deliveries to list; `offset` only with nothing but `status`."""


class CancelQuery(Query):
    """Which deliveries to end; only pending ones can be."""

    status: Literal["pending"]


class Webhook(Answer):
    """A webhook; its secret is never shown."""

    id: int
    name: str
    url: str = Field(description="Its path and query are … without `webhooks:write`")
    event_type: str = Field(description="The first of event_types")
    event_types: list[str]
    description: str | None
    is_active: bool
    disabled_reason: str | None = Field(description="Why the hub itself disabled it")
    unreadable: str | None = Field(
        description="Why nothing is sent to it from here: what is stored of it cannot be read"
    )
    failing_since: str | None = Field(
        description="Since when attempts have done nothing but fail; null after a success"
    )
    breaker: Literal["closed", "open", "half_open"] = Field(
        description="closed: attempts are made; open: it is left alone for a while; half_open: one "
        "attempt will tell"
    )
    has_secret: bool
    format: Format
    headers: dict[str, str] = Field(description="Values are masked, but of Accept headers")
    timeout: float | None = Field(description="null: [delivery] timeout")
    ca: str | None = Field(description="Trusted certificates (PEM); null: the well-known ones")
    retry_schedule: list[float] | None = Field(description="null: [delivery] retry_schedule")
    concurrency: int | None = Field(description="null: [delivery] endpoint_concurrency")
    rate_limit: float | None = Field(description="Attempts per second; null: no limit")
    ordered: bool = Field(description="Whether events of one key are delivered strictly in order")
    filter: dict[str, Any] | None = Field(description="Which payloads are delivered; null: all")
    transform: dict[str, Any] | None = Field(description="What makes the body; null: the payload")
    created_at: str = Field(description="RFC 3339, UTC")
    updated_at: str
    last_triggered_at: str | None = Field(description="When an attempt was last made")
    failure_count: int = Field(description="Attempts that failed")
    success_count: int = Field(description="Events that were delivered")


class ChangedWebhook(Webhook):
    """A webhook that was changed."""

    dropped_headers: list[str] = Field(
        description="Headers that were not taken to the new origin of `url`; give them again"
    )


class WebhookWithSecret(Webhook):
    """A webhook with a secret that is shown this once."""

    secret: str
    signing_secret: str = Field(description="The same for Standard Webhooks libraries: whsec_…")


class NewWebhookAnswer(Webhook):
    """A new webhook; with the secret if the hub made it, which is shown this once."""

    secret: str | None = Field(None, description="Only with generate_secret")
    signing_secret: str | None = Field(None, description="Only with generate_secret")


class WebhookList(PageAnswer[Webhook]):
    """A part of the list of webhooks."""


class WebhookDelivery(Answer):
    """One event on its way to one webhook."""

    id: int
    webhook_id: int
    event_id: str
    event_type: str
    payload: dict[str, Any]
    status: DeliveryStatus
    response_status: int | None
    response_body: str | None = Field(description="Its first part")
    error: str | None = Field(description="A stable word: dns, refused, tls, status …")
    error_message: str | None
    attempt_number: int = Field(description="Attempts made so far")
    created_at: str = Field(description="RFC 3339, UTC")
    delivered_at: str | None
    next_retry_at: str | None = Field(description="null unless pending")
    held: bool = Field(description="Whether an earlier one of its key must end first")


class DeliveryList(Answer):
    """A part of the list of deliveries, newest first."""

    items: list[WebhookDelivery]
    total: int | None = Field(
        description="null with `before` or a filter besides `status`: counting them would mean "
        "looking at each"
    )
    limit: int
    offset: int
    next: int | None = Field(
        description="There may be more, even if this page is not full: send it as `before`; null "
        "at the end"
    )


class WebhookStats(Answer):
    """Totals over all webhooks."""

    total_webhooks: int
    active_webhooks: int
    total_deliveries: int
    successful_deliveries: int
    failed_deliveries: int
    pending_deliveries: int
    success_rate: float = Field(description="Percent of all deliveries, two decimals")


class TestResult(Answer):
    """What came of a test."""

    __test__ = False

    success: bool
    event_id: str
    event_type: str
    payload: dict[str, Any]
    response_status: int | None
    response_body: str | None
    error: str | None
    error_message: str | None
    duration: float = Field(description="Seconds")
    timings: dict[str, float] = Field(
        description="Seconds by phase, as far as it came: dns, connect, tls, wait, total"
    )


class Retried(Answer):
    """How many deliveries are attempted again."""

    retried: int


class Cancelled(Answer):
    """How many deliveries were ended."""

    cancelled: int
