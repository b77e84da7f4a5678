"""The event types ``payment.completed`` and ``transaction.created``."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.events import EventRegistry
from hookhub_payments.events import EVENT_TYPES

TYPES = ("payment.completed", "transaction.created")
EXAMPLE = dict(EVENT_TYPES[0].example)


@pytest.fixture
def registry() -> EventRegistry:
    """A registry with this plugin's types; registering checks their examples."""
    registry = EventRegistry()
    for event_type in EVENT_TYPES:
        registry.register(event_type, "payments")
    return registry


def test_declared_types(registry: EventRegistry) -> None:
    """Both types have the fields of the original."""
    assert tuple(event_type.name for event_type in registry) == TYPES
    for event_type in registry:
        assert list(event_type.json_schema()["properties"]) == [
            "transaction_id",
            "user_id",
            "type",
            "amount_kopeks",
            "amount_rubles",
            "payment_method",
            "external_id",
            "is_completed",
            "description",
        ]


@pytest.mark.parametrize(
    "payload",
    [
        EXAMPLE,
        EXAMPLE | {"amount_rubles": 499},
        EXAMPLE | {"payment_method": None, "external_id": None, "description": None},
        EXAMPLE | {"currency": "RUB"},
    ],
)
@pytest.mark.parametrize("name", TYPES)
def test_accepted(registry: EventRegistry, name: str, payload: dict[str, Any]) -> None:
    """Whole rubles are a number too, and more may be said than the model names."""
    registry.check(name, payload)


@pytest.mark.parametrize(
    ("payload", "wrong"),
    [
        (EXAMPLE | {"amount_kopeks": 499.5}, ["amount_kopeks"]),
        (
            EXAMPLE | {"amount_kopeks": "49900", "is_completed": 1},
            ["amount_kopeks", "is_completed"],
        ),
        ({name: EXAMPLE[name] for name in EXAMPLE if name != "user_id"}, ["user_id"]),
    ],
)
@pytest.mark.parametrize("name", TYPES)
def test_refused(
    registry: EventRegistry, name: str, payload: dict[str, Any], wrong: list[str]
) -> None:
    """Types are strict, and every wrong field is named."""
    with pytest.raises(ValidationFailed) as refused:
        registry.check(name, payload)
    assert [error["loc"] for error in refused.value.errors] == [["payload", name] for name in wrong]
