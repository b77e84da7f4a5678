"""Health, plugins and metrics: what those who look after a hub see."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from hookhub.hub import Hub
from hookhub.server import Started


async def test_a_well_hub(hub_server: Started) -> None:
    """Both answer 200 without a token, and every part is named."""
    async with httpx.AsyncClient(base_url=hub_server.addresses[0], trust_env=False) as client:
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        ready = await client.get("/health/ready")
    assert ready.status_code == 200
    checks = ready.json()["checks"]
    assert {"store", "engine", "broadcaster", "plugins"} <= checks.keys()
    assert set(checks.values()) == {"ok"}


async def test_a_hub_with_a_broken_plugin(api: httpx.AsyncClient, hub: Hub) -> None:
    """It says what is wrong, and is not ready only if the plugin is required."""
    hub.plugins.troubled("sample", "It lost its mind.")
    ready = await api.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert ready.json()["checks"]["plugins"] == "warning: sample: It lost its mind."
    hub.settings.plugins.required.append("sample")
    ready = await api.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "failing")
    assert ready.headers["content-type"] == "application/json"
    assert ready.json()["checks"]["plugins"] == "sample: It lost its mind."
    assert (await api.get("/health/live")).status_code == 200
    [plugin] = (await api.get("/plugins")).json()["items"]
    assert plugin["error"] == "It lost its mind."


async def test_a_hub_that_is_about_to_stop(api: httpx.AsyncClient, hub: Hub) -> None:
    """It is not ready, but it lives and takes requests; every answer ends its connection."""
    hub.draining.set()
    ready, live = await api.get("/health/ready"), await api.get("/health/live")
    event = {"type": "user.created", "payload": {"user_id": 1}}
    taken = await api.post("/events", json=event)
    assert [ready.status_code, live.status_code, taken.status_code] == [503, 200, 202]
    assert ready.json()["checks"]["stopping"] == "the hub is stopping"
    assert [item.headers.get("connection") for item in (ready, live, taken)] == ["close"] * 3


async def test_plugins(api: httpx.AsyncClient) -> None:
    """Name, version, what each contributes, and errors."""
    listed = (await api.get("/plugins")).json()
    assert listed["total"] == 1
    [plugin] = listed["items"]
    assert (plugin["name"], plugin["error"], plugin["disabled"]) == ("sample", None, False)
    assert {"ticket.created", "user.created"} <= set(plugin["contributes"]["event_types"])
    assert plugin["contributes"]["sources"] == ["things"]


async def test_event_types(api: httpx.AsyncClient) -> None:
    """Each with its description, JSON Schema, example and plugin, by name."""
    listed = (await api.get("/event-types")).json()
    assert listed["total"] == len(listed["items"])
    mine = [item for item in listed["items"] if item["plugin"] == "sample"]
    assert [item["name"] for item in mine] == ["ticket.created", "user.created"]
    user = mine[1]
    assert user["schema"]["required"] == ["user_id"]
    assert user["example"] == {"user_id": 1, "first_name": "Аня"}
    assert user["description"] == "A user was created."


async def test_metrics(api: httpx.AsyncClient, hub: Hub) -> None:
    """Every number of every component, counters told from gauges."""
    await hub.emit("user.created", {"user_id": 1})
    await api.get("/nope")
    response = await api.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    published = families["hookhub_feed_published"]
    assert (published.type, published.samples[0].value) == ("counter", 1)
    assert published.samples[0].name == "hookhub_feed_published_total"
    assert families["hookhub_feed_last_sequence"].type == "gauge"
    assert families["hookhub_http_client_errors"].samples[0].value == 1
    for component, numbers in hub.statistics().items():
        for name in numbers:
            assert f"hookhub_{component}_{name} " in response.text
