"""Tokens: hashed at rest, checked in memory, revoked everywhere."""

from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs

from hookhub.access import WrongTokens
from hookhub.access.tokens import CHECK_INTERVAL, Tokens
from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import Conflict, NotFound, TooManyRequests, Unauthorized
from hookhub.store import Store, open_store


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
    ticket, lifetime = await tokens.issue_ticket(principal)
    assert lifetime == 30
    assert await tokens.redeem_ticket(ticket) == principal
    with pytest.raises(Unauthorized, match="used"):
        await tokens.redeem_ticket(ticket)
    ticket, _ = await tokens.issue_ticket(principal)
    await tokens.revoke(token.id)
    with pytest.raises(Unauthorized, match="revoked"):
        await tokens.redeem_ticket(ticket)


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


ADDRESS = "192.0.2.1"
WRONG = "hh_" + "x" * 43


async def test_wrong_tokens_are_not_looked_up_without_limit(store: Store) -> None:
    """Beyond the limit of an address nothing is read; others, and known tokens, are let in."""
    tokens = Tokens(store, WrongTokens(burst=3, interval=1000.0))
    _, raw = await tokens.create("panel", ["events:read"])
    await tokens.refresh()
    before = store.statistics()["reads_total"]
    for _ in range(3):
        with pytest.raises(Unauthorized, match="unknown"):
            await tokens.authenticate(WRONG, ADDRESS)
    assert store.statistics()["reads_total"] == before + 3
    for _ in range(10):
        with pytest.raises(TooManyRequests, match="this address") as refused:
            await tokens.authenticate(WRONG, ADDRESS)
        assert 990 < int(refused.value.headers["Retry-After"]) <= 1000
    assert (await tokens.authenticate(raw, ADDRESS)).name == "panel"
    assert store.statistics()["reads_total"] == before + 3
    with pytest.raises(Unauthorized, match="unknown"):
        await tokens.authenticate(WRONG, "192.0.2.2")
    numbers = tokens.statistics()
    assert (numbers["rejected_total"], numbers["throttled_total"]) == (14, 10)


@pytest.mark.parametrize("raw", ["", "short", "two words and more", "x" * 513, "ключ" * 10])
async def test_what_can_be_no_token_is_not_looked_up(store: Store, raw: str) -> None:
    """It is refused all the same, and counted."""
    tokens = Tokens(store)
    before = store.statistics()["reads_total"]
    with pytest.raises(Unauthorized, match="unknown"):
        await tokens.authenticate(raw, ADDRESS)
    assert store.statistics()["reads_total"] == before
    assert tokens.statistics()["rejected_total"] == 1


async def test_a_neighbours_wrong_tokens_lock_nobody_out(settings: DatabaseSettings) -> None:
    """A token that another process has made counts after its next look, whoever tries what."""
    async with open_store(settings) as one, open_store(settings) as two:
        here = Tokens(one, WrongTokens(burst=1, interval=1000.0))
        async with trio.open_nursery() as nursery:
            await nursery.start(here.run)
            with pytest.raises(Unauthorized):
                await here.authenticate(WRONG, ADDRESS)
            _, raw = await Tokens(two).create("new", ["events:read"])
            with trio.fail_after(10 * CHECK_INTERVAL):
                while True:
                    try:
                        assert (await here.authenticate(raw, ADDRESS)).name == "new"
                    except TooManyRequests:
                        await trio.sleep(0.02)
                    else:
                        break
            nursery.cancel_scope.cancel()


async def test_a_new_token_is_good_at_once_and_counts_for_nothing(store: Store) -> None:
    """Also one that was not looked for yet, as often as one likes."""
    tokens = Tokens(store, WrongTokens(burst=1, interval=1000.0))
    await tokens.refresh()
    for number in range(3):
        _, raw = await Tokens(store).create(f"new {number}", ["events:read"])
        assert (await tokens.authenticate(raw, ADDRESS)).name == f"new {number}"


async def test_wrong_tokens_are_logged_once_a_minute(store: Store) -> None:
    """A line with the worst address and how many; never a token."""
    tokens = Tokens(store, WrongTokens(burst=1, interval=1000.0))
    for refusal in (Unauthorized, TooManyRequests, TooManyRequests):
        with pytest.raises(refusal):
            await tokens.authenticate(WRONG, ADDRESS)
    with capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            await nursery.start(tokens.run)
            with trio.fail_after(10 * CHECK_INTERVAL):
                while not lines:
                    await trio.sleep(0.02)
            with pytest.raises(TooManyRequests):
                await tokens.authenticate(WRONG, ADDRESS)
            await trio.sleep(2 * CHECK_INTERVAL)
            nursery.cancel_scope.cancel()
    [line] = lines
    assert (line["event"], line["log_level"]) == ("tokens.wrong", "warning")
    assert (line["address"], line["count"], line["total"]) == (ADDRESS, 3, 3)
    assert WRONG not in repr(lines)
