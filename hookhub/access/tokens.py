"""Who may do what: tokens, checked in memory, revoked everywhere at once.

Looking a token up in the database at every request would cost more than the rest of the request.
So all tokens are kept in memory, and read again when the database says that they changed: at once
for changes made through this process, within half a second for those made elsewhere. What is not
among them may be new, and is looked up, but for each address only so often.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import structlog
import trio

from hookhub.access.wrong_tokens import WrongTokens
from hookhub.contracts.errors import HookhubError, TooManyRequests, Unauthorized
from hookhub.contracts.routes import Principal
from hookhub.store import Store
from hookhub.store.units.tokens import (
    Token,
    delete_token,
    ensure_first_token,
    ensure_token,
    find_token,
    generate_token,
    has_ticket,
    hash_token,
    insert_token,
    list_tokens,
    put_ticket,
    set_revoked,
    take_ticket,
    tokens_by_hash,
    tokens_generation,
    touch_tokens,
)

__all__ = ["Token", "Tokens"]

CHECK_INTERVAL = 0.4
TICKET_LIFETIME = 30.0
MAX_TICKETS = 10_000
MAX_TICKETS_PER_TOKEN = 500
"""A token that asks for more loses its own oldest, and nobody else's."""
TOUCH_INTERVAL = 5.0

_WELL_FORMED = re.compile(r"[!-~]{16,512}")
"""What is looked up; a configured token in another form is known all the same, after a moment."""

log = structlog.get_logger("hookhub.access.tokens")


@dataclass(slots=True)
class _Known:
    token: Token
    principal: Principal

    @classmethod
    def of(cls, token: Token) -> _Known:
        return cls(token, Principal(token.id, token.name, frozenset(token.scopes)))


