"""The two contracts that carry everything that leaves the hub. Pure.

A :class:`LiveSink` sees every committed event as it happens, may miss some, and never slows the
hub. A :class:`DurableSink` makes *one* attempt to deliver one event to one endpoint; leases,
retries, order, limits and records are the core's, so a sink of fifty lines is as reliable as the
webhook.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import trio

from hookhub.contracts.components import Component
from hookhub.contracts.errors import UnreadableEvent
from hookhub.contracts.events import Event
from hookhub.contracts.redaction import hidden_texts
from hookhub.contracts.transforms import TransformResult


class Entry:
    """An event in the live feed with its encoded form, made once for all readers.

    Args:
        event: committed.
        epoch: names the database in cursors.
    """

    __slots__ = ("_epoch", "_frame", "event", "size")

    def __init__(self, event: Event, epoch: str) -> None:
        self.event = event
        self._epoch = epoch
        self._frame: bytes | None = None
        self.size = len(event.payload) + _AROUND_PAYLOAD
        """About as many bytes as the frame has, known without making it."""

    @property
    def frame(self) -> bytes:
        """UTF-8 JSON (:meth:`hookhub.contracts.events.Event.encode`), made when one asks.

        Raises:
            UnreadableEvent: see :attr:`readable`.
        """
        if self._frame is None:
            self._frame = self.event.encode(self._epoch)
        return self._frame

    @property
    def readable(self) -> bool:
        """Whether it has a :attr:`frame`: an event that was stored unchecked may have none."""
        try:
            return bool(self.frame)
        except UnreadableEvent:
            return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entry) and self.event == other.event

    def __hash__(self) -> int:
        return hash(self.event)

    def __repr__(self) -> str:
        return f"Entry({self.event!r})"


_AROUND_PAYLOAD = 200
"""Bytes of a frame that are not its payload, for an ordinary event."""


class Signal(NamedTuple):
    """Something that live subscribers may watch while it happens, and that is not kept.

    It has no id, no sequence and no cursor: whoever does not see it now never will.
    """

    type: str
    payload: dict[str, Any]
    """To be read only."""
    frame: bytes
    """UTF-8 JSON with ``"ephemeral": true``, made once for all who watch."""


class LiveSink(Component, ABC):
    """Sees every committed event, in order, in the hub's own task."""

    @abstractmethod
    def publish(self, entries: Sequence[Entry]) -> None:
        """Take newly committed events, in order of sequence. Must not block or await.

        Called in the Trio thread before the producer gets its answer, so a microsecond here is a
        microsecond for every producer: wake a task or fill a bounded queue, and return. What it
        raises is logged with the sink's name and goes no further.
        """

    def epoch_began(self) -> None:
        """The database went back to an earlier state: cursors of before are void, and sequences
        are given out again. Called as :meth:`publish` is; entries of the new epoch follow."""


class QueuedLiveSink(LiveSink):
    """A live sink with a bounded queue and a task of its own; override :meth:`deliver`.

    Events that find the queue full are dropped and counted in ``statistics()["dropped"]``.
    """

    queue_size = 10_000

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Entry](self.queue_size)
        self._delivered = 0
        self._dropped = 0

    def publish(self, entries: Sequence[Entry]) -> None:
        for position, entry in enumerate(entries):
            try:
                self._send.send_nowait(entry)
            except trio.WouldBlock:
                self._dropped += len(entries) - position
                return

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        while True:
            batch = [await self._receive.receive()]
            while len(batch) < 500:
                try:
                    batch.append(self._receive.receive_nowait())
                except trio.WouldBlock:
                    break
            batch = [entry for entry in batch if entry.readable]
            if batch:
                await self.deliver(batch)
            self._delivered += len(batch)

    @abstractmethod
    async def deliver(self, entries: Sequence[Entry]) -> None:
        """Take one to 500 events, all of them readable; may await."""

    def statistics(self) -> Mapping[str, float]:
        return {
            "delivered_total": self._delivered,
            "dropped_total": self._dropped,
            "queued": self._send.statistics().current_buffer_used,
        }


class Outcome(enum.Enum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """Failed, worth another attempt."""
    GIVE_UP = "give_up"
    """Failed, and no attempt will ever do better."""


RawFields = Sequence[tuple[bytes, bytes]]
"""Header fields as they came, as h11 and ``httpx.Headers.raw`` have them."""

REASONS = (
    *("status", "dns", "refused", "network", "tls", "connect_timeout", "proxy", "read_timeout"),
    *("reset", "protocol", "too_large", "blocked_address", "bad_url", "bad_request"),
    *("transform", "secret_unreadable", "endpoint_unreadable", "timeout", "sink_error"),
    *("skipped", "cancelled"),
)
"""The words that the hub itself has for why a delivery or an attempt failed. A sink that means the
same takes the same word."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to make: everything a sink needs, nothing it must look up."""

    delivery_id: int
    endpoint_id: int
    number: int
    """1 for the first attempt."""
    event: Event
    config: Mapping[str, Any] = field(repr=False)
    """What :meth:`DurableSink.validate` returned when the endpoint was made."""
    secrets: Sequence[str] = field(repr=False)
    """Valid signing secrets, newest first; empty if the endpoint has none."""
    timestamp: int
    """Unix seconds of this attempt, by the hub's clock."""
    content: TransformResult | None = None
    """What a transform made of the event; to be sent in place of the payload."""


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What came of an attempt."""

    outcome: Outcome
    response_status: int | None = None
    response_body: str | None = None
    """The first part of the answer; the core cuts it to its limit."""
    error: str | None = None
    """A stable word: one of :data:`REASONS`, or one of the sink's own."""
    error_message: str | None = None
    """A sentence for a person, without secrets."""
    retry_after: float | None = None
    """Seconds that the receiver asked to wait; the core bounds it."""
    disable_endpoint: bool = False
    """The receiver said that it is gone (HTTP 410): no further deliveries to it."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by phase: ``dns``, ``connect``, ``tls``, ``wait``, ``total``."""
    response_headers: RawFields = ()
    """The answer's header fields; the core bounds what is kept of them, and masks cookies."""


class DurableSink(Component, ABC):
    """Makes one attempt at a time; never sleeps, retries or stores."""

    @abstractmethod
    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Check and complete an endpoint's configuration before it is stored.

        Raises:
            ValidationFailed: names every wrong field.
            EgressBlocked: the address may not be called.
        """

    @abstractmethod
    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration as it may be shown: without passwords and keys."""

    def secret_values(self, config: Mapping[str, Any]) -> Sequence[str]:
        """What is secret in the configuration: it is masked wherever an answer or an error repeats
        it. Unless overridden, each text in it that :meth:`redact` does not show as it is."""
        return hidden_texts(config, self.redact(config))

    @abstractmethod
    async def attempt(self, attempt: Attempt) -> AttemptResult:
        """Make one attempt. Runs under the core's deadline; being cancelled means that there was
        no attempt. An exception counts as :attr:`Outcome.RETRY` and is logged."""

    def timeout(self, config: Mapping[str, Any], default: float) -> float:
        """Seconds that one attempt to this endpoint may take in all."""
        return default
