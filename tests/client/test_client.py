"""The client against a real hub: blocking, under asyncio and under Trio alike."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

from hookhub.client import NewEvent
from hookhub.contracts.errors import (
    Forbidden,
    IdempotencyMismatch,
    InvalidCursor,
    NotFound,
    Unauthorized,
    Unavailable,
    UnknownEventType,
    ValidationFailed,
)
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import free_port

USER = {"user_id": 1, "first_name": "Аня", "big": 2**63 + 5, "small": 1.5e-7}


def test_one_event(ask: Any, at: Any) -> None:
    """An event that was sent is in the history, to the letter."""
    own = f"evt_{uuid.uuid4().hex}"
    accepted = ask(
        lambda c: c.send("user.created", USER, key="user-1", source="crm", id=own), *at.hub
    )
    assert (accepted.id, accepted.sequence, accepted.deliveries) == (own, at.sequence + 1, 0)
    (event,) = ask(lambda c: c.events(at.cursor), *at.hub)
    assert (event.id, event.type, event.payload) == (own, "user.created", USER)
    assert (event.key, event.source, event.sequence) == ("user-1", "crm", at.sequence + 1)
    assert event.timestamp.endswith("Z")


def test_a_batch(ask: Any, at: Any) -> None:
    """Events of a batch keep their order, and the answers stand in it."""
    events = [NewEvent("user.created", {"user_id": n}) for n in range(5)]
    accepted = ask(
        lambda c: c.send_many([*events, {"type": "user.created", "payload": USER}]), *at.hub
    )
    assert [item.sequence for item in accepted] == list(range(at.sequence + 1, at.sequence + 7))
    assert [event.id for event in ask(lambda c: c.events(at.cursor), *at.hub)] == [
        i.id for i in accepted
    ]


def test_pages_of_history(ask: Any, at: Any) -> None:
    """The history comes page by page without anyone noticing; a cursor goes on behind an event."""
    kinds = ["user.created", "ticket.created"]
    ticket = {
        "ticket_id": 1,
        "user_id": 1,
        "title": "t",
        "status": "open",
        "priority": "normal",
        "has_media": False,
    }
    ask(
        lambda c: c.send_many([NewEvent(kinds[n % 2], [USER, ticket][n % 2]) for n in range(9)]),
        *at.hub,
    )
    events = ask(lambda c: c.events(at.cursor, page=2), *at.hub)
    assert [event.sequence for event in events] == list(range(at.sequence + 1, at.sequence + 10))
    later = ask(lambda c: c.events(events[5].cursor, page=2), *at.hub)
    assert later == events[6:]
    users = ask(lambda c: c.events(at.cursor, types=["user.*"], page=2), *at.hub)
    assert users == events[::2]


def test_event_types(ask: Any, at: Any) -> None:
    """The types come with schema and example."""
    found = {item["name"]: item for item in ask(lambda c: c.event_types(), *at.hub)}
    assert found["user.created"]["schema"]["type"] == "object"
    assert found["user.created"]["example"]["user_id"]


def test_refusals_are_hookhubs_own_errors(ask: Any, at: Any) -> None:
    """What the hub refuses raises the same class here as inside the hub."""
    with pytest.raises(UnknownEventType, match=r"user\.created") as unknown:
        ask(lambda c: c.send("user.craeted", USER), *at.hub)
    assert unknown.value.members["nearest"] == "user.created"
    with pytest.raises(ValidationFailed) as wrong:
        ask(lambda c: c.send("user.created", {"user_id": "1"}), *at.hub)
    assert wrong.value.errors[0]["loc"] == ["payload", "user_id"]
    with pytest.raises(InvalidCursor):
        ask(lambda c: c.events("nonsense!"), *at.hub)
    assert ask(lambda c: c.events(at.cursor), *at.hub) == []


def test_a_bad_item_stores_nothing(ask: Any, at: Any) -> None:
    """A batch is all or nothing, and every bad item is named."""
    items = [NewEvent("user.created", USER), NewEvent("user.created", {}), NewEvent("a.b", {})]
    with pytest.raises(ValidationFailed) as error:
        ask(lambda c: c.send_many(items), *at.hub)
    assert {wrong["loc"][0] for wrong in error.value.errors} == {1, 2}
    assert ask(lambda c: c.events(at.cursor), *at.hub) == []


def test_tokens_that_are_not_enough(ask: Any, at: Any) -> None:
    """A wrong token and a token without the scope are told apart."""
    with pytest.raises(Unauthorized) as error:
        ask(lambda c: c.send("user.created", USER), at.url, "hh_a-token-of-nobody")
    assert "hh_a-token-of-nobody" not in str(error.value)


def test_a_token_without_the_scope(ask: Any, at: Any, shared_hub: HubProcess) -> None:
    """A token that may only read cannot send, and the error names the scope."""
    with shared_hub.client() as http:
        made = http.post("/tokens", json={"name": uuid.uuid4().hex, "scopes": ["events:read"]})
        assert made.status_code == 201, made.text
        token = made.json()["token"]
    assert ask(lambda c: c.events(at.cursor), at.url, token) == []
    with pytest.raises(Forbidden, match="events:write"):
        ask(lambda c: c.send("user.created", USER), at.url, token)


def test_idempotency(ask: Any, at: Any) -> None:
    """A repeat with the same key or id is the first event; with another body it is an error."""
    own = uuid.uuid4().hex
    for extra in ({"idempotency_key": own}, {"id": own}):
        first = ask(lambda c, extra=extra: c.send("user.created", USER, **extra), *at.hub)
        again = ask(lambda c, extra=extra: c.send("user.created", USER, **extra), *at.hub)
        assert (again.id, again.sequence) == (first.id, first.sequence)
        with pytest.raises(IdempotencyMismatch):
            ask(lambda c, extra=extra: c.send("user.created", {"user_id": 2}, **extra), *at.hub)
    assert len(ask(lambda c: c.events(at.cursor), *at.hub)) == 2


def test_two_sends_are_two_events(ask: Any, at: Any) -> None:
    """The key that the client makes is for its own repeats only."""
    for _ in range(2):
        ask(lambda c: c.send("user.created", USER), *at.hub)
    assert len(ask(lambda c: c.events(at.cursor), *at.hub)) == 2


@pytest.mark.parametrize(
    "faults", [["drop"], ["lose"], ["busy"], ["lose", "drop", "lose"], ["hang"]]
)
def test_a_bad_line_neither_loses_nor_doubles(
    ask: Any, at: Any, bad_line: Any, faults: list[str]
) -> None:
    """Whatever happens to requests and answers on the way, each event is stored once."""
    timeout = 3.0 if "hang" in faults else 30.0
    bad_line.script.extend(faults)
    sent = ask(lambda c: c.send("user.created", USER), bad_line.url, at.token, timeout=timeout)
    bad_line.script.extend(faults)
    many = ask(
        lambda c: c.send_many([NewEvent("user.created", USER)] * 3),
        bad_line.url,
        at.token,
        timeout=timeout,
    )
    stored = ask(lambda c: c.events(at.cursor), *at.hub)
    assert [event.id for event in stored] == [sent.id, *(item.id for item in many)]
    keys = [request["idempotency-key"] for request in bad_line.requests]
    assert len(keys) == 2 * (len(faults) + 1)
    assert len(set(keys)) == 2


def test_reading_is_tried_again(ask: Any, at: Any, bad_line: Any) -> None:
    """A page that was lost on the way is asked for again."""
    ask(lambda c: c.send("user.created", USER), *at.hub)
    bad_line.script.extend(["lose", "busy"])
    assert len(ask(lambda c: c.events(at.cursor), bad_line.url, at.token)) == 1


def test_nobody_there(ask: Any) -> None:
    """An address where nobody listens is named, with the number of tries."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(Unavailable, match=rf"{url} to POST /events after 2 tries"):
        ask(lambda c: c.send("user.created", USER), url, "token", retries=1)


def test_a_path_that_is_not_the_hubs(ask: Any, at: Any) -> None:
    """A wrong path in the address is named."""
    with pytest.raises(NotFound, match=r"no hub at .*/elsewhere; leave '/elsewhere' out"):
        ask(lambda c: c.event_types(), f"{at.url}/elsewhere", at.token)


def test_a_restart_in_between(ask: Any, at: Any, shared_hub: HubProcess) -> None:
    """A client that sends while the hub restarts only waits a little longer."""
    shared_hub.kill()
    starter = threading.Thread(target=shared_hub.start)
    starter.start()
    try:
        accepted = ask(lambda c: c.send("user.created", USER), *at.hub, retries=50)
    finally:
        starter.join()
    assert accepted.sequence == at.sequence + 1
