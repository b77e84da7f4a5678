"""One-time tickets of tokens."""

from __future__ import annotations

import pytest

from hookhub.access.tokens import MAX_TICKETS_PER_TOKEN
from hookhub.contracts.errors import Unauthorized
from hookhub.hub import Hub


async def test_a_token_that_asks_for_many_tickets_loses_its_own(hub: Hub) -> None:
    """The oldest of its own; another token's ticket stays good."""
    _, greedy_secret = await hub.tokens.create("greedy", ["events:read"])
    _, quiet_secret = await hub.tokens.create("quiet", ["events:read"])
    greedy = await hub.tokens.authenticate(greedy_secret)
    kept, _ = hub.tokens.issue_ticket(await hub.tokens.authenticate(quiet_secret))
    mine = [hub.tokens.issue_ticket(greedy)[0] for _ in range(MAX_TICKETS_PER_TOKEN + 1)]
    with pytest.raises(Unauthorized):
        hub.tokens.redeem_ticket(mine[0])
    assert hub.tokens.redeem_ticket(mine[1]).name == "greedy"
    assert hub.tokens.redeem_ticket(kept).name == "quiet"
