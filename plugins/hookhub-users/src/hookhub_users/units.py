"""Units of work: call them inside your own ``hub.write`` (``tx``) or ``hub.read`` (``reader``)."""

from __future__ import annotations

import secrets
import string
from typing import TYPE_CHECKING, Any

import peewee

from hookhub.contracts.errors import Conflict, NotFound
from hookhub_users.events import SOURCE
from hookhub_users.models import UserRow, email_key
from hookhub_users.shapes import NewUser, User, UserList, UserQuery

if TYPE_CHECKING:
    from hookhub.hub import Hub
    from hookhub.store import Reader, Transaction

_CODE_ALPHABET = string.ascii_uppercase + string.digits


def insert_user(tx: Transaction, hub: Hub, new: NewUser) -> User:
    """Create a user; emits ``user.created``.

    Raises:
        Conflict: ``telegram_id`` or ``email`` is taken, or nobody has the id ``referred_by_id``;
            names the field, and the user who has it.
    """
    _check_referrer(tx, new)
    _check_unique(tx, new)
    values = new.model_dump() | {
        "email_key": None if new.email is None else email_key(new.email),
        "referral_code": _free_referral_code(tx),
        "created_at": tx.now,
    }
    try:
        user_id = tx.execute(UserRow.insert(**values))
    except peewee.IntegrityError:
        # Another program that shares the database was faster. PostgreSQL takes no further query in
        # this transaction, so who has it now cannot be looked up here.
        raise Conflict(
            "The telegram_id or email was taken by another request at this moment; try again to "
            "see by which user."
        ) from None
    user = User.from_row(values | {"id": user_id})
    tx.append(
        hub.draft(
            "user.created", _payload(user), key=f"user:{user.id}", source=SOURCE, timestamp=tx.now
        )
    )
    return user


def find_user(reader: Reader, user_id: int) -> User:
    """The user with this id.

    Raises:
        NotFound: there is none.
    """
    row = reader.row(UserRow.select().where(UserRow.id == user_id))
    if row is None:
        raise NotFound(f"There is no user {user_id}; GET /users lists them.")
    return User.from_row(row)


def list_users(reader: Reader, query: UserQuery) -> UserList:
    """The users that fit the query, newest first."""
    chosen = UserRow.select()
    if query.telegram_id is not None:
        chosen = chosen.where(UserRow.telegram_id == query.telegram_id)
    if query.email is not None:
        chosen = chosen.where(UserRow.email_key == email_key(query.email))
    if query.referred_by_id is not None:
        chosen = chosen.where(UserRow.referred_by_id == query.referred_by_id)
    page = chosen.order_by(UserRow.id.desc()).limit(query.limit).offset(query.offset)
    items = [User.from_row(row) for row in reader.rows(page)]
    total = reader.scalar(chosen.select(peewee.fn.COUNT(UserRow.id)))
    return UserList(**query.page(items, total))


def _payload(user: User) -> dict[str, Any]:
    payload = {
        "user_id": user.id,
        "telegram_id": user.telegram_id,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "referral_code": user.referral_code,
        "referred_by_id": user.referred_by_id,
    }
    if user.telegram_id is None and user.email is not None:
        payload |= {"email": user.email, "auth_type": "email"}
    return payload


def _check_referrer(tx: Transaction, new: NewUser) -> None:
    if new.referred_by_id is None:
        return
    if tx.row(UserRow.select(UserRow.id).where(UserRow.id == new.referred_by_id)) is None:
        message = f"There is no user {new.referred_by_id} who could have invited this one."
        raise Conflict(
            message,
            errors=[{"loc": ["referred_by_id"], "msg": message}],
            members={"field": "referred_by_id"},
        )


def _check_unique(tx: Transaction, new: NewUser) -> None:
    taken = {}
    if new.telegram_id is not None:
        taken["telegram_id"] = UserRow.telegram_id == new.telegram_id
    if new.email is not None:
        taken["email"] = UserRow.email_key == email_key(new.email)
    for field, condition in taken.items():
        user_id = tx.scalar(UserRow.select(UserRow.id).where(condition))
        if user_id is not None:
            raise Conflict(
                f"The {field} is taken by user {user_id}; see GET /users/{user_id}.",
                members={"field": field, "user_id": user_id},
            )


def _free_referral_code(tx: Transaction) -> str:
    while True:
        code = "ref" + "".join(secrets.choice(_CODE_ALPHABET) for _ in range(8))
        if tx.row(UserRow.select(UserRow.id).where(UserRow.referral_code == code)) is None:
            return code
