"""Tokens: rows and units of work. Only a hash is kept; a token is shown once, when it is made."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hookhub.contracts.errors import Conflict, NotFound
from hookhub.store.database import Reader
from hookhub.store.unit import Transaction

PREFIX_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret part; times are microseconds since 1970."""

    id: int
    name: str
    prefix: str
    """Its first characters, to recognise it by."""
    description: str | None
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None


def generate_token() -> str:
    """A new token: ``hh_`` and 256 bits of chance."""
    return "hh_" + secrets.token_urlsafe(32)


def hash_token(raw: str) -> str:
    """What is stored. A plain SHA-256: tokens carry too much chance to be guessed."""
    return hashlib.sha256(raw.encode()).hexdigest()


_COLUMNS = ", ".join(Token.__slots__)


def _tokens(reader: Reader, rest: str, params: Sequence[object] = ()) -> list[Token]:
    rows = reader.records(f"SELECT {_COLUMNS} FROM hookhub_tokens {rest}", params)
    return [Token(**row | {"scopes": tuple(json.loads(row["scopes"]))}) for row in rows]


def insert_token(
    tx: Transaction,
    raw: str,
    *,
    name: str,
    scopes: Sequence[str],
    description: str | None = None,
    expires_at: int | None = None,
) -> Token:
    """Store a token.

    Raises:
        Conflict: the name is taken.
    """
    tx.tokens_changed()
    for taken in _tokens(tx, "WHERE name = ?", (name,)):
        raise Conflict(
            f"A token named {name!r} exists already (id {taken.id}); choose another name, or "
            "delete that one first."
        )
    values = {
        "name": name,
        "prefix": raw[:PREFIX_LENGTH],
        "hash": hash_token(raw),
        "description": description,
        "scopes": json.dumps(list(scopes)),
        "created_at": tx.now,
        "expires_at": expires_at,
    }
    return get_token(tx, tx.insert("hookhub_tokens", values))


def ensure_token(tx: Transaction, raw: str) -> None:
    """See that this token exists, as an admin's; several nodes may do so at once."""
    tx.lock()
    hashed = hash_token(raw)
    if find_token(tx, hashed) is None:
        insert_token(
            tx,
            raw,
            name=f"bootstrap {hashed[:8]}",
            scopes=["admin"],
            description="[auth] bootstrap_token",
        )


def ensure_first_token(tx: Transaction, raw: str) -> bool:
    """Store this as the first token, an admin's; False if there is one already."""
    tx.lock()
    if list_tokens(tx):
        return False
    insert_token(tx, raw, name="first", scopes=["admin"], description="made at the first start")
    return True


def get_token(reader: Reader, token_id: int) -> Token:
    """The token with this id.

    Raises:
        NotFound: there is none.
    """
    for token in _tokens(reader, "WHERE id = ?", (token_id,)):
        return token
    raise NotFound(f"There is no token {token_id}; GET /tokens lists them.")


def find_token(reader: Reader, hashed: str) -> Token | None:
    """The token whose secret has this hash."""
    return next(iter(_tokens(reader, "WHERE hash = ?", (hashed,))), None)


def tokens_by_hash(reader: Reader) -> dict[str, Token]:
    """All tokens by the hashes of their secrets."""
    hashes = dict(reader.sql("SELECT id, hash FROM hookhub_tokens"))
    return {hashes[token.id]: token for token in list_tokens(reader)}


def list_tokens(reader: Reader) -> list[Token]:
    """All tokens, in the order they were made."""
    return _tokens(reader, "ORDER BY id")


def set_revoked(tx: Transaction, token_id: int, *, revoked: bool) -> Token:
    """Revoke a token, or make a revoked one good again.

    Raises:
        NotFound: there is none with this id.
    """
    token = get_token(tx, token_id)
    if (token.revoked_at is not None) == revoked:
        return token
    tx.tokens_changed()
    tx.update("hookhub_tokens", token_id, {"revoked_at": tx.now if revoked else None})
    return get_token(tx, token_id)


def delete_token(tx: Transaction, token_id: int) -> None:
    """Delete a token.

    Raises:
        NotFound: there is none with this id.
    """
    tx.tokens_changed()
    if not tx.change("DELETE FROM hookhub_tokens WHERE id = ?", (token_id,)):
        raise NotFound(f"There is no token {token_id}; GET /tokens lists them.")


def touch_tokens(tx: Transaction, used: Mapping[int, int]) -> None:
    """Note when tokens were last used: id to microseconds."""
    tx.many(
        "UPDATE hookhub_tokens SET last_used_at = ? WHERE id = ?",
        [(moment, token_id) for token_id, moment in used.items()],
    )


def tokens_generation(reader: Reader) -> int:
    """A number that changes whenever a token is made, revoked or deleted, on any node."""
    found: int = reader.sql("SELECT tokens_generation FROM hookhub_state WHERE id = 1")[0][0]
    return found


def put_ticket(tx: Transaction, hashed: str, token_id: int, expires_at: int, *, most: int) -> None:
    """Keep a ticket for whichever node it is shown to; forget those that nobody used.

    Args:
        most: tickets of one token that are kept; its oldest go first.
    """
    # What another node is just deleting is no reason to wait for it.
    tx.change(
        "DELETE FROM hookhub_live_tickets WHERE hash IN (SELECT hash FROM hookhub_live_tickets "
        f"WHERE expires_at < ?{tx.skip_locked})",
        (tx.now,),
    )
    tx.change(
        "DELETE FROM hookhub_live_tickets WHERE hash IN (SELECT hash FROM hookhub_live_tickets "
        "WHERE token_id = ? ORDER BY expires_at DESC LIMIT 1000000 OFFSET ?)",
        (token_id, most - 1),
    )
    tx.change("INSERT INTO hookhub_live_tickets VALUES (?, ?, ?)", (hashed, token_id, expires_at))


def has_ticket(reader: Reader, hashed: str) -> bool:
    """Whether it was kept."""
    return bool(reader.sql("SELECT 1 FROM hookhub_live_tickets WHERE hash = ?", (hashed,)))


def take_ticket(tx: Transaction, hashed: str) -> int | None:
    """Whose ticket it is, by its token; it is used up by this. None if it is not good any more."""
    rows = tx.sql(
        "DELETE FROM hookhub_live_tickets WHERE hash = ? RETURNING token_id, expires_at", (hashed,)
    )
    return next((token_id for token_id, expires_at in rows if expires_at > tx.now), None)
