"""The event types ``ticket.*``."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.events import EventRegistry
from hookhub_tickets.events import EVENT_TYPES

EXAMPLES = {event_type.name: dict(event_type.example) for event_type in EVENT_TYPES}


@pytest.fixture
def registry() -> EventRegistry:
    """A registry with this plugin's types; registering checks their examples."""
    registry = EventRegistry()
    for event_type in EVENT_TYPES:
        registry.register(event_type, "tickets")
    return registry


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("ticket.created", "ticket_id user_id title status priority has_media"),
        ("ticket.status_changed", "ticket_id user_id old_status new_status closed_at"),
        (
            "ticket.message_added",
            "ticket_id message_id user_id is_from_admin message_text has_media status",
        ),
    ],
)
def test_declared_types(registry: EventRegistry, name: str, fields: str) -> None:
    """Each type has the fields of the original."""
    assert len(registry) == 3
    assert list(registry.get(name).json_schema()["properties"]) == fields.split()
    assert list(EXAMPLES[name]) == fields.split()


@pytest.mark.parametrize(
    ("name", "changes", "wrong"),
    [
        ("ticket.created", {"has_media": "no"}, "has_media"),
        ("ticket.created", {"title": None}, "title"),
        ("ticket.status_changed", {"closed_at": 1768473000}, "closed_at"),
        ("ticket.message_added", {"is_from_admin": 1}, "is_from_admin"),
        ("ticket.message_added", {"message_text": "a" * 201}, "message_text"),
    ],
)
def test_refused(registry: EventRegistry, name: str, changes: dict[str, Any], wrong: str) -> None:
    """Types are strict, and a message is cut to its first 200 characters."""
    with pytest.raises(ValidationFailed) as refused:
        registry.check(name, EXAMPLES[name] | changes)
    assert [error["loc"] for error in refused.value.errors] == [["payload", wrong]]
