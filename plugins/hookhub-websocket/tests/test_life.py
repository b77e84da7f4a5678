"""What ends a connection, and what other connections notice of it: nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from wsproto.events import Ping, Pong, TextMessage

from hookhub import Cursor
from hookhub.config import PluginsSettings, Settings
from hookhub.contracts.errors import ConfigError
from hookhub.hub import Hub
from hookhub.testing.serving import TOKEN
from hookhub.testing.waiting import wait_until_async
from hookhub_websocket.session import Session
from hookhub_websocket.settings import WebSocketSettings
from hookhub_websocket.sink import WATCH, WebSocketSink
from hookhub_websocket.watch import STRIKES

QUICK = {"plugins": {"websocket": {"write_timeout": 0.3, "close_timeout": 2.0}}}


def closing(session: Session) -> Callable[[], Awaitable[bool]]:
    """Whether the hub has decided to let this client go."""

    async def check() -> bool:
        return session.link.closed is not None

    return check


def writing(session: Session) -> Callable[[], Awaitable[bool]]:
    """Whether a write to this client does not get through."""

    async def check() -> bool:
        since = session.link.outbox.writing_since
        return since is not None and trio.current_time() - since > 0.05

    return check


async def test_revoking_a_token_closes_its_connections(
    anonymous: Callable[..., Any], connect: Callable[..., Any], hub: Hub
) -> None:
    """4502 within a second; connections of other tokens stay."""
    token, secret = await hub.tokens.create("reader", ["events:read"])
    async with connect() as other, anonymous(token=secret) as client:
        await client.receive()
        await hub.tokens.revoke(token.id)
        with trio.fail_after(1):
            assert await client.closing() == (4502, "The token is revoked")
        assert await other.ask(type="ping") == {"type": "pong"}


async def test_a_token_that_expires_closes_its_connections(
    anonymous: Callable[..., Any], hub: Hub
) -> None:
    """4201, a second at most after its time."""
    _, secret = await hub.tokens.create("short", ["events:read"], expires_at=hub.now() + 300_000)
    async with anonymous(token=secret) as client:
        await client.receive()
        with trio.fail_after(1.5):
            assert await client.closing() == (4201, "The token is expired")


@pytest.mark.parametrize("hub_tables", [{"live": {"heartbeat": 0.1, "heartbeat_timeout": 0.2}}])
async def test_dead_links_are_found(
    connect: Callable[..., Any], raw: Callable[..., Any], sink: WebSocketSink
) -> None:
    """A client that shows no sign of life after a ping is let go; one that answers is not."""
    async with connect() as alive:
        dead = await raw()
        await dead.open()
        await dead.message()
        assert isinstance(await dead.event(), Ping)
        code, reason = await dead.closing()
        assert (code, reason) == (1011, "No answer to a ping")
        assert await alive.ask(type="ping") == {"type": "pong"}
    assert sink.statistics()["closed_dead_total"] <= 1


@pytest.mark.parametrize("hub_tables", [QUICK])
async def test_a_client_that_never_reads_delays_nobody(
    connect: Callable[..., Any],
    raw: Callable[..., Any],
    emit: Callable[..., Any],
    sink: WebSocketSink,
) -> None:
    """It is closed with 1013 and the cursor with which it gets the rest; others see no delay."""
    stalled = await raw()
    await stalled.open()
    (session,) = sink._connections._sessions
    async with connect() as other:
        for _ in range(100):
            with trio.fail_after(1):
                await emit(text="x" * 100_000)
                await other.receive()
    await wait_until_async(closing(session))
    seen = []
    code = None
    while code is None:
        event = await stalled.event()
        if isinstance(event, TextMessage):
            seen.append(event)
        elif not isinstance(event, Ping):
            code, reason = event.code, event.reason
    assert code == 1013
    assert reason.startswith("Too slow; resume with cursor=")
    position = Cursor.parse(reason.partition("=")[2]).sequence
    whole = sum(event.message_finished for event in seen) - 1  # the greeting
    assert whole == position < 100
    async with connect(since=reason.partition("=")[2]) as again:
        for sequence in range(position + 1, 101):
            assert (await again.receive())["sequence"] == sequence
        verdict = await again.receive()
        assert (verdict["type"], verdict["replayed"]) == ("resumed", 100 - position)


IMPATIENT = {"write_timeout": 0.2, "close_timeout": 0.2}


@pytest.mark.parametrize("hub_tables", [{"plugins": {"websocket": IMPATIENT}}])
async def test_a_client_that_was_stuck_is_told_when_it_comes_back(
    raw: Callable[..., Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """Long after the time for an answer to a close: the frame it was in, 1013 and its cursor."""
    stuck = await raw()
    await stuck.open()
    (session,) = sink._connections._sessions
    for _ in range(60):
        await emit(text="x" * 100_000)
    await wait_until_async(closing(session))
    # The deadline of any other close is over then.
    await trio.sleep(2 * IMPATIENT["close_timeout"])
    await stuck.message()
    sequences = []
    while isinstance(event := await stuck.event(), TextMessage | Ping):
        if isinstance(event, TextMessage) and event.message_finished:
            sequences.append(len(sequences) + 1)
    assert event.code == 1013
    assert event.reason.startswith("Too slow; resume with cursor=")
    assert Cursor.parse(event.reason.partition("=")[2]).sequence == len(sequences) < 60
    # Then it is as with any other close.
    with trio.fail_after(2):
        await sink._connections.wait_empty()


@pytest.mark.parametrize(
    "hub_tables", [{"plugins": {"websocket": {**IMPATIENT, "slow_timeout": 0.3}}}]
)
async def test_a_client_that_stays_away_is_cut(
    raw: Callable[..., Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """There is no room in its socket for another word; nothing of it is kept."""
    stuck = await raw()
    await stuck.open()
    for _ in range(60):
        await emit(text="x" * 100_000)
    with trio.fail_after(5):
        await sink._connections.wait_empty()
    assert sink.statistics()["closed_slow_total"] == 1


@pytest.mark.parametrize("hub_tables", [{"live": {"max_lag": 100_000}}])
async def test_a_client_behind_its_limit_is_slow(
    raw: Callable[..., Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """[live] max_lag: with more than that waiting, look after look, and a write stuck, it ends."""
    stalled = await raw()
    await stalled.open()
    (session,) = sink._connections._sessions
    for _ in range(60):
        await emit(text="x" * 100_000)
    await wait_until_async(writing(session))
    for _ in range(STRIKES):
        assert session.feeder.lag > 1
        sink._connections.check(mean_frame=100_000)
    code, reason = await stalled.closing()
    assert code == 1013
    assert reason.startswith("Too slow; resume with cursor=")


@pytest.mark.parametrize("hub_tables", [{"live": {"max_lag": 100_000}}])
async def test_a_replay_may_be_longer_than_the_limit(
    raw: Callable[..., Any], emit: Callable[..., Any], hub: Hub, sink: WebSocketSink
) -> None:
    """max_lag is about being slow, not about asking for history."""
    for _ in range(60):
        await emit(text="x" * 100_000)
    client = await raw()
    await client.open(f"/ws?token={TOKEN}&since={Cursor(hub.feed.epoch, 0)}")
    (session,) = sink._connections._sessions
    await wait_until_async(writing(session))
    for _ in range(STRIKES * 2):
        sink._connections.check(mean_frame=100_000)
    await client.message()
    for sequence in range(1, 61):
        assert (await client.message())["sequence"] == sequence
    verdict = await client.message()
    assert (verdict["type"], verdict["replayed"]) == ("resumed", 60)


@pytest.mark.parametrize(
    "hub_tables", [{"plugins": {"websocket": {"message_burst": 1_000_000_000}}}]
)
async def test_a_flood_of_questions_is_bounded(
    raw: Callable[..., Any], sink: WebSocketSink, nursery: trio.Nursery
) -> None:
    """A client that asks without reading answers is read no further; others are served."""
    flood = await raw()
    await flood.open()
    (session,) = sink._connections._sessions
    questions = flood.ws.send(TextMessage(data='{"type": "nonsense"}')) * 1_000

    async def ask_for_ever() -> None:
        while True:
            await flood.stream.send_all(questions)

    nursery.start_soon(ask_for_ever)
    await wait_until_async(writing(session))
    assert session.link.outbox._queued < 250_000
    polite = await raw()
    await polite.open()
    assert (await polite.message())["status"] == "connected"


async def test_of_many_pings_the_newest_is_answered(
    raw: Callable[..., Any], sink: WebSocketSink
) -> None:
    """RFC 6455 §5.5.3: a client may ping as it likes, within its rate."""
    client = await raw()
    await client.open()
    await client.message()
    pings = b"".join(client.ws.send(Ping(payload=str(number).encode())) for number in range(100))
    await client.stream.send_all(pings)
    while bytes((await client.event()).payload) != b"99":
        pass
    await client.stream.send_all(client.ws.send(TextMessage(data='{"type": "ping"}')))
    assert await client.message() == {"type": "pong"}


@pytest.mark.parametrize("kind", ["pings", "pongs", "fragments"])
async def test_a_flood_of_small_frames_ends_the_connection(
    raw: Callable[..., Any], sink: WebSocketSink, kind: str
) -> None:
    """Frames that are no messages cost as much: over their rate and burst, it is 1008."""
    flood = await raw()
    await flood.open()
    await flood.message()
    frame = {
        "pings": lambda: flood.ws.send(Ping()),
        "pongs": lambda: flood.ws.send(Pong()),
        "fragments": lambda: flood.ws.send(TextMessage(data="", message_finished=False)),
    }[kind]
    await flood.stream.send_all(b"".join(frame() for _ in range(1_000)))
    assert await flood.closing() == (1008, "Too many frames; slow down before you come back")
    polite = await raw()
    await polite.open()
    assert (await polite.message())["status"] == "connected"


@pytest.mark.parametrize(
    "hub_tables", [{"live": {"max_lag": 100_000}, "plugins": {"websocket": {"slow": "gap"}}}]
)
async def test_a_slow_client_may_skip(
    raw: Callable[..., Any], emit: Callable[..., Any], hub: Hub, sink: WebSocketSink
) -> None:
    """[plugins.websocket] slow = "gap": it is told how many it missed, and goes on from now."""
    stalled = await raw()
    await stalled.open()
    (session,) = sink._connections._sessions
    for _ in range(60):
        await emit(text="x" * 100_000)
    await wait_until_async(writing(session))
    for _ in range(STRIKES):
        sink._connections.check(mean_frame=100_000)
    await stalled.message()
    await emit()
    sequences = []
    while (message := await stalled.message())["type"] != "gap":
        sequences.append(message["sequence"])
    assert sequences == list(range(1, len(sequences) + 1))
    cursor = str(Cursor(hub.feed.epoch, 60))
    assert message == {"type": "gap", "missed": 60 - len(sequences), "cursor": cursor}
    assert message["missed"] > 10
    assert (await stalled.message())["sequence"] == 61
    await emit()
    assert (await stalled.message())["sequence"] == 62
    assert hub.presence.statistics()["gaps_total"] == 1


async def test_clients_that_vanish_leave_nothing_behind(
    raw: Callable[..., Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """A reset connection is no error, and is not counted any more."""
    with capture_logs() as logs:
        for _ in range(3):
            client = await raw()
            await client.open()
            await client.stream.aclose()
        await emit(10)
        with trio.fail_after(5):
            await sink._connections.wait_empty()
    assert [line["by"] for line in logs if line["event"] == "websocket.closed"] == ["client"] * 3
    assert not [line for line in logs if line["log_level"] == "error"]
    assert sink.statistics()["connections"] == 0


async def test_a_bug_in_one_session_touches_no_other(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged, its client gets 1011, and the others go on."""

    async def broken(self: Session, message: Any) -> None:
        raise RuntimeError("a bug")

    async with connect() as good, connect() as bad:
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(Session, "_obey", broken)
            await bad.send(type="ping")
            assert await bad.closing() == (1011, "Internal error")
        assert "websocket.message_failed" in [line["event"] for line in logs]
        assert await good.ask(type="ping") == {"type": "pong"}


