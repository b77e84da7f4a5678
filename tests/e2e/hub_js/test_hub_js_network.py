"""hub.js when the network, the hub or the machine fails: everything once, in order, and said."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.waiting import wait_until
from support.network import Network

OpenTab = Callable[..., Any]

NEVER = 3_600_000
"""Milliseconds that no test waits."""
LOST = ("reconnecting", "offline")


def test_a_restart_of_the_hub(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """It comes back when the hub said, and goes on where it was."""
    tab = open_tab().start(hub.token).wait_state("live")
    tab.wait_sequence(producer.emit())
    hub.terminate()
    tab.wait("seen.states.some((state) => state.code === 1012 && state.retryAt)")
    hub.start()
    tab.wait_sequence(producer.emit(*["user.created"] * 5))
    tab.wait_state("live")
    assert tab.sequences == producer.sequences()
    assert tab.run("seen.gaps") == []


def test_kill_9(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """A hub that dies without a word is come back to."""
    tab = open_tab().start(hub.token).wait_state("live")
    tab.wait_sequence(producer.emit())
    hub.kill()
    tab.wait(f"{list(LOST)}.includes(hub.state.name)")
    hub.start()
    tab.wait_sequence(producer.emit())
    assert tab.sequences == producer.sequences()


def test_the_network_cut(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """What happens while the network is cut comes after it, and the state says what is so."""
    tab = open_tab().start(hub.token).wait_state("live")
    for _ in range(3):
        tab.wait_sequence(producer.emit())
        network.cut()
        tab.wait_state("offline")
        assert tab.run("hub.state.transport") is None
        last = producer.emit(*["user.created"] * 3)
        network.mend()
        tab.wait_sequence(last).wait_state("live")
        assert tab.run("hub.state.transport") == "websocket"
    assert tab.sequences == producer.sequences()
    assert tab.run("seen.resumed.map((item) => item.replayed)") == [3, 3, 3]


def test_a_link_that_died_in_silence(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """Where nothing comes and nobody closes, a ping without an answer tells."""
    timing = {"ping": 200, "pong": 300, "poke": 200}
    tab = open_tab().start(hub.token, timing=timing).wait_state("live")
    tab.wait_sequence(producer.emit())
    network.freeze()
    last = producer.emit()
    tab.wait("seen.states.some((state) => state.reason === 'no answer to a ping')")
    tab.wait_sequence(last)
    assert tab.sequences == producer.sequences()


def test_pings_keep_a_silent_link(hub: HubProcess, open_tab: OpenTab, network: Network) -> None:
    """Silence alone ends no connection: the hub answers."""
    tab = open_tab()
    frames: list[str] = []
    tab.page.on("websocket", lambda ws: ws.on("framereceived", lambda data: frames.append(data)))
    tab.start(hub.token, timing={"ping": 50, "pong": 5_000}).wait_state("live")
    tab.wait_for(lambda: sum('"pong"' in str(frame) for frame in frames) >= 5)
    assert network.opened == 1
    assert tab.states == ["connecting", "live"]


def test_the_browser_is_offline(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """`offline` and `online` of the browser are acted on at once, whatever the back-off says."""
    timing = {"first": NEVER, "longest": NEVER, "poke": 1_000}
    tab = open_tab().start(hub.token, timing=timing).wait_state("live")
    tab.page.context.set_offline(True)
    tab.wait_state("offline")
    assert tab.run("hub.state.network") is False
    last = producer.emit()
    tab.page.context.set_offline(False)
    tab.wait_sequence(last).wait_state("live")
    assert tab.sequences == producer.sequences()


def test_the_machine_sleeps(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """Once the clock has jumped, the old connection is not trusted any more."""
    tab = open_tab()
    tab.page.clock.install()
    tab.start(hub.token, timing={"ping": NEVER, "poke": NEVER, "open": 1_000})
    tab.wait_state("live")
    tab.wait_sequence(producer.emit())
    network.freeze()
    last = producer.emit()
    tab.page.clock.fast_forward("10:00")
    tab.wait_sequence(last).wait_state("live")
    assert network.opened == 2
    assert tab.sequences == producer.sequences()


def test_a_frozen_tab(
    hub: HubProcess, open_freezable: OpenTab, producer: Any, network: Network
) -> None:
    """A tab that may not run holds no connection; when it may, it gets all that happened."""
    tab = open_freezable().start(hub.token).wait_state("live")
    tab.wait_sequence(producer.emit())
    tab.freeze()
    wait_until(lambda: network.websockets == 0)
    last = producer.emit(*["user.created"] * 4)
    tab.thaw()
    tab.wait_sequence(last).wait_state("live")
    assert tab.sequences == producer.sequences()
    assert tab.states == ["connecting", "live", "reconnecting", "lagging", "live"]


def test_back_and_forth(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """A page that was left and is shown again (from the browser's cache) goes on."""
    tab = open_tab().start(hub.token).wait_state("live")
    tab.wait_sequence(producer.emit())
    fire = "(name) => dispatchEvent(new PageTransitionEvent(name, {persisted: true}))"
    tab.run(fire, "pagehide")
    last = producer.emit()
    tab.run(fire, "pageshow")
    tab.wait_sequence(last).wait_state("live")
    assert tab.sequences == producer.sequences()


def test_where_websockets_do_not_pass(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """Behind a proxy that refuses upgrades it is an event stream, until the WebSocket passes."""
    network.refuses_websockets = True
    tab = open_tab().start(hub.token, events=["user.*"], timing={"socket": 300})
    tab.wait_state("live")
    assert tab.run("hub.state.transport") == "sse"
    unwanted = producer.emit("ticket.created")
    tab.wait_sequence(producer.emit())
    network.break_all()
    tab.wait_sequence(producer.emit())
    hub.restart()
    tab.wait_sequence(producer.emit())
    tab.wait("hub.state.name === 'live' && hub.state.transport === 'sse'")
    subscribed = "hub.subscribe('ticket.*')"
    tab.run(subscribed)
    tab.wait_sequence(producer.emit("ticket.created"))
    network.refuses_websockets = False
    while tab.run("hub.state.transport") != "websocket":
        producer.emit()
    tab.wait_sequence(producer.emit())
    assert tab.sequences == [number for number in producer.sequences() if number != unwanted]
    assert tab.run("seen.gaps") == []


def test_an_event_stream_that_broke_before_its_first_event(
    hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """The place where it began is known: what comes while it is cut is not lost."""
    tab = open_tab().start(hub.token, transport="sse").wait_state("live")
    tab.wait("hub.cursor !== null")
    network.cut()
    tab.wait_state("offline")
    last = producer.emit("user.created", "user.created")
    network.mend()
    tab.wait_sequence(last)
    assert tab.sequences == producer.sequences()


def test_without_the_plugin(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """A hub without hookhub-websocket is followed as Server-Sent Events."""
    hub.configure({"plugins": {"disabled": ["websocket"]}})
    try:
        hub.restart()
        tab = open_tab().start(hub.token).wait_state("live")
        tab.wait_sequence(producer.emit())
        assert tab.run("hub.state.transport") == "sse"
    finally:
        hub.configure({"plugins": {"disabled": []}})
        hub.restart()


def test_another_history_is_a_gap(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """A hub that comes back with another database is told, until somebody takes note."""
    tab = open_tab().start(hub.token).wait_state("live")
    for _ in range(3):
        tab.wait_sequence(producer.emit())
    hub.kill()
    for file in hub.directory.glob("hookhub.db*"):
        file.unlink()
    hub.start()
    tab.wait_state("gap")
    tab.run("seen.sequences.length = 0")
    tab.wait_sequence(producer.emit())
    assert tab.sequences == [1]
    assert tab.run("seen.gaps.map((gap) => gap.missed)") == [None]
    assert tab.run("hub.state.missed") is None
    tab.run("hub.acknowledge()")
    assert tab.run("hub.state.name") == "live"


def test_a_backup_restored_below_the_hub_is_a_gap(
    hub: HubProcess, open_tab: OpenTab, producer: Any
) -> None:
    """All tabs are told, and get what then has the sequences of events that they had before."""
    tabs = [open_tab().start(hub.token).wait_state("live") for _ in range(2)]
    producer.emit(*["user.created"] * 2)
    with closing(sqlite3.connect(hub.directory / "hookhub.db")) as database:
        with closing(sqlite3.connect(hub.directory / "copy")) as copy:
            database.backup(copy)
            last = producer.emit(*["user.created"] * 3)
            for tab in tabs:
                tab.wait_sequence(last)
            copy.backup(database)
    for tab in tabs:
        tab.wait_state("gap")
        assert tab.run("seen.gaps.map((gap) => gap.missed)") == [None]
        tab.run("seen.sequences.length = 0")
    for _ in range(2):
        restored = producer.emit()
    assert restored <= last
    for tab in tabs:
        tab.wait_sequence(restored)
        assert tab.sequences == [restored - 1, restored]


def test_cut_at_random(hub: HubProcess, open_tab: OpenTab, producer: Any, network: Network) -> None:
    """Three tabs with their own filters, and every connection broken again and again."""
    chance = random.Random(4)
    families = {"": ["*"], "user.": ["user.*"], "ticket.": ["ticket.created"]}
    tabs = {
        family: open_tab().start(hub.token, events=patterns, identity=family or "all")
        for family, patterns in families.items()
    }
    for tab in tabs.values():
        tab.wait_state("live")
    for _ in range(40):
        producer.emit(*chance.choices(["user.created", "ticket.created"], k=10))
        if chance.random() < 0.5:
            network.break_all()
    producer.emit("user.created", "ticket.created")
    for family, tab in tabs.items():
        tab.wait_sequence(producer.sequences(family)[-1])
        assert tab.sequences == producer.sequences(family)
        assert tab.run("seen.gaps") == []
