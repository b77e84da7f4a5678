"""What the delivery room shows to plugins, the API and the command line. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from hookhub.contracts.events import Event

T = TypeVar("T")

DeliveryStatus = Literal["pending", "success", "failed"]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, and how long the whole list is."""

    items: list[T]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class Secret:
    """A signing secret; one with ``expires_at`` was rotated out and still signs until then."""

    value: str
    expires_at: int | None = None
    """Microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """What the core itself does differently for one endpoint; None takes the hub's setting."""

    retry_schedule: tuple[float, ...] | None = None
    """Seconds to wait after each failed attempt; its length limits the attempts."""
    concurrency: int | None = None
    """Attempts at once."""
    rate_limit: float | None = None
    """Attempts per second."""
    ordered: bool = False
    """Deliver the events of one ``key`` strictly in order; one that fails holds back its key."""
    filter: Mapping[str, Any] | None = None
    """Only events whose payload matches; see :mod:`hookhub.filters`."""
    transform: Mapping[str, Any] | None = None
    """``{"name", "config"}``: what makes another body than the payload."""


DEFAULT_OPTIONS = EndpointOptions()


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """An endpoint to make."""

    name: str
    event_types: tuple[str, ...]
    """Type patterns: ``user.created``, ``ticket.*``, ``*``."""
    config: Mapping[str, Any]
    """For the sink, before :meth:`hookhub.contracts.sinks.DurableSink.validate`."""
    description: str | None = None
    is_active: bool = True
    secret: str | None = None
    options: EndpointOptions = DEFAULT_OPTIONS


class Unreadable(NamedTuple):
    """Why this process cannot go by an endpoint."""

    error: Literal["secret_unreadable", "endpoint_unreadable"]
    """A stable word: what is sealed cannot be opened, or what it wants cannot be understood."""
    reason: str
    """A sentence for a person."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A place that a durable sink delivers to; all times are microseconds since 1970."""

    id: int
    sink: str
    name: str
    description: str | None
    event_types: tuple[str, ...]
    config: dict[str, Any] = field(repr=False)
    is_active: bool
    disabled_reason: str | None
    """Why the hub itself disabled it; None when a person did or when it is active."""
    created_at: int
    updated_at: int
    last_triggered_at: int | None
    """When an attempt was last made."""
    success_count: int
    """Deliveries that were delivered."""
    failure_count: int
    """Attempts that failed."""
    secrets: tuple[Secret, ...] = field(repr=False)
    """Newest first."""
    options: EndpointOptions = DEFAULT_OPTIONS
    failing_since: int | None = None
    """Since when attempts have done nothing but fail; None after a success."""
    unreadable: Unreadable | None = None
    """Why nothing is sent to it from here; what cannot be read is left out. None: all is well."""


class Claim(NamedTuple):
    """A delivery that this process may attempt until its lease ends."""

    id: int
    endpoint_id: int
    attempts: int
    """Attempts made before."""
    schedule_from: int
    """How many of them do not count for the retry schedule (before a retry by hand)."""
    lease: int
    until: int
    """When the lease ends, microseconds."""
    event: Event
    created_at: int | None = None
    """When the delivery was committed, microseconds; None if nobody asked."""


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt that was made."""

    number: int
    started_at: int
    duration: float
    """Seconds."""
    outcome: str
    """A value of :class:`hookhub.contracts.sinks.Outcome`."""
    response_status: int | None
    response_body: str | None
    error: str | None
    error_message: str | None
    timings: dict[str, float] | None = None
    """Seconds by phase (``dns``, ``connect``, ``tls``, ``wait``, ``total``), as far as it came."""
    response_headers: str | None = None
    """As ``hookhub.delivery.answer_headers`` keeps and reads them."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint; all times are microseconds since 1970."""

    id: int
    endpoint_id: int
    sink: str
    event_id: str
    event_type: str
    payload: str
    """Canonical JSON text."""
    status: DeliveryStatus
    response_status: int | None
    response_body: str | None
    error: str | None
    error_message: str | None
    attempt_number: int
    """Attempts made so far."""
    created_at: int
    delivered_at: int | None
    next_retry_at: int | None
    """When the next attempt is due; None unless pending."""
    held: bool = False
    """Whether an earlier delivery of the same key must end first (strict order)."""
    attempts: tuple[AttemptRecord, ...] | None = None
    """Oldest first; None in lists."""
    endpoint_name: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries somebody looks for; None leaves it open."""

    endpoint_id: int | None = None
    status: DeliveryStatus | None = None
    event_types: tuple[str, ...] | None = None
    """Type patterns."""
    event_id: str | None = None
    since: int | None = None
    """Committed at this time or later, microseconds."""
    until: int | None = None
    """Committed before this time."""

    def narrows(self) -> bool:
        """Whether it asks for more than an endpoint's deliveries of one status: those are counted
        and indexed as they come."""
        asked = (self.event_types, self.event_id, self.since, self.until)
        return any(value is not None for value in asked)


@dataclass(frozen=True, slots=True)
class SearchPage(Generic[T]):
    """A part of a list that is looked through step by step, newest first."""

    items: list[T]
    before: int | None
    """Where to go on: look below this id; None at the end of the list."""


@dataclass(frozen=True, slots=True)
class EndpointStats:
    """Totals over all endpoints of a sink, from kept counters."""

    total: int
    active: int
    deliveries: int
    delivered: int
    failed: int
    pending: int


ReplayState = Literal["running", "paused", "done", "cancelled", "failed"]
ReplayChoice = Literal["all", "failed", "never_sent"]


@dataclass(frozen=True, slots=True)
class Replay:
    """Events of the past on their way to an endpoint once more; times are microseconds."""

    id: int
    endpoint_id: int
    state: ReplayState
    events: tuple[str, ...]
    """Type patterns."""
    only: ReplayChoice
    after: int
    """The first event looked at follows this sequence."""
    last: int
    """The sequence of the last event looked at."""
    since: int | None
    """Only events of this time or later."""
    until: int | None
    """Only events before this time."""
    gap: bool
    """Whether events that were asked for are no longer kept."""
    position: int
    """Everything up to this sequence is done."""
    total: int | None
    """Events to replay, as counted at the beginning; None until they are counted."""
    done: int
    """Deliveries made."""
    created_at: int
    updated_at: int
    finished_at: int | None
    error: str | None
    """Why it failed."""
