"""Every plugin can be missing: the hub runs on, says what it has, and answers 404 for the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hookhub.testing.fixtures import StartHub

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


def _listed(text: str) -> dict[str, dict[str, Any]]:
    found = json.loads(text)
    items = found["items"] if isinstance(found, dict) else found
    return {item["name"]: item for item in items}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_hub_without_it(start_hub: StartHub, plugin: str) -> None:
    """The hub starts, is ready, lists the plugin as disabled, and does not know its routes."""
    routes, event_type = PLUGINS[plugin]
    hub = start_hub({"plugins": {"disabled": [plugin]}})
    with hub.client() as http:
        for path in routes:
            response = http.get(path)
            assert response.status_code == 404, f"{path}: {response.text}"
            assert response.json()["code"] == "not_found"
        if plugin == "websocket":
            assert http.get("/ws?token=x", headers=UPGRADE).status_code == 404
        known = {item["name"] for item in http.get("/event-types").json()["items"]}
        assert event_type not in known
        for other, (_, others) in PLUGINS.items():
            assert other == plugin or others is None or others in known
        _still_takes_events(http, known)
    listed = hub.run("plugins", "--json")
    assert listed.returncode == 0, listed.stderr
    found = _listed(listed.stdout)
    assert set(PLUGINS) <= set(found)
    assert {name for name in PLUGINS if found[name]["status"] != "loaded"} == {plugin}


def _still_takes_events(http: Any, known: set[str]) -> None:
    kind = "user.created" if "user.created" in known else "ticket.created"
    types = {item["name"]: item for item in http.get("/event-types").json()["items"]}
    sent = http.post("/events", json={"type": kind, "payload": types[kind]["example"]})
    assert sent.status_code == 202, sent.text
    assert http.get("/events").json()["items"][-1]["id"] == sent.json()["id"]


def test_a_hub_without_any(start_hub: StartHub) -> None:
    """With every plugin gone the hub still runs, and its API says that it knows no event type."""
    hub = start_hub({"plugins": {"disabled": list(PLUGINS)}})
    with hub.client() as http:
        assert http.get("/health/ready").status_code == 200
        refused = http.post("/events", json={"type": "user.created", "payload": {}})
        assert refused.status_code == 422
        assert refused.json()["code"] == "unknown_event_type"
        assert "no installed plugin" in refused.json()["detail"]


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
