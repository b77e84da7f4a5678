"""The other pages, and what holds for all of them: languages, colours, small screens, axe."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hookhub.statistics.histogram import Histogram
from hookhub.statistics.samples import MICROSECONDS, RANGES
from hookhub.store.units.audit import MESSAGES
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.waiting import wait_until
from hookhub_panel.panel import FOLDER

OpenPanel = Callable[..., Any]
Post = Callable[..., Any]

AXE = Path(__file__).parents[2] / "data" / "axe" / "axe.min.js"

WORLD = [
    ("/users", {"username": "ada", "first_name": "Ada", "last_name": "Lovelace"}),
    ("/users", {"username": "anya", "first_name": "Аня", "last_name": "Иванова"}),
    ("/transactions", {"user_id": 1, "type": "deposit", "amount_kopeks": 49900}),
    ("/tickets", {"user_id": 2, "title": "Invoice", "message_text": "Where is my invoice?"}),
    ("/tickets/1/reply", {"message_text": "We are looking into it.", "is_from_admin": True}),
    ("/transactions", {"user_id": 2, "type": "subscription_payment", "amount_kopeks": 9900}),
    ("/users", {"username": "grace", "first_name": "Grace", "last_name": "Hopper"}),
    ("/tickets/1/status", {"status": "answered"}),
    ("/transactions", {"user_id": 3, "type": "deposit", "amount_kopeks": 150000}),
    ("/tickets", {"user_id": 3, "title": "Bug", "message_text": "It does not crash at all."}),
]
PAGES = {
    "live": "#rows .row",
    "webhooks": "#webhook-list",
    "webhooks/1": "#deliveries .delivery-row",
    "webhooks/new": "#preview-body",
    "overview": "#health",
    "types": "#type-list",
    "types/payment.completed": "#send-form",
    "connections": "#connection-list",
    "nodes": "#node-list",
    "tokens": "#token-list",
    "plugins": "#plugin-list",
    "audit": "#audit-form",
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, polite_receiver: Any) -> Iterator[HubProcess]:
    """A hub with something on every page."""
    settings = {"delivery": {"retry_schedule": [600.0], "jitter": 0.0}}
    with HubProcess(tmp_path_factory.mktemp("hub"), settings) as running:
        with running.client() as http:
            nobody = "http://127.0.0.1:9/hooks/crm"
            for name, event_type, url in (
                ("CRM", "user.*", nobody),
                ("Accounting", "payment.completed", polite_receiver.url),
            ):
                body = {"name": name, "url": url, "event_type": event_type}
                assert http.post("/webhooks", json=body).status_code == 201
            for path, body in WORLD:
                assert http.post(path, json=body).is_success
            scopes = ["events:write"]
            http.post("/tokens", json={"name": "shop", "scopes": scopes})

            def tried() -> bool:
                items = http.get("/webhooks/1/deliveries").json()["items"]
                return all(item["attempt_number"] > 0 for item in items)

            wait_until(tried, 30.0)
        write_past(running)
        yield running


def write_past(hub: HubProcess) -> None:
    """A quiet night and a busy day, for the charts: what the hub itself would have written."""
    now = int(time.time())
    rows = []
    for span in RANGES.values():
        for number in range(1, span.points):
            at = (now // span.step - number) * span.step
            busy = 1.2 + math.sin(at / 86_400 * math.tau) + 0.4 * math.sin(at / 700)
            events = max(0, round(busy * span.step / 3))
            failed = events // 40 if number % 17 < 3 else 0
            latency = Histogram()
            for share in (0.01, 0.02, 0.02, 0.05, 0.4 if failed else 0.08):
                latency.observe(share * (1 + busy))
            pending = failed * 4
            rows.append(
                (
                    *(span.step, at * MICROSECONDS, 1, events, events + 3 * failed),
                    *(events - failed, failed, latency.text(), pending, pending * 7.0),
                    *(int(pending > 0), 3 + round(2 * busy)),
                )
            )
    marks = ", ".join("?" * len(rows[0]))
    with closing(sqlite3.connect(hub.directory / "hookhub.db", timeout=30.0)) as database:
        database.executemany(f"INSERT OR REPLACE INTO hookhub_stats VALUES ({marks})", rows)
        database.commit()


def visit(panel: Any, place: str) -> None:
    """Go to a page and wait until it shows what it is about."""
    panel.page.evaluate("(to) => { location.hash = to }", f"#/{place}")
    place = place.removesuffix("/%")
    panel.expect(panel.page.locator(PAGES[place]).first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_for_everybody(hub: HubProcess, open_panel: OpenPanel, scheme: str) -> None:
    """axe-core finds nothing serious on any page, in either colours."""
    panel = open_panel(hub, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True).open()
    panel.page.evaluate(AXE.read_text("utf-8"))
    check_axe(panel, "sign-in")
    panel.sign_in().live()
    for place in PAGES:
        visit(panel, place)
        check_axe(panel, place)
    visit(panel, "live")
    panel.rows().first.click()
    panel.says("#event-payload", "{")
    check_axe(panel, "an event")
    visit(panel, "webhooks/1")
    panel.page.click(".delivery-row summary >> nth=0")
    panel.expect(panel.page.locator(".detail .attempts")).to_be_visible()
    panel.page.click("#delivery-filters > summary")
    check_axe(panel, "a delivery")
    panel.page.click("#webhook-delete")
    check_axe(panel, "a question")
    panel.page.keyboard.press("Escape")
    panel.page.click("#replay-new")
    check_axe(panel, "a replay")


def check_axe(panel: Any, place: str) -> None:
    """Run axe-core on what is seen."""
    found = panel.page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    serious = [item for item in found if item["impact"] in ("serious", "critical")]
    told = [(item["id"], [node["html"][:200] for node in item["nodes"]]) for item in serious]
    assert told == [], place


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_small_screen_in_russian(hub: HubProcess, open_panel: OpenPanel, scheme: str) -> None:
    """At 360 pixels nothing is cut off or has lost its name, in the browser's own language."""
    small = {"width": 360, "height": 640}
    options = {"locale": "ru-RU", "color_scheme": scheme, "bypass_csp": True}
    panel = open_panel(hub, viewport=small, **options).open()
    panel.page.evaluate(AXE.read_text("utf-8"))
    panel.says("#sign-in h1", "Вход").sign_in().live().says("#state", "В эфире")
    for place in PAGES:
        visit(panel, place)
        assert panel.page.evaluate("document.documentElement.scrollWidth") == 360, place
        if scheme == "light":  # what the layout changes is the same in both
            check_axe(panel, place)
    # A page begins at its top, and the focus is on it; an address that is none is no mistake.
    visit(panel, "types/%")
    panel.page.click("#type-list a >> nth=-1")
    panel.expect(panel.page.locator("h1")).to_be_focused()
    assert panel.page.evaluate("scrollY") == 0
    visit(panel, "live")
    panel.rows().first.click()
    panel.expect(panel.page.locator("#event-close")).to_be_focused()
    if scheme == "dark":
        panel.picture("panel-small")
    panel.page.click("#event-close")
    ground = panel.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (scheme == "dark")
    panel.page.select_option("#language", "en")
    panel.says("#pause", "Pause").says("#state", "Live")
    assert panel.page.get_attribute("html", "lang") == "en"
    panel.check()


