"""``/events``: 202 only after the commit, repeats answered with the first, pages without gaps."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import trio

from hookhub.config import Settings
from hookhub.hub import Hub
from hookhub.testing.serving import settings_for_tests
from hookhub.web.resources.models import ENVELOPE

USER = {"type": "user.created", "payload": {"user_id": 1, "first_name": "Аня"}}
TICKET = {"type": "ticket.created", "payload": {"ticket_id": 1}}


REFUSED: list[tuple[Any, int, list[Any]]] = [
    ({}, 422, [["type"], ["payload"]]),
    ({"type": "user.created", "payload": []}, 422, [["payload"]]),
    ({"type": "user.created", "payload": {}}, 422, [["payload", "user_id"]]),
    ({"type": "user.created", "payload": {"user_id": "1"}}, 422, [["payload", "user_id"]]),
    ({"type": "user.created", "payload": {"user_id": True}}, 422, [["payload", "user_id"]]),
    ({"type": "user.creted", "payload": {"user_id": 1}}, 422, [["type"]]),
    ({"type": 5, "payload": {"user_id": 1}}, 422, [["type"]]),
    ({"type": "\0", "payload": {"user_id": 1}}, 422, [["type"]]),
    ({"type": "x" * 10_000, "payload": {"user_id": 1}}, 422, [["type"]]),
    ({**USER, "id": "a.b"}, 422, [["id"]]),
    ({**USER, "id": ""}, 422, [["id"]]),
    ({**USER, "id": "x" * 65}, 422, [["id"]]),
    ({**USER, "id": 7}, 422, [["id"]]),
    ({**USER, "key": "\0"}, 422, [["key"]]),
    ({**USER, "key": ""}, 422, [["key"]]),
    ({**USER, "key": "x" * 256}, 422, [["key"]]),
    ({**USER, "source": "\ud800"}, 422, [["source"]]),
    ({**USER, "source": "a\nb"}, 422, [["source"]]),
    ({**USER, "timestamp": "2024-01-01T00:00:00Z"}, 422, [["timestamp"]]),
    ({"type": "user.created", "payload": {"user_id": 1, "x": "x" * 1000}}, 413, []),
]


IMPOSSIBLE: list[dict[str, Any]] = [
    {"after": "x"},
    {"after": ""},
    {"after": "abcd-" + "f" * 17},
    {"after": "abcd-ffffffffffffffff"},
    {"after": "\0"},
    {"limit": 0},
    {"limit": -1},
    {"limit": 201},
    {"limit": "9" * 100},
    {"limit": "ten"},
    {"events": ""},
    {"events": "user.*,"},
    {"events": "USER.*"},
    {"events": "*.created"},
    {"events": "x" * 300},
    {"events": "\0"},
    {"since": "x"},
]


@pytest.fixture
def hub_database(any_database: str) -> str:
    """Everything here holds on SQLite and on PostgreSQL."""
    return any_database


@pytest.fixture
def hub_settings(hub_database: str) -> Settings:
    """A hub that takes payloads of 1,000 bytes and batches of 5."""
    tables = settings_for_tests(hub_database)
    tables["events"] = {"max_payload": 1000, "max_batch": 5}
    return Settings.model_validate(tables)


async def publish(api: httpx.AsyncClient, event: Any, **headers: str) -> dict[str, Any]:
    response = await api.post("/events", content=json.dumps(event), headers=headers)
    assert response.status_code == 202, response.text
    accepted: dict[str, Any] = response.json()
    return accepted


async def page(api: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    response = await api.get("/events", params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_an_event_is_kept_as_it_was_sent(api: httpx.AsyncClient, hub: Hub) -> None:
    """The answer has id, sequence and deliveries; what is read back is what was sent."""
    payload = {"user_id": 2**70, "x": 1.10, "nul": "\0", "half": "\ud800", "я": {"b": 1, "a": []}}
    accepted = await publish(api, {"type": "user.created", "payload": payload, "key": "user 1"})
    assert accepted.keys() == {"id", "sequence", "deliveries"}
    assert (accepted["sequence"], accepted["deliveries"]) == (1, 0)
    response = await api.get(f"/events/{accepted['id']}")
    event = response.json()
    assert list(event)[:3] == ["type", "payload", "timestamp"]
    assert event["payload"] == payload
    assert json.dumps(payload, sort_keys=True) in response.text
    assert event["timestamp"].endswith("Z")
    assert (event["key"], "source" in event) == ("user 1", False)
    assert (await page(api))["items"] == [event]


async def test_events_that_are_refused(api: httpx.AsyncClient, hub: Hub) -> None:
    """Every wrong field is named, and nothing is stored."""
    for event, status, places in REFUSED:
        response = await api.post("/events", content=json.dumps(event))
        problem = response.json()
        assert response.status_code == status, problem
        assert [item["loc"] for item in problem.get("errors", [])] == places
    assert hub.feed.last == 0


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_no_event_can_have_is_not_read(
    api: httpx.AsyncClient, hub: Hub, chunked: bool
) -> None:
    """It is refused by its length, declared or counted, whether it is JSON or not."""
    limit = 1000 + ENVELOPE

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"{" * limit

    response = await api.post("/events", content=pieces() if chunked else b"{" * (limit + 1))
    problem = response.json()
    assert (response.status_code, problem["code"]) == (413, "payload_too_large")
    assert problem["limit"] == limit
    assert "[events] max_payload" in problem["detail"]
    assert (await api.post("/events", content=b"{" * limit)).status_code == 400
    largest = json.dumps({"type": "user.created", "payload": {"user_id": 1, "x": "x" * 970}})
    assert (await api.post("/events", content=largest.ljust(limit))).status_code == 202


async def test_an_unknown_type_names_the_nearest(api: httpx.AsyncClient) -> None:
    """A misspelling is told what was meant."""
    response = await api.post("/events", json={"type": "user.creatd", "payload": {}})
    problem = response.json()
    assert (problem["code"], problem["nearest"]) == ("unknown_event_type", "user.created")


async def test_numbers_that_are_none(api: httpx.AsyncClient) -> None:
    """What JSON does not have, and what nobody can read, is refused."""
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000):
        body = f'{{"type": "user.created", "payload": {{"user_id": 1, "x": {number}}}}}'
        response = await api.post("/events", content=body)
        assert response.status_code in (400, 422), number


async def test_deep_payloads_can_be_read_again(api: httpx.AsyncClient) -> None:
    """Whatever depth is accepted can also be shown."""
    accepted = 0
    for depth in (10, 200, 450):
        body = '{"type": "user.created", "payload": {"user_id": 1, "x": %s}}'
        response = await api.post("/events", content=body % ("[" * depth + "]" * depth))
        assert response.status_code in (202, 400, 422)
        accepted += response.status_code == 202
    shown = await api.get("/events")
    assert shown.status_code == 200
    assert shown.text.count('"type": "user.created"') == accepted


async def test_a_repeated_idempotency_key(api: httpx.AsyncClient, hub: Hub) -> None:
    """The same request again is answered with the first event; another body is refused."""
    first = await publish(api, USER, **{"Idempotency-Key": "key 1"})
    again = await publish(api, USER, **{"Idempotency-Key": "key 1"})
    assert again == first
    for key, told in (("key 1", "true"), ("key 2", None)):
        answer = await api.post("/events", json=USER, headers={"Idempotency-Key": key})
        assert answer.headers.get("Idempotency-Replayed") == told
    other = await api.post("/events", json=TICKET, headers={"Idempotency-Key": "key 1"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert hub.feed.last == 2


async def test_the_hubs_own_events_cannot_be_forged(api: httpx.AsyncClient) -> None:
    """Neither by type nor by source."""
    types = (await api.get("/event-types")).json()["items"]
    own = next(item for item in types if item["plugin"] == "hookhub")
    forged = await api.post("/events", json={"type": own["name"], "payload": own["example"]})
    assert (forged.status_code, forged.json()["errors"][0]["loc"]) == (422, ["type"])
    forged = await api.post("/events", json={**USER, "source": "hookhub"})
    assert (forged.status_code, forged.json()["errors"][0]["loc"]) == (422, ["source"])


async def test_the_same_key_at_the_same_time(api: httpx.AsyncClient, hub: Hub) -> None:
    """Ten at once are one event."""
    found: list[dict[str, Any]] = []

    async def one() -> None:
        found.append(await publish(api, USER, **{"Idempotency-Key": "race"}))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(one)
    assert found == [found[0]] * 10
    assert hub.feed.last == 1


async def test_impossible_idempotency_keys(api: httpx.AsyncClient) -> None:
    """1 to 255 printable ASCII characters."""
    for key in ("", "x" * 256, "ключ"):
        response = await api.post("/events", json=USER, headers={"Idempotency-Key": key.encode()})
        assert response.status_code == 422
        assert response.json()["errors"][0]["loc"] == ["header", "Idempotency-Key"]


async def test_the_producers_own_id(api: httpx.AsyncClient, hub: Hub) -> None:
    """An id is an idempotency key of its own."""
    first = await publish(api, {**USER, "id": "order-1"})
    assert await publish(api, {**USER, "id": "order-1"}) == first
    assert first["id"] == "order-1"
    other = await api.post("/events", json={**TICKET, "id": "order-1"})
    assert other.status_code in (409, 422)
    assert hub.feed.last == 1


async def test_an_id_that_is_an_address(api: httpx.AsyncClient) -> None:
    """Such an event is accepted; it is found in pages, for its address is another resource's."""
    await publish(api, {**USER, "id": "batch"})
    assert [item["id"] for item in (await page(api))["items"]] == ["batch"]


