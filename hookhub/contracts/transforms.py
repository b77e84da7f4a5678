"""The contract of transforms. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from hookhub.contracts.errors import HookhubError, ValidationFailed
from hookhub.contracts.events import Event, EventType, canonical_json

OUTPUT_MAX = 256 * 1024
"""Bytes that a transform may make of one event."""

_EXAMPLE_TIME = 1_735_689_600_000_000
"""2025-01-01T00:00:00Z in microseconds: an example is the same at every trial."""

ConfigT = TypeVar("ConfigT", bound=BaseModel)


class TransformError(HookhubError):
    """A transform cannot make a body of this event; says why, in a sentence for its author."""

    code = "transform_failed"
    status = 422


class UnknownTransform(ValidationFailed):
    """No plugin brings a transform of this name; names the nearest one."""

    code = "unknown_transform"


@dataclass(frozen=True, slots=True)
class TransformResult:
    """A body and what it is."""

    body: bytes
    content_type: str = "application/json"


class Transform(ABC, Generic[ConfigT]):
    """Makes the body of a delivery out of an event. Pure: no I/O, no clock, no state that shows.

    It runs at every attempt, in worker threads, and the same event and configuration must give the
    same bytes.
    """

    name: str
    """Unique in the hub; a word in lower case."""
    description: str
    """One sentence: what it makes."""
    config_model: type[ConfigT]
    """What an endpoint configures; refuse unknown members, so that misspelt ones are noticed."""

    def check(self, config: ConfigT) -> None:
        """Look for what is wrong whatever the event; called before a configuration is stored.

        Raises:
            TransformError: the endpoint is not stored.
        """

    @abstractmethod
    def apply(self, event: Event, config: ConfigT) -> TransformResult:
        """Make the body.

        Args:
            event: ``event.data()`` is its payload.
            config: an instance of :attr:`config_model`.

        Raises:
            TransformError: it cannot be made; the attempt fails with this sentence.
        """


def example_event(event_type: EventType) -> Event:
    """An event with the example of its type, always the same."""
    payload = canonical_json(event_type.example)
    return Event(1, "evt_example", event_type.name, payload, _EXAMPLE_TIME)
