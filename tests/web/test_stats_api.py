"""``/stats``: how it goes now and went before, and where one event went."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import httpx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from hookhub.background.charts import LATE
from hookhub.config import Settings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.events import parse_timestamp
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.server import open_hub
from hookhub.statistics.samples import RANGES
from hookhub.store import open_store
from hookhub.store.units.statistics import read_points
from hookhub.testing.waiting import wait_until_async

COUNTED = {"events", "attempts", "delivered", "failed"}
LATENCIES = {"latency_p50", "latency_p95", "latency_p99"}
GAUGES = {"pending", "oldest_pending_seconds", "open_breakers", "connections"}


@pytest.fixture
def hub_database(any_database: str) -> str:
    """Everything here holds on SQLite and on PostgreSQL."""
    return any_database


async def get(api: httpx.AsyncClient, path: str) -> dict[str, Any]:
    response = await api.get(path)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def ended(api: httpx.AsyncClient, count: int) -> dict[str, Any]:
    """Now, once so many deliveries have ended, and the database says so as well."""

    async def look() -> dict[str, Any] | None:
        now = await get(api, "/stats/now")
        over = now["delivered"] + now["failed"] == count and now["pending"] == 0
        return now if over else None

    now = await wait_until_async(look)
    assert now is not None
    return now


async def some(api: httpx.AsyncClient, hub: Hub) -> dict[str, Any]:
    """One event, delivered to one endpoint, refused by another, not sent to a third."""
    await hub.endpoints.create("box", NewEndpoint("fine", ("*",), {}))
    await hub.endpoints.create("box", NewEndpoint("bad", ("*",), {"refuse": True}))
    await hub.endpoints.create("box", NewEndpoint("off", ("*",), {}, is_active=False))
    await hub.emit("user.created", {"user_id": 1})
    return await ended(api, 2)


async def test_now(api: httpx.AsyncClient, hub: Hub) -> None:
    """Counts, rates and latency of the last minute, and how it is."""
    idle = await get(api, "/stats/now")
    assert idle.keys() == {
        *("at", "events_per_second", "success_rate", "webhooks_total", "webhooks_active"),
        *(COUNTED | LATENCIES | GAUGES),
    }
    assert idle["success_rate"] is idle["latency_p50"] is None
    now = await some(api, hub)
    # What the hub says about the refusal is an event as well; nobody asked for it by name.
    assert {name: now[name] for name in COUNTED} == {
        "events": 2,
        "attempts": 2,
        "delivered": 1,
        "failed": 1,
    }
    assert 0 < now["latency_p50"] <= now["latency_p95"] <= now["latency_p99"] < 60
    assert (now["success_rate"], now["pending"], now["oldest_pending_seconds"]) == (50, 0, 0)
    assert (now["webhooks_total"], now["webhooks_active"]) == (3, 2)
    assert 0 < now["events_per_second"] <= 2


async def test_the_oldest_pending_delivery(api: httpx.AsyncClient, hub: Hub) -> None:
    """What waits is seen, also of an endpoint that was switched off since."""
    endpoint = await hub.endpoints.create("box", NewEndpoint("one", ("*",), {"refuse": True}))
    await hub.emit("user.created", {"user_id": 1})
    await ended(api, 1)
    await hub.endpoints.update("box", endpoint.id, {"is_active": False})
    await hub.deliveries.retry(1)
    now = await get(api, "/stats/now")
    assert now["pending"] == 1
    assert now["oldest_pending_seconds"] > 0


@pytest.mark.parametrize("name", RANGES)
async def test_series(api: httpx.AsyncClient, hub: Hub, name: str) -> None:
    """Every step that is over has a point; those of which nothing is known say so."""
    span = RANGES[name]  # type: ignore[index]
    began, passed = hub.now(), 0

    def later() -> int:
        return began + passed

    hub.store.clock = later
    await some(api, hub)
    passed += 60 * 1_000_000
    await hub.stats.tick()
    passed += (span.step + LATE) * 1_000_000
    series = await get(api, f"/stats/series?range={name}")
    assert (series["range"], series["step"]) == (name, span.step)
    at = [parse_timestamp(point["at"]) for point in series["points"]]
    assert len(at) == span.length // span.step
    assert {after - before for before, after in pairwise(at)} == {span.step * 1_000_000}
    assert at[-1] + span.step * 1_000_000 <= later()
    [known] = [point for point in series["points"] if point["attempts"]]
    assert known.keys() == {"at"} | COUNTED | LATENCIES | GAUGES
    assert (known["attempts"], known["delivered"], known["failed"]) == (2, 1, 1)
    assert (known["pending"], known["connections"]) == (0, 0)
    assert known["latency_p50"] > 0
    unknown = series["points"][0]
    assert [unknown[key] for key in ("events", "latency_p50", "pending")] == [0, None, None]


async def test_a_hub_writes_by_itself(hub_settings: Settings, hub_plugins: Plugins) -> None:
    """When a minute is over, and when it stops."""
    async with open_hub(hub_settings, hub_plugins) as hub:
        await hub.emit("user.created", {"user_id": 1})
        began = hub.now()
        hub.store.clock = lambda: began + 60 * 1_000_000
        with trio.fail_after(15):
            while not hub.stats.statistics()["samples_total"]:
                await trio.sleep(0.02)
        await hub.emit("user.created", {"user_id": 1})
    async with open_store(hub_settings.database) as store:
        rows = await store.read(lambda reader: read_points(reader, 60, 0, 2**62))
    assert sum(point.counts.events for point in rows.values()) == 2


async def test_an_hour_is_what_is_shown_if_nothing_is_said(api: httpx.AsyncClient) -> None:
    """And what is no range is refused."""
    assert (await get(api, "/stats/series"))["range"] == "hour"
    response = await api.get("/stats/series?range=year")
    assert (response.status_code, response.json()["errors"][0]["loc"]) == (422, ["query", "range"])


async def test_scopes(api: httpx.AsyncClient, hub: Hub) -> None:
    """As for everything that tells of deliveries: webhooks:read."""
    for scope, status in (("webhooks:read", 200), ("events:read", 403)):
        _, secret = await hub.tokens.create(scope, [scope])
        headers = {"Authorization": f"Bearer {secret}"}
        for path in ("/stats/now", "/stats/series"):
            assert (await api.get(path, headers=headers)).status_code == status


async def test_latency_for_prometheus(api: httpx.AsyncClient, hub: Hub) -> None:
    """A histogram of all deliveries since the start."""
    await some(api, hub)
    text = (await api.get("/metrics")).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    found = families["hookhub_delivery_latency_seconds"]
    assert found.type == "histogram"
    values = {
        (item.name.rpartition("_")[2], item.labels.get("le")): item.value for item in found.samples
    }
    assert values["count", None] == values["bucket", "+Inf"] == 1
    assert 0 < values["sum", None] < 60
    assert values["bucket", "0.001"] <= values["bucket", "0.5"] <= 1


async def test_a_delivery_names_its_endpoint(api: httpx.AsyncClient, hub: Hub) -> None:
    """In the list of an event's deliveries and by itself."""
    await some(api, hub)
    [event] = [
        item for item in (await get(api, "/events"))["items"] if "user_id" in item["payload"]
    ]
    listed = await get(api, f"/events/{event['id']}/deliveries")
    assert [item["endpoint_name"] for item in listed["items"]] == ["fine", "bad"]
    assert (await get(api, "/deliveries/1"))["endpoint_name"] == "fine"


async def test_routes_are_among_what_a_plugin_contributes(api: httpx.AsyncClient) -> None:
    """As `hookhub plugins` lists them."""
    [plugin] = (await get(api, "/plugins"))["items"]
    assert "GET /things/{thing_id}/parts/{part}" in plugin["contributes"]["routes"]