class Tokens:
    """All that concerns tokens.

    Args:
        store: where they are kept.
        wrong: says which unknown tokens to look up.
    """

    def __init__(self, store: Store, wrong: WrongTokens | None = None) -> None:
        self._store = store
        self._wrong = WrongTokens() if wrong is None else wrong
        self._known: dict[str, _Known] = {}
        self._by_id: dict[int, Token | None] = {}
        self._generation = -1
        self._used: dict[int, int] = {}
        self._tickets: dict[str, tuple[float, Principal]] = {}
        self._rejected = self._throttled = 0
        self._bell = trio.Event()

    # -- checking --------------------------------------------------------------------------

    async def authenticate(self, raw: str, client: str = "") -> Principal:
        """Who holds this token.

        Args:
            client: the address that it came from.

        Raises:
            Unauthorized: it is unknown, expired or revoked.
            TooManyRequests: it is unknown, as others before it from this address.
        """
        hashed = hash_token(raw)
        known = self._known.get(hashed) or await self._look_up(raw, hashed, client)
        reason = self._unusable(known.token)
        if reason is not None:
            self._rejected += 1
            raise Unauthorized(f"This token is {reason}; use another one.")
        self._used[known.token.id] = self._store.clock()
        return known.principal

    async def _look_up(self, raw: str, hashed: str, client: str) -> _Known:
        self._allow_look_up(client)
        generation = self._generation
        token = None
        if _WELL_FORMED.fullmatch(raw):
            token = await self._store.read(lambda reader: find_token(reader, hashed))
        if token is None:
            self._rejected += 1
            raise Unauthorized("This token is unknown; make one with 'hookhub token create'.")
        self._wrong.give_back(client)
        known = _Known.of(token)
        if generation == self._generation:
            self._known[hashed] = known
            self._by_id[token.id] = token
        return known

    def _allow_look_up(self, client: str) -> None:
        wait = self._wrong.take(client, trio.current_time())
        if wait:
            self._rejected += 1
            self._throttled += 1
            raise TooManyRequests(
                "Too many unknown tokens came from this address; send one that exists, or wait.",
                headers={"Retry-After": str(math.ceil(wait))},
            )

    def still_valid(self, principal: Principal) -> str | None:
        """None while the token is good, else ``expired`` or ``revoked``; never waits."""
        if principal.token_id not in self._by_id:
            return None
        token = self._by_id[principal.token_id]
        return "revoked" if token is None else self._unusable(token)

    def _unusable(self, token: Token) -> str | None:
        if token.revoked_at is not None:
            return "revoked"
        if token.expires_at is not None and token.expires_at <= self._store.clock():
            return "expired"
        return None

    async def issue_ticket(self, principal: Principal) -> tuple[str, float]:
        """A one-time ticket for a live connection, and the seconds it lives.

        Browsers cannot set headers on a WebSocket, and an URL ends up in logs and histories: a
        ticket that works once, for half a minute, is no loss there. While there are other nodes it
        is kept in the database, and good on each of them.

        Raises:
            StoreUnavailable: it cannot be kept there now.
        """
        now = time.monotonic()
        for old in [key for key, (end, _) in self._tickets.items() if end <= now]:
            del self._tickets[old]
        ticket = "ht_" + secrets.token_urlsafe(24)
        if self._store.notices.signature():
            expires_at = self._store.clock() + round(TICKET_LIFETIME * 1_000_000)
            hashed = hash_token(ticket)
            await self._store.write(
                lambda tx: put_ticket(
                    tx, hashed, principal.token_id, expires_at, most=MAX_TICKETS_PER_TOKEN
                ),
                locks=False,
            )
            return ticket, TICKET_LIFETIME
        own = [key for key, (_, who) in self._tickets.items() if who.token_id == principal.token_id]
        if len(own) >= MAX_TICKETS_PER_TOKEN:
            del self._tickets[own[0]]
        elif len(self._tickets) >= MAX_TICKETS:
            del self._tickets[next(iter(self._tickets))]
        self._tickets[ticket] = (now + TICKET_LIFETIME, principal)
        return ticket, TICKET_LIFETIME

    async def redeem_ticket(self, ticket: str, client: str = "") -> Principal:
        """Who a ticket was issued to; it is used up by this.

        Args:
            client: the address that it came from.

        Raises:
            Unauthorized: unknown, used, too old, or its token is no longer good.
            TooManyRequests: it is unknown, as others before it from this address.
        """
        end, principal = self._tickets.pop(ticket, (0.0, None))
        if principal is None and not self._store.is_sqlite:
            # Even if no other node is left: there may have been one when it was made.
            principal = await self._take_ticket(ticket, client)
        elif end <= time.monotonic():
            principal = None
        if principal is None:
            raise Unauthorized("This ticket is unknown, used or too old; POST /ws/ticket for one.")
        reason = self.still_valid(principal)
        if reason is not None:
            raise Unauthorized(f"The token of this ticket is {reason}; use another one.")
        return principal

    async def _take_ticket(self, ticket: str, client: str) -> Principal | None:
        """Whose ticket another node, or this one, has kept in the database."""
        self._allow_look_up(client)
        hashed = hash_token(ticket)
        # Whoever guesses shall not make the database write.
        if not await self._store.read(lambda reader: has_ticket(reader, hashed)):
            return None
        token_id = await self._store.write(lambda tx: take_ticket(tx, hashed), locks=False)
        if token_id is None:
            return None
        self._wrong.give_back(client)
        if self._by_id.get(token_id) is None:
            await self.refresh()
        token = self._by_id.get(token_id)
        return None if token is None else _Known.of(token).principal

    # -- managing --------------------------------------------------------------------------

    async def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        description: str | None = None,
        expires_at: int | None = None,
        raw: str | None = None,
    ) -> tuple[Token, str]:
        """Make a token; returns it and its secret, which is not kept.

        Args:
            expires_at: microseconds since 1970; None for never.
            raw: the secret to use instead of a generated one.

        Raises:
            Conflict: the name is taken.
        """
        secret = raw or generate_token()
        token = await self._store.write(
            lambda tx: insert_token(
                tx,
                secret,
                name=name,
                scopes=scopes,
                description=description,
                expires_at=expires_at,
            )
        )
        log.info("token.created", token_id=token.id, name=name, scopes=list(scopes))
        return token, secret

    async def list(self) -> list[Token]:
        """All tokens, in the order they were made."""
        return await self._store.read(list_tokens)

    async def revoke(self, token_id: int) -> Token:
        """Make a token useless, at once. Raises NotFound."""
        token = await self._store.write(lambda tx: set_revoked(tx, token_id, revoked=True))
        await self.refresh()
        log.info("token.revoked", token_id=token_id, name=token.name)
        return token

    async def activate(self, token_id: int) -> Token:
        """Make a revoked token good again. Raises NotFound."""
        token = await self._store.write(lambda tx: set_revoked(tx, token_id, revoked=False))
        await self.refresh()
        log.info("token.activated", token_id=token_id, name=token.name)
        return token

    async def delete(self, token_id: int) -> None:
        """Delete a token; it is useless at once. Raises NotFound."""
        await self._store.write(lambda tx: delete_token(tx, token_id))
        await self.refresh()
        log.info("token.deleted", token_id=token_id)

    async def ensure_bootstrap(self, configured: str | None) -> str | None:
        """See that there is an admin token; returns one that must be shown, once.

        A configured one exists from the first start on. Without one, and without any token, one
        is made.
        """
        if configured is not None:
            await self._store.write(lambda tx: ensure_token(tx, configured))
            await self.refresh()
            return None
        secret = generate_token()
        made = await self._store.write(lambda tx: ensure_first_token(tx, secret))
        await self.refresh()
        return secret if made else None

    # -- keeping up ------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Look again if tokens changed, here or on another node."""
        generation = await self._store.read(tokens_generation)
        if generation == self._generation:
            return
        found = await self._store.read(tokens_by_hash)
        tokens = {token.id: token for token in found.values()}
        self._generation = generation
        self._known = {hashed: _Known.of(token) for hashed, token in found.items()}
        self._by_id = {token_id: tokens.get(token_id) for token_id in {*self._by_id, *tokens}}

    def look(self) -> None:
        """Tokens were changed on another node: look again now."""
        self._bell.set()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep up with changes made elsewhere, and note when tokens were used."""
        await self.refresh()
        task_status.started()
        touched = trio.current_time()
        while True:
            with trio.move_on_after(CHECK_INTERVAL):
                await self._bell.wait()
            self._bell = trio.Event()
            report = self._wrong.report(trio.current_time())
            if report is not None:
                log.warning("tokens.wrong", **asdict(report))
            try:
                await self.refresh()
                if self._used and trio.current_time() - touched >= TOUCH_INTERVAL:
                    touched = trio.current_time()
                    await self.flush_used()
            except HookhubError as error:
                log.warning("tokens.refresh_failed", error=error.detail)

    async def flush_used(self) -> None:
        """Store when tokens were last used."""
        used, self._used = self._used, {}
        if used:
            await self._store.write(lambda tx: touch_tokens(tx, used))

    def statistics(self) -> dict[str, float]:
        """Counters since start."""
        return {
            "rejected_total": self._rejected,
            "throttled_total": self._throttled,
            "tickets": len(self._tickets),
        }
