"""The panel in Chromium: what a person sees, whatever happens to the hub meanwhile.

``HOOKHUB_TEST_SCREENSHOTS=1`` writes the pictures of the documentation anew.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hookhub.testing.fixtures import StartHub
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.ports import free_port
from hookhub.testing.requirements import find_program, missing
from hookhub.testing.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

PICTURES = Path(__file__).parents[2] / "docs" / "_static"
TIMEOUT = 30_000.0
"""Milliseconds that Chromium has for anything."""

HOSTILE = (
    "<img src=x onerror='window.hacked = 1'><script>window.hacked = 1</script>"
    '"><svg onload=window.hacked=1>\u202eevil'
)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# Chromium's own words about answers that a test provokes.
NETWORK = ("Failed to load resource:", "WebSocket connection to")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each has a profile of its own in it."""
    executable = find_program("chromium", "chromium", "chromium-browser", "google-chrome")
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        missing("chromium", "Install the Python package that drives it: playwright.")
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A hub for the tests that leave it as it is but for more events."""
    with HubProcess(tmp_path_factory.mktemp("hub")) as running:
        yield running


class Panel:
    """A tab with the panel, and everything that it must not do.

    Args:
        page: a fresh tab.
        url: the hub's address.
    """

    def __init__(self, page: Page, url: str) -> None:
        from playwright.sync_api import expect

        self.page = page
        self.url = url
        self.expect = expect
        self.errors: list[str] = []
        self.addresses: list[str] = []
        page.set_default_timeout(TIMEOUT)
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("websocket", lambda socket: self.addresses.append(socket.url))

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.errors.append(text)

    def open(self, place: str = "/admin/") -> Panel:
        """Go to the panel."""
        self.page.goto(self.url + place)
        return self

    def sign_in(self, token: str) -> Panel:
        """Send a token with the form."""
        self.page.fill("#token", token)
        self.page.press("#token", "Enter")
        return self

    def live(self) -> Panel:
        """Wait until the feed says that it is live."""
        self.expect(self.page.locator("#state[data-state=live]")).to_be_visible()
        return self

    def says(self, selector: str, text: str | re.Pattern[str]) -> Panel:
        """Wait until an element shows a text."""
        self.expect(self.page.locator(selector)).to_contain_text(text)
        return self

    def rows(self, text: str = "") -> Locator:
        """The rows of the live list that hold a text."""
        return self.page.locator("#rows .row", has_text=text)

    def sequences(self) -> list[int]:
        """The sequences of the rows, from the top."""
        return [int(text[1:]) for text in self.page.locator(".sequence").all_text_contents()]

    def check(self, token: str, *, provoked: bool = False) -> None:
        """Nothing went wrong, nobody else was asked for anything, and no address held the token.

        Args:
            provoked: whether the hub refused something or was away, which Chromium tells.
        """
        wrong = [text for text in self.errors if not provoked or not text.startswith(NETWORK)]
        assert wrong == []
        own = (f"{self.url}/", self.url.replace("http", "ws", 1) + "/", "data:")
        assert [item for item in self.addresses if not item.startswith(own)] == []
        assert [item for item in self.addresses if token in item] == []
        assert token not in self.page.url
        assert self.page.evaluate("window.hacked") is None


OpenPanel = Callable[..., Panel]


@pytest.fixture
def open_panel(chromium: Browser) -> Iterator[OpenPanel]:
    """``open_panel(hub, **context options)``: a tab with the panel, as a new visitor has it."""
    with ExitStack() as stack:

        def open_(running: HubProcess, **options: Any) -> Panel:
            defaults = {"locale": "en-US", "viewport": {"width": 1280, "height": 800}}
            context = chromium.new_context(**{**defaults, **options})
            stack.callback(context.close)
            return Panel(context.new_page(), running.url)

        yield open_


def post(hub: HubProcess, path: str, body: Any) -> Any:
    """Call the hub's API; the answer must be a success."""
    with hub.client() as http:
        response = http.post(path, json=body)
    assert response.is_success, response.text
    return response.json()


