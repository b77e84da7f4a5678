"""``POST /events/batch``: all or nothing, with the index of each bad item."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import trio

from hookhub.config import Settings
from hookhub.contracts.events import canonical_json
from hookhub.hub import Hub
from hookhub.testing.serving import settings_for_tests
from hookhub.web.reading.incremental_json import TURN

USER = {"type": "user.created", "payload": {"user_id": 1}}
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def hub_settings(hub_database: str) -> Settings:
    """A hub that takes batches of 200."""
    tables = settings_for_tests(hub_database)
    tables["events"] = {"max_batch": 200}
    return Settings.model_validate(tables)


def lines(*items: Any) -> bytes:
    return b"\n".join(json.dumps(item).encode() for item in items)


async def problem_of(api: httpx.AsyncClient, status: int, content: bytes, **headers: str) -> Any:
    response = await api.post("/events/batch", content=content, headers=headers)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return response.json()


async def test_an_array(api: httpx.AsyncClient, hub: Hub) -> None:
    """One answer for each item, in order, and one commit."""
    response = await api.post("/events/batch", json=[USER, {**USER, "id": "mine"}, USER])
    assert response.status_code == 202
    items = response.json()["items"]
    assert [item["sequence"] for item in items] == [1, 2, 3]
    assert items[1] == {"id": "mine", "sequence": 2, "deliveries": 0}
    assert hub.feed.last == 3


async def test_lines(api: httpx.AsyncClient) -> None:
    """NDJSON: one object a line, blank lines and CRLF do not matter."""
    content = b"\r\n" + lines(USER, USER).replace(b"\n", b"\r\n\r\n") + b"\r\n"
    response = await api.post("/events/batch", content=content, headers=NDJSON)
    assert [item["sequence"] for item in response.json()["items"]] == [1, 2]


async def test_every_bad_item_is_named_and_nothing_is_stored(
    api: httpx.AsyncClient, hub: Hub
) -> None:
    """The place of each mistake begins with the index of its item."""
    items: list[Any] = [
        USER,
        5,
        {"type": "user.created"},
        {"type": "user.created", "payload": {"user_id": "1"}},
        {"type": "user.nothing", "payload": {}},
        {**USER, "payload": {"user_id": 1, "x": "x" * 263_000}},
        {**USER, "key": "\0"},
        {**USER, "nome": 1},
    ]
    problem = await problem_of(api, 422, lines(items))
    assert [item["loc"] for item in problem["errors"]] == [
        [1],
        [2, "payload"],
        [3, "payload", "user_id"],
        [4, "type"],
        [5],
        [6, "key"],
        [7, "nome"],
    ]
    assert "262,144" in problem["errors"][4]["msg"]
    assert problem["detail"].startswith("Nothing was stored: 7 items are wrong, first 1: must be")
    assert hub.feed.last == 0


async def test_an_item_that_no_event_can_be(api: httpx.AsyncClient, hub: Hub) -> None:
    """An array is not read on from there; of lines, the others are still looked at."""
    long = {"type": "user.created", "payload": {"user_id": 1, "x": "x" * 300_000}}
    problem = await problem_of(api, 413, json.dumps([USER, long, 5]).encode())
    assert [item["loc"] for item in problem["errors"]] == [[1]]
    problem = await problem_of(api, 422, lines(USER, long, 5), **NDJSON)
    assert [item["loc"] for item in problem["errors"]] == [[1], [2]]
    assert hub.feed.last == 0


class Steps(trio.abc.Instrument):
    """How much was written as JSON between two looks of the loop at who else has work."""

    def __init__(self) -> None:
        self.sizes = [0]

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.sizes.append(0)

    def counted(self, payload: Any) -> str:
        text = canonical_json(payload)
        self.sizes[-1] += len(text)
        return text


@pytest.mark.parametrize(
    ("size", "count", "headers", "last"),
    [
        (1_000, 180, {}, USER),
        (150_000, 3, {}, 5),
        (40_000, 5, NDJSON, USER),
        (1_000, 180, NDJSON, 5),
    ],
)
async def test_others_have_their_turn(
    api: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    count: int,
    headers: dict[str, str],
    last: Any,
) -> None:
    """However large a batch is, nobody waits for more of it than a turn and one event."""
    steps = Steps()
    monkeypatch.setattr("hookhub.hub.canonical_json", steps.counted)
    long = {"type": "user.created", "payload": {"user_id": 1, "x": "x" * size}}
    items = [long] * count + [last]
    content = lines(*items) if headers else json.dumps(items).encode()
    trio.lowlevel.add_instrument(steps)
    response = await api.post("/events/batch", content=content, headers=headers)
    trio.lowlevel.remove_instrument(steps)
    assert response.status_code == (422 if last == 5 else 202)
    assert sum(steps.sizes) >= count * size
    assert max(steps.sizes) <= TURN + size + 1_000


async def test_bad_lines(api: httpx.AsyncClient, hub: Hub) -> None:
    """A line that is no JSON is a bad item like any other; blank lines are not counted."""
    content = lines(USER) + b"\n\n{\n\xff\nNaN\n" + lines(USER)
    problem = await problem_of(api, 422, content, **NDJSON)
    assert [item["loc"] for item in problem["errors"]] == [[1], [2], [3]]
    assert hub.feed.last == 0


async def test_what_is_no_batch(api: httpx.AsyncClient) -> None:
    """An empty batch, and what is no array."""
    for content in (b"[]", b"{}", b"5", b"null", b'"x"'):
        assert (await problem_of(api, 422, content))["code"] == "validation_failed"
    for content in (b"", b"\n\n", b" \r\n"):
        await problem_of(api, 422, content, **NDJSON)


async def test_what_is_no_json(api: httpx.AsyncClient) -> None:
    """400, as everywhere."""
    for content in (b"", b"[", b"[NaN]", b"\xff", b"[" * 100_000):
        assert (await problem_of(api, 400, content))["code"] == "malformed_request"


async def test_other_media_types(api: httpx.AsyncClient) -> None:
    """415 that names both that are taken."""
    problem = await problem_of(api, 415, b"[]", **{"Content-Type": "text/csv"})
    assert "application/json or application/x-ndjson" in problem["detail"]


async def test_the_limit_of_a_batch(api: httpx.AsyncClient, hub: Hub) -> None:
    """As many as the settings say, not one more."""
    assert (await api.post("/events/batch", json=[USER] * 200)).status_code == 202
    problem = await problem_of(api, 413, lines([USER] * 201))
    assert "200 events ([events] max_batch)" in problem["detail"]
    assert hub.feed.last == 200


async def test_a_hundred_mistakes_are_enough(api: httpx.AsyncClient) -> None:
    """The list is cut, the count is not."""
    problem = await problem_of(api, 422, lines([{}] * 150))
    assert len(problem["errors"]) == 100
    assert "150 items are wrong" in problem["detail"]


async def test_a_repeated_batch(api: httpx.AsyncClient, hub: Hub) -> None:
    """An idempotency key covers the whole batch."""
    headers = {"Idempotency-Key": "batch 1"}
    first = await api.post("/events/batch", json=[USER, USER], headers=headers)
    again = await api.post("/events/batch", json=[USER, USER], headers=headers)
    assert again.json() == first.json()
    other = await api.post("/events/batch", json=[USER], headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert hub.feed.last == 2


async def test_a_batch_with_a_clash_stores_nothing(api: httpx.AsyncClient, hub: Hub) -> None:
    """An id that is taken by another event undoes the whole batch."""
    await api.post("/events", json={**USER, "id": "mine"})
    clash = {"type": "user.created", "payload": {"user_id": 2}, "id": "mine"}
    response = await api.post("/events/batch", json=[USER, clash])
    assert response.status_code in (409, 422)
    assert hub.feed.last == 1