async def test_unknown_events(api: httpx.AsyncClient) -> None:
    """404, whatever is asked for."""
    for event_id in ("nope", "x" * 3000, "%00", "%F0%9F%98%80", "a.b", "'", "%25"):
        assert (await api.get(f"/events/{event_id}")).status_code == 404, event_id


async def test_pages(api: httpx.AsyncClient, hub: Hub) -> None:
    """Following the cursor gives every event once, in order, until there is no more."""
    for _ in range(7):
        await publish(api, USER)
    seen: list[int] = []
    query: dict[str, Any] = {"limit": 3}
    sizes = []
    while True:
        found = await page(api, **query)
        sizes.append(len(found["items"]))
        seen += [item["sequence"] for item in found["items"]]
        query["after"] = found["cursor"]
        if not found["has_more"]:
            break
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert sizes == [3, 3, 1]
    assert (await page(api, **query))["items"] == []
    await publish(api, USER)
    assert [item["sequence"] for item in (await page(api, **query))["items"]] == [8]


async def test_pages_by_type(api: httpx.AsyncClient) -> None:
    """Patterns with commas between; what does not match is passed over, also by the cursor."""
    for event in (USER, TICKET, USER, TICKET):
        await publish(api, event)
    found = await page(api, events="ticket.*,nothing.here", limit=1)
    assert [item["sequence"] for item in found["items"]] == [2]
    assert found["has_more"]
    rest = await page(api, events="ticket.created", after=found["cursor"])
    assert [item["sequence"] for item in rest["items"]] == [4]
    empty = await page(api, events="nothing.here")
    assert (empty["items"], empty["has_more"]) == ([], False)