def emit(hub: HubProcess, number: int, **members: Any) -> int:
    """Send ``user.created``; returns its sequence."""
    payload = {"user_id": number, **members}
    sent = post(hub, "/events", {"type": "user.created", "payload": payload})
    return int(sent["sequence"])


TICKET = {
    "type": "ticket.created",
    "payload": {
        **{"ticket_id": 1, "user_id": 1, "title": "Invoice", "status": "open"},
        **{"priority": "normal", "has_media": False},
    },
}


def picture(panel: Panel, name: str) -> None:
    """Write a picture of the documentation, if this run is asked to."""
    if os.environ.get("HOOKHUB_TEST_SCREENSHOTS"):
        PICTURES.mkdir(exist_ok=True)
        panel.page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


# -- signing in and out ----------------------------------------------------------------------


def test_signing_in_and_out(hub: HubProcess, open_panel: OpenPanel) -> None:
    """A wrong token is told from a right one, which stays in this tab and in no address."""
    panel = open_panel(hub).open("/")
    assert panel.page.url == f"{hub.url}/admin/"
    panel.sign_in("hh_wrong").says("#sign-in-problem", "does not know this token")
    panel.sign_in("ключ").says("#sign-in-problem", "only letters")
    panel.sign_in(hub.token).live()
    assert panel.page.evaluate("Object.values(sessionStorage)") == [hub.token]
    assert hub.token not in panel.page.evaluate("JSON.stringify(localStorage) + document.cookie")
    panel.page.reload()
    panel.live()
    panel.page.click("#sign-out")
    panel.expect(panel.page.locator("#token")).to_be_focused()
    assert panel.page.evaluate("sessionStorage.length") == 0
    assert panel.page.input_value("#token") == ""
    assert panel.page.locator("#rows .row").count() == 0
    panel.page.reload()
    panel.expect(panel.page.locator("#sign-in")).to_be_visible()
    panel.check(hub.token, provoked=True)


def test_what_a_token_may_not_see(hub: HubProcess, open_panel: OpenPanel) -> None:
    """A token without a scope is told which one it lacks; revoked, it is signed out."""
    tokens = {
        scope: post(hub, "/tokens", {"name": f"only {scope}", "scopes": [scope]})
        for scope in ("events:write", "events:read", "webhooks:read")
    }
    panel = open_panel(hub).open()
    panel.sign_in(tokens["events:write"]["token"]).says("#sign-in-problem", "lacks the scopes")
    panel.sign_in(tokens["webhooks:read"]["token"]).says("#live-refused", "events:read")
    panel.says("#state", "No access to events")
    panel.page.click("#sign-out")
    panel.sign_in(tokens["events:read"]["token"]).live()
    panel.page.click("#tabs [data-page=webhooks]")
    panel.says("#webhooks-problem", "webhooks:read")
    post(hub, f"/tokens/{tokens['events:read']['id']}/revoke", None)
    panel.says("#sign-in-problem", "revoked")
    assert panel.page.evaluate("sessionStorage.length") == 0
    panel.check(tokens["events:read"]["token"], provoked=True)


# -- live ------------------------------------------------------------------------------------


def test_history_and_then_what_happens(hub: HubProcess, open_panel: OpenPanel) -> None:
    """The last events of history and the live ones stand in one list without a seam."""
    before = [emit(hub, number, first_name="before") for number in range(3)]
    panel = open_panel(hub).open().sign_in(hub.token).live()
    panel.expect(panel.rows(f"#{before[-1]}")).to_have_count(1)
    after = [emit(hub, number, first_name="after") for number in range(3)]
    panel.expect(panel.rows("after")).to_have_count(3)
    assert panel.sequences()[:6] == [*reversed(after), *reversed(before)]
    panel.check(hub.token)


def test_choosing_and_pausing(hub: HubProcess, open_panel: OpenPanel) -> None:
    """A pattern chooses history and live events alike; a pause holds back and loses nothing."""
    panel = open_panel(hub).open().sign_in(hub.token).live()
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
    panel.check(hub.token)
    panel.page.fill("#filter", "Ticket!")
    panel.page.press("#filter", "Enter")
    panel.says("#filter-problem", "is not an event type pattern")
    post(hub, "/events", TICKET)
    panel.expect(panel.rows()).to_have_count(3)
    panel.check(hub.token, provoked=True)