def test_pictures(hub: HubProcess, open_panel: OpenPanel) -> None:
    """Every page as the documentation shows it."""
    panel = open_panel(hub).open()
    panel.picture("panel-sign-in")
    panel.sign_in().live()
    for place in PAGES:
        if place == "live":
            continue
        visit(panel, place)
        panel.page.mouse.move(640, 790)
        if place == "webhooks/1":
            panel.page.click(".delivery-row summary >> nth=0")
            panel.expect(panel.page.locator(".detail .attempts")).to_be_visible()
        if place == "overview":
            panel.expect(panel.page.locator(".chart canvas")).to_have_count(6)
        panel.picture("panel-" + place.replace("/", "-").replace(".", "-"))
    panel.check()


def test_the_picture_of_the_readme(hub: HubProcess, open_panel: OpenPanel, post: Post) -> None:
    """Events as they happen, one of them opened, with what became of it."""
    panel = open_panel(hub, device_scale_factor=1.5).open().sign_in().live()
    for path, body in WORLD:
        if "status" not in path:
            post(hub, path, {**body, "username": None} if path == "/users" else body)
    panel.expect(panel.rows("ticket.created")).to_have_count(4)
    panel.rows("payment.completed").first.click()
    panel.says("#event-payload", '"amount_kopeks": 150000').says("#event-deliveries", "Accounting")
    panel.says("#event-deliveries .pill.success >> nth=0", "delivered")
    panel.says("#event-facts", "hookhub-payments")
    panel.page.mouse.move(640, 790)
    panel.picture("panel-live")
    panel.check()


