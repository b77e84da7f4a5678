"""hub.js in real Chromium, on a page of another origin, behind a network that can fail."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import find_program, missing
from hookhub.testing.waiting import wait_until
from support.network import Network

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Frame, Page

TIMEOUT = 30.0
"""Seconds that Chromium has for anything."""
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
QUICK = {"first": 50, "longest": 300, "tick": 50}
"""Timing that does not make tests wait, and nothing that could come too early."""

RECORD = """async ([url, options]) => {
  const { Hub } = await import(`${url}/hub.js`);
  const seen = { sequences: [], types: [], states: [], gaps: [], resumed: [], errors: [] };
  window.seen = seen;
  window.hub = new Hub({
    ...options,
    onEvent: (event) => {
      seen.types.push(event.type);
      if (event.sequence) seen.sequences.push(event.sequence);
    },
    onState: (state) => seen.states.push(state),
    onGap: (gap) => seen.gaps.push(gap),
    onResumed: (resumed) => seen.resumed.push(resumed),
    onError: (error) => seen.errors.push(error),
  });
}"""


class Tab:
    """A tab with a page that uses hub.js, and records what it is told.

    Args:
        page: an empty page of some origin.
        url: where hub.js comes from.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self._frame: Page | Frame = page
        page.set_default_timeout(TIMEOUT * 1000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def start(self, token: str, **options: Any) -> Tab:
        """Make a Hub; ``timing`` is added to the quick one."""
        timing = {**QUICK, **options.pop("timing", {})}
        self.run(RECORD, [self.url, {"token": token, "timing": timing, **options}])
        return self

    def run(self, code: str, *arguments: Any) -> Any:
        """Evaluate JavaScript in the page; a promise is waited for."""
        return self._frame.evaluate(code, *arguments)

    def sandboxed(self) -> Tab:
        """From now on, the frame in the page is meant."""
        self._frame = self.page.frames[1]
        return self

    def listen(self, pattern: str, name: str) -> None:
        """Collect the sequences that a pattern's handler gets, in a list of this name."""
        self.run(
            """([pattern, name]) => {
              const list = (window[name] = []);
              window[`${name}Handler`] = (event) => list.push(event.sequence);
              hub.on(pattern, window[`${name}Handler`]);
            }""",
            [pattern, name],
        )

    def wait(self, condition: str, argument: Any = None) -> Tab:
        """Wait until an expression is true in the page."""
        # Playwright's own waiting runs in the page, whose timers or policy may be in its way.
        wait_until(lambda: self.run(condition, argument), TIMEOUT)
        return self

    def wait_state(self, name: str) -> Tab:
        """Wait for a state."""
        return self.wait(f"hub.state.name === {json.dumps(name)}")

    def wait_sequence(self, sequence: int) -> Tab:
        """Wait for an event."""
        return self.wait("(last) => seen.sequences.includes(last)", sequence)

    @property
    def sequences(self) -> list[int]:
        """The events of the history that the page was told, as they came."""
        found = self.run("seen.sequences")
        assert isinstance(found, list)
        return found

    @property
    def states(self) -> list[str]:
        """The names of the states so far, without repeats."""
        names = self.run("seen.states.map((state) => state.name)")
        return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]

    def wait_for(self, check: Callable[[], object]) -> Tab:
        """Wait for something outside of the page, while what the page does is heard of."""

        def look() -> object:
            found = check()
            return found or (self.run("null") and None)

        wait_until(look, TIMEOUT)
        return self


class FreezableTab(Tab):
    """A tab that Chromium can freeze.

    Playwright keeps the pages of its contexts visible, and Chromium freezes only hidden ones; so
    this one is in the browser's default context, which Playwright leaves alone.

    Args:
        browser: where.
        page_url: what to open.
        url: where hub.js comes from.
    """

    def __init__(self, browser: Browser, page_url: str, url: str) -> None:
        self.url = url
        self.errors = []
        self._browser = browser.new_browser_cdp_session()
        self._answers: dict[int, dict[str, Any]] = {}
        self._asked = 0
        self._browser.on("Target.receivedMessageFromTarget", self._hear)
        self._target = self._browser.send("Target.createTarget", {"url": page_url})["targetId"]
        attach = {"targetId": self._target, "flatten": False}
        self._session = self._browser.send("Target.attachToTarget", attach)["sessionId"]
        self.wait(f"document.readyState === 'complete' && location.href === {page_url!r}")

    def _hear(self, event: dict[str, Any]) -> None:
        message = json.loads(event["message"])
        if "id" in message:
            self._answers[message["id"]] = message

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol, and wait for its result."""
        self._asked += 1
        number = self._asked
        message = json.dumps({"id": number, "method": method, "params": params})
        self._browser.send(
            "Target.sendMessageToTarget", {"sessionId": self._session, "message": message}
        )

        def answer() -> dict[str, Any] | None:
            self._browser.send("Target.getTargets")  # Playwright hears while it waits for this
            return self._answers.pop(number, None)

        found = wait_until(answer, TIMEOUT)
        assert found is not None
        assert "error" not in found, found
        result: dict[str, Any] = found["result"]
        assert "exceptionDetails" not in result, result
        return result

    def run(self, code: str, *arguments: Any) -> Any:
        call = f"({code})({', '.join(map(json.dumps, arguments))})" if _FUNCTION(code) else code
        options = {"awaitPromise": True, "returnByValue": True}
        return self.command("Runtime.evaluate", expression=call, **options)["result"].get("value")

    def freeze(self) -> None:
        """Stop the page as browsers do with tabs that nobody looks at."""
        self.command("Page.setWebLifecycleState", state="frozen")

    def thaw(self) -> None:
        """Let it run again."""
        self.command("Page.setWebLifecycleState", state="active")

    def close(self) -> None:
        """Close it, unlike a crash."""
        self._browser.send("Target.closeTarget", {"targetId": self._target})


_FUNCTION = re.compile(r"(async )?\(?[\w\[\], ]*\)? =>").match


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a module; each has a profile of its own in it."""
    executable = find_program("chromium", "chromium", "chromium-browser", "google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("chromium", "Install the Python package that drives it: playwright.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A profile: its tabs know of each other."""
    context = chromium.new_context()
    yield context
    context.close()


Answers = Mapping[str, Callable[[], tuple[int, bytes]]]


@contextmanager
def site(answers: Answers) -> Iterator[str]:
    """A web site of its own origin: empty pages, and what ``POST`` to these paths answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, b"<!doctype html><title>A page</title>", "text/html")

        def do_POST(self) -> None:
            status, body = answers[self.path]()
            self._answer(status, body, "application/json")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
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


