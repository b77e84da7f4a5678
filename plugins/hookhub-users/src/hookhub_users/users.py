"""Creating users, each with its event in one transaction.

``hookhub_users.units`` has the same as units of work, for transactions of your own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hookhub.contracts.routes import checked
from hookhub_users.shapes import NewUser, User
from hookhub_users.units import insert_user

if TYPE_CHECKING:
    from hookhub.hub import Hub


async def create_user(
    hub: Hub,
    *,
    telegram_id: int | None = None,
    username: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    email: str | None = None,
    language: str | None = None,
    referred_by_id: int | None = None,
) -> User:
    """Create a user; emits ``user.created``.

    Raises:
        ValidationFailed: a wrong field.
        Conflict: ``telegram_id`` or ``email`` is taken; names the field and the user.
    """
    new = checked(
        NewUser,
        telegram_id=telegram_id,
        username=username,
        first_name=first_name,
        last_name=last_name,
        email=email,
        language=language,
        referred_by_id=referred_by_id,
    )
    return await hub.write(lambda tx: insert_user(tx, hub, new))