def test_a_test_event(hub: HubProcess, open_panel: OpenPanel) -> None:
    """A form of the type's schema sends an event; what does not fit is told by its field."""
    panel = open_panel(hub).open().sign_in().live().go("types")
    panel.page.click("#type-list a >> text=user.created")
    panel.says("main", "A user was created")
    panel.page.fill("#payload-user_id", "12345678901234567890")
    panel.page.fill("#payload-first_name", "Grace")
    panel.page.fill("#payload-last_name", "")
    panel.page.click("#send-event")
    panel.says("#sent", "Sent as #").says("#sent", "1 webhook")
    panel.page.fill("#payload-user_id", "twelve")
    panel.page.click("#send-event")
    panel.says("#send-problem", "user_id")
    panel.page.fill("#payload-user_id", "")
    panel.page.click("#send-event")
    panel.says("#send-problem", "user_id")
    panel.page.check("#send-raw")
    panel.page.fill("#send-payload", '{"user_id": 5, "more": [1.0]}')
    panel.page.click("#send-event")
    panel.says("#sent", "Sent as #")
    panel.go("live")
    panel.rows("user_id: 5").first.click()
    panel.says("#event-payload", "1.0")
    panel.expect(panel.rows("12345678901234567890")).to_have_count(1)
    panel.check(provoked=True)


def test_tokens(hub: HubProcess, open_panel: OpenPanel) -> None:
    """A token is shown once, works, is revoked, activated and deleted, each at once."""
    panel = open_panel(hub).open().sign_in().live().go("tokens")
    panel.page.click("#token-new")
    panel.page.fill("#token-name", "for a test")
    panel.page.check("[id='scope-webhooks:read']")
    panel.page.click("#token-create")
    panel.says("#token-made", "never again")
    secret = panel.page.locator("#token-made code").inner_text()
    panel.page.mouse.click(5, 400)  # beside the window: a secret does not go by accident
    panel.expect(panel.page.locator("#token-made")).to_be_visible()
    panel.page.keyboard.press("Escape")
    panel.expect(panel.page.locator("#token-new")).to_be_focused()
    row = panel.page.locator("tr", has_text="for a test")
    panel.expect(row).to_contain_text("webhooks:read")
    assert secret not in panel.page.content()

    def status() -> int:
        with hub.client(headers={"Authorization": f"Bearer {secret}"}) as http:
            return int(http.get("/webhooks").status_code)

    assert status() == 200
    row.locator(".revoke").click()
    panel.says("#confirm", "locked out at once").confirm()
    panel.expect(row).to_contain_text("revoked")
    assert status() == 401
    row.locator("button", has_text="Activate").click()
    panel.expect(row.locator(".revoke")).to_be_visible()
    assert status() == 200
    row.locator(".delete").click()
    panel.confirm()
    panel.expect(row).to_have_count(0)
    assert status() == 401
    panel.check(token=secret)


def test_connections(hub: HubProcess, open_panel: OpenPanel) -> None:
    """Who follows the feed is seen, and may be closed; that page says so and does not come back."""
    other = open_panel(hub).open().sign_in().live()
    panel = open_panel(hub).open().sign_in().live().go("connections")
    rows = panel.page.locator("[data-connection]")
    panel.expect(rows).to_have_count(2)
    panel.expect(rows.first).to_contain_text("Chrome")
    rows.first.locator("button").click()
    panel.says("#confirm", "The token stays good").confirm()
    other.says("#state[data-state=stopped]", "administrator closed")
    panel.expect(rows).to_have_count(1)
    panel.check(provoked=True)


def test_nodes(hub: HubProcess, open_panel: OpenPanel) -> None:
    """The hubs on the database: this one, what it does and since when."""
    panel = open_panel(hub).open().sign_in().live().go("nodes")
    row = panel.page.locator("[data-node]")
    panel.expect(row).to_have_count(1)
    panel.says("[data-node]", "this one").says("[data-node]", "running")
    panel.check()


def test_plugins_and_audit(hub: HubProcess, open_panel: OpenPanel) -> None:
    """What is installed, and whether everything is there that was promised."""
    panel = open_panel(hub).open().sign_in().live().go("plugins")
    panel.says("[data-plugin=payments]", "payment.completed").says("[data-plugin=log]", "works")
    panel.go("audit").page.click("#audit-run")
    panel.says("#audit-report", "everything adds up")
    panel.check()


