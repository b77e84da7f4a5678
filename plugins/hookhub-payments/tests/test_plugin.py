"""The distribution and its plugin."""

from __future__ import annotations

from importlib.metadata import entry_points

import hookhub_payments
from hookhub.hub import Hub


def test_entry_point() -> None:
    """The hub finds the plugin by its entry point."""
    (found,) = entry_points(group="hookhub", name="payments")
    assert found.load() is hookhub_payments


async def test_report(hub: Hub) -> None:
    """The plugin works in a hub that has no other, and says what it brings."""
    (report,) = hub.plugins.report()
    assert (report.name, report.error) == ("payments", None)
    assert list(hub.components.sources) == ["payments"]
    declared = {item.name for item in hookhub_payments.hookhub_event_types()}
    assert {item.name for item in hub.registry if item.plugin != "hookhub"} == declared