async def test_the_newest_page(api: httpx.AsyncClient) -> None:
    """The last items that match, in order, and a cursor of now: what follows has no seam."""
    empty = await page(api, newest=True)
    assert (empty["items"], empty["has_more"]) == ([], False)
    for event in (USER, TICKET, USER, TICKET, USER):
        await publish(api, event)
    found = await page(api, newest=True, limit=2)
    assert [item["sequence"] for item in found["items"]] == [4, 5]
    assert not found["has_more"]
    tickets = await page(api, newest=True, limit=3, events="ticket.*")
    assert [item["sequence"] for item in tickets["items"]] == [2, 4]
    assert tickets["cursor"] == found["cursor"]
    since = await page(api, newest=True, after=tickets["items"][1]["cursor"])
    assert [item["sequence"] for item in since["items"]] == [5]
    await publish(api, USER)
    rest = await page(api, after=found["cursor"])
    assert [item["sequence"] for item in rest["items"]] == [6]


async def test_the_newest_page_looks_back(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Window by window, as far as it says and no farther; never past the cursor."""
    monkeypatch.setattr("hookhub.web.resources.events.WINDOW", 2)
    for event in (TICKET, USER, TICKET, *[USER] * 10):
        await publish(api, event)
    found = await page(api, newest=True, events="ticket.*")
    assert [item["sequence"] for item in found["items"]] == [1, 3]
    assert len((await page(api, newest=True))["items"]) == 13
    monkeypatch.setattr("hookhub.web.resources.events.READS_PER_PAGE", 5)
    assert (await page(api, newest=True, events="ticket.*"))["items"] == []
    monkeypatch.setattr("hookhub.web.resources.events.READS_PER_PAGE", 6)
    found = await page(api, newest=True, events="ticket.*")
    assert [item["sequence"] for item in found["items"]] == [3]


async def test_each_item_has_a_cursor(api: httpx.AsyncClient) -> None:
    """Any item's cursor is a place to go on from."""
    for _ in range(3):
        await publish(api, USER)
    items = (await page(api))["items"]
    rest = await page(api, after=items[0]["cursor"])
    assert rest["items"] == items[1:]
    assert "gap" not in rest


async def test_a_cursor_of_another_database(api: httpx.AsyncClient) -> None:
    """Never a silent gap: the page says that it cannot know what was missed."""
    await publish(api, USER)
    found = await page(api, after="0123456789ab-1")
    assert (found["items"], found["gap"]) == ([], {"missed": None})


async def test_impossible_pages(api: httpx.AsyncClient) -> None:
    """422 that names the parameter."""
    for query in IMPOSSIBLE:
        response = await api.get("/events", params=query)
        assert response.status_code == 422, query
        assert response.json()["errors"][0]["loc"][-1] in {"cursor", *query}
