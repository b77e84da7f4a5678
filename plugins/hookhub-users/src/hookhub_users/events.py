"""The event type that this plugin declares."""

from __future__ import annotations

from pydantic import Field

from hookhub import EventType, Payload

SOURCE = "hookhub-users"
"""What the events of this plugin carry as ``source``."""


class UserCreated(Payload):
    """Payload of ``user.created``.

    ``email`` and ``auth_type`` are added for users who signed up by e-mail.
    """

    user_id: int
    telegram_id: int | None = None
    username: str | None = Field(default=None, description="In Telegram, without @")
    first_name: str | None = None
    last_name: str | None = None
    referral_code: str | None = Field(
        default=None, description="What this user invites others with"
    )
    referred_by_id: int | None = Field(default=None, description="The user who invited this one")


EVENT_TYPES = (
    EventType(
        "user.created",
        UserCreated,
        "A user was created.",
        {
            "user_id": 123,
            "telegram_id": 456789,
            "username": "testuser",
            "first_name": "Test",
            "last_name": "User",
            "referral_code": "refABC12345",
            "referred_by_id": None,
        },
    ),
)
