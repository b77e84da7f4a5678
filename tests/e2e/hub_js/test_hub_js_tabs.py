"""hub.js in several tabs: one connection, each tab its own events, and no loss when it moves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.waiting import wait_until
from support.network import Network

OpenTab = Callable[..., Any]


def leaders(tabs: list[Any]) -> list[int]:
    """Which of the tabs hold a connection."""
    return [number for number, tab in enumerate(tabs) if tab.run("hub.state.leads")]


def test_one_connection_for_all(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """The hub sees one WebSocket; each tab gets what it chose, and no other."""
    chosen = {"user.": "user.*", "ticket.": "ticket.created", "": "*"}
    tabs = {
        family: open_tab().start(hub.token, events=pattern).wait_state("live")
        for family, pattern in chosen.items()
    }
    producer.emit("user.created", "ticket.created")
    last = producer.emit("ticket.created", "user.created")
    for family, tab in tabs.items():
        tab.wait_sequence(producer.sequences(family)[-1])
        assert tab.sequences == producer.sequences(family)
    assert network.websockets == 1
    assert leaders(list(tabs.values())) == [0]
    tabs["user."].run("hub.subscribe('ticket.*')")
    tabs[""].run("hub.unsubscribe('*')")
    last = producer.emit("user.created", "ticket.created")
    tabs["user."].wait_sequence(last)
    assert last not in tabs[""].sequences
    assert network.websockets == 1


def test_others_have_their_own(hub: HubProcess, open_tab: OpenTab, network: Network) -> None:
    """Another token, another condition or another wish does not share."""
    with hub.client() as http:
        token = http.post("/tokens", json={"name": "other", "scopes": ["events:read"]}).json()
    open_tab().start(hub.token).wait_state("live")
    open_tab().start(token["token"]).wait_state("live")
    open_tab().start(hub.token, where={"user_id": 1}).wait_state("live")
    open_tab().start(hub.token, share=False).wait_state("live")
    assert network.websockets == 4


def test_a_tab_from_further_back(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """A tab that joins with an old cursor gets all from there, and the others nothing twice."""
    producer.emit(*["user.created"] * 30)
    further_back = producer.cursor_of(producer.sequences()[9])
    first = open_tab().start(hub.token).wait_state("live")
    first.wait_sequence(producer.emit())
    second = open_tab().start(hub.token, since=further_back).wait_state("live")
    last = producer.emit("user.created", "ticket.created")
    for tab in (first, second):
        tab.wait_sequence(last)
    assert first.sequences == producer.sequences()[30:]
    assert second.sequences == producer.sequences()[10:]
    assert network.websockets == 1


def test_the_leader_is_closed(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """Another tab takes over where it was itself; under load, nothing is lost or comes twice."""
    tabs = [open_tab().start(hub.token).wait_state("live") for _ in range(4)]
    while len(tabs) > 1:
        producer.emit(*["user.created"] * 20)
        [leader] = leaders(tabs)
        tabs.pop(leader).page.close()
        last = producer.emit(*["user.created"] * 20)
        for tab in tabs:
            tab.wait_sequence(last)
            assert tab.sequences == producer.sequences()
        wait_until(lambda: len(leaders(tabs)) == 1)
        assert network.websockets == 1


def test_the_leader_crashes(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """Without a goodbye it is the same."""
    tabs = [open_tab().start(hub.token).wait_state("live") for _ in range(2)]
    [leader] = leaders(tabs)
    crashed = tabs.pop(leader)
    producer.emit()
    with crashed.page.expect_event("crash"), suppress(Exception):
        crashed.page.goto("chrome://crash")
    last = producer.emit()
    tabs[0].wait_sequence(last)
    assert tabs[0].sequences == producer.sequences()


def test_the_leader_is_frozen(
    hub: HubProcess, open_freezable: OpenTab, producer: Any, network: Network
) -> None:
    """It lets go of the connection; when it wakes up, it follows, and gets what it missed."""
    first = open_freezable().start(hub.token).wait_state("live")
    second = open_freezable().start(hub.token, events="user.*").wait_state("live")
    producer.emit("user.created", "ticket.created")
    assert leaders([first, second]) == [0]
    first.freeze()
    last = producer.emit("user.created", "ticket.created", "user.created")
    second.wait_sequence(last)
    assert second.sequences == producer.sequences("user.")
    assert second.run("hub.state.leads") is True
    first.thaw()
    last = producer.emit()
    for tab in (first, second):
        tab.wait_sequence(last)
    assert first.sequences == producer.sequences()
    assert leaders([first, second]) == [1]
    wait_until(lambda: network.websockets == 1)


def test_the_leader_hangs(
    hub: HubProcess, open_freezable: OpenTab, producer: Any, network: Network
) -> None:
    """A leader that does not answer is robbed of the lock; when it is back, it steps down."""
    timing = {"timing": {"leader": 300}}
    first = open_freezable().start(hub.token, **timing).wait_state("live")
    first.wait_sequence(producer.emit())
    second = open_freezable().start(hub.token, **timing).wait_state("live")
    first.command("Debugger.enable")
    first.command("Debugger.pause")
    last = producer.emit()
    second.wait_sequence(last)
    assert second.sequences == [last]
    assert second.run("hub.state.leads") is True
    first.command("Debugger.resume")
    last = producer.emit()
    for tab in (first, second):
        tab.wait_sequence(last)
    assert first.sequences == producer.sequences()
    assert second.sequences == producer.sequences()[1:]
    wait_until(lambda: network.websockets == 1)


def test_everything_at_once(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """Cuts, restarts of the hub and closed leaders, one after the other: everything once."""
    chosen = {"user.": ["user.*"], "ticket.": ["ticket.*"], "": ["*"]}
    tabs = {
        family: open_tab().start(hub.token, events=patterns).wait_state("live")
        for family, patterns in chosen.items()
    }
    extra = [open_tab().start(hub.token).wait_state("live") for _ in range(2)]
    disturbances = [network.break_all, hub.restart, extra[0].page.close, network.break_all]
    for disturb in disturbances:
        producer.emit(*["user.created", "ticket.created"] * 10)
        disturb()
        producer.emit(*["ticket.created", "user.created"] * 10)
    producer.emit("user.created", "ticket.created")
    for family, tab in tabs.items():
        tab.wait_sequence(producer.sequences(family)[-1])
        assert tab.sequences == producer.sequences(family)
        assert tab.run("seen.gaps") == []
    wait_until(lambda: network.websockets == 1)


HEARS_LATE = """() => {
  window.BroadcastChannel = class extends BroadcastChannel {
    set onmessage(hear) {
      super.onmessage = (message) => {
        if (message.data.kind === "stop") setTimeout(() => hear(message), 150);
        else hear(message);
      };
    }
  };
}"""


def test_what_ends_one_ends_all(hub: HubProcess, open_tab: OpenTab) -> None:
    """A revoked token stops every tab, and each says why; none tries what is of no use."""
    with hub.client() as http:
        token = http.post("/tokens", json={"name": "short", "scopes": ["events:read"]}).json()
        leader = open_tab().start(token["token"]).wait_state("live")
        other = open_tab()
        other.run(HEARS_LATE)
        other.start(token["token"]).wait_state("live")
        assert http.post(f"/tokens/{token['id']}/revoke").is_success
    for tab in (leader, other):
        tab.wait_state("stopped")
        assert tab.run("hub.state.code") == "revoked"
    assert other.run("seen.states.some((state) => state.leads)") is False


def test_a_page_that_may_not_share(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """A sandboxed page has no locks and no storage: it has a connection of its own."""
    tab = open_tab()
    tab.page.set_content("<iframe sandbox=allow-scripts srcdoc='<p>sandboxed</p>'></iframe>")
    tab.sandboxed().start(hub.token, persist="place").wait_state("live")
    tab.wait_sequence(producer.emit())
    network.break_all()
    tab.wait_sequence(producer.emit())
    assert tab.sequences == producer.sequences()


def test_a_wish_before_the_first_connection(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """Who subscribes while it joins with an old cursor still gets all after that."""
    producer.emit("user.created", "ticket.created", "user.created")
    cursor = producer.cursor_of(producer.sequences()[0])
    open_tab().start(hub.token).wait_state("live")
    network.cut()
    tab = open_tab()
    tab.url = hub.url
    tab.start(hub.token, since=cursor, events="user.*", url=network.url)
    tab.wait("hub.state.name !== 'connecting'")
    tab.run("() => { hub.subscribe('ticket.*'); }")
    network.mend()
    tab.wait_sequence(producer.emit())
    assert tab.sequences == producer.sequences()[1:]
