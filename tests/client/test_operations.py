"""What the client puts on the wire, and what it refuses to put there."""

from __future__ import annotations

import inspect
import json
from typing import Any

import httpx
import pytest

from hookhub.client import AsyncClient, Client, HistoryGap, NewEvent, operations
from hookhub.client.retries import Call
from hookhub.contracts.errors import ConfigError, HookhubError, ValidationFailed


def _body(call: Call) -> object:
    assert call.content is not None
    return json.loads(call.content)


def test_a_key_is_made_once_per_call() -> None:
    """Without an id or a key, each call gets an idempotency key of its own."""
    calls = [next(operations.send("user.created", {"user_id": 1})) for _ in range(100)]
    keys = {call.headers["Idempotency-Key"] for call in calls}
    assert len(keys) == 100


def test_an_id_is_key_enough() -> None:
    """A producer's own id makes the repeat safe, so no other key is made."""
    call = next(operations.send("user.created", {"user_id": 1}, id="evt_mine"))
    assert "Idempotency-Key" not in call.headers
    assert _body(call) == {"type": "user.created", "payload": {"user_id": 1}, "id": "evt_mine"}


def test_a_batch_has_a_key_of_its_own() -> None:
    """A batch can be repeated safely as a whole; its events stay as they were given."""
    events = [NewEvent("a.b", {}), {"type": "a.b", "payload": {}, "id": "evt_mine", "key": "k"}]
    call = next(operations.send_many(events))
    assert call.headers["Idempotency-Key"]
    assert _body(call) == [{"type": "a.b", "payload": {}}, events[1]]
    call = next(operations.send_many(events, idempotency_key="mine"))
    assert call.headers["Idempotency-Key"] == "mine"


def test_what_is_not_json_is_refused_here() -> None:
    """NaN never leaves this side; in a batch the item is named."""
    with pytest.raises(ValidationFailed, match="JSON"):
        next(operations.send("a.b", {"x": float("nan")}))
    with pytest.raises(ValidationFailed, match="Event 1 of the batch") as error:
        next(operations.send_many([NewEvent("a.b", {}), NewEvent("a.b", {"x": {1, 2}})]))
    assert error.value.errors[0]["loc"][0] == 1


def test_an_item_that_is_no_event_is_named() -> None:
    """A misspelt member of an item is an error with its index."""
    with pytest.raises(ValidationFailed, match="Event 0 of the batch is not an event"):
        next(operations.send_many([{"typ": "a.b", "payload": {}}]))


@pytest.mark.parametrize("key", ["", " a", "a\n", "ключ", "a" * 256])
def test_impossible_idempotency_keys(key: str) -> None:
    """A key that cannot stand in a header is refused with what is allowed."""
    with pytest.raises(ValidationFailed, match="printable ASCII"):
        next(operations.send("a.b", {}, idempotency_key=key))
    with pytest.raises(ValidationFailed, match="printable ASCII"):
        next(operations.send_many([], idempotency_key=key))


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ключ"])
def test_impossible_tokens(token: str) -> None:
    """A token that cannot be one is refused without showing it."""
    with pytest.raises(ConfigError) as error:
        Client("http://hub", token)
    assert not token or token not in str(error.value)


def test_the_token_is_not_in_the_repr() -> None:
    """A client in a traceback does not show its token."""
    with Client("http://hub/", "very-secret-token") as client:
        assert repr(client) == "Client('http://hub')"


@pytest.mark.parametrize("document", [[], {}, {"items": 5}, {"id": "x"}, "text"])
def test_answers_that_are_not_hookhubs(document: object) -> None:
    """A 200 from something that is not a hub is an error that says so."""
    request = httpx.Request("GET", "http://hub/events")
    response = httpx.Response(200, json=document, request=request)
    steps: tuple[Any, ...] = (
        operations.send("a.b", {}),
        operations.send_many([]),
        operations.events(),
        operations.event_types(),
        operations.cursor_at(0),
        operations.items("/events"),
    )
    for asked in steps:
        next(asked)
        with pytest.raises(HookhubError, match="not as hookhub does"):
            asked.send(response)


@pytest.mark.parametrize("missed", [7, None])
def test_a_gap_is_never_silent(missed: int | None) -> None:
    """A page that does not reach back to its cursor raises, and says what to do."""
    page = {"items": [], "cursor": "c", "has_more": False, "gap": {"missed": missed}}
    steps = operations.events("c")
    next(steps)
    with pytest.raises(HistoryGap, match="leave the cursor out") as error:
        steps.send(httpx.Response(200, json=page))
    assert error.value.missed == missed


def test_the_clients_show_the_signatures_of_the_operations() -> None:
    """help() and editors see the real arguments and results, not those of what is around them."""
    blocking, awaited = inspect.signature(Client.send), inspect.signature(AsyncClient.send)
    assert list(blocking.parameters) == ["self", *inspect.signature(operations.send).parameters]
    assert blocking == awaited
    assert blocking.return_annotation == "Accepted"
    assert inspect.signature(Client.items).return_annotation == "Iterator[Any]"
    assert inspect.getdoc(AsyncClient.items) == inspect.getdoc(operations.items)
    assert inspect.iscoroutinefunction(AsyncClient.send)


@pytest.mark.parametrize(
    ("kind", "transport"), [(Client, httpx.BaseTransport), (AsyncClient, httpx.AsyncBaseTransport)]
)
def test_both_constructors_are_shown(kind: type[object], transport: type[object]) -> None:
    """They are made of one source, but each shows its transport and what the arguments mean."""
    arguments = inspect.signature(kind, eval_str=True).parameters
    assert list(arguments) == ["url", "token", "timeout", "retries", "transport"]
    assert arguments["transport"].annotation == transport | None
    assert arguments["retries"].kind is inspect.Parameter.KEYWORD_ONLY
    assert "retries: how many tries may follow" in (inspect.getdoc(kind) or "")
