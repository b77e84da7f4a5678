"""The page "Live": history and what happens, without a seam."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hookhub.testing.fixtures import StartHub
from hookhub.testing.hub_process import HubProcess

OpenPanel = Callable[..., Any]
Post = Callable[..., Any]
Emit = Callable[..., int]

TICKET = {
    "type": "ticket.created",
    "payload": {
        **{"ticket_id": 1, "user_id": 1, "title": "Invoice", "status": "open"},
        **{"priority": "normal", "has_media": False},
    },
}


def test_history_and_then_what_happens(hub: HubProcess, open_panel: OpenPanel, emit: Emit) -> None:
    """The last events of history and the live ones stand in one list without a seam."""
    before = [emit(hub, number, first_name="before") for number in range(3)]
    panel = open_panel(hub).open().sign_in().live()
    panel.expect(panel.rows(f"#{before[-1]}")).to_have_count(1)
    after = [emit(hub, number, first_name="after") for number in range(3)]
    panel.expect(panel.rows("after")).to_have_count(3)
    assert panel.sequences()[:6] == [*reversed(after), *reversed(before)]
    panel.check()


def test_choosing_and_pausing(
    hub: HubProcess, open_panel: OpenPanel, post: Post, emit: Emit
) -> None:
    """A pattern chooses history and live events alike; a pause holds back and loses nothing."""
    panel = open_panel(hub).open().sign_in().live()
    emit(hub, 1, first_name="unchosen")
    post(hub, "/events", TICKET)
    panel.expect(panel.rows("ticket.created")).to_have_count(1)
    panel.page.fill("#filter", "ticket")
    panel.page.press("#filter", "Enter")
    panel.expect(panel.page.locator("#filter")).to_have_value("ticket.*")
    panel.expect(panel.rows()).to_have_count(1)
    panel.live()
    panel.page.click("#pause")
    emit(hub, 2, first_name="unchosen")
    post(hub, "/events", TICKET)
    panel.says("#pause", "1 new")
    panel.expect(panel.rows()).to_have_count(1)
    panel.page.click("#pause")
    panel.expect(panel.rows()).to_have_count(2)
    panel.check()
    panel.page.fill("#filter", "Ticket!")
    panel.page.press("#filter", "Enter")
    panel.says("#filter-problem", "is not an event type pattern")
    post(hub, "/events", TICKET)
    panel.expect(panel.rows()).to_have_count(3)
    panel.check(provoked=True)


def test_choosing_by_payload(hub: HubProcess, open_panel: OpenPanel, emit: Emit) -> None:
    """A payload filter holds for history and live events; the search looks at what is shown."""
    emit(hub, 70_001, first_name="early bird")
    emit(hub, 1, first_name="unchosen")
    panel = open_panel(hub).open().sign_in().live()
    panel.page.fill("#where", '{"user_id": {"$gt": 70000}}')
    panel.page.press("#where", "Enter")
    panel.expect(panel.rows()).to_have_count(1)
    panel.live()
    emit(hub, 2, first_name="unchosen")
    emit(hub, 70_002, first_name="late owl")
    panel.expect(panel.rows()).to_have_count(2)
    panel.page.fill("#search", "OWL")
    panel.expect(panel.rows()).to_have_count(1)
    emit(hub, 70_003, first_name="another owl")
    panel.expect(panel.rows("owl")).to_have_count(2)
    panel.page.fill("#search", "nobody")
    panel.says(".empty", "matches the search")
    panel.page.fill("#search", "")
    panel.expect(panel.rows()).to_have_count(3)
    panel.check()
    panel.page.fill("#where", '{"user_id": {"$more": 1}}')
    panel.page.press("#where", "Enter")
    panel.says("#filter-problem", "$more")
    panel.page.fill("#where", "{")
    panel.page.press("#where", "Enter")
    panel.says("#filter-problem", "no JSON")
    panel.check(provoked=True)


def test_hostile_payloads_are_text(
    hub: HubProcess, open_panel: OpenPanel, emit: Emit, hostile: str
) -> None:
    """Markup in a payload is shown as it was sent, and numbers to the last digit."""
    large = 12345678901234567890
    panel = open_panel(hub).open().sign_in().live()
    sequence = emit(hub, 666, first_name=hostile, extra={hostile: [large, 1.0, 1e300]})
    row = panel.rows(f"#{sequence}")
    panel.expect(row).to_contain_text("<img src=x onerror='window.hacked = 1'><script>")
    row.click()
    panel.says("#event-payload", "<img src=x onerror='window.hacked = 1'><script>")
    panel.says("#event-payload", r"\u202eevil")
    panel.says("#event-payload", re.compile(rf"{large},\s+1\.0,\s+1e\+300"))
    assert panel.page.locator("main :is(script, #rows img, #rows svg, #event svg)").count() == 0
    panel.check()
    # Even a mistake in the panel's own code could not turn text into markup.
    mistake = "() => { try { document.body.innerHTML = '<b>x</b>' } catch (e) { return e.name } }"
    assert panel.page.evaluate(mistake) == "TypeError"


def test_the_page_stays_small(
    start_hub: StartHub, open_panel: OpenPanel, post: Post, emit: Emit
) -> None:
    """Only rows that are seen exist, old events are let go, and no row is next to a wrong one."""
    hub = start_hub()
    panel = open_panel(hub).open().sign_in().live()
    for start in range(0, 5_000, 1_000):
        batch = [
            {"type": "user.created", "payload": {"user_id": start + number}}
            for number in range(1_000)
        ]
        post(hub, "/events/batch", batch)
    last = emit(hub, 1)
    panel.expect(panel.rows(f"#{last}")).to_have_count(1)
    shown = panel.sequences()
    assert shown == list(range(last, last - len(shown), -1))
    assert len(shown) < 60
    panel.says("#live-count", re.compile(r"2,\d\d\d events"))
    # The oldest that is kept is reached, and reading there is not disturbed by what comes.
    panel.rows().first.focus()
    panel.page.keyboard.press("End")
    focused = panel.page.locator("#rows .row:focus")
    panel.expect(focused).to_have_count(1)
    oldest = int(focused.locator(".sequence").inner_text()[1:])
    assert last - 2_300 < oldest <= last - 1_999
    top = panel.page.evaluate("document.querySelector('.scroller').scrollTop")
    assert top > 70_000
    emit(hub, 2)
    panel.expect(panel.page.locator("#rows li").first).to_have_attribute(
        "aria-setsize", re.compile(r"\d+")
    )
    panel.page.click("#to-top")
    panel.expect(panel.rows(f"#{last + 1}")).to_be_visible()
    # A pause that was too long for the page lets go what is older, not what is in between.
    before = post(hub, "/events", TICKET)["sequence"]
    panel.page.fill("#filter", "ticket")
    panel.page.press("#filter", "Enter")
    panel.expect(panel.rows(f"#{before}")).to_have_count(1)
    panel.live().page.click("#pause")
    for count in (1_000, 1_000, 250):
        post(hub, "/events/batch", [TICKET] * count)
    panel.says("#pause", "2,049 new").page.click("#pause")
    panel.says("#live-count", "2,049 events")
    panel.check()


def test_where_an_event_went(
    start_hub: StartHub, open_panel: OpenPanel, post: Post, emit: Emit, receiver: Any
) -> None:
    """An open event shows the webhooks that it went to, and each attempt as it happens."""
    hub = start_hub({"delivery": {"retry_schedule": [600.0]}})
    receiver.status = 503
    receiver.body = b"not yet"
    post(hub, "/webhooks", {"name": "CRM", "url": receiver.url, "event_type": "user.*"})
    panel = open_panel(hub).open().sign_in().live()
    emit(hub, 1)
    panel.rows("user.created").click()
    panel.says("#event-followers", "127.0.0.1")
    panel.says("#event-deliveries", "CRM").says("#event-deliveries", "1 attempt")
    panel.says("#event-deliveries [aria-label=Answer]", "not yet")
    # Somebody else tries again; nothing is pressed in the panel.
    receiver.status, receiver.body = 200, b"got it"
    post(hub, "/deliveries/1/retry")
    panel.says("#event-deliveries", "2 attempts").says("#event-deliveries", "got it")
    panel.expect(panel.page.locator("#event-deliveries .pill.success").first).to_be_visible()
    row = panel.rows("user.created")
    row.click()
    panel.expect(panel.page.locator("#event")).to_have_count(0)
    panel.check()


def test_by_keyboard(hub: HubProcess, open_panel: OpenPanel, emit: Emit) -> None:
    """Everything is reached without a mouse: rows by arrows, an event by Enter and Escape."""
    emit(hub, 1, first_name="older")
    emit(hub, 2, first_name="newer")
    panel = open_panel(hub).open()
    panel.expect(panel.page.locator("#token")).to_be_focused()
    panel.page.keyboard.type(hub.token)
    panel.page.keyboard.press("Enter")
    panel.live()
    newest = panel.rows("newer").first
    panel.expect(newest).to_be_visible()
    panel.page.focus("#pause")
    panel.page.keyboard.press("Tab")
    panel.expect(newest).to_be_focused()
    panel.page.keyboard.press("ArrowDown")
    panel.expect(panel.rows("older").first).to_be_focused()
    panel.page.keyboard.press("Enter")
    panel.says("#event-payload", '"first_name": "older"')
    panel.page.keyboard.press("Escape")
    panel.expect(panel.page.locator("#event")).to_have_count(0)
    panel.expect(panel.rows("older").first).to_be_focused()
    panel.check()