def test_hostile_payloads_are_text(hub: HubProcess, open_panel: OpenPanel) -> None:
    """Markup in a payload is shown as it was sent, and numbers to the last digit."""
    large = 12345678901234567890
    panel = open_panel(hub).open().sign_in(hub.token).live()
    sequence = emit(hub, 666, first_name=HOSTILE, extra={HOSTILE: [large, 1.0, 1e300]})
    row = panel.rows(f"#{sequence}")
    panel.expect(row).to_contain_text("<img src=x onerror='window.hacked = 1'><script>")
    row.click()
    panel.says("#event-payload", "<img src=x onerror='window.hacked = 1'><script>")
    panel.says("#event-payload", r"\u202eevil")
    panel.says("#event-payload", re.compile(rf"{large},\s+1\.0,\s+1e\+300"))
    assert panel.page.locator("main :is(script, #rows img, #rows svg, #event svg)").count() == 0
    panel.check(hub.token)
    # Even a mistake in the panel's own code could not turn text into markup.
    mistake = "() => { try { document.body.innerHTML = '<b>x</b>' } catch (e) { return e.name } }"
    assert panel.page.evaluate(mistake) == "TypeError"


def test_the_page_stays_small(hub: HubProcess, open_panel: OpenPanel) -> None:
    """However many events come, the page holds the newest 500."""
    panel = open_panel(hub).open().sign_in(hub.token).live()
    for start in (0, 400):
        batch = [
            {"type": "user.created", "payload": {"user_id": number}}
            for number in range(start, start + 400)
        ]
        post(hub, "/events/batch", batch)
    last = emit(hub, 1)
    panel.expect(panel.rows(f"#{last}")).to_have_count(1)
    assert panel.sequences() == list(range(last, last - 500, -1))
    panel.check(hub.token)


# -- when the hub goes away ------------------------------------------------------------------


def test_kill_9_under_the_open_page(start_hub: StartHub, open_panel: OpenPanel) -> None:
    """The page says that it is cut off, comes back by itself, and shows everything once."""
    hub = start_hub()
    panel = open_panel(hub).open().sign_in(hub.token).live()
    emit(hub, 1, first_name="first")
    panel.expect(panel.rows("first")).to_have_count(1)
    hub.kill()
    panel.expect(
        panel.page.locator("#state:is([data-state=reconnecting], [data-state=offline])")
    ).to_be_visible()
    hub.start()
    emit(hub, 2, first_name="second")
    panel.live()
    panel.expect(panel.rows("second")).to_have_count(1)

    hub.kill()
    panel.page.context.set_offline(True)
    panel.expect(panel.page.locator("#state[data-state=offline]")).to_be_visible()
    hub.start()
    for number in (3, 4, 5):
        emit(hub, number, first_name="meanwhile")
    panel.page.context.set_offline(False)
    panel.live().says("#state", "3 events caught up")
    emit(hub, 6, first_name="last")
    panel.expect(panel.rows("last")).to_have_count(1)
    assert panel.sequences() == [6, 5, 4, 3, 2, 1]
    panel.check(hub.token, provoked=True)


def test_a_gap_is_said(start_hub: StartHub, open_panel: OpenPanel) -> None:
    """A hub that comes back with another database is no silent gap."""
    hub = start_hub()
    panel = open_panel(hub).open().sign_in(hub.token).live()
    emit(hub, 1, first_name="old")
    panel.expect(panel.rows("old")).to_have_count(1)
    hub.kill()
    for file in hub.directory.glob("hookhub.db*"):
        file.unlink()
    hub.start()
    panel.says("#gap", "unknown number").live()
    panel.says("#rows .gap", "another database")
    emit(hub, 2, first_name="new")
    panel.expect(panel.rows("new")).to_have_count(1)
    panel.page.click("#gap")
    panel.expect(panel.page.locator("#gap")).to_be_hidden()
    panel.check(hub.token, provoked=True)


