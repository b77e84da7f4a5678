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

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import find_program, missing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

PICTURES = Path(__file__).parents[3] / "docs" / "_static"
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
# And about a connection that a page no longer needs.
LEFT = "WebSocket is closed before the connection is established."


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a module; each has a profile of its own in it."""
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
    """A hub for the tests that do not mind what others leave in it."""
    with HubProcess(tmp_path_factory.mktemp("hub")) as running:
        yield running


class Panel:
    """A tab with the panel, and everything that it must not do.

    Args:
        page: a fresh tab.
        hub: whose panel it is.
    """

    def __init__(self, page: Page, hub: HubProcess) -> None:
        from playwright.sync_api import expect

        self.page = page
        self.hub = hub
        self.expect = expect
        self.errors: list[str] = []
        self.addresses: list[str] = []
        page.set_default_timeout(TIMEOUT)
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.addresses.append(request.url))
        page.on("websocket", lambda socket: self.addresses.append(socket.url))

    def _said(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not text.endswith(LEFT):
            self.errors.append(text)

    def open(self, place: str = "/admin/") -> Panel:
        """Go to the panel."""
        self.page.goto(self.hub.url + place)
        return self

    def sign_in(self, token: str | None = None) -> Panel:
        """Send a token with the form; the hub's own if none is given."""
        self.page.fill("#token", token or self.hub.token)
        self.page.press("#token", "Enter")
        return self

    def live(self) -> Panel:
        """Wait until the feed says that it is live."""
        self.expect(self.page.locator("#state[data-state=live]")).to_be_visible()
        return self

    def go(self, page: str, rest: str = "") -> Panel:
        """Press a section's tab, or go to a place below it, and wait until it is there."""
        if rest:
            self.page.evaluate("(to) => { location.hash = to }", f"#/{page}/{rest}")
        else:
            self.page.click(f"#tabs [data-page={page}]")
        self.expect(self.page.locator(f"main > #{page}")).to_be_visible()
        return self

    def says(self, selector: str, text: str | re.Pattern[str]) -> Panel:
        """Wait until an element shows a text."""
        self.expect(self.page.locator(selector)).to_contain_text(text)
        return self

    def rows(self, text: str = "") -> Locator:
        """The rows of the live list that hold a text; only those on the screen exist."""
        return self.page.locator("#rows .row", has_text=text)

    def sequences(self) -> list[int]:
        """The sequences of the rows, from the top."""
        places = "rows => rows.map(row => [row.ariaPosInSet, row.querySelector('.sequence')])"
        found = self.page.locator("#rows li:has(.row)").evaluate_all(
            f"rows => ({places})(rows).map(([at, text]) => [Number(at), text.textContent])"
        )
        return [int(text[1:]) for _, text in sorted(found)]

    def confirm(self) -> Panel:
        """Say yes to the question, and wait until it is gone."""
        self.page.click("#confirm-yes")
        self.expect(self.page.locator("#confirm")).to_have_count(0)
        return self

    def check(self, *, provoked: bool = False, token: str | None = None) -> None:
        """Nothing went wrong, nobody else was asked for anything, and no address held the token.

        Args:
            provoked: whether the hub refused something or was away, which Chromium tells.
            token: which; the hub's own if none is given.
        """
        token = token or self.hub.token
        wrong = [text for text in self.errors if not provoked or not text.startswith(NETWORK)]
        assert wrong == []
        own = (f"{self.hub.url}/", self.hub.url.replace("http", "ws", 1) + "/", "data:")
        assert [item for item in self.addresses if not item.startswith(own)] == []
        assert [item for item in self.addresses if token in item] == []
        assert token not in self.page.url
        assert self.page.evaluate("window.hacked") is None

    def picture(self, name: str) -> None:
        """Write a picture of the documentation, if this run is asked to."""
        if os.environ.get("HOOKHUB_TEST_SCREENSHOTS"):
            PICTURES.mkdir(exist_ok=True)
            self.page.screenshot(path=PICTURES / f"{name}.png", animations="disabled")


@pytest.fixture
def open_panel(chromium: Browser) -> Iterator[Callable[..., Panel]]:
    """``open_panel(hub, **context options)``: a tab with the panel, as a new visitor has it."""
    with ExitStack() as stack:

        def open_(running: HubProcess, **options: Any) -> Panel:
            defaults = {"locale": "en-US", "viewport": {"width": 1280, "height": 800}}
            context = chromium.new_context(**{**defaults, **options})
            stack.callback(context.close)
            return Panel(context.new_page(), running)

        yield open_


@pytest.fixture
def post() -> Callable[..., Any]:
    """``post(hub, path, body)``: call the hub's API; the answer must be a success."""

    def post_(hub: HubProcess, path: str, body: Any = None) -> Any:
        with hub.client() as http:
            response = http.post(path, json=body)
        assert response.is_success, response.text
        return response.json()

    return post_


@pytest.fixture
def emit(post: Callable[..., Any]) -> Callable[..., int]:
    """``emit(hub, user_id, **members)``: send ``user.created``; gives its sequence."""

    def emit_(hub: HubProcess, number: int, **members: Any) -> int:
        payload = {"user_id": number, **members}
        return int(post(hub, "/events", {"type": "user.created", "payload": payload})["sequence"])

    return emit_


@pytest.fixture
def hostile() -> str:
    """Text that wants to be markup."""
    return HOSTILE


class Receiver:
    """A receiver of webhooks that answers what it is told to."""

    url = ""
    status = 200
    body = b"thank you"

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on the loopback interface."""
    told = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.requests.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        told.url = f"http://127.0.0.1:{server.server_port}/"
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of one test."""
    with receiving() as told:
        yield told


@pytest.fixture(scope="module")
def polite_receiver() -> Iterator[Receiver]:
    """A receiver of all tests of a module; it thanks."""
    with receiving() as told:
        yield told
