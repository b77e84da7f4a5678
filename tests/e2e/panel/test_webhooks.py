"""Webhooks in the panel: made, tried, watched, repeated, deleted."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from hookhub.testing.fixtures import StartHub
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import find_program

OpenPanel = Callable[..., Any]
Post = Callable[..., Any]
Emit = Callable[..., int]


def get(hub: HubProcess, path: str, **query: Any) -> Any:
    """Read from the hub's API."""
    with hub.client() as http:
        return http.get(path, params=query).json()


def test_from_nothing_to_a_delivery(
    start_hub: StartHub, open_panel: OpenPanel, emit: Emit, receiver: Any
) -> None:
    """A webhook is made by hand, gets what the preview showed, signed with the shown secret."""
    find_program("curl")
    hub = start_hub()
    panel = open_panel(hub).open().sign_in().live().go("webhooks")
    panel.says("main", "No webhooks yet")
    panel.page.click("#webhook-new")
    panel.page.fill("#wh-name", "CRM")
    panel.page.fill("#wh-url", f"{receiver.url}?several={{a,b}}[1-2]")
    panel.page.check("[id='wh-type-user.*']")
    panel.page.fill("#wh-filter", '{"user_id": {"$gt": 100}}')
    preview = panel.page.locator("#preview-body")
    panel.expect(preview).to_contain_text('"user_id": 123')
    body = preview.inner_text()
    panel.page.click("#webhook-save")
    secret = panel.page.locator(".secret code").first.inner_text()
    panel.page.click("#webhook-go")
    panel.says("h1", "CRM").says("#deliveries", "No deliveries yet")

    # The example of the type is what the preview showed, to the byte.
    panel.page.click("#webhook-test")
    panel.page.click("#test-send")
    panel.says("#test [role=status]", "accepted").says("#test", "thank you")
    headers, sent = receiver.requests.pop()
    assert sent.decode() == body
    signature = hmac.new(secret.encode(), sent, hashlib.sha256).hexdigest()
    assert headers["x-webhook-signature"] == f"sha256={signature}"
    panel.page.keyboard.press("Escape")

    # An event that the filter wants arrives, and its delivery appears by itself.
    emit(hub, 7)
    emit(hub, 700, note='it\'s "$HOME" `id` ' + 200_000 * "x")
    delivery = panel.page.locator(".delivery-row")
    panel.expect(delivery).to_have_count(1)
    panel.expect(delivery.locator("summary")).to_contain_text("delivered")
    delivery.locator("summary").press("Enter")
    panel.says(".detail", "thank you").says(".detail", "X-Webhook-Delivery: 1")
    panel.says(".detail", '"user_id": 700}')
    assert [json.loads(request[1])["user_id"] for request in receiver.requests] == [700]

    # The same for a terminal: the command does what the hub did, but for the signatures.
    panel.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.page.click(".detail .actions .copy")
    panel.says(".detail .actions .copy", "Copied")
    command = panel.page.evaluate("navigator.clipboard.readText()")
    direct = {**os.environ, "no_proxy": "*"}
    options = {"check": True, "capture_output": True, "timeout": 30, "env": direct}
    subprocess.run(["sh"], input=command.encode(), **options)
    (headers, body), (again, same) = receiver.requests
    assert same == body
    assert again["x-webhook-delivery"] == headers["x-webhook-delivery"] == "1"
    assert "x-webhook-signature" not in again
    panel.check()


def test_failures_are_seen_and_repeated(
    start_hub: StartHub,
    open_panel: OpenPanel,
    post: Post,
    emit: Emit,
    receiver: Any,
    hostile: str,
) -> None:
    """The list tells who fails; failed deliveries are tried again one by one or together."""
    hub = start_hub({"delivery": {"retry_schedule": [0.05], "jitter": 0.0}})
    receiver.status, receiver.body = 500, hostile.encode()
    webhook = {"event_type": "user.*", "secret": "s" * 24, "description": hostile}
    post(hub, "/webhooks", {"name": f"refuses {hostile}"[:200], "url": receiver.url, **webhook})
    panel = open_panel(hub).open("/admin/#/webhooks").sign_in().live()
    row = panel.page.locator("#webhook-list tbody tr")
    panel.expect(row).to_contain_text("refuses <img src=x onerror=")
    for number in (1, 2):  # with one more the breaker would open
        emit(hub, number, first_name=hostile)
    panel.expect(row).to_contain_text("failing")
    row.locator("a").click()
    deliveries = panel.page.locator(".delivery-row")
    panel.expect(deliveries.locator("summary", has_text="2 attempts")).to_have_count(2)
    panel.expect(deliveries.locator("summary", has_text="failed")).to_have_count(2)
    deliveries.first.locator("summary").click()
    panel.says(".detail", "<script>window.hacked").says(".attempts", "#2")

    receiver.status, receiver.body = 200, b"better"
    deliveries.first.locator(".retry").click()
    panel.expect(deliveries.first.locator("summary").first).to_contain_text("delivered")
    deliveries.nth(1).locator("input").check()
    panel.page.click("#retry-chosen")
    panel.says("#toast", "1 delivery is tried again")
    panel.expect(deliveries.nth(1).locator("summary")).to_contain_text("delivered")

    receiver.status = 500
    emit(hub, 3)
    panel.expect(deliveries.locator("summary", has_text="failed")).to_have_count(1)
    receiver.status = 200
    panel.page.click("#retry-all")
    panel.says("#confirm", "Every failed delivery").confirm()
    panel.expect(deliveries.locator("summary", has_text="delivered")).to_have_count(3)
    panel.page.select_option("#delivery-status", "failed")
    panel.says("#deliveries", "No such deliveries")

    panel.page.select_option("#delivery-status", "")
    receiver.status = 500
    for number in range(4, 9):  # so many failures in a row open the circuit breaker
        emit(hub, number)
    panel.expect(deliveries.locator("summary", has_text="failed")).not_to_have_count(0)
    panel.expect(panel.page.locator("body")).to_contain_text("left alone for now")
    failed = deliveries.filter(has=panel.page.locator("summary", has_text="failed")).first
    failed.locator("summary").click()
    failed.locator(".retry").click()
    panel.says("#toast", "waits for the circuit breaker, next probe in")
    panel.check()


