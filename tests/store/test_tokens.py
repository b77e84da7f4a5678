"""Tokens: hashed at rest, checked in memory, revoked everywhere."""

from __future__ import annotations

import pytest
import trio

from hookhub.config import DatabaseSettings
from hookhub.errors import Conflict, NotFound, Unauthorized
from hookhub.store import Store, open_store
from hookhub.tokens import CHECK_INTERVAL, Tokens


async def test_a_token_authenticates_and_is_not_stored(store: Store) -> None:
    """Only its hash is in the database."""
    tokens = Tokens(store)
    token, raw = await tokens.create("panel", ["events:read"], description="d")
    principal = await tokens.authenticate(raw)
    assert (principal.token_id, principal.name) == (token.id, "panel")
    assert principal.may("events:read")
    assert not principal.may("admin")
    rows = await store.read(lambda reader: reader.sql("SELECT * FROM hookhub_tokens"))
    assert raw not in repr(rows)
    assert raw.startswith(token.prefix)


async def test_unknown_expired_and_revoked_tokens_are_refused(store: Store) -> None:
    """Each with its reason."""
    tokens = Tokens(store)
    with pytest.raises(Unauthorized, match="unknown"):
        await tokens.authenticate("hh_nothing")
    _, old = await tokens.create("old", ["admin"], expires_at=store.clock() - 1)
    with pytest.raises(Unauthorized, match="expired"):
        await tokens.authenticate(old)
    token, raw = await tokens.create("revoked", ["admin"])
    principal = await tokens.authenticate(raw)
    await tokens.revoke(token.id)
    with pytest.raises(Unauthorized, match="revoked"):
        await tokens.authenticate(raw)
    assert tokens.still_valid(principal) == "revoked"
    await tokens.activate(token.id)
    assert (await tokens.authenticate(raw)).name == "revoked"
    assert tokens.still_valid(principal) is None
    await tokens.delete(token.id)
    with pytest.raises(Unauthorized, match="unknown"):
        await tokens.authenticate(raw)
    assert tokens.still_valid(principal) == "revoked"


async def test_names_are_unique_and_ids_must_exist(store: Store) -> None:
    """Clear errors, nothing half-done."""
    tokens = Tokens(store)
    await tokens.create("a", ["admin"])
    with pytest.raises(Conflict, match="'a'"):
        await tokens.create("a", ["admin"])
    for call in (tokens.revoke, tokens.activate, tokens.delete):
        with pytest.raises(NotFound):
            await call(99)
    assert len(await tokens.list()) == 1


async def test_revoking_in_another_process_is_noticed(settings: DatabaseSettings) -> None:
    """Another writer on the same database revokes; this one knows after its next look."""
    async with open_store(settings) as one, open_store(settings) as two:
        here, there = Tokens(one), Tokens(two)
        token, raw = await here.create("panel", ["events:read"])
        async with trio.open_nursery() as nursery:
            await nursery.start(here.run)
            principal = await here.authenticate(raw)
            await there.revoke(token.id)
            with trio.fail_after(10 * CHECK_INTERVAL):
                while here.still_valid(principal) is None:
                    await trio.sleep(0.02)
            with pytest.raises(Unauthorized, match="revoked"):
                await here.authenticate(raw)
            nursery.cancel_scope.cancel()


async def test_tickets_work_once(store: Store) -> None:
    """And not at all when their token is no longer good."""
    tokens = Tokens(store)
    token, raw = await tokens.create("panel", ["events:read"])
    principal = await tokens.authenticate(raw)
    ticket, lifetime = tokens.issue_ticket(principal)
    assert lifetime == 30
    assert tokens.redeem_ticket(ticket) == principal
    with pytest.raises(Unauthorized, match="used"):
        tokens.redeem_ticket(ticket)
    ticket, _ = tokens.issue_ticket(principal)
    await tokens.revoke(token.id)
    with pytest.raises(Unauthorized, match="revoked"):
        tokens.redeem_ticket(ticket)


async def test_the_first_start_makes_one_token(store: Store) -> None:
    """Shown once; a configured one exists from the first start on, and again after a restart."""
    tokens = Tokens(store)
    first = await tokens.ensure_bootstrap(None)
    assert first is not None
    assert (await tokens.authenticate(first)).may("webhooks:write")
    assert await tokens.ensure_bootstrap(None) is None
    for _ in range(2):
        assert await tokens.ensure_bootstrap("a-configured-token") is None
    assert (await tokens.authenticate("a-configured-token")).may("admin")
    assert len(await tokens.list()) == 2


async def test_last_use_is_noted(store: Store) -> None:
    """In batches, not at every request."""
    tokens = Tokens(store)
    _, raw = await tokens.create("panel", ["events:read"])
    await tokens.authenticate(raw)
    assert (await tokens.list())[0].last_used_at is None
    await tokens.flush_used()
    assert (await tokens.list())[0].last_used_at is not None