def test_the_overview_is_drawn(hub: HubProcess, open_panel: OpenPanel) -> None:
    """Figures of now, and charts over an hour, a day and a week."""
    panel = open_panel(hub).open().sign_in().live().go("overview")
    panel.says("[data-tile=webhooks]", "of 2").says("[data-tile=connections]", re.compile(r"\d"))
    for span in ("day", "week", "hour"):
        panel.page.click(f"[data-range={span}]")
        panel.expect(panel.page.locator(f"[data-range={span}][aria-pressed=true]")).to_be_visible()
        panel.expect(panel.page.locator(".chart canvas")).to_have_count(6)
    label = panel.page.locator(".chart [role=img]").first.get_attribute("aria-label")
    assert re.search(r"events: [1-9]", label)
    panel.check()


def test_every_text_is_in_both_languages(hub: HubProcess, open_panel: OpenPanel) -> None:
    """English and Russian have the same keys with the same gaps, and no other key is asked for."""
    panel = open_panel(hub).open()
    load = "async (name) => (await import(`/admin/texts/${name}.js`)).default"
    english, russian = (panel.page.evaluate(load, name) for name in ("en", "ru"))

    def gaps(text: str | dict[str, str]) -> set[str]:
        forms = text.values() if isinstance(text, dict) else [text]
        return {gap for form in forms for gap in re.findall(r"\{(\w+)\}", form)}

    assert english.keys() == russian.keys()
    assert {f"audit.check.{check}" for check in MESSAGES} <= english.keys()
    for key, text in english.items():
        assert gaps(text) == gaps(russian[key]), key
        if isinstance(text, dict):
            assert text.keys() == {"one", "other"}, key
            assert russian[key].keys() == {"one", "few", "many", "other"}, key
    sources = "".join(path.read_text("utf-8") for path in FOLDER.rglob("*.js"))
    asked = set(re.findall(r'\bt\("([\w.:]+)"', sources))
    assert asked
    assert asked <= english.keys()
    assert json.dumps(russian, ensure_ascii=False).count("ё") > 10


def test_bodies_are_those_of_python(hub: HubProcess, open_panel: OpenPanel) -> None:
    """What the preview shows is what json.dumps writes: sorted, escaped, numbers as they were."""
    panel = open_panel(hub).open()
    write = """async (text) => {
      const api = await import("/admin/parts/api.js");
      const texts = await import("/admin/parts/text.js");
      return texts.pythonJson(api.parseExact(text));
    }"""
    values = {
        **{
            "я": 'Аня \U0001f600 \x7f\u2028 "\\/\b\n\x00',
            "\U0001f600": 1,
            "\uffff": 2,
            "b": [],
            "a": {},
        },
        **{
            "Z": [1.0, 12345678901234567890, 1e300, -0.0, 0.1, 1e-7],
            "ab": None,
            "A": [True, False],
        },
    }
    text = json.dumps(values, ensure_ascii=False)
    assert panel.page.evaluate(write, text) == json.dumps(values, sort_keys=True)


def test_forms_of_schemas(hub: HubProcess, open_panel: OpenPanel) -> None:
    """An example goes through the form of its schema unchanged; what it leaves out stays out."""
    panel = open_panel(hub).open()
    through = """async ([schema, example]) => {
      const {fieldsOf, formOf, payloadOf} = await import("/admin/parts/schema-form.js");
      const fields = fieldsOf(schema, example);
      const types = Object.fromEntries(fields.map(({name, type}) => [name, type]));
      return [types, JSON.parse(payloadOf(fields, formOf(fields, example)))];
    }"""
    cat = {"type": "object", "properties": {"kind": {"const": "cat", "type": "string"}}}
    string, number = {"type": "string"}, {"type": "integer"}
    schema = {
        "$defs": {"Cat": cat, "Dog": cat},
        "properties": {
            "text_or_number": {"anyOf": [number, string]},
            "pet": {"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]},
            "items": {"type": "array", "items": {"$ref": "#/$defs/Cat"}},
            "address": {"$ref": "#/$defs/Cat"},
            "colour": {"enum": ["red", "blue"], "type": "string"},
            "priority": {"enum": [1, 2], "type": "integer"},
            "nothing": {"anyOf": [string, {"type": "null"}]},
            "flag": {"type": "boolean"},
            "left_out": {"type": "boolean", "default": True},
        },
        "required": ["text_or_number", "pet", "items", "address", "nothing", "flag"],
    }
    example = {
        **{"text_or_number": "12", "pet": {"kind": "cat"}, "items": [{"kind": "cat"}]},
        **{"address": {"kind": "cat"}, "colour": "red", "priority": 1, "nothing": None},
        **{"flag": False, "not in the schema": [1, "two"]},
    }
    types, payload = panel.page.evaluate(through, [schema, example])
    assert payload == example
    told = (types["text_or_number"], types["pet"], types["colour"])
    assert told == ("integer | string", "object", "red | blue")
