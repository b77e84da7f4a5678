"""``/webhooks`` on a real hub."""

from __future__ import annotations

import base64
import json
import ssl
from functools import partial
from typing import Any

import certifi
import httpx
import trio

from hookhub.contracts.deliveries import EndpointOptions
from hookhub.contracts.events import parse_timestamp
from hookhub.hub import Hub
from hookhub.testing.receiver import Receiver, Reply
from hookhub_webhook.config import MASK

URL = "https://example.com/hook"
CA = ssl.DER_cert_to_PEM_cert(
    ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)[0]
)
"""Any certificate."""
FIELDS = {
    *("id", "name", "url", "event_type", "event_types", "description", "is_active", "created_at"),
    *("updated_at", "last_triggered_at", "failure_count", "success_count", "disabled_reason"),
    *("has_secret", "format", "headers", "timeout", "ca", "retry_schedule", "concurrency"),
    *("rate_limit", "ordered", "failing_since", "breaker", "filter", "transform", "unreadable"),
}


async def create(api: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    """A new webhook."""
    body = {"name": "My Webhook", "url": URL, "event_type": "user.created", **members}
    answer = await api.post("/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def problem(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The problem document of an answer that has to be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert code is None or document["code"] == code
    assert document["detail"].endswith((".", ")."))
    return document


def places(answer: httpx.Response) -> list[list[str | int]]:
    """Where the wrong fields of a 422 are."""
    return [error["loc"] for error in problem(answer, 422)["errors"]]


async def test_create_as_the_seed_does(api: httpx.AsyncClient) -> None:
    """The seed's own body makes a webhook, whose secret is not in any answer."""
    made = await create(
        api, secret="optional-secret-for-signing", description="Webhook для новых пользователей"
    )
    assert set(made) == FIELDS
    assert made == {
        **made,
        "name": "My Webhook",
        "url": URL,
        "event_type": "user.created",
        "event_types": ["user.created"],
        "description": "Webhook для новых пользователей",
        "is_active": True,
        "has_secret": True,
        "format": "payload",
        "headers": {},
        "failure_count": 0,
        "success_count": 0,
        "last_triggered_at": None,
        "disabled_reason": None,
        "failing_since": None,
        "unreadable": None,
        "breaker": "closed",
        "ca": None,
        "retry_schedule": None,
        "concurrency": None,
        "rate_limit": None,
        "ordered": False,
        "filter": None,
        "transform": None,
    }
    assert parse_timestamp(made["created_at"]) == parse_timestamp(made["updated_at"])
    shown = await api.get(f"/webhooks/{made['id']}")
    assert shown.json() == made
    assert "optional-secret" not in shown.text + (await api.get("/webhooks")).text


async def test_create_with_everything(api: httpx.AsyncClient) -> None:
    """Several types, a format, headers, certificates, and limits of its own."""
    made = await create(
        api,
        event_type=None,
        event_types=["ticket.*", "user.created", "ticket.*"],
        is_active=False,
        format="envelope",
        headers={"Authorization": "Bearer hunter2"},
        timeout=30,
        ca=f"Our own:\n{CA}",
        retry_schedule=[1, 2.5],
        concurrency=1000,
        rate_limit=0.5,
        ordered=True,
    )
    assert made["event_types"] == ["ticket.*", "user.created"]
    assert (made["event_type"], made["is_active"]) == ("ticket.*", False)
    assert (made["timeout"], made["ca"], made["retry_schedule"]) == (30, CA, [1, 2.5])
    assert (made["concurrency"], made["rate_limit"], made["ordered"]) == (1000, 0.5, True)
    assert (await api.get(f"/webhooks/{made['id']}")).json() == made
    assert made["headers"] == {"Authorization": MASK}


async def test_event_type_and_event_types_together(api: httpx.AsyncClient) -> None:
    """Sent together they are one list, event_type first: as they are shown."""
    made = await create(api, event_type="user.created", event_types=["ticket.*", "user.created"])
    assert made["event_types"] == ["user.created", "ticket.*"]
    path = f"/webhooks/{made['id']}"
    back = {name: made[name] for name in ("event_type", "event_types")}
    assert (await api.patch(path, json=back)).json()["event_types"] == made["event_types"]
    changed = (await api.patch(path, json={**back, "event_type": "ticket.created"})).json()
    assert changed["event_types"] == ["ticket.created", "user.created", "ticket.*"]
    changed = (await api.patch(path, json={"event_type": "*"})).json()
    assert (changed["event_type"], changed["event_types"]) == ("*", ["*"])


async def test_generated_secret_is_shown_once(api: httpx.AsyncClient, hub: Hub) -> None:
    """``generate_secret`` shows a ``whsec_`` secret in the answer to the creation only."""
    made = await create(api, generate_secret=True)
    assert set(made) == {*FIELDS, "secret", "signing_secret"}
    assert made["signing_secret"] == made["secret"]
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) == 32
    endpoint = await hub.endpoints.get("webhook", made["id"])
    assert [secret.value for secret in endpoint.secrets] == [made["secret"]]
    assert set((await api.get(f"/webhooks/{made['id']}")).json()) == FIELDS


# A hub for each row would take a minute: the tables are walked within one.
WRONG_FIELDS: list[tuple[dict[str, Any], list[str | int]]] = [
    ({"name": ""}, ["name"]),
    ({"name": " "}, ["name"]),
    ({"name": "x" * 256}, ["name"]),
    ({"name": "a\x00b"}, ["name"]),
    ({"name": "a\nb"}, ["name"]),
    ({"name": 5}, ["name"]),
    ({"name": None}, ["name"]),
    ({"name": "\ud800"}, ["name"]),
    ({"description": "a\x00b"}, ["description"]),
    ({"description": "x" * 1001}, ["description"]),
    ({"url": "not a url"}, ["url"]),
    ({"url": "https://u:p@example.com/"}, ["url"]),
    ({"is_active": "yes"}, ["is_active"]),
    ({"is_active": None}, ["is_active"]),
    ({"secret": ""}, ["secret"]),
    ({"secret": "x" * 256}, ["secret"]),
    ({"secret": "whsec_short"}, ["secret"]),
    ({"secret": "a", "generate_secret": True}, ["secret"]),
    ({"event_type": None}, ["event_type"]),
    ({"event_type": ""}, ["event_type"]),
    ({"event_type": "User Created"}, ["event_type"]),
    ({"event_type": "nothing.*"}, ["event_type"]),
    ({"event_types": []}, ["event_types"]),
    ({"event_types": ["user.created", "nothing.*"]}, ["event_types", 1]),
    ({"headers": {"Host": "x"}}, ["headers", "Host"]),
    ({"headers": {"X": MASK}}, ["headers", "X"]),
    ({"timeout": "5"}, ["timeout"]),
    ({"format": "xml"}, ["format"]),
    ({"secret": "sealed:v1:x"}, ["secret"]),
    ({"ca": "no certificate"}, ["ca"]),
    ({"ca": CA + "-----BEGIN EC PRIVATE KEY-----"}, ["ca"]),
    ({"retry_schedule": []}, ["retry_schedule"]),
    ({"retry_schedule": [-1]}, ["retry_schedule", 0]),
    ({"retry_schedule": [1e9]}, ["retry_schedule", 0]),
    ({"retry_schedule": [1] * 51}, ["retry_schedule"]),
    ({"concurrency": 0}, ["concurrency"]),
    ({"concurrency": 1001}, ["concurrency"]),
    ({"concurrency": 1.5}, ["concurrency"]),
    ({"rate_limit": 0}, ["rate_limit"]),
    ({"rate_limit": 10_001}, ["rate_limit"]),
    ({"rate_limit": "1"}, ["rate_limit"]),
    ({"ordered": None}, ["ordered"]),
    ({"ordered": 1}, ["ordered"]),
    ({"surprise": 1}, ["surprise"]),
]


async def test_wrong_field_is_named(api: httpx.AsyncClient) -> None:
    """Each wrong field of a creation gets 422 with its place, and nothing is made."""
    for members, loc in WRONG_FIELDS:
        body = {"name": "A", "url": URL, "event_type": "user.created", **members}
        # Not json=…: httpx cannot write half of a surrogate pair, other clients can.
        answer = await api.post(
            "/webhooks", content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert any(place[: len(loc)] == loc for place in places(answer)), (members, answer.text)
    assert (await api.get("/webhooks")).json()["total"] == 0


async def test_unknown_event_type_names_the_nearest(api: httpx.AsyncClient) -> None:
    """An exact type must be declared; the answer names the nearest one."""
    answer = await api.post(
        "/webhooks", json={"name": "A", "url": URL, "event_type": "user.creatd"}
    )
    document = problem(answer, 422, "unknown_event_type")
    assert document["nearest"] == "user.created"
    assert document["errors"][0]["loc"] == ["event_type"]


async def test_blocked_address(api: httpx.AsyncClient) -> None:
    """A private address gets 422 ``blocked_address``, naming the setting."""
    for url in ("http://192.168.1.1/", "http://metadata.google.internal/", "http://0xa9fea9fe/"):
        answer = await api.post("/webhooks", json={"name": "A", "url": url, "event_type": "*"})
        assert "[egress] allow" in problem(answer, 422, "blocked_address")["detail"]


async def test_a_name_may_be_there_twice(api: httpx.AsyncClient) -> None:
    """Webhooks are told by their ids: two may have one name and even one address."""
    first, again = await create(api), await create(api)
    assert (first["name"], first["url"]) == (again["name"], again["url"])
    assert first["id"] != again["id"]
    other = await create(api, name="Other")
    answer = await api.patch(f"/webhooks/{other['id']}", json={"name": first["name"]})
    assert (answer.status_code, answer.json()["name"]) == (200, first["name"])


async def test_list(api: httpx.AsyncClient) -> None:
    """Lists are pages, filtered by type and by state."""
    await create(api, name="users")
    await create(api, name="tickets", event_type="ticket.*")
    await create(api, name="off", event_type="*", is_active=False)

    async def names(**query: Any) -> list[str]:
        answer = await api.get("/webhooks", params=query)
        assert answer.status_code == 200, answer.text
        return [item["name"] for item in answer.json()["items"]]

    assert await names() == ["users", "tickets", "off"]
    assert await names(event_type="user.created") == ["users", "off"]
    assert await names(event_type="ticket.*", is_active="true") == ["tickets"]
    assert await names(is_active="false") == ["off"]
    assert await names(limit=1, offset=1) == ["tickets"]
    page = (await api.get("/webhooks", params={"limit": 1, "offset": 2})).json()
    assert (page["total"], page["limit"], page["offset"]) == (3, 1, 2)


async def test_wrong_query_is_named(api: httpx.AsyncClient) -> None:
    """A wrong filter or page gets 422 that names it."""
    for query in (
        *("limit=0", "limit=201", "limit=-1", "limit=x", "offset=-1", "is_active=maybe"),
        *("event_type=A%00", "event_type=", "surprise=1"),
    ):
        answer = await api.get(f"/webhooks?{query}")
        assert places(answer) == [["query", query.partition("=")[0]]], query


async def test_update(api: httpx.AsyncClient, hub: Hub) -> None:
    """A change touches what it names, and nothing else."""
    made = await create(
        api, secret="s", description="d", timeout=5, headers={"X-A": "1", "X-B": "2"}
    )
    path = f"/webhooks/{made['id']}"
    answer = await api.patch(path, json={"name": "Updated Name", "is_active": False})
    changed = answer.json()
    assert changed == {
        **made,
        "name": "Updated Name",
        "is_active": False,
        "updated_at": changed["updated_at"],
        "dropped_headers": [],
    }
    changed = (
        await api.patch(
            path,
            json={
                "url": "https://EXAMPLE.com",
                "event_types": ["ticket.created", "ticket.*"],
                "headers": {"x-a": MASK, "X-C": "3"},
                "timeout": None,
                "description": None,
                "secret": None,
            },
        )
    ).json()
    assert changed["url"] == "https://example.com/"
    assert (changed["event_type"], changed["timeout"]) == ("ticket.created", None)
    assert (changed["description"], changed["has_secret"]) == (None, False)
    stored = await hub.endpoints.get("webhook", made["id"])
    assert stored.config["headers"] == {"x-a": "1", "X-C": "3"}
    assert (await api.patch(path, json={})).json() == changed
    assert (await api.patch(path)).json() == changed


async def test_options_are_changed_one_by_one(api: httpx.AsyncClient, hub: Hub) -> None:
    """What a change does not name stays; null goes back to the hub's own."""
    made = await create(api, retry_schedule=[1], concurrency=5, rate_limit=2, ca=CA)
    path = f"/webhooks/{made['id']}"
    changed = (await api.patch(path, json={"ordered": True, "concurrency": None})).json()
    assert changed == {
        **made,
        "ordered": True,
        "concurrency": None,
        "updated_at": changed["updated_at"],
        "dropped_headers": [],
    }
    stored = await hub.endpoints.get("webhook", made["id"])
    assert stored.options == EndpointOptions((1.0,), None, 2.0, True)
    nothing = {"retry_schedule": None, "rate_limit": None, "ordered": False, "ca": None}
    await api.patch(path, json=nothing)
    stored = await hub.endpoints.get("webhook", made["id"])
    assert stored.options == EndpointOptions()
    assert "ca" not in stored.config


async def test_changes_at_once_are_not_lost(api: httpx.AsyncClient) -> None:
    """Two people who change different members at the same time both have their way."""
    made = await create(api, headers={"X-A": "1"})
    path = f"/webhooks/{made['id']}"
    members: list[dict[str, Any]] = [
        {"url": "https://example.com/new"},
        {"format": "envelope"},
        {"timeout": 7},
        {"headers": {"x-a": MASK, "X-B": "2"}},
        {"ca": CA},
        {"retry_schedule": [9]},
        {"concurrency": 3},
        {"rate_limit": 4},
        {"ordered": True},
        {"description": "changed"},
    ]
    async with trio.open_nursery() as nursery:
        for change in members:
            nursery.start_soon(partial(api.patch, path, json=change))
    found = (await api.get(path)).json()
    for change in members:
        if "headers" not in change:
            assert found == {**found, **change}
    assert set(found["headers"]) == {"x-a", "X-B"}


async def test_null_is_refused_where_it_means_nothing(api: httpx.AsyncClient) -> None:
    """Only what can be absent may be set to null."""
    made = await create(api)
    path = f"/webhooks/{made['id']}"
    for field in (
        *("name", "url", "event_type", "event_types", "is_active", "format", "headers"),
        "ordered",
    ):
        answer = await api.patch(path, json={field: None})
        assert places(answer)[0][0] == field
    assert (await api.get(path)).json() == made


async def test_bad_change_changes_nothing(api: httpx.AsyncClient) -> None:
    """A change with one wrong field is refused as a whole."""
    made = await create(api)
    for wrong in ({"url": "http://10.0.0.1/"}, {"event_type": "user.creatd"}, {"timeout": 0}):
        answer = await api.patch(f"/webhooks/{made['id']}", json={"name": "New", **wrong})
        problem(answer, 422)
    assert (await api.get(f"/webhooks/{made['id']}")).json() == made


async def test_delete(api: httpx.AsyncClient) -> None:
    """204 without a body; afterwards there is nothing, and the name is free."""
    made = await create(api)
    answer = await api.delete(f"/webhooks/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    problem(await api.get(f"/webhooks/{made['id']}"), 404, "not_found")
    await create(api)


OPERATIONS = [
    ("GET", "", "webhooks:read"),
    ("PATCH", "", "webhooks:write"),
    ("DELETE", "", "webhooks:write"),
    ("POST", "/test", "webhooks:write"),
    ("POST", "/rotate-secret", "webhooks:write"),
    ("POST", "/enable", "webhooks:write"),
    ("POST", "/disable", "webhooks:write"),
    ("POST", "/retry-failed", "webhooks:write"),
    ("GET", "/deliveries", "webhooks:read"),
    ("DELETE", "/deliveries?status=pending", "webhooks:write"),
]
"""Method, path below a webhook and scope of everything that can be done with one."""


async def test_unknown_webhook(api: httpx.AsyncClient) -> None:
    """Every operation on a webhook that is not there is 404, with a sentence."""
    for method, path, _ in OPERATIONS:
        for number in (0, 999, 2**63 - 1, 2**70):
            answer = await api.request(method, f"/webhooks/{number}{path}")
            problem(answer, 404, "not_found")


async def test_scopes(api: httpx.AsyncClient) -> None:
    """Reading needs ``webhooks:read``, everything else ``webhooks:write``; and a token."""
    tokens = {}
    for scope, others in (
        ("webhooks:read", ["events:write", "webhooks:write"]),
        ("webhooks:write", ["events:write", "webhooks:read"]),
    ):
        made = await api.post("/tokens", json={"name": f"not {scope}", "scopes": others})
        tokens[scope] = made.json()["token"]
    for method, path, scope in (
        ("GET", "/webhooks", "webhooks:read"),
        ("GET", "/webhooks/stats", "webhooks:read"),
        ("POST", "/webhooks", "webhooks:write"),
        *((method, f"/webhooks/1{path}", scope) for method, path, scope in OPERATIONS),
    ):
        lacking = {"Authorization": f"Bearer {tokens[scope]}"}
        answer = await api.request(method, path, headers=lacking)
        assert problem(answer, 403, "missing_scope")["scope"] == scope
        answer = await api.request(method, path, headers={"Authorization": "Bearer nonsense"})
        problem(answer, 401, "unauthorized")


async def test_rotate_secret(api: httpx.AsyncClient, hub: Hub) -> None:
    """A rotation answers the new secret once; the old one stays valid beside it."""
    made = await create(api, secret="old")
    path = f"/webhooks/{made['id']}/rotate-secret"
    rotated = (await api.post(path)).json()
    assert set(rotated) == {*FIELDS, "secret", "signing_secret"}
    assert rotated["secret"].startswith("whsec_")
    given = (await api.post(path, json={"secret": "пароль"})).json()
    assert given["secret"] == "пароль"
    form = "whsec_" + base64.b64encode("пароль".encode()).decode()
    assert given["signing_secret"] == form
    endpoint = await hub.endpoints.get("webhook", made["id"])
    assert [item.value for item in endpoint.secrets] == ["пароль", rotated["secret"], "old"]
    assert [item.expires_at is None for item in endpoint.secrets] == [True, False, False]
    assert places(await api.post(path, json={"secret": "whsec_short"})) == [["secret"]]


async def test_enable_and_disable(api: httpx.AsyncClient) -> None:
    """Two verbs that undo each other, and may be repeated."""
    made = await create(api)
    for verb, active in (("disable", False), ("disable", False), ("enable", True)):
        answer = await api.post(f"/webhooks/{made['id']}/{verb}")
        assert (answer.status_code, answer.json()["is_active"]) == (200, active)


async def test_test_delivery(api: httpx.AsyncClient, receiver: Receiver) -> None:
    """A test sends an example once and shows what came of it; nothing is stored or counted."""
    made = await create(api, url=receiver.url, event_type="ticket.*", secret="s")
    receiver.script(Reply(200, b"fine"), Reply(500, b"broken"))
    path = f"/webhooks/{made['id']}/test"
    good = (await api.post(path)).json()
    assert (good["success"], good["response_status"], good["response_body"]) == (True, 200, "fine")
    assert (good["event_type"], good["payload"]) == ("ticket.created", {"user_id": 123})
    bad = (await api.post(path, json={"event_type": "user.created"})).json()
    assert (bad["success"], bad["error"], bad["response_body"]) == (False, "status", "broken")
    assert bad["duration"] > 0
    assert set(good["timings"]) == {"dns", "connect", "wait", "total"}
    assert [request.header("x-webhook-event") for request in receiver.requests] == [
        "ticket.created",
        "user.created",
    ]
    assert receiver.requests[0].header("webhook-id") == good["event_id"]
    assert (await api.get(f"/webhooks/{made['id']}")).json() == made
    answer = await api.post(path, json={"event_type": "user.creatd"})
    problem(answer, 422, "unknown_event_type")


async def test_stats_of_nothing(api: httpx.AsyncClient) -> None:
    """Totals exist from the start."""
    assert (await api.get("/webhooks/stats")).json() == {
        "total_webhooks": 0,
        "active_webhooks": 0,
        "total_deliveries": 0,
        "successful_deliveries": 0,
        "failed_deliveries": 0,
        "pending_deliveries": 0,
        "success_rate": 0.0,
    }
