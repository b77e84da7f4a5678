"""Any operation of the REST API by the client, and where a time is in the history."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from hookhub.client import Client, Management, NewEvent, operations
from hookhub.contracts.errors import HookhubError, MethodNotAllowed, NotFound, Unavailable
from hookhub.contracts.events import parse_timestamp


def test_any_operation(ask: Any, at: Any) -> None:
    """Query, body and answer are JSON; an answer without a body is None; refusals are raised."""
    body = {"name": f"made-{at.sequence}", "scopes": ["events:read"]}
    made = ask(lambda c: c.call("POST", "/tokens", body=body), *at.hub)
    assert made["token"].startswith("hh_")
    query = {"after": at.cursor, "limit": 1, "events": None}
    assert ask(lambda c: c.call("GET", "/events", params=query), *at.hub)["items"] == []
    path = f"/tokens/{made['id']}"
    assert ask(lambda c: c.call("DELETE", path), *at.hub) is None
    with pytest.raises(NotFound):
        ask(lambda c: c.call("DELETE", path), *at.hub)
    with pytest.raises(MethodNotAllowed):
        ask(lambda c: c.call("PATCH", "/events", body={}), *at.hub)


def test_lists_come_whole(ask: Any, at: Any) -> None:
    """Page by page without anyone noticing."""
    pytest.importorskip("hookhub_webhook")
    with Client(*at.hub) as client:
        for n in range(3):
            new = {"name": f"w{at.sequence}-{n}", "url": f"https://a{n}.org", "event_type": "*"}
            client.call("POST", "/webhooks", body={**new, "is_active": False})
        total = client.call("GET", "/webhooks")["total"]
    found = ask(lambda c: c.items("/webhooks", {"is_active": False}, page=2), *at.hub)
    assert len(found) == len({item["id"] for item in found}) == total


def test_the_cursor_of_a_time(ask: Any, at: Any) -> None:
    """Everything of the time and later is behind it, and nothing earlier."""
    for n in range(5):
        ask(lambda c, n=n: c.send("user.created", {"user_id": n}), *at.hub)
    events = ask(lambda c: c.events(at.cursor), *at.hub)
    for position, event in enumerate(events):
        moment = parse_timestamp(event.timestamp)
        cursor = ask(lambda c, moment=moment: c.cursor_at(moment), *at.hub)
        assert ask(lambda c, cursor=cursor: c.events(cursor), *at.hub) == events[position:]
    after = parse_timestamp(events[-1].timestamp) + 1
    assert ask(lambda c: c.cursor_at(after), *at.hub) == events[-1].cursor
    oldest = ask(lambda c: c.cursor_at(0), *at.hub)
    assert ask(lambda c: c.events(oldest), *at.hub)[-5:] == events


def test_a_post_is_not_repeated_when_its_answer_is_lost(at: Any, bad_line: Any) -> None:
    """It may have been done: a second one could do it twice. One that was not heard is repeated."""
    body = {"name": f"once-{at.sequence}", "scopes": ["events:read"]}
    bad_line.script.append("lose")
    with Client(bad_line.url, at.token) as client:
        with pytest.raises(Unavailable, match="It may have been done all the same; look first"):
            client.call("POST", "/tokens", body=body)
        assert len(bad_line.requests) == 1
        bad_line.script.extend(["busy", "pass"])
        assert client.call("POST", "/tokens", body={**body, "name": f"twice-{at.sequence}"})
        bad_line.script.extend(["lose", "pass"])
        assert client.call("GET", "/tokens")["total"] >= 2


def test_deliveries_and_replays_by_name(at: Any) -> None:
    """What is not there is NotFound; a dry run counts what an endpoint would get."""
    pytest.importorskip("hookhub_webhook")
    with Client(*at.hub) as client:
        hub = Management(client)
        new = {"name": f"r{at.sequence}", "url": "https://a.org", "event_type": "user.*"}
        endpoint = client.call("POST", "/webhooks", body={**new, "is_active": False})["id"]
        client.send_many([NewEvent("user.created", {"user_id": n}) for n in range(2)])
        counted = hub.start_replay(endpoint, since=at.cursor, events=["user.*"], dry_run=True)
        assert counted == {"dry_run": True, "total": 2}
        assert list(hub.replays(endpoint_id=endpoint)) == []
        for call in (hub.delivery, hub.retry_delivery, hub.skip_delivery, hub.replay):
            with pytest.raises(NotFound):
                call(10**9)
        with pytest.raises(NotFound):
            hub.steer_replay(10**9, "pause")


@pytest.mark.parametrize("narrow", [{}, {"status": "pending"}, {"event_type": "user.*"}])
def test_deliveries_come_whole(ask: Any, at: Any, narrow: dict[str, str]) -> None:
    """Lists that are followed by ``next`` do not end after their first page, total or not."""
    pytest.importorskip("hookhub_webhook")
    with Client(*at.hub) as client:
        new = {"name": f"d{at.sequence}", "url": "http://127.0.0.1:9/", "event_type": "user.*"}
        endpoint = client.call("POST", "/webhooks", body=new)["id"]
        sent = client.send_many([NewEvent("user.created", {"user_id": n}) for n in range(5)])
    ids = [event.id for event in reversed(sent)]
    for path, query in (
        (f"/webhooks/{endpoint}/deliveries", narrow),
        ("/deliveries", {**narrow, "webhook_id": endpoint}),
    ):
        found = ask(lambda c, path=path, query=query: c.items(path, query, page=2), *at.hub)
        assert [item["event_id"] for item in found] == ids


def test_empty_pages_do_not_end_a_list() -> None:
    """A page may have no items and a ``next``; a ``next`` that does not move on is an error."""

    def answer(**document: Any) -> httpx.Response:
        request = httpx.Request("GET", "http://hub/deliveries")
        return httpx.Response(200, json=document, request=request)

    pages = operations.items("/deliveries", {"status": "failed"}, page=2)

    def asked(response: httpx.Response | None = None) -> tuple[list[Any], Any]:
        found, call = next(pages) if response is None else pages.send(response)
        return found, call and call.params

    first = {"status": "failed", "limit": 2}
    assert asked() == ([], first)
    assert asked(answer(items=[], next=70, limit=2)) == ([], {**first, "before": 70})
    assert asked(answer(items=[1], total=None, next=50, limit=2)) == ([1], {**first, "before": 50})
    assert asked(answer(items=[2, 3], next=None, limit=2)) == ([2, 3], None)
    stuck = operations.items("/deliveries", {"before": 50}, page=2)
    next(stuck)
    with pytest.raises(HookhubError, match="not as hookhub does"):
        stuck.send(answer(items=[1], next=50, limit=2))
