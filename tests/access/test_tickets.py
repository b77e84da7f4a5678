"""One-time tickets of tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from hookhub.access import tokens as module
from hookhub.access.tokens import MAX_TICKETS_PER_TOKEN, Tokens
from hookhub.config import DatabaseSettings
from hookhub.contracts.errors import Unauthorized
from hookhub.hub import Hub
from hookhub.store import open_store


async def test_a_token_that_asks_for_many_tickets_loses_its_own(hub: Hub) -> None:
    """The oldest of its own; another token's ticket stays good."""
    _, greedy_secret = await hub.tokens.create("greedy", ["events:read"])
    _, quiet_secret = await hub.tokens.create("quiet", ["events:read"])
    greedy = await hub.tokens.authenticate(greedy_secret)
    kept, _ = await hub.tokens.issue_ticket(await hub.tokens.authenticate(quiet_secret))
    mine = [(await hub.tokens.issue_ticket(greedy))[0] for _ in range(MAX_TICKETS_PER_TOKEN + 1)]
    with pytest.raises(Unauthorized):
        await hub.tokens.redeem_ticket(mine[0])
    assert (await hub.tokens.redeem_ticket(mine[1])).name == "greedy"
    assert (await hub.tokens.redeem_ticket(kept)).name == "quiet"


@pytest.fixture
async def nodes(postgres_url: str) -> AsyncIterator[tuple[Tokens, Tokens]]:
    """The tokens of two nodes on one database."""
    settings = DatabaseSettings(url=postgres_url)
    async with open_store(settings) as one, open_store(settings) as two:
        yield Tokens(one), Tokens(two)


async def issue(node: Tokens, name: str = "reader") -> str:
    """A ticket of a new token."""
    _, secret = await node.create(name, ["events:read"])
    return (await node.issue_ticket(await node.authenticate(secret)))[0]


async def test_a_ticket_is_good_on_another_node(nodes: tuple[Tokens, Tokens]) -> None:
    """Once, whichever it is shown to, and not at all when its token is revoked."""
    one, two = nodes
    ticket, other = await issue(one), await issue(one, "other")
    principal = await two.redeem_ticket(ticket)
    assert (principal.name, principal.scopes) == ("reader", {"events:read"})
    for node in (one, two):
        with pytest.raises(Unauthorized, match="used"):
            await node.redeem_ticket(ticket)
    assert (await one.redeem_ticket(other)).name == "other"
    revoked = await issue(two, "revoked")
    await two.revoke(max(token.id for token in await two.list()))
    with pytest.raises(Unauthorized, match="revoked"):
        await one.redeem_ticket(revoked)


async def test_a_ticket_survives_the_other_node(postgres_url: str) -> None:
    """One that was made while there were others is good when the last of them has left."""
    async with open_store(DatabaseSettings(url=postgres_url)) as store:
        node = Tokens(store)
        ticket = await issue(node)
        store.notices.alone = True
        assert (await node.redeem_ticket(ticket)).name == "reader"


async def test_two_nodes_are_shown_the_same_ticket(nodes: tuple[Tokens, Tokens]) -> None:
    """At the same moment: one of them lets it in."""
    ticket = await issue(nodes[0])
    let_in: list[Tokens] = []

    async def show(node: Tokens) -> None:
        try:
            await node.redeem_ticket(ticket)
            let_in.append(node)
        except Unauthorized:
            pass

    async with trio.open_nursery() as nursery:
        for node in nodes * 4:
            nursery.start_soon(show, node)
    assert len(let_in) == 1


async def test_tickets_of_nodes_end(
    nodes: tuple[Tokens, Tokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their time, and a token's oldest when it asks for too many."""
    one, two = nodes
    monkeypatch.setattr(module, "TICKET_LIFETIME", 0.0)
    with pytest.raises(Unauthorized, match="too old"):
        await two.redeem_ticket(await issue(one))
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_TICKETS_PER_TOKEN", 2)
    _, secret = await one.create("greedy", ["events:read"])
    greedy = await one.authenticate(secret)
    first, second, third = [(await one.issue_ticket(greedy))[0] for _ in range(3)]
    with pytest.raises(Unauthorized):
        await two.redeem_ticket(first)
    assert [(await two.redeem_ticket(it)).name for it in (second, third)] == ["greedy"] * 2
