"""From an event to a receiver and into the record, on a real hub."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import trio
from standardwebhooks import Webhook

from hookhub.config import Settings
from hookhub.contracts.events import canonical_json
from hookhub.testing.receiver import Close, Receiver, Reply
from hookhub.testing.serving import settings_for_tests
from hookhub.testing.waiting import wait_until_async
from hookhub_webhook.signing import hub_signature, signing_secret


@pytest.fixture
def hub_database(any_database: str) -> str:
    """These tests run on SQLite and on PostgreSQL."""
    return any_database


@pytest.fixture
def hub_settings(hub_database: str) -> Settings:
    """A hub that tries again at once, and only once."""
    tables = settings_for_tests(hub_database)
    tables["delivery"] = {"retry_schedule": [0.01]}
    return Settings.model_validate(tables)


async def subscribe(api: httpx.AsyncClient, url: str, **members: Any) -> str:
    """The path of a new webhook for all types."""
    body = {"name": "w", "url": url, "event_type": "*", **members}
    answer = await api.post("/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    return f"/webhooks/{answer.json()['id']}"


async def emit(api: httpx.AsyncClient, payload: dict[str, Any], **members: Any) -> str:
    """The id of a new event."""
    body = {"type": "user.created", "payload": payload, **members}
    answer = await api.post("/events", json=body)
    assert answer.status_code == 202, answer.text
    event_id: str = answer.json()["id"]
    return event_id


async def settled(api: httpx.AsyncClient, path: str, status: str, count: int = 1) -> Any:
    """The deliveries of a webhook once so many of them have this status."""

    async def look() -> Any:
        page = (await api.get(f"{path}/deliveries", params={"status": status})).json()
        return page["items"] if page["total"] == count else None

    return await wait_until_async(look)


async def test_event_arrives_signed(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """An accepted event is posted, byte for byte, and recorded as the API shows it."""
    payload = {"user_id": 1, "first_name": "Аня", "z": [1e22, 2**70], "a": "\ud800"}
    receiver.default = Reply(200, b"thanks")
    path = await subscribe(api, receiver.url, secret="s")
    # Half of a surrogate pair is JSON, if no text: it travels as it came.
    body = canonical_json({"type": "user.created", "payload": payload}).encode()
    answer = await api.post("/events", content=body, headers={"Content-Type": "application/json"})
    event_id = answer.json()["id"]
    [request] = await receiver.wait_for(1)
    text = canonical_json(payload)
    assert request.body == text.encode()
    assert request.header("x-webhook-signature") == hub_signature("s", request.body)
    assert Webhook(signing_secret("s")).verify(request.body, dict(request.headers)) == payload
    [delivery] = await settled(api, path, "success")
    assert delivery == {
        "id": int(str(request.header("x-webhook-delivery"))),
        "webhook_id": int(path.rpartition("/")[2]),
        "event_id": event_id,
        "event_type": "user.created",
        "payload": payload,
        "status": "success",
        "response_status": 200,
        "response_body": "thanks",
        "error": None,
        "error_message": None,
        "attempt_number": 1,
        "created_at": delivery["created_at"],
        "delivered_at": delivery["delivered_at"],
        "next_retry_at": None,
        "held": False,
    }
    assert f'"payload": {text}' in (await api.get(f"{path}/deliveries")).text
    webhook = (await api.get(path)).json()
    assert (webhook["success_count"], webhook["failure_count"]) == (1, 0)
    assert webhook["last_triggered_at"] is not None
    [attempt] = (await api.get(f"/deliveries/{delivery['id']}")).json()["attempts"]
    assert set(attempt["timings"]) == {"dns", "connect", "wait", "total"}
    assert 0 < attempt["timings"]["wait"] <= attempt["timings"]["total"] <= attempt["duration"]
    headers = {item["name"]: item["value"] for item in attempt["response_headers"]}
    assert headers["Content-Length"] == "6"


async def test_failure_is_retried_with_the_same_id(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """A retry is the same message: same id and body, another attempt."""
    receiver.script(Reply(500))
    path = await subscribe(api, receiver.url)
    event_id = await emit(api, {"user_id": 1})
    first, second = await receiver.wait_for(2)
    assert first.header("webhook-id") == second.header("webhook-id") == event_id
    assert first.body == second.body
    numbers = [request.header("x-webhook-attempt") for request in (first, second)]
    assert numbers == ["1", "2"]
    await settled(api, path, "success")
    webhook = (await api.get(path)).json()
    assert (webhook["success_count"], webhook["failure_count"]) == (1, 1)


async def test_failed_deliveries_can_be_seen_and_retried(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Out of attempts is ``failed``, with the reason; ``retry-failed`` tries them all again."""
    receiver.script(Reply(500, b"no", close=True), Close())
    path = await subscribe(api, receiver.url)
    await emit(api, {"user_id": 1})
    [delivery] = await settled(api, path, "failed")
    assert (delivery["error"], delivery["attempt_number"]) == ("reset", 2)
    assert delivery["next_retry_at"] is None
    stats = (await api.get("/webhooks/stats")).json()
    assert (stats["failed_deliveries"], stats["success_rate"]) == (1, 0.0)
    answer = await api.post(f"{path}/retry-failed")
    assert (answer.status_code, answer.json()) == (200, {"retried": 1})
    [delivery] = await settled(api, path, "success")
    assert delivery["attempt_number"] == 3
    stats = (await api.get("/webhooks/stats")).json()
    assert stats == {
        "total_webhooks": 1,
        "active_webhooks": 1,
        "total_deliveries": 1,
        "successful_deliveries": 1,
        "failed_deliveries": 0,
        "pending_deliveries": 0,
        "success_rate": 100.0,
    }


