"""What a webhook is trusted with: who gets to see it, on which way ever."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hookhub.config import Settings
from hookhub.hub import Hub
from hookhub.store import Transaction
from hookhub.testing.receiver import ReceivedRequest, Receiver, Reply
from hookhub.testing.serving import settings_for_tests
from hookhub.testing.waiting import wait_until_async
from hookhub_webhook.config import MASK

KEY = "k" * 40
SEALED = f"sealed:v1:0badc0de:{'A' * 32}"
"""Under a key that nobody here has."""
PATH = "/services/T0001/B0002/xyzzy-plugh-0123456789"
PASSWORD = 'correct/horse+"battery"=='
BEARER = f"Bearer {PASSWORD}"


@pytest.fixture
def hub_settings(hub_database: str) -> Settings:
    """A hub that tries again at once, and only once."""
    tables = settings_for_tests(hub_database)
    tables["delivery"] = {"retry_schedule": [0.01]}
    tables["auth"]["secret_key"] = KEY
    return Settings.model_validate(tables)


async def create(api: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    """A new webhook for all types."""
    answer = await api.post("/webhooks", json={"name": "w", "event_type": "*", **members})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def change(api: httpx.AsyncClient, made: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The answer to a change."""
    answer = await api.patch(f"/webhooks/{made['id']}", json=changes)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def delivered(api: httpx.AsyncClient, made: dict[str, Any], status: str) -> Any:
    """The newest delivery to a webhook with its attempts, once an event has come to this end."""
    event = {"type": "user.created", "payload": {"user_id": 1}}
    (await api.post("/events", json=event)).raise_for_status()

    async def look() -> Any:
        path = f"/webhooks/{made['id']}/deliveries"
        items = (await api.get(path, params={"limit": 1})).json()["items"]
        return items[0] if items and items[0]["status"] == status else None

    found = await wait_until_async(look)
    return (await api.get(f"/deliveries/{found['id']}")).json()


# -- To another origin -----------------------------------------------------------------------------