def test_without_the_plugins(start_hub: StartHub, open_panel: OpenPanel) -> None:
    """Without the WebSocket it asks for pages and says so; without webhooks it shows none."""
    hub = start_hub({"plugins": {"disabled": ["websocket", "webhook"]}})
    emit(hub, 1, first_name="before")
    panel = open_panel(hub).open().sign_in(hub.token)
    panel.says("#state", "hookhub-websocket is not installed")
    emit(hub, 2, first_name="after")
    panel.expect(panel.rows("after")).to_have_count(1)
    assert panel.sequences() == [2, 1]
    panel.expect(panel.page.locator("#tabs [data-page=webhooks]")).to_be_hidden()
    panel.page.click("#tabs [data-page=overview]")
    panel.says("#health", "store")
    panel.expect(panel.page.locator(".tile")).to_have_count(0)
    panel.check(hub.token, provoked=True)


def test_an_orderly_restart(start_hub: StartHub, open_panel: OpenPanel) -> None:
    """A hub that says goodbye is come back to when it said."""
    hub = start_hub()
    panel = open_panel(hub).open().sign_in(hub.token).live()
    hub.restart()
    emit(hub, 1, first_name="meanwhile")
    panel.expect(panel.rows("meanwhile")).to_have_count(1)
    panel.live()
    panel.check(hub.token, provoked=True)


def test_where_the_websocket_is_refused(start_hub: StartHub, open_panel: OpenPanel) -> None:
    """An address that the hub does not know as its own gets pages, and is told why."""
    hub = start_hub({"live": {"origins": ["https://hub.example.org"]}})
    panel = open_panel(hub).open().sign_in(hub.token)
    panel.says("#state", "the WebSocket is refused")
    panel.expect(panel.page.locator("#state")).to_have_attribute("title", re.compile("origin"))
    emit(hub, 1, first_name="after")
    panel.expect(panel.rows("after")).to_have_count(1)
    panel.check(hub.token, provoked=True)


# -- webhooks --------------------------------------------------------------------------------


