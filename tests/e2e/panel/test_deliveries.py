"""The deliveries of a webhook in the panel: found by filters, and looked into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hookhub.testing.fixtures import StartHub

OpenPanel = Callable[..., Any]
Post = Callable[..., Any]


def test_deliveries_are_filtered(
    start_hub: StartHub, open_panel: OpenPanel, post: Post, receiver: Any
) -> None:
    """By type, event and period, with the keyboard alone; and how to get back to all of them."""
    hub = start_hub()
    post(hub, "/webhooks", {"name": "all", "url": receiver.url, "event_type": "*"})
    users = [
        post(hub, "/events", {"type": "user.created", "payload": {"user_id": number}})["id"]
        for number in range(3)
    ]
    payload = {"ticket_id": 1, "user_id": 1, "title": "t", "status": "open"}
    payload |= {"priority": "normal", "has_media": False}
    post(hub, "/events", {"type": "ticket.created", "payload": payload})
    panel = open_panel(hub).open("/admin/#/webhooks/1").sign_in().live()
    rows = panel.page.locator(".delivery-row")
    panel.expect(rows).to_have_count(4)

    panel.page.locator("#delivery-filters > summary").press("Enter")
    field = panel.page.locator
    field("#delivery-type").press_sequentially("user.*")
    field("#delivery-type").press("Enter")
    panel.expect(rows).to_have_count(3)
    panel.says("#deliveries .more", "3 found")
    field("#delivery-event").fill(users[1])
    field("#delivery-event").press("Enter")
    panel.expect(rows).to_have_count(1)
    field("#delivery-type").fill("ticket.*")
    field("#delivery-type").press("Tab")
    panel.says("#deliveries", "No such deliveries").says("#deliveries .more", "0 found")
    field("#delivery-clear").press("Enter")
    panel.expect(rows).to_have_count(4)
    panel.expect(field("#delivery-type")).to_have_value("")

    field("#delivery-since").fill("2001-01-31T12:00:00")
    field("#delivery-since").press("Tab")
    panel.says("#deliveries .more", "4 found")
    field("#delivery-until").fill("2001-02-01T12:00:00")
    field("#delivery-until").press("Tab")
    panel.expect(rows).to_have_count(0)
    field("#delivery-clear").press("Enter")
    panel.expect(rows).to_have_count(4)
    # What is being typed outlives a refresh of the list.
    field("#delivery-type").press_sequentially("user..*")
    post(hub, "/events", {"type": "user.created", "payload": {"user_id": 9}})
    panel.expect(rows).to_have_count(5)
    panel.expect(field("#delivery-type")).to_have_value("user..*")
    field("#delivery-type").press("Enter")
    panel.says("#deliveries .trouble", "user..*")
    panel.check(provoked=True)


def test_the_answers_headers_are_shown(
    start_hub: StartHub, open_panel: OpenPanel, post: Post, receiver: Any
) -> None:
    """Of each attempt, when they are asked for."""
    hub = start_hub()
    post(hub, "/webhooks", {"name": "all", "url": receiver.url, "event_type": "*"})
    post(hub, "/events", {"type": "user.created", "payload": {"user_id": 1}})
    panel = open_panel(hub).open("/admin/#/webhooks/1").sign_in().live()
    panel.page.locator(".delivery-row summary").first.click()
    headers = panel.page.locator(".answer-headers")
    panel.expect(headers).to_have_count(1)
    panel.expect(headers.locator("summary")).to_contain_text("of the answer")
    panel.expect(headers.locator("pre")).to_be_hidden()
    headers.locator("summary").press("Enter")
    panel.expect(headers.locator("pre")).to_contain_text("Content-Length: ")
    panel.check()


def test_giving_up_asks_once(start_hub: StartHub, open_panel: OpenPanel, post: Post) -> None:
    """What holds back its key is given up only after a yes; then the next one goes."""
    hub = start_hub()
    new = {"name": "strict", "url": "http://127.0.0.1:9/", "event_type": "*", "ordered": True}
    post(hub, "/webhooks", new)
    for number in range(2):
        event = {"type": "user.created", "payload": {"user_id": number}, "key": "one"}
        post(hub, "/events", event)
    panel = open_panel(hub).open("/admin/#/webhooks/1").sign_in().live()
    first = panel.page.locator(".delivery-row").last
    panel.expect(first.locator("summary").first).to_contain_text("1 attempt")
    first.locator("summary").first.click()
    first.locator(".skip-one").click()
    panel.says("#confirm", "the next delivery of the same key goes")
    panel.page.keyboard.press("Escape")
    panel.expect(panel.page.locator("#confirm")).to_have_count(0)
    with hub.client() as http:
        assert http.get("/deliveries/1").json()["status"] == "pending"
        first.locator(".skip-one").click()
        panel.page.click("#confirm-yes")
        panel.expect(panel.page.locator("#confirm")).to_have_count(0)
        panel.expect(first.locator("summary").first).to_contain_text("Skipped by hand")
        found = http.get("/deliveries/1").json()
        assert (found["status"], found["error"]) == ("failed", "skipped")
        assert not http.get("/deliveries/2").json()["held"]
    panel.check()


def test_nothing_is_pending(start_hub: StartHub, open_panel: OpenPanel) -> None:
    """The tile says so in words, not as an age of zero."""
    panel = open_panel(start_hub()).open("/admin/#/overview").sign_in().live()
    panel.says("[data-tile=pending]", "nothing is waiting")
    panel.page.evaluate("localStorage.setItem('hookhub.language', 'ru')")
    panel.page.reload()
    panel.says("[data-tile=pending]", "ничего не ждёт")
    panel.check()
