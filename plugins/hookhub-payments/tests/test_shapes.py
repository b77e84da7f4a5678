"""What a transaction may be made of."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.routes import checked
from hookhub_payments import NewTransaction

GOOD: dict[str, Any] = {"user_id": 123, "type": "deposit", "amount_kopeks": 49901}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"user_id": 0}, "user_id"),
        ({"user_id": 2**63}, "user_id"),
        ({"user_id": "123"}, "user_id"),
        ({"amount_kopeks": 0}, "amount_kopeks"),
        ({"amount_kopeks": -5}, "amount_kopeks"),
        ({"amount_kopeks": 4.5}, "amount_kopeks"),
        ({"amount_kopeks": 10**15}, "amount_kopeks"),
        ({"type": "gift"}, "type"),
        ({"external_id": ""}, "external_id"),
        ({"payment_method": "a\0"}, "payment_method"),
        ({"description": "a" * 1001}, "description"),
        ({"is_completed": 1}, "is_completed"),
    ],
)
def test_wrong_fields(changes: dict[str, Any], wrong: str) -> None:
    """Amounts are positive, ids fit 64 bits, types are those of the list; all else is named."""
    with pytest.raises(ValidationFailed) as refused:
        checked(NewTransaction, **(GOOD | changes))
    assert [error["loc"] for error in refused.value.errors] == [[wrong]]


def test_good_fields() -> None:
    """What the wrong ones are compared to."""
    checked(NewTransaction, **GOOD)