def test_what_can_be_done_with_one(
    start_hub: StartHub, open_panel: OpenPanel, post: Post, emit: Emit, receiver: Any
) -> None:
    """Edited, switched off and on, given a new secret, replayed and deleted; each asks first."""
    hub = start_hub()
    headers = {"X-Api-Key": "hidden-value"}
    webhook = {"name": "CRM", "url": receiver.url, "event_type": "user.*", "headers": headers}
    post(hub, "/webhooks", webhook)
    for number in (1, 2):
        emit(hub, number)
    panel = open_panel(hub).open("/admin/#/webhooks/1").sign_in().live().says("h1", "CRM")

    panel.page.click("#webhook-edit")
    panel.page.fill("#wh-name", "CRM, new")
    panel.page.click("#webhook-form details >> nth=1")
    panel.page.fill("#wh-timeout", "2.5")
    panel.page.click("#webhook-save")
    panel.says("h1", "CRM, new").says("main", "2.5 s")
    changed = get(hub, "/webhooks/1")
    assert (changed["name"], changed["timeout"]) == ("CRM, new", 2.5)

    panel.page.click("#webhook-disable")
    panel.says("#confirm", "Pending deliveries wait").confirm().says("h1", "off")
    panel.page.click("#webhook-enable")
    panel.says("h1", "active")

    panel.page.click("#webhook-rotate")
    panel.says("#rotate", "24 hours")
    panel.page.click("#rotate-yes")
    panel.says("#rotate .secret", "never again")
    secret = panel.page.locator("#rotate .secret code").first.inner_text()
    panel.page.keyboard.press("Escape")
    panel.expect(panel.page.locator("#rotate")).to_have_count(0)
    assert secret not in panel.page.content()

    before = len(receiver.requests)
    panel.page.click("#replay-new")
    panel.expect(panel.page.locator("#replay-start")).to_be_disabled()
    panel.page.click("#replay-dry")
    panel.says("#replay-count", "2 events would be sent")
    panel.page.click("#replay-start")
    panel.expect(panel.page.locator(".replay[data-state=done]")).to_be_visible()
    panel.says(".replay", "2 of 2")
    panel.expect(panel.page.locator(".delivery-row summary", has_text="delivered")).to_have_count(4)
    assert [request[0]["x-api-key"] for request in receiver.requests[before:]] == [
        "hidden-value"
    ] * 2

    panel.page.click("#webhook-delete")
    panel.says("#confirm", "cannot be undone")
    panel.page.keyboard.press("Escape")
    panel.expect(panel.page.locator("#confirm")).to_have_count(0)
    assert get(hub, "/webhooks")["total"] == 1
    panel.page.click("#webhook-delete")
    panel.confirm().says("main", "No webhooks yet")
    assert get(hub, "/webhooks")["total"] == 0
    panel.check(provoked=True)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"#wh-url": "http://127.0.0.1:9/", "#wh-filter": "{"}, "no JSON"),
        ({"#wh-url": "http://127.0.0.1:9/", "#wh-filter": '{"a": {"$most": 1}}'}, r"\$most"),
        ({"#wh-url": "http://10.0.0.1/"}, "10.0.0.1"),
        ({"#wh-url": "http://127.0.0.1:9/", "#wh-timeout": "soon"}, "“soon” is no number"),
        ({"#wh-url": "http://127.0.0.1:9/", "#wh-retry_schedule": "5, x"}, "“x” is no number"),
    ],
)
def test_mistakes_are_told(
    hub: HubProcess, open_panel: OpenPanel, fields: dict[str, str], complaint: str
) -> None:
    """What the hub refuses stands in the form, which keeps what was written."""
    panel = open_panel(hub).open("/admin/#/webhooks/new").sign_in().live()
    panel.page.fill("#wh-name", "wrong")
    panel.page.check("[id='wh-type-*']")
    panel.page.click("#webhook-form details >> nth=1")
    for field, text in fields.items():
        panel.page.fill(field, text)
    panel.page.click("#webhook-save")
    panel.says("#form-problem", re.compile(complaint))
    assert panel.page.input_value("#wh-name") == "wrong"
    panel.check(provoked=True)


def test_showing_more_stays_where_it_was(
    hub: HubProcess, open_panel: OpenPanel, post: Post
) -> None:
    """The rest of a long list comes below what is seen; nothing jumps."""
    there = int(get(hub, "/webhooks")["total"])
    for number in range(there, 55):
        hook = {"name": f"webhook {number}", "url": "http://127.0.0.1:9/", "event_type": "user.*"}
        post(hub, "/webhooks", {**hook, "is_active": False})
    panel = open_panel(hub).open("/admin/#/webhooks").sign_in().live()
    rows = panel.page.locator("#webhook-list tbody tr")
    panel.expect(rows).to_have_count(50)
    panel.page.locator(".more button").scroll_into_view_if_needed()
    before = panel.page.evaluate("scrollY")
    panel.page.click(".more button")
    panel.expect(rows).to_have_count(55)
    assert panel.page.evaluate("scrollY") == before > 0
    panel.check()
