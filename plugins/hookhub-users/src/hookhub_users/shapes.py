"""What is asked for and what is shown, over REST and in Python."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hookhub.contracts.events import format_timestamp
from hookhub.contracts.routes import Answer, Body, Id, Line, PageAnswer, Paging

EMAIL = r"^[^@\s\x00-\x1f\x7f-\x9f]+@[^@\s\x00-\x1f\x7f-\x9f]+$"
LANGUAGE = r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$"


class NewUser(Body):
    """A user to create; everything may be left out."""

    telegram_id: Id | None = Field(default=None, description="Unique")
    username: Line | None = Field(default=None, max_length=64, description="In Telegram, without @")
    first_name: Line | None = Field(default=None, max_length=255)
    last_name: Line | None = Field(default=None, max_length=255)
    email: str | None = Field(
        default=None, max_length=254, pattern=EMAIL, description="Unique in any case"
    )
    language: str | None = Field(
        default=None, max_length=35, pattern=LANGUAGE, description="ru, en-GB …"
    )
    referred_by_id: Id | None = Field(default=None, description="The user who invited this one")


class User(Answer):
    """A user."""

    id: int
    telegram_id: int | None
    username: str | None
    first_name: str | None
    last_name: str | None
    email: str | None
    language: str | None
    referral_code: str = Field(description="What this user invites others with")
    referred_by_id: int | None
    created_at: str = Field(description="RFC 3339, UTC")

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> User:
        """The user in a row of :class:`hookhub_users.models.UserRow`."""
        shown = {name: row[name] for name in cls.model_fields}
        return cls(**shown | {"created_at": format_timestamp(row["created_at"])})


class UserQuery(Paging):
    """Which users to list."""

    telegram_id: Id | None = None
    email: Line | None = Field(default=None, max_length=254, description="In any case")
    referred_by_id: Id | None = None


class UserList(PageAnswer[User]):
    """A part of the list of users, newest first."""
