"""hub.js in one tab: what it promises, with nothing in its way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from hookhub.testing.hub_process import HubProcess
from support.network import Network

OpenTab = Callable[..., Any]


def test_a_page_of_another_origin(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """It imports the module, connects, says so, and gets every event with all its members."""
    tab = open_tab().start(hub.token).wait_state("live")
    tab.wait_sequence(producer.emit())
    tab.run("() => { window.last = new Promise((done) => hub.on('user.created', done)); }")
    producer.emit()
    event = tab.run("last")
    assert tab.sequences == producer.sequences()
    assert event["type"] == "user.created"
    assert event["payload"] == {"user_id": 1}
    assert event["cursor"] == tab.run("hub.cursor")
    assert tab.states == ["connecting", "live"]
    assert tab.run("hub.state.transport") == "websocket"


def test_the_token_is_in_no_address(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """Each connection has a one-time ticket of its own."""
    tab = open_tab()
    addresses: list[str] = []
    tab.page.on("request", lambda request: addresses.append(request.url))
    tab.page.on("websocket", lambda socket: addresses.append(socket.url))
    tab.start(hub.token).wait_state("live")
    network.break_all()
    tab.wait_sequence(producer.emit())
    tickets = [item for url in addresses for item in re.findall(r"ticket=([^&]+)", url)]
    assert len(tickets) >= 2
    assert len(set(tickets)) == len(tickets)
    assert not [url for url in addresses if hub.token in url]


def test_in_the_panels_own_policy(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """A page with `script-src 'self'` and `connect-src 'self'` can use it."""
    tab = open_tab(f"{hub.url}/admin/")
    tab.url = hub.url
    tab.start(hub.token).wait_state("live")
    tab.wait_sequence(producer.emit())
    assert tab.run("hub.state.transport") == "websocket"


def test_the_example_of_the_manual(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network, example: str
) -> None:
    """The page of docs/hub-js.md works as it stands there, but for address and token."""
    assert example.count("https://hub.example.org") == 1
    assert example.count("YOUR_API_TOKEN") == 1
    tab = open_tab()
    page = example.replace("https://hub.example.org", network.url)
    tab.page.set_content(page.replace("YOUR_API_TOKEN", hub.token))
    tab.wait("document.querySelector('#state').textContent === 'live'")
    producer.emit("ticket.created", "user.created")
    tab.wait("document.querySelectorAll('#users li').length === 1")


def test_choosing_events(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """Patterns choose what comes, from a subscription on and until its end; handlers in it."""
    tab = open_tab().start(hub.token, events=["ticket.*"]).wait_state("live")
    tab.listen("user.*", "users")
    producer.emit("user.created")
    first = producer.emit("ticket.created")
    tab.wait_sequence(first)
    tab.run("hub.subscribe('user.*')")
    second = producer.emit("user.created")
    tab.wait_sequence(second)
    assert tab.run("[hub.events, users]") == [["ticket.*", "user.*"], [second]]
    tab.run("hub.unsubscribe('ticket.*')")
    tab.run("hub.off('user.*', usersHandler)")
    producer.emit("ticket.created")
    third = producer.emit("user.created")
    tab.wait_sequence(third)
    assert tab.sequences == [first, second, third]
    assert tab.run("users") == [second]
    assert tab.run("seen.errors") == []


def test_a_condition_on_the_payload(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """`where` goes to the hub, at the beginning and with each subscription."""
    where = {"user_id": 1}
    tab = open_tab().start(hub.token, events="ticket.*", where=where).wait_state("live")
    tab.run("hub.subscribe('user.*')")
    producer.emit("user.created", user_id=2)
    sequence = producer.emit("user.created", user_id=1)
    tab.wait_sequence(sequence)
    assert tab.sequences == [sequence]


@pytest.mark.parametrize(
    "options",
    ["{}", "{token: 't', getTicket() {}}", "{token: 't', events: 'Users'}",
     "{token: 't', events: ['user.*', 7]}", "{token: 't', since: 'yesterday'}"],
)  # fmt: skip
def test_wrong_options(open_tab: OpenTab, options: str) -> None:
    """They are told at once, to whoever wrote them."""
    tab = open_tab()
    code = f"""async (url) => {{
      const {{ Hub }} = await import(`${{url}}/hub.js`);
      try {{ new Hub({options}); }} catch (error) {{ return error.name; }}
    }}"""
    assert tab.run(code, tab.url) == "TypeError"


def test_a_loop(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """`for await` gives the same events, and ends with close()."""
    tab = open_tab().start(hub.token).wait_state("live")
    tab.run("""() => {
      window.looped = [];
      window.ended = (async () => {
        for await (const event of hub) looped.push(event.sequence);
        return "ended";
      })();
    }""")
    producer.emit(*["user.created"] * 20)
    tab.wait("looped.length === 20")
    assert tab.run("looped") == producer.sequences()
    tab.run("hub.close()")
    assert tab.run("ended") == "ended"
    assert tab.run("[hub.state.name, hub.state.code]") == ["stopped", "closed"]


def test_a_loop_that_does_not_read(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """What waits for a loop is bounded: past that it is told, and everybody else goes on."""
    tab = open_tab().start(hub.token).wait_state("live")
    tab.run("window.iterator = hub[Symbol.asyncIterator]()")
    for _ in range(11):
        last = producer.emit(*["user.created"] * 1000)
    tab.wait_sequence(last)
    code = """async () => {
      let n = 0;
      try { for await (const event of iterator) n += 1; } catch (error) { return [n, error.code]; }
    }"""
    assert tab.run(code) == [10_001, "too_slow"]
    assert tab.sequences == producer.sequences()


def test_a_handler_that_throws(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """The page is told, and the others get their event."""
    tab = open_tab().start(hub.token).wait_state("live")
    tab.run("() => { hub.on('*', () => { throw new Error('of the page'); }); }")
    tab.listen("*", "after")
    producer.emit()
    last = producer.emit()
    tab.wait_sequence(last)
    assert tab.run("after") == producer.sequences()
    assert tab.errors == ["of the page"] * 2
    tab.errors.clear()


def test_a_reload_goes_on(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """With `persist`, a page that comes back gets what it missed, and nothing twice."""
    tab = open_tab().start(hub.token, persist="place").wait_state("live")
    tab.wait_sequence(producer.emit())
    tab.page.goto("about:blank")
    missed = [producer.emit() for _ in range(3)]
    tab.page.go_back()
    tab.start(hub.token, persist="place").wait_state("live")
    tab.wait_sequence(missed[-1])
    assert tab.sequences == missed
    assert tab.run("seen.resumed") == [{"replayed": 3}]


def test_from_a_cursor(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """`since` begins after a page of history; the state is `lagging` until it has caught up."""
    producer.emit("user.created", "user.created")
    cursor = producer.cursor()
    rest = [producer.emit() for _ in range(3)]
    tab = open_tab().start(hub.token, since=cursor).wait_state("live")
    assert tab.sequences == rest
    assert tab.states == ["connecting", "lagging", "live"]


def test_signals_have_no_place(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """`delivery.*` is for who asks for it, moves no cursor, and is told to no one else."""
    with hub.client() as http:
        webhook = {"name": "nobody", "url": "http://127.0.0.1:9/", "event_type": "*"}
        assert http.post("/webhooks", json=webhook).is_success
    curious = open_tab().start(hub.token, events=["user.*", "delivery.*"]).wait_state("live")
    other = open_tab().start(hub.token, events="*").wait_state("live")
    sequence = producer.emit()
    curious.wait("seen.types.includes('delivery.attempted')")
    for tab in (curious, other):
        tab.wait_sequence(sequence)
        assert tab.run("hub.cursor").endswith(f"-{sequence:x}")
    other.wait_sequence(producer.emit())
    assert "delivery.attempted" not in other.run("seen.types")
