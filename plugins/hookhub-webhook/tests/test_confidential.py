"""What a webhook is trusted with: who gets to see it, on which way ever."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from hookhub.config import Settings
from hookhub.testing.receiver import Answer, ReceivedRequest, Receiver
from hookhub.testing.serving import settings_for_tests
from hookhub.testing.waiting import wait_until_async
from hookhub_webhook.config import MASK

PASSWORD = 'correct/horse+"battery"=='
BEARER = f"Bearer {PASSWORD}"


@pytest.fixture
def hub_settings(hub_database: str) -> Settings:
    """A hub that tries again at once, and only once."""
    tables = settings_for_tests(hub_database)
    tables["delivery"] = {"retry_schedule": [0.01]}
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


def echo(request: ReceivedRequest) -> Answer:
    """Answers with all that was sent, in the ways in which that is written."""
    value = request.header("authorization") or ""
    body = {"all": dict(request.headers), "target": request.target, "alone": value[7:]}
    text = json.dumps(body) + json.dumps(body).replace("/", "\\/") + repr(httpx.QueryParams(body))
    return Answer(500, text.encode(), [("X-Echo", value), ("X-Target", request.target)])


async def test_answers_are_kept_without_known_secrets(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    """A receiver that repeats what it got shows nobody the values that are masked: not in the body,
    in headers or sentences, of deliveries, attempts, tests or the hub's own events."""
    receiver.respond = echo
    made = await create(
        api,
        url=f"{receiver.url}/services/T0001/B0002/xyzzy-plugh-0123456789?key=letmein-please",
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
    path = "/services/T0001/B0002/xyzzy-plugh-0123456789"
    receiver.default = Answer(301, b"", [("Location", f"https://hooks.example{path}")])
    made = await create(api, url=receiver.url.replace("/hook", path))
    delivery = await delivered(api, made, "failed")
    assert "'https://hooks.example***'" in delivery["error_message"]
    assert "xyzzy" not in json.dumps(delivery)


async def test_ordinary_words_are_left_alone(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """Short values, and words that only contain a value, are no secrets that anybody could see."""
    receiver.default = Answer(200, b'{"ok": true, "env": "production", "hook": "webhook"}')
    headers = {"X-Flag": "true", "X-Part": "product", "Accept": "application/json"}
    made = await create(api, url=receiver.url, headers=headers)
    delivery = await delivered(api, made, "success")
    assert delivery["response_body"] == '{"ok": true, "env": "production", "hook": "webhook"}'