async def test_another_origin_gets_no_secret_header(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Whoever changes the address does not know the password, and does not get it sent there; the
    answer says which headers were dropped."""
    made = await create(
        api, url="https://example.com/hook", headers={"Authorization": BEARER, "Accept": "a/b"}
    )
    changed = await change(api, made, url=receiver.url)
    assert changed["dropped_headers"] == ["Authorization"]
    assert changed["headers"] == {"Accept": "a/b"}
    await delivered(api, made, "success")
    assert receiver.requests[0].header("authorization") is None
    assert receiver.requests[0].header("accept") == "a/b"


@pytest.mark.parametrize(
    ("url", "dropped"),
    [
        ("https://example.com/another?a=1", []),
        ("HTTPS://EXAMPLE.com:443/hook", []),
        ("http://example.com/hook", ["X-Key"]),
        ("https://example.com:8443/hook", ["X-Key"]),
        ("https://www.example.com/hook", ["X-Key"]),
    ],
)
async def test_an_origin_is_scheme_host_and_port(
    api: httpx.AsyncClient, url: str, dropped: list[str]
) -> None:
    """Another path of it is the same receiver's."""
    made = await create(api, url="https://example.com/hook", headers={"X-Key": PASSWORD})
    changed = await change(api, made, url=url)
    assert (changed["dropped_headers"], list(changed["headers"])) == (
        dropped,
        [] if dropped else ["X-Key"],
    )


async def test_headers_may_be_given_again(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """In the same change: those are sent; a mask stands for nothing there, and what is left out was
    removed by whoever changed it."""
    headers = {"X-Key": PASSWORD, "X-Other": "secret-2", "X-Third": "secret-3"}
    made = await create(api, url="https://example.com/hook", headers=headers)
    given = {"x-key": "new-value", "X-Other": MASK, "X-Fourth": "secret-4"}
    changed = await change(api, made, url=receiver.url, headers=given)
    assert changed["dropped_headers"] == ["X-Other"]
    assert changed["headers"] == {"x-key": MASK, "X-Fourth": MASK}
    await delivered(api, made, "success")
    assert receiver.requests[0].header("x-key") == "new-value"
    kept = await change(api, made, url=f"{receiver.url}/2", headers={"x-key": MASK})
    assert (kept["dropped_headers"], kept["headers"]) == ([], {"x-key": MASK})


# -- In what is kept of answers --------------------------------------------------------------------


def echo(request: ReceivedRequest) -> Reply:
    """Answers with all that was sent, in the ways in which that is written."""
    value = request.header("authorization") or ""
    body = {"all": dict(request.headers), "target": request.target, "alone": value[7:]}
    text = json.dumps(body) + json.dumps(body).replace("/", "\\/") + repr(httpx.QueryParams(body))
    return Reply(500, text.encode(), [("X-Echo", value), ("X-Target", request.target)])


async def test_answers_are_kept_without_known_secrets(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """A receiver that repeats what it got shows nobody the values that are masked: not in the body,
    in headers or sentences, of deliveries, attempts, tests or the hub's own events."""
    receiver.respond = echo
    made = await create(
        api,
        url=f"{receiver.url}{PATH}?key=letmein-please",
        headers={"Authorization": BEARER},
        secret="the-secret-that-signs",
    )
    delivery = await delivered(api, made, "failed")
    tested = (await api.post(f"/webhooks/{made['id']}/test", json={})).json()
    events = (await api.get("/events", params={"events": "delivery.failed"})).json()["items"]
    assert events
    for shown in (json.dumps(delivery), json.dumps(tested), json.dumps(events)):
        for hidden in ("correct", "battery", "xyzzy", "letmein", "the-secret"):
            assert hidden not in shown
    assert "***" in delivery["response_body"]
    assert '"host": "127.0.0.1' in delivery["response_body"]
    pairs = {item["name"]: item["value"] for item in delivery["attempts"][0]["response_headers"]}
    assert (pairs["X-Echo"], pairs["X-Target"]) == ("***", "***")


async def test_redirect_to_the_same_path_does_not_tell_it(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """A service that asks for https repeats the path, which is the credential, in its Location."""
    receiver.default = Reply(301, b"", [("Location", f"https://hooks.example{PATH}")])
    made = await create(api, url=receiver.url.replace("/hook", PATH))
    delivery = await delivered(api, made, "failed")
    assert "'https://hooks.example***'" in delivery["error_message"]
    assert "xyzzy" not in json.dumps(delivery)


async def test_a_short_path_is_not_told_either(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """What is hidden in ``url`` is hidden in what repeats it, however short: by itself, with its
    query, and as a whole URL."""
    url = receiver.url.replace("/hook", "/s3cr3t")
    said = f"Cannot POST /s3cr3t?k=t0k3n; no route /s3cr3t (k=t0k3n) at {url}"
    receiver.default = Reply(404, said.encode())
    made = await create(api, url=f"{url}?k=t0k3n")
    delivery = await delivered(api, made, "failed")
    assert "Cannot POST ***; no route *** (***) at http" in delivery["response_body"]
    assert "s3cr3t" not in json.dumps(delivery)
    assert "t0k3n" not in json.dumps(delivery)


async def test_ordinary_words_are_left_alone(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """Short values, and words that only contain a value, are no secrets that anybody could see."""
    receiver.default = Reply(200, b'{"ok": true, "env": "production", "hook": "webhook"}')
    headers = {"X-Flag": "true", "X-Part": "product", "Accept": "application/json"}
    made = await create(api, url=receiver.url, headers=headers)
    delivery = await delivered(api, made, "success")
    assert delivery["response_body"] == '{"ok": true, "env": "production", "hook": "webhook"}'


# -- To those who may only look --------------------------------------------------------------------


@asynccontextmanager
async def reader_of(api: httpx.AsyncClient, *scopes: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a token that may do no more than this."""
    made = await api.post("/tokens", json={"name": "-".join(scopes), "scopes": [*scopes]})
    headers = {"Authorization": f"Bearer {made.raise_for_status().json()['token']}"}
    async with httpx.AsyncClient(base_url=api.base_url, headers=headers, trust_env=False) as client:
        yield client


async def test_path_of_a_url_is_for_those_who_may_change_it(api: httpx.AsyncClient) -> None:
    """To others it is cut: with it anybody could post. A root says nothing, and stays."""
    whole = [f"https://chat.example{PATH}?a=b", "https://chat.example/"]
    for number, url in enumerate(whole):
        await create(api, url=url, name=f"w{number}")
    cut = ["https://chat.example/…", "https://chat.example/"]
    for scopes, seen in ((["webhooks:read"], cut), (["webhooks:read", "webhooks:write"], whole)):
        async with reader_of(api, *scopes) as client:
            items = (await client.get("/webhooks")).json()["items"]
            assert [item["url"] for item in items] == seen
            assert (await client.get("/webhooks/1")).json()["url"] == seen[0]


async def test_what_was_cut_is_not_taken_back(api: httpx.AsyncClient) -> None:
    """A program that copies what it sees to where it may write is told what it lacks."""
    answer = await api.post(
        "/webhooks", json={"name": "w", "event_type": "*", "url": "https://chat.example/…"}
    )
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["url"])


# -- In the database -------------------------------------------------------------------------------


def content_of(directory: Path) -> bytes:
    """All that the database's files hold, with what is not in its tables any more."""
    return b"".join(file.read_bytes() for file in directory.glob("*.db*"))


async def test_database_has_neither_url_nor_headers(
    api: httpx.AsyncClient, hub: Hub, receiver: Receiver, tmp_path: Path
) -> None:
    """With a key nobody who copies the file can post or pass for the hub, whatever happened."""
    receiver.respond = echo
    made = await create(
        api, url=receiver.url.replace("/hook", PATH), headers={"Authorization": BEARER}
    )
    await delivered(api, made, "failed")
    await change(api, made, url=receiver.url.replace("/hook", f"{PATH}?more=1"))
    await change(api, made, description="changed")
    (await api.delete(f"/webhooks/{made['id']}")).raise_for_status()
    content = content_of(tmp_path)
    assert b"user.created" in content
    for hidden in (PATH, "xyzzy", PASSWORD, json.dumps(PASSWORD)[1:-1]):
        assert hidden.encode() not in content


async def test_webhook_that_another_hub_sealed_can_be_set_anew(
    api: httpx.AsyncClient, hub: Hub, receiver: Receiver
) -> None:
    """Its URL is not shown, nothing is sent; given a URL, it goes on."""
    made = await create(api, url=receiver.url)

    def seal(tx: Transaction) -> None:
        tx.endpoints_changed()
        tx.change("UPDATE hookhub_endpoints SET config = ?", (SEALED,))

    await hub.store.write(seal)
    found = (await api.get(f"/webhooks/{made['id']}")).json()
    assert (found["url"], found["headers"]) == ("", {})
    answer = await api.patch(f"/webhooks/{made['id']}", json={"timeout": 5})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["url"])
    changed = await change(api, made, url=receiver.url)
    assert (changed["url"], changed["dropped_headers"]) == (receiver.url, [])
    await delivered(api, made, "success")