@pytest.fixture
def open_site() -> Iterator[Callable[[Answers], str]]:
    """``open_site(answers)``: see :func:`site`; gives its address."""
    with ExitStack() as stack:
        yield lambda answers: stack.enter_context(site(answers))


@pytest.fixture(scope="module")
def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for the tests of a module: each looks at no more than the events that it sends."""
    with HubProcess(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def hub(shared_hub: HubProcess) -> HubProcess:
    """A running hub, also after a test that failed while it was stopped."""
    if not shared_hub.running:
        shared_hub.start()
    return shared_hub


@pytest.fixture
def network(hub: HubProcess) -> Iterator[Network]:
    """What lies between browser and hub."""
    with Network(hub.port) as network:
        yield network


OpenTab = Callable[..., Tab]


@pytest.fixture
def open_tab(context: BrowserContext, network: Network) -> Iterator[OpenTab]:
    """``open_tab()``: a tab on an empty page of another origin than the hub's."""
    tabs: list[Tab] = []
    with ExitStack() as stack:
        page_url = stack.enter_context(site({}))

        def open_(url: str = page_url) -> Tab:
            tabs.append(Tab(context.new_page(), network.url))
            tabs[-1].page.goto(url)
            return tabs[-1]

        yield open_
    assert [tab.errors for tab in tabs if tab.errors] == []


@pytest.fixture
def open_freezable(chromium: Browser, network: Network) -> Iterator[OpenTab]:
    """``open_freezable()``: as ``open_tab``, for tabs that will be frozen."""
    with site({}) as page_url, ExitStack() as stack:

        def open_() -> FreezableTab:
            tab = FreezableTab(chromium, page_url, network.url)
            stack.callback(tab.close)
            return tab

        yield open_


class Producer:
    """Sends events to the hub itself, past the network.

    Args:
        hub: which one.
    """

    def __init__(self, hub: HubProcess) -> None:
        self._hub = hub
        self.sent: dict[int, str] = {}
        """Sequence to type of all that was sent."""

    def emit(self, *types: str, **members: Any) -> int:
        """Send an event of each of these types in one batch; returns the last sequence.

        Args:
            members: of all payloads, besides those that they need.
        """
        types = types or ("user.created",)
        batch = [{"type": type, "payload": {**PAYLOADS[type], **members}} for type in types]
        with self._hub.client() as http:
            response = http.post("/events/batch", json=batch)
        assert response.is_success, response.text
        numbers = [int(item["sequence"]) for item in response.json()["items"]]
        self.sent.update(zip(numbers, types, strict=True))
        return numbers[-1]

    def cursor(self) -> str:
        """Now."""
        with self._hub.client() as http:
            page = http.get("/events", params={"newest": True, "limit": 1}).json()
        return str(page["cursor"])

    def cursor_of(self, sequence: int) -> str:
        """The place after an event."""
        epoch, _, _ = self.cursor().partition("-")
        return f"{epoch}-{sequence:x}"

    def sequences(self, family: str = "") -> list[int]:
        """All that was sent whose type begins so."""
        return sorted(number for number, type in self.sent.items() if type.startswith(family))


PAYLOADS: dict[str, dict[str, Any]] = {
    "user.created": {"user_id": 1},
    "ticket.created": {
        **{"ticket_id": 1, "user_id": 1, "title": "Invoice", "status": "open"},
        **{"priority": "normal", "has_media": False},
    },
}


@pytest.fixture
def producer(hub: HubProcess) -> Producer:
    """Sends events."""
    return Producer(hub)


@pytest.fixture
def example() -> str:
    """The page that docs/hub-js.md shows."""
    text = (Path(__file__).parents[3] / "docs" / "hub-js.md").read_text("utf-8")
    found = re.search(r"^```html\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]
