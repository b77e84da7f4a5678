"""What a user may be made of."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.routes import checked
from hookhub_users import NewUser


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"telegram_id": "456789"}, "telegram_id"),
        ({"telegram_id": 0}, "telegram_id"),
        ({"telegram_id": 2**63}, "telegram_id"),
        ({"first_name": "a\0b"}, "first_name"),
        ({"username": "a\nb"}, "username"),
        ({"username": "a" * 65}, "username"),
        ({"last_name": "\ud800"}, "last_name"),
        ({"email": "anna"}, "email"),
        ({"email": "anna@example.com\n"}, "email"),
        ({"language": "russian language"}, "language"),
    ],
)
def test_wrong_fields(fields: dict[str, Any], wrong: str) -> None:
    """What no database could hold, or nobody could use, is refused by name."""
    with pytest.raises(ValidationFailed) as refused:
        checked(NewUser, **fields)
    assert [error["loc"] for error in refused.value.errors] == [[wrong]]
