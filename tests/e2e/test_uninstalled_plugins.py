"""Every plugin can be missing: the hub runs on, says what it has, and answers 404 for the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import httpx
import pytest

from hookhub.config import Settings
from hookhub.plugins import GROUP, Plugins
from hookhub.testing.fixtures import StartHub
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.serving import client_of, serving

CORE = Path(__file__).parents[2] / "hookhub"

# Plugin to its routes and to an event type that only it declares.
PLUGINS: dict[str, tuple[list[str], str | None]] = {
    "users": (["/users", "/users/1"], "user.created"),
    "payments": (["/transactions"], "payment.completed"),
    "tickets": (["/tickets", "/tickets/1"], "ticket.created"),
    "websocket": (["/ws"], None),
    "webhook": (["/webhooks", "/webhooks/stats", "/webhooks/1"], None),
    "log": ([], None),
}

_WITHOUT_PLUGINS = """
import importlib.metadata, sys
sys.modules.update(dict.fromkeys({plugins!r}))  # importing one of them raises ImportError
import hookhub, hookhub.server, hookhub.cli, hookhub.client
print(sorted(name for name in sys.modules if name.startswith("hookhub_") and sys.modules[name]))
"""

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def _without(settings: Settings, plugin: str, how: str) -> tuple[Settings, Plugins]:
    if how == "disabled":
        settings = Settings.model_validate(
            {**settings.model_dump(), "plugins": {"disabled": [plugin]}}
        )
        return settings, Plugins.load(settings.plugins)
    installed = [point for point in entry_points(group=GROUP) if point.name != plugin]
    return settings, Plugins.load(settings.plugins, installed=installed)


@pytest.mark.parametrize("how", ["uninstalled", "disabled"])
@pytest.mark.parametrize("plugin", PLUGINS)
async def test_a_hub_without_it(hub_settings: Settings, plugin: str, how: str) -> None:
    """The hub starts, is ready, takes events, and knows neither the plugin's routes nor types."""
    routes, event_type = PLUGINS[plugin]
    settings, plugins = _without(hub_settings, plugin, how)
    async with serving(settings, plugins) as started, client_of(started) as http:
        assert (await http.get("/health/ready")).status_code == 200
        for path in routes:
            response = await http.get(path)
            assert response.status_code == 404, f"{path}: {response.text}"
            assert response.json()["code"] == "not_found"
        if plugin == "websocket":
            assert (await http.get("/ws?token=x", headers=UPGRADE)).status_code == 404
        known = {item["name"]: item for item in (await http.get("/event-types")).json()["items"]}
        declared = {name for _, name in PLUGINS.values() if name is not None}
        assert declared & set(known) == declared - {event_type}
        theirs = [item for item in known.values() if item["plugin"] != "hookhub"]
        await _still_takes_events(http, theirs[0])
    reports = {report.name: report for report in started.hub.plugins.report()}
    assert {name for name in reports if reports[name].error is not None} == set()
    working = {name for name in reports if not reports[name].disabled}
    assert set(PLUGINS) - working == {plugin}
    assert (plugin in reports) == (how == "disabled")


async def _still_takes_events(http: httpx.AsyncClient, known: dict[str, Any]) -> None:
    event = {"type": known["name"], "payload": known["example"]}
    sent = await http.post("/events", json=event)
    assert sent.status_code == 202, sent.text
    assert (await http.get("/events")).json()["items"][-1]["id"] == sent.json()["id"]


def test_the_list_of_plugins(tmp_path: Path) -> None:
    """``hookhub plugins`` says what there is, what it brings, and what is disabled."""
    disabled = ["log", "webhook"]
    listed = HubProcess(tmp_path, {"plugins": {"disabled": disabled}}).run("plugins", "--json")
    assert listed.returncode == 0, listed.stderr
    found = {item["name"]: item for item in json.loads(listed.stdout)["items"]}
    assert set(PLUGINS) <= set(found)
    assert sorted(name for name in found if found[name]["disabled"]) == disabled
    for name, (routes, event_type) in PLUGINS.items():
        brings = found[name]["contributes"]
        if name in disabled:
            assert brings == {}
            continue
        assert found[name]["version"]
        assert event_type is None or event_type in brings["event_types"]
        assert not routes or f"GET {routes[0]}" in brings["routes"]


def test_a_hub_without_any(start_hub: StartHub) -> None:
    """With every plugin gone the hub still runs, and its API says that it knows no event type."""
    hub = start_hub({"plugins": {"disabled": list(PLUGINS)}})
    with hub.client() as http:
        assert http.get("/health/ready").status_code == 200
        refused = http.post("/events", json={"type": "user.created", "payload": {}})
        assert refused.status_code == 422
        assert refused.json()["code"] == "unknown_event_type"
        assert "known types are delivery.failed" in refused.json()["detail"]


def test_the_core_imports_no_plugin(tmp_path: Path) -> None:
    """The core runs where no plugin can be imported: only itself on the path, theirs blocked."""
    packages = [f"hookhub_{name}" for name in PLUGINS]
    (tmp_path / "hookhub").symlink_to(CORE)
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_PLUGINS.format(plugins=packages)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
