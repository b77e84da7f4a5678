"""The panel when the hub goes away, and without what plugins bring."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hookhub.testing.fixtures import StartHub

OpenPanel = Callable[..., Any]
Emit = Callable[..., int]


def test_kill_9_under_the_open_page(start_hub: StartHub, open_panel: OpenPanel, emit: Emit) -> None:
    """The page says that it is cut off, comes back by itself, and shows everything once."""
    hub = start_hub()
    panel = open_panel(hub).open().sign_in().live()
    emit(hub, 1, first_name="first")
    panel.expect(panel.rows("first")).to_have_count(1)
    hub.kill()
    away = "#state:is([data-state=reconnecting], [data-state=offline])"
    panel.expect(panel.page.locator(away)).to_be_visible()
    hub.start()
    emit(hub, 2, first_name="second")
    panel.live()
    panel.expect(panel.rows("second")).to_have_count(1)

    hub.kill()
    panel.page.context.set_offline(True)
    panel.says("#state[data-state=offline]", "no network")
    hub.start()
    for number in (3, 4, 5):
        emit(hub, number, first_name="meanwhile")
    panel.page.context.set_offline(False)
    panel.live().says("#state", "3 events caught up")
    emit(hub, 6, first_name="last")
    panel.expect(panel.rows("last")).to_have_count(1)
    assert panel.sequences() == [6, 5, 4, 3, 2, 1]
    panel.check(provoked=True)


def test_an_orderly_restart(start_hub: StartHub, open_panel: OpenPanel, emit: Emit) -> None:
    """A hub that says goodbye is come back to when it said; a page that was open goes on."""
    hub = start_hub()
    panel = open_panel(hub).open().sign_in().live().go("webhooks")
    panel.says("main", "No webhooks yet")
    hub.restart()
    emit(hub, 1, first_name="meanwhile")
    panel.live().go("live")
    panel.expect(panel.rows("meanwhile")).to_have_count(1)
    panel.check(provoked=True)


def test_a_gap_is_said(start_hub: StartHub, open_panel: OpenPanel, emit: Emit) -> None:
    """A hub that comes back with another database is no silent gap."""
    hub = start_hub()
    panel = open_panel(hub).open().sign_in().live()
    emit(hub, 1, first_name="old")
    panel.expect(panel.rows("old")).to_have_count(1)
    hub.kill()
    for file in hub.directory.glob("hookhub.db*"):
        file.unlink()
    hub.start()
    panel.says("#gap", "unknown number").says("#rows .gap", "another database")
    panel.expect(panel.page.locator("#state[data-state=gap]")).to_be_visible()
    emit(hub, 2, first_name="new")
    panel.expect(panel.rows("new")).to_have_count(1)
    # The keyboard steps over the gap, although the sequences before and after it are the same.
    panel.rows("new").focus()
    panel.page.keyboard.press("ArrowDown")
    panel.expect(panel.rows("old")).to_be_focused()
    panel.page.click("#gap")
    panel.live()
    panel.expect(panel.page.locator("#gap")).to_have_count(0)
    panel.check(provoked=True)


def test_without_the_plugins(start_hub: StartHub, open_panel: OpenPanel, emit: Emit) -> None:
    """Without the WebSocket it follows an event stream and says so; without webhooks, none."""
    hub = start_hub({"plugins": {"disabled": ["websocket", "webhook"]}})
    emit(hub, 1, first_name="before")
    panel = open_panel(hub).open().sign_in().live()
    panel.says("#state", "event stream")
    emit(hub, 2, first_name="after")
    panel.expect(panel.rows("after")).to_have_count(1)
    assert panel.sequences() == [2, 1]
    panel.expect(panel.page.locator("#tabs [data-page=webhooks]")).to_have_count(0)
    panel.go("overview").says("#health", "store")
    panel.go("plugins").says("[data-plugin=webhook]", "disabled")
    panel.check(provoked=True)


def test_where_the_feed_is_refused(start_hub: StartHub, open_panel: OpenPanel) -> None:
    """At an address that the hub does not know as its own, the panel says why nothing comes."""
    hub = start_hub({"live": {"origins": ["https://hub.example.org"]}})
    panel = open_panel(hub).open().sign_in()
    panel.says("#state[data-state=stopped]", "refuses the live feed")
    panel.expect(panel.page.locator("#state")).to_have_attribute(
        "title", re.compile("origin", re.IGNORECASE)
    )
    panel.go("webhooks").says("main", "No webhooks yet")
    panel.check(provoked=True)