async def test_pending_deliveries_can_be_ended(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """``DELETE …/deliveries?status=pending`` ends what waits; nothing else can be deleted."""
    receiver.default = Reply(500)
    path = await subscribe(api, receiver.url, retry_schedule=[3600])
    await emit(api, {"user_id": 1})
    await receiver.wait_for(1)

    async def waits() -> bool:
        items = (await api.get(f"{path}/deliveries?status=pending")).json()["items"]
        return bool(items) and items[0]["attempt_number"] == 1

    await wait_until_async(waits)
    for query in ("", "?status=failed"):
        assert (await api.delete(f"{path}/deliveries{query}")).status_code == 422
    answer = await api.delete(f"{path}/deliveries?status=pending")
    assert (answer.status_code, answer.json()) == (200, {"cancelled": 1})
    await settled(api, path, "failed")


async def test_410_disables_with_a_reason(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """A receiver that says 410 gets nothing more until a person enables it again."""
    receiver.script(Reply(410))
    path = await subscribe(api, receiver.url)
    await emit(api, {"user_id": 1})
    [delivery] = await settled(api, path, "failed")
    assert (delivery["response_status"], delivery["attempt_number"]) == (410, 1)
    webhook = (await api.get(path)).json()
    assert webhook["is_active"] is False
    assert "410" in webhook["disabled_reason"]
    answer = await api.post("/events", json={"type": "user.created", "payload": {"user_id": 2}})
    assert answer.json()["deliveries"] == 0
    enabled = (await api.post(f"{path}/enable")).json()
    assert (enabled["is_active"], enabled["disabled_reason"]) == (True, None)


async def test_rotation_signs_with_both(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """After a rotation, holders of the old secret and of the new one both verify."""
    path = await subscribe(api, receiver.url, secret="old")
    new = (await api.post(f"{path}/rotate-secret")).json()["secret"]
    await emit(api, {"user_id": 1})
    [request] = await receiver.wait_for(1)
    for secret in (new, signing_secret("old")):
        assert Webhook(secret).verify(request.body, dict(request.headers)) == {"user_id": 1}
    assert request.header("x-webhook-signature") == hub_signature(new, request.body)


async def test_only_wanted_types_are_sent(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """A webhook gets the types it asked for, and others none of its own."""
    await subscribe(api, receiver.url, event_type="ticket.*")
    for kind, deliveries in (("user.created", 0), ("ticket.message_added", 1)):
        answer = await api.post("/events", json={"type": kind, "payload": {"user_id": 1}})
        assert answer.json()["deliveries"] == deliveries
    [request] = await receiver.wait_for(1)
    assert request.header("x-webhook-event") == "ticket.message_added"


async def test_wrong_query(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """A wrong filter of deliveries gets 422 that names it."""
    path = await subscribe(api, receiver.url)
    for query in ("status=done", "limit=0", "offset=-1", "surprise=1"):
        answer = await api.get(f"{path}/deliveries?{query}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["loc"] == ["query", query.partition("=")[0]]


async def test_a_receiver_that_fails_is_shown_as_failing(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Five failures open the breaker; a success closes it, and nothing is failing any more."""
    receiver.default = Reply(500)
    path = await subscribe(api, receiver.url, retry_schedule=[0] * 5)
    await emit(api, {"user_id": 1})

    async def is_open() -> Any:
        webhook = (await api.get(path)).json()
        # The row is read a moment before the breaker.
        return webhook if webhook["breaker"] == "open" and webhook["failure_count"] == 5 else None

    webhook = await wait_until_async(is_open)
    assert webhook["failing_since"] is not None
    assert webhook["disabled_reason"] is None
    assert (await api.get("/webhooks")).json()["items"] == [webhook]
    receiver.default = Reply(200)
    # Changed by hand: what it did before says nothing any more.
    changed = (await api.patch(path, json={"timeout": 5})).json()
    assert changed["breaker"] == "closed"
    await settled(api, path, "success")
    webhook = (await api.get(path)).json()
    assert (webhook["breaker"], webhook["failing_since"]) == ("closed", None)


async def test_strict_order(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """A failed one holds back its key only; the waiting ones say so, and skipping lets them go."""
    receiver.respond = lambda request: Reply(500 if request.json()["user_id"] == 1 else 200)
    path = await subscribe(api, receiver.url, ordered=True)
    await emit(api, {"user_id": 1}, key="a")
    [failed] = await settled(api, path, "failed")
    await emit(api, {"user_id": 2}, key="a")
    await emit(api, {"user_id": 3}, key="b")
    [other] = await settled(api, path, "success")
    assert other["payload"] == {"user_id": 3}
    [waiting] = (await api.get(f"{path}/deliveries?status=pending")).json()["items"]
    assert (waiting["payload"], waiting["held"]) == ({"user_id": 2}, True)
    answer = await api.post(f"/deliveries/{failed['id']}/skip")
    assert (answer.status_code, answer.json()["error"]) == (200, "skipped")
    await settled(api, path, "success", 2)
    assert receiver.requests[-1].json() == {"user_id": 2}


async def test_the_rate_limit_holds(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """With one attempt in a hundred seconds, the second of two events waits."""
    path = await subscribe(api, receiver.url, rate_limit=0.01)
    for number in (1, 2):
        await emit(api, {"user_id": number})
    await settled(api, path, "success")
    page = (await api.get(f"{path}/deliveries?status=pending")).json()
    assert (page["total"], len(receiver.requests)) == (1, 1)


async def test_concurrency_holds(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """With ``concurrency`` 1 there is never more than one request under way."""
    gates = [trio.Event() for _ in range(3)]
    receiver.script(*(Reply(wait=gate) for gate in gates))
    path = await subscribe(api, receiver.url, concurrency=1)
    for number in range(3):
        await emit(api, {"user_id": number})
    for number, gate in enumerate(gates, 1):
        await receiver.wait_for(number)
        await api.get(path)
        assert len(receiver.requests) == number
        gate.set()
    await settled(api, path, "success", 3)


async def test_attempts_keep_the_headers_of_the_answer(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Whichever way the answer was read, and whether it was a good one; never a cookie."""
    headers = [("X-Request-Id", "7"), ("Set-Cookie", "sid=s3cr3t"), ("x-twice", "1")]
    for close, status in ((False, 500), (True, 200)):
        receiver.script(Reply(status, b"so", [*headers, ("x-twice", "2")], close=close))
    path = await subscribe(api, receiver.url)
    await emit(api, {"user_id": 1})
    [delivery] = await settled(api, path, "success")
    answer = await api.get(f"/deliveries/{delivery['id']}")
    attempts = answer.json()["attempts"]
    assert [attempt["response_status"] for attempt in attempts] == [500, 200]
    for attempt in attempts:
        pairs = [(item["name"], item["value"]) for item in attempt["response_headers"]]
        assert [("X-Request-Id", "7"), ("Set-Cookie", "***")] == [
            pair for pair in pairs if pair[0] in ("X-Request-Id", "Set-Cookie")
        ]
        assert [value for name, value in pairs if name == "x-twice"] == ["1", "2"]
    assert "s3cr3t" not in answer.text


async def test_no_answer_has_no_headers(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """An attempt without an answer says so."""
    receiver.script(Close())
    path = await subscribe(api, receiver.url)
    await emit(api, {"user_id": 1})
    [delivery] = await settled(api, path, "success")
    first = (await api.get(f"/deliveries/{delivery['id']}")).json()["attempts"][0]
    assert (first["error"], first["response_headers"]) == ("reset", [])


async def test_deliveries_are_filtered(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """By status, type, event and period, page by page, of one webhook and of all."""
    path = await subscribe(api, receiver.url)
    other = await subscribe(api, receiver.url, name="other")
    ids = [await emit(api, {"user_id": number}) for number in range(3)]
    newest = (await settled(api, path, "success", 3))[0]
    await settled(api, other, "success", 3)
    created = newest["created_at"]
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"event_id": ids[1]}, [ids[1]]),
        ({"event_id": "no-such"}, []),
        ({"event_type": "user.*"}, ids[::-1]),
        ({"event_type": "ticket.*, user.created", "status": "success"}, ids[::-1]),
        ({"event_type": "ticket.*"}, []),
        ({"event_type": "user.*", "status": "failed"}, []),
        ({"since": "2001-01-31T12:00:00Z"}, ids[::-1]),
        ({"until": "2001-01-31T12:00:00+05:00"}, []),
        ({"since": created, "event_id": ids[2]}, [ids[2]]),
        ({"until": created, "event_id": ids[2]}, []),
    ]
    number = int(path.rpartition("/")[2])
    for query, expected in cases:
        page = (await api.get(f"{path}/deliveries", params=query)).json()
        assert [item["event_id"] for item in page["items"]] == expected, query
        assert (page["total"], page["next"]) == (None, None)
        one = (await api.get("/deliveries", params={**query, "webhook_id": number})).json()
        assert [item["event_id"] for item in one["items"]] == expected, query
        every = (await api.get("/deliveries", params=query)).json()
        assert len(every["items"]) == 2 * len(expected)


async def test_deliveries_page_by_id(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """`next` of a page is `before` of the one after it, with filters and without."""
    path = await subscribe(api, receiver.url)
    for number in range(5):
        await emit(api, {"user_id": number})
    ids = [item["id"] for item in await settled(api, path, "success", 5)]
    for place in (f"{path}/deliveries", "/deliveries"):
        for query in ({}, {"status": "success"}, {"event_type": "user.*"}):
            seen: list[int] = []
            before: dict[str, int] = {}
            while True:
                asked = {**query, **before, "limit": 2}
                page = (await api.get(place, params=asked)).json()
                seen += [item["id"] for item in page["items"]]
                if page["next"] is None:
                    break
                before = {"before": page["next"]}
            assert seen == ids, (place, query)


async def test_a_deleted_webhook_is_not_searched(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Its deliveries are shown no more, in any list."""
    path = await subscribe(api, receiver.url)
    await emit(api, {"user_id": 1})
    [delivery] = await settled(api, path, "success")
    await api.delete(path)
    assert (await api.get("/deliveries")).json()["items"] == []
    found = await api.get("/deliveries", params={"webhook_id": delivery["webhook_id"]})
    assert found.status_code == 404


@pytest.mark.parametrize(
    ("query", "loc"),
    [
        ({"since": "yesterday"}, ["query", "since"]),
        ({"until": "2026-02-30T00:00:00Z"}, ["query", "until"]),
        ({"event_type": "user.*.x"}, ["query", "event_type"]),
        ({"event_id": "a.b"}, ["query", "event_id"]),
        ({"before": "0"}, ["query", "before"]),
        ({"event_type": "user.*", "offset": "1"}, ["query", "offset"]),
    ],
)
async def test_filters_that_are_none(
    api: httpx.AsyncClient, receiver: Receiver, query: dict[str, str], loc: list[str]
) -> None:
    """A wrong filter is refused with its name."""
    path = await subscribe(api, receiver.url)
    answer = await api.get(f"{path}/deliveries", params=query)
    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json()["errors"]] == [loc]