async def test_a_stop_says_goodbye(connect: Callable[..., Any], hub: Hub) -> None:
    """Clients get a notice with their own time to come back, and 1012."""
    async with connect() as client:
        hub.stopping.set()
        notice = await client.receive()
        assert notice["type"] == "restarting"
        assert 0 <= notice["retry_after"] <= 30
        code, reason = await client.closing()
    assert code == 1012
    assert reason == f"Restarting; reconnect in {notice['retry_after']:g} s"


@pytest.mark.parametrize("hub_tables", [{"plugins": {"websocket": {"close_timeout": 0.3}}}])
async def test_a_stop_does_not_wait_for_clients_that_never_read(
    raw: Callable[..., Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """It is bounded by close_timeout."""
    stalled = await raw()
    await stalled.open()
    for _ in range(60):
        await emit(text="x" * 100_000)
    with trio.fail_after(2):
        await sink.stop()
        await sink._connections.wait_empty()


async def test_late_comers_are_told_of_the_restart(
    anonymous: Callable[..., Any], sink: WebSocketSink
) -> None:
    """A connection that is taken over during a stop is closed with 1012."""
    await sink.stop()
    async with anonymous(token=TOKEN) as client:
        assert await client.closing() == (1012, "Restarting")


async def test_statistics_add_up(
    connect: Callable[..., Any], emit: Callable[..., Any], sink: WebSocketSink
) -> None:
    """Counters keep what sessions did that are gone."""
    async with connect() as client:
        await emit(3)
        for _ in range(3):
            await client.receive()
        await client.ask(type="ping")
        live = sink.statistics()
        assert (live["connections"], live["messages_total"], live["received_total"]) == (1, 3, 1)
    with trio.fail_after(5):
        await sink._connections.wait_empty()
    gone = sink.statistics()
    assert (gone["connections"], gone["messages_total"], gone["received_total"]) == (0, 3, 1)
    assert (gone["opened_total"], gone["closed_client_total"]) == (1, 1)
    assert gone["sent_bytes_total"] >= live["sent_bytes_total"] > 500


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"write_timeout": 0}, r"\[plugins.websocket\] write_timeout: .* greater than 0"),
        ({"timeout": 1.0}, r"timeout: Extra inputs are not permitted.*It may hold: write_timeout"),
    ],
)
def test_settings_are_checked(table: dict[str, Any], message: str) -> None:
    """A wrong key or value is named with what is allowed."""
    with pytest.raises(ConfigError, match=message):
        PluginsSettings(websocket=table).read("websocket", WebSocketSettings)


def test_no_settings_are_needed() -> None:
    """Every setting has a default."""
    assert WebSocketSettings().write_timeout == 10.0
    live = Settings().live
    # Issue 4: a dead link is found within 60 s.
    assert live.heartbeat + live.heartbeat_timeout + 2 * WATCH < 60
