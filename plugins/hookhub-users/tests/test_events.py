"""The event type ``user.created``."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.events import EventRegistry
from hookhub_users.events import EVENT_TYPES

EXAMPLE = dict(EVENT_TYPES[0].example)


@pytest.fixture
def registry() -> EventRegistry:
    """A registry with this plugin's types; registering checks their examples."""
    registry = EventRegistry()
    for event_type in EVENT_TYPES:
        registry.register(event_type, "users")
    return registry


def test_declared_types(registry: EventRegistry) -> None:
    """The plugin declares ``user.created``, with the fields of the original."""
    assert [event_type.name for event_type in registry] == ["user.created"]
    assert list(registry.get("user.created").json_schema()["properties"]) == [
        "user_id",
        "telegram_id",
        "username",
        "first_name",
        "last_name",
        "referral_code",
        "referred_by_id",
    ]


@pytest.mark.parametrize(
    "payload",
    [
        EXAMPLE,
        dict.fromkeys(EXAMPLE) | {"user_id": 1},
        {"user_id": 1},
        EXAMPLE | {"email": "anna@example.com", "auth_type": "email"},
    ],
)
def test_accepted(registry: EventRegistry, payload: dict[str, Any]) -> None:
    """All but ``user_id`` may be null, and more may be said than the model names."""
    registry.check("user.created", payload)


@pytest.mark.parametrize(
    ("payload", "wrong"),
    [
        ({}, ["user_id"]),
        (EXAMPLE | {"user_id": None}, ["user_id"]),
        (EXAMPLE | {"user_id": "123", "username": 5}, ["user_id", "username"]),
        (EXAMPLE | {"user_id": True}, ["user_id"]),
    ],
)
def test_refused(registry: EventRegistry, payload: dict[str, Any], wrong: list[str]) -> None:
    """Types are strict, and every wrong field is named."""
    with pytest.raises(ValidationFailed) as refused:
        registry.check("user.created", payload)
    assert [error["loc"] for error in refused.value.errors] == [["payload", name] for name in wrong]