@contextmanager
def refusing_receiver() -> Iterator[str]:
    """A receiver that answers every request with 500 and hostile markup; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = HOSTILE.encode()
            self.send_response(500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_webhooks_and_their_deliveries(start_hub: StartHub, open_panel: OpenPanel) -> None:
    """The list shows how each does; one shows its deliveries, attempt by attempt."""
    hub = start_hub({"delivery": {"retry_schedule": [0.1], "jitter": 0.0}})
    with refusing_receiver() as url:
        webhook = {"event_type": "user.*", "secret": "s" * 24, "description": HOSTILE}
        post(hub, "/webhooks", {"name": f"refuses {HOSTILE}"[:200], "url": url, **webhook})
        nobody = f"http://127.0.0.1:{free_port()}/"
        post(hub, "/webhooks", {"name": "nobody there", "url": nobody, **webhook})
        emit(hub, 1, first_name=HOSTILE)

        def failed() -> bool:
            with hub.client() as http:
                return bool(http.get("/webhooks/stats").json()["failed_deliveries"] == 2)

        wait_until(failed, 30.0)
        panel = open_panel(hub).open("/admin/#/webhooks").sign_in(hub.token)
        table = panel.page.locator("#webhook-list tbody tr")
        panel.expect(table).to_have_count(2)
        panel.expect(table.nth(0)).to_contain_text("refuses <img src=x onerror=")
        panel.expect(table.nth(0).locator("td").last).to_contain_text("500")
        panel.expect(table.nth(1).locator("td").last).to_contain_text("refused")
        table.nth(0).locator("a").click()
        delivery = panel.page.locator("#webhook-one details")
        panel.expect(delivery).to_have_count(1)
        panel.expect(delivery.locator("summary")).to_contain_text("2 attempts")
        delivery.locator("summary").press("Enter")
        panel.expect(delivery.locator("tbody tr")).to_have_count(2)
        panel.expect(delivery.locator("tbody pre").first).to_contain_text("<script>window.hacked")
        panel.page.click("#tabs [data-page=overview]")
        panel.says("#tiles", re.compile(r"Failed\s*2"))
    panel.check(hub.token)


# -- for everybody ---------------------------------------------------------------------------

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


def test_an_event_in_full(start_hub: StartHub, open_panel: OpenPanel) -> None:
    """A press on a row shows the whole event beside the list, and another one closes it."""
    hub = start_hub()
    for path, body in WORLD:
        post(hub, path, body)
    panel = open_panel(hub, device_scale_factor=1.5).open().sign_in(hub.token).live()
    for path, body in WORLD:
        post(hub, path, body)
    # The second time, the ticket has that status already: no event.
    panel.expect(panel.rows()).to_have_count(len(WORLD) * 2 - 1)
    row = panel.rows("payment.completed").first
    row.click()
    panel.says("#event-type", "payment.completed").says("#event-facts", "hookhub-payments")
    panel.says("#event-payload", '"amount_kopeks": 150000')
    panel.page.mouse.move(640, 790)
    picture(panel, "panel-live")
    row.click()
    panel.expect(panel.page.locator("#event")).to_be_hidden()
    panel.check(hub.token)


def test_by_keyboard(hub: HubProcess, open_panel: OpenPanel) -> None:
    """Everything is reached without a mouse: rows by arrows, an event by Enter and Escape."""
    emit(hub, 1, first_name="older")
    emit(hub, 2, first_name="newer")
    panel = open_panel(hub).open()
    panel.page.keyboard.type(hub.token)
    panel.page.keyboard.press("Enter")
    panel.live()
    newest = panel.rows().first
    panel.expect(newest).to_be_visible()
    panel.page.focus("#pause")
    panel.page.keyboard.press("Tab")
    panel.expect(newest).to_be_focused()
    panel.page.keyboard.press("ArrowDown")
    panel.page.keyboard.press("Enter")
    panel.says("#event-payload", '"first_name": "older"')
    panel.page.keyboard.press("Escape")
    panel.expect(panel.page.locator("#event")).to_be_hidden()
    panel.expect(panel.rows().nth(1)).to_be_focused()
    panel.check(hub.token)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_small_screen_in_russian(hub: HubProcess, open_panel: OpenPanel, scheme: str) -> None:
    """At 360 pixels nothing is cut off, and the browser's language is the page's."""
    emit(hub, 1, first_name="Аня" * 40)
    small = {"width": 360, "height": 640}
    panel = open_panel(hub, locale="ru-RU", viewport=small, color_scheme=scheme).open()
    panel.says("#sign-in h1", "Вход").sign_in(hub.token).live().says("#state", "В эфире")
    webhook = {"name": "long " * 40, "url": "http://127.0.0.1:9/" + "x" * 200, "is_active": False}
    post(hub, "/webhooks", {**webhook, "name": f"{scheme} {webhook['name']}", "event_type": "*"})
    for page in ("overview", "webhooks", "live"):
        panel.page.click(f"#tabs [data-page={page}]")
        panel.expect(panel.page.locator(f"#{page}")).to_be_visible()
        assert panel.page.evaluate("document.documentElement.scrollWidth") == 360, page
    panel.rows().first.click()
    panel.expect(panel.page.locator("#event-close")).to_be_focused()
    panel.page.click("#event-close")
    ground = panel.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (scheme == "dark")
    panel.page.select_option("#language", "en")
    panel.says("#pause", "Pause").says("#state", "Live")
    assert panel.page.get_attribute("html", "lang") == "en"
    panel.check(hub.token)


def test_every_text_is_in_both_languages() -> None:
    """English and Russian have the same keys with the same gaps, and no other key is asked for."""
    folder = Path(__file__).parents[2] / "hookhub" / "web" / "static" / "admin"
    source = (folder / "i18n.js").read_text("utf-8")
    english, russian = source.split("  ru: {")
    entry = re.compile(r'^ {4}"([\w.]+)": (.*),$', re.MULTILINE)

    def texts(part: str) -> dict[str, set[str]]:
        return {key: set(re.findall(r"\{(\w+)\}", text)) for key, text in entry.findall(part)}

    assert texts(english) == texts(russian)
    asked = {
        key
        for path in folder.iterdir()
        for key in re.findall(
            r"""(?:\bt\(|data-(?:text|label|placeholder)=)"([\w.]+)\"""", path.read_text("utf-8")
        )
    }
    assert asked
    assert asked <= texts(english).keys()
