"""What a ticket may be made of."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.routes import checked
from hookhub_tickets import NewTicket

GOOD: dict[str, Any] = {"user_id": 123, "title": "No payment", "message_text": "I paid.\nBut …"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"user_id": 0}, "user_id"),
        ({"user_id": 2**63}, "user_id"),
        ({"title": ""}, "title"),
        ({"title": "a\nb"}, "title"),
        ({"title": "a" * 256}, "title"),
        ({"message_text": ""}, "message_text"),
        ({"message_text": "a\0b"}, "message_text"),
        ({"message_text": "a\x1b[2J"}, "message_text"),
        ({"message_text": "a" * 4097}, "message_text"),
        ({"priority": "asap"}, "priority"),
    ],
)
def test_wrong_fields(changes: dict[str, Any], wrong: str) -> None:
    """Text has a length and no control characters but line breaks; wrong fields are named."""
    with pytest.raises(ValidationFailed) as refused:
        checked(NewTicket, **(GOOD | changes))
    assert [error["loc"] for error in refused.value.errors] == [[wrong]]


def test_good_fields() -> None:
    """What the wrong ones are compared to."""
    checked(NewTicket, **GOOD)
