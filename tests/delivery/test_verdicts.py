"""What failures mean for endpoints: on a whole hub with a sink that obeys the test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio.testing

import hookhub
from hookhub import Attempt, AttemptResult, DurableSink, EventType, Outcome, Payload
from hookhub.config import DatabaseSettings, DeliverySettings, Settings
from hookhub.contracts.deliveries import Endpoint, EndpointOptions, NewEndpoint
from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.events import Cursor, Draft, Event, new_event_id
from hookhub.contracts.transforms import Transform, TransformResult
from hookhub.delivery.verdicts import Verdicts
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.server import open_hub
from hookhub.store import open_store
from hookhub.store.units.claims import claim_due
from hookhub.store.units.deliveries import AttemptReport, get_delivery
from hookhub.store.units.endpoints import get_endpoint, insert_endpoint
from hookhub_template.template import TemplateTransform


class Thing(Payload):
    n: int


class Obedient(DurableSink):
    """Fails for the endpoints named ``bad``, hangs for those named ``hang``, else delivers."""

    name = "obedient"

    def __init__(self) -> None:
        self.received: dict[str, list[Event]] = {}
        self.changed = trio.Event()
        self.contents: list[TransformResult | None] = []

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        does = attempt.config["does"]
        self.contents.append(attempt.content)
        self.received.setdefault(does, []).append(attempt.event)
        self.changed.set()
        self.changed = trio.Event()
        if does == "hang":
            await trio.sleep_forever()
        if does == "gone":
            return AttemptResult(Outcome.GIVE_UP, 410, None, "status", "Gone.", None, True)
        if does == "bad":
            return AttemptResult(Outcome.RETRY, 500, None, "status", "It answered 500.")
        return AttemptResult(Outcome.DELIVERED, 200)

    async def wait_for(self, does: str, count: int) -> list[Event]:
        with trio.fail_after(20):
            while len(self.received.get(does, ())) < count:
                await self.changed.wait()
        return self.received[does]


class Plugin:
    def __init__(self) -> None:
        self.sink = Obedient()

    @hookhub.hookimpl
    def hookhub_event_types(self) -> Iterable[EventType]:
        return [EventType("thing.made", Thing, "A thing.", {"n": 1})]

    @hookhub.hookimpl
    def hookhub_sinks(self, hub: Hub) -> Iterable[DurableSink]:
        return [self.sink]

    @hookhub.hookimpl
    def hookhub_transforms(self) -> Iterable[Transform[Any]]:
        return [TemplateTransform()]


@asynccontextmanager
async def running(
    tmp_path: Path, max_payload: int = 1000, **delivery: Any
) -> AsyncIterator[tuple[Hub, Obedient]]:
    settings = Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{tmp_path / 'hub.db'}"},
            "events": {"max_payload": max_payload},
            "delivery": {"retry_schedule": [0.0], **delivery},
            "server": {"graceful_timeout": 0.2},
        }
    )
    plugin = Plugin()
    plugins = Plugins.load(settings.plugins, [("obedient", plugin)], installed=())
    async with open_hub(settings, plugins) as hub:
        yield hub, plugin.sink


async def endpoint(hub: Hub, does: str, *patterns: str, **options: Any) -> Endpoint:
    new = NewEndpoint(
        f"{does} {patterns}",
        patterns or ("thing.*",),
        {"does": does},
        options=EndpointOptions(**options),
    )
    return await hub.endpoints.create("obedient", new)


async def until(condition: Callable[[], Any]) -> Any:
    with trio.fail_after(20):
        while not (found := await condition()):
            await trio.sleep(0.01)
        return found


async def events_of(hub: Hub, event_type: str) -> list[Event]:
    part = await hub.feed.read(Cursor(hub.feed.epoch, 0), hub.feed.select({event_type: None}), 1000)
    return [entry.event for entry in part.entries]


async def test_a_committed_event_is_handed_over_without_a_claim(tmp_path: Path) -> None:
    """Born claimed: no transaction between commit and attempt."""
    async with running(tmp_path) as (hub, sink):
        await endpoint(hub, "deliver")
        for number in range(10):
            await hub.emit("thing.made", {"n": number})
            await sink.wait_for("deliver", number + 1)
        assert hub.engine.statistics()["handed_over_total"] == 10


async def test_a_failed_delivery_is_an_event(tmp_path: Path) -> None:
    """``delivery.failed`` says which, of what, and why."""
    async with running(tmp_path) as (hub, sink):
        bad = await endpoint(hub, "bad")
        await endpoint(hub, "deliver", "delivery.failed")
        made = await hub.emit("thing.made", {"n": 1})
        [event] = await sink.wait_for("deliver", 1)
        payload = event.data()
        assert (payload["endpoint_id"], payload["event_id"]) == (bad.id, made.id)
        assert (payload["attempts"], payload["error_message"]) == (2, "It answered 500.")
        assert event.source == "hookhub"


async def test_the_hubs_own_events_may_be_larger_than_producers(tmp_path: Path) -> None:
    """What the hub has to say has bounds of its own; a small limit undoes no record."""
    async with running(tmp_path, max_payload=8) as (hub, sink):
        bad = await endpoint(hub, "bad")
        await endpoint(hub, "deliver", "delivery.failed")
        await hub.emit("thing.made", {"n": 1})
        await sink.wait_for("deliver", 1)
        [delivery] = (await hub.deliveries.list("obedient", bad.id)).items
        assert (delivery.status, delivery.attempt_number) == ("failed", 2)
    assert len(sink.received["bad"]) == 2


async def test_an_announcement_that_cannot_be_made_undoes_no_record(tmp_path: Path) -> None:
    """It is logged, and everything else stands: the attempt, and that its endpoint is off."""

    def broken(event_type: str, payload: Mapping[str, Any]) -> Draft:
        raise ValidationFailed(f"{event_type} does not fit.")

    async with open_store(DatabaseSettings(url=f"sqlite:///{tmp_path / 'hub.db'}")) as store:
        new = NewEndpoint("gone", ("*",), {})
        await store.write(lambda tx: insert_endpoint(tx, "obedient", new))
        await store.write(lambda tx: tx.append(Draft(new_event_id(0), "thing.made", "{}", 1)))
        [claim] = (
            await store.write(lambda tx: claim_due(tx, [(1, 1)], lease=1, until=tx.now + 10**9))
        ).claims
        item = AttemptReport(claim, 1, 0.5, "give_up", "failed", None, 410, None, "status", "Gone.")
        verdicts = Verdicts(DeliverySettings(), broken)
        with structlog.testing.capture_logs() as said:
            await store.write(lambda tx: verdicts.record(tx, [replace(item, gone=True)]))
        found = await store.read(lambda reader: get_delivery(reader, 1))
        assert (found.status, found.attempt_number) == ("failed", 1)
        assert not (await store.read(lambda reader: get_endpoint(reader, None, 1))).is_active
    told = [line["type"] for line in said if line["event"] == "delivery.announcement_failed"]
    assert told == ["delivery.failed", "obedient.disabled"]


async def test_the_hubs_own_events_make_no_loop(tmp_path: Path) -> None:
    """A receiver that fails to take the news of a failure makes no more news."""
    async with running(tmp_path) as (hub, _):
        bad = await endpoint(hub, "bad", "*", "delivery.failed")
        everything = await endpoint(hub, "deliver", "*")
        await hub.emit("thing.made", {"n": 1})

        async def all_failed() -> bool:
            stats = await hub.endpoints.stats("obedient")
            return stats.deliveries >= 3 and stats.pending == 0

        await until(all_failed)
        assert len(await events_of(hub, "delivery.failed")) == 1
        page = await hub.deliveries.list("obedient", bad.id)
        assert [item.event_type for item in page.items] == ["delivery.failed", "thing.made"]
        # "*" means what applications tell; the hub's own events must be asked for by name.
        page = await hub.deliveries.list("obedient", everything.id)
        assert [item.event_type for item in page.items] == ["thing.made"]


async def test_a_receiver_that_is_gone_is_disabled_with_an_event(tmp_path: Path) -> None:
    """HTTP 410: at once, with its reason, in the same transaction."""
    async with running(tmp_path) as (hub, sink):
        gone = await endpoint(hub, "gone")
        await endpoint(hub, "deliver", "obedient.disabled")
        await hub.emit("thing.made", {"n": 1})
        [event] = await sink.wait_for("deliver", 1)
        assert event.data() == {"id": gone.id, "name": gone.name, "reason": "Gone."}
        found = await hub.endpoints.get("obedient", gone.id)
        assert (found.is_active, found.disabled_reason) == (False, "Gone.")
        assert (await hub.emit("thing.made", {"n": 2})).deliveries == 0


async def test_nothing_but_failures_warns_and_then_disables(tmp_path: Path) -> None:
    """After the configured spans; a person may enable it again."""
    async with running(tmp_path, warn_after=0.0, disable_after=0.3) as (hub, _):
        bad = await endpoint(hub, "bad")

        async def off() -> bool:
            await hub.emit("thing.made", {"n": 1})
            return not (await hub.endpoints.get("obedient", bad.id)).is_active

        await until(off)
        assert len(await events_of(hub, "obedient.failing")) == 1
        [disabled] = await events_of(hub, "obedient.disabled")
        assert "Nothing but failures" in disabled.data()["reason"]
        await hub.endpoints.update("obedient", bad.id, {"is_active": True})
        found = await hub.endpoints.get("obedient", bad.id)
        assert (found.is_active, found.disabled_reason, found.failing_since) == (True, None, None)


async def test_an_open_breaker_holds_deliveries_back(tmp_path: Path) -> None:
    """It opens after failures in a row; what comes then waits without using up attempts."""
    async with running(tmp_path, retry_schedule=[]) as (hub, sink):
        bad = await endpoint(hub, "bad", concurrency=1)
        for number in range(8):
            await hub.emit("thing.made", {"n": number})

        async def is_open() -> bool:
            return hub.engine.breaker_states([bad.id])[bad.id] == "open"

        await until(is_open)
        assert len(sink.received["bad"]) == 5
        page = await hub.deliveries.list("obedient", bad.id, status="pending")
        assert [item.attempt_number for item in page.items] == [0, 0, 0]
        # A person who changes the endpoint has mended it: the breaker starts anew.
        await hub.endpoints.update("obedient", bad.id, {"config": {"does": "deliver"}})
        assert len(await sink.wait_for("deliver", 3)) == 3


async def test_endpoints_that_hang_do_not_delay_the_others(tmp_path: Path) -> None:
    """Thirty that hang hold one or two slots each; the healthy one gets everything."""
    async with running(tmp_path, concurrency=100, timeout=60.0) as (hub, sink):
        for number in range(30):
            new = NewEndpoint(f"h{number}", ("*",), {"does": "hang"})
            await hub.endpoints.create("obedient", new)
        await endpoint(hub, "deliver")
        for number in range(50):
            await hub.emit("thing.made", {"n": number})
        received = await sink.wait_for("deliver", 50)
        assert sorted(event.data()["n"] for event in received) == list(range(50))
        assert len(sink.received["hang"]) <= 60


async def test_a_backlog_of_one_does_not_delay_anothers_first_attempt(tmp_path: Path) -> None:
    """Thousands due for one endpoint are rows in the store, not a line in front of the others."""
    async with running(tmp_path) as (hub, sink):
        await endpoint(hub, "hang", concurrency=1)
        drafts = [hub.draft("thing.made", {"n": number}) for number in range(3000)]
        await hub.accept(drafts)
        await endpoint(hub, "deliver")
        await hub.emit("thing.made", {"n": 1})
        await sink.wait_for("deliver", 1)
        assert len(sink.received["hang"]) <= 1
        assert hub.engine.statistics()["queued"] <= 4


async def test_strict_order_survives_failures(tmp_path: Path) -> None:
    """Each key in order, although attempts fail in between; keys do not wait for each other."""
    async with running(tmp_path, retry_schedule=[0.0] * 30) as (hub, sink):
        ordered = await endpoint(hub, "deliver", ordered=True)
        bad = await endpoint(hub, "bad", ordered=True)
        for number in range(30):
            await hub.emit("thing.made", {"n": number}, key=f"k{number % 3}")
        received = await sink.wait_for("deliver", 30)
        for key in ("k0", "k1", "k2"):
            numbers = [event.data()["n"] for event in received if event.key == key]
            assert numbers == sorted(numbers)
        assert len({event.sequence for event in sink.received["bad"]}) == 3
        page = await hub.deliveries.list("obedient", bad.id, limit=100)
        assert sum(item.held for item in page.items) == 27
        assert ordered.id != bad.id


@pytest.mark.parametrize("change", ["delete", "disable"])
async def test_what_is_switched_off_is_attempted_no_more(tmp_path: Path, change: str) -> None:
    """From the moment that the call returns."""
    async with running(tmp_path, retry_schedule=[0.01] * 1000) as (hub, sink):
        bad = await endpoint(hub, "bad")
        await hub.emit("thing.made", {"n": 1})
        await sink.wait_for("bad", 2)
        if change == "delete":
            await hub.endpoints.delete("obedient", bad.id)
        else:
            await hub.endpoints.update("obedient", bad.id, {"is_active": False})
        in_flight = hub.engine.statistics()["in_flight"]
        count = len(sink.received["bad"])
        await hub.emit("thing.made", {"n": 2})
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert len(sink.received["bad"]) <= count + in_flight


async def test_a_filter_decides_at_the_commit(tmp_path: Path) -> None:
    """What does not match makes no delivery; a changed filter counts from its commit on."""
    async with running(tmp_path) as (hub, sink):
        picky = await endpoint(hub, "deliver", filter={"n": {"$gte": 2}})
        assert [(await hub.emit("thing.made", {"n": n})).deliveries for n in (1, 2, 3)] == [0, 1, 1]
        assert [event.data()["n"] for event in await sink.wait_for("deliver", 2)] == [2, 3]
        changes = {"options": EndpointOptions(filter={"n": 1})}
        await hub.endpoints.update("obedient", picky.id, changes)
        assert [(await hub.emit("thing.made", {"n": n})).deliveries for n in (1, 2)] == [1, 0]
        with pytest.raises(ValidationFailed, match="gte"):
            await endpoint(hub, "bad", filter={"n": {"$gt e": 2}})


async def test_a_transform_makes_the_body(tmp_path: Path) -> None:
    """By name, tried when the endpoint is made, applied at every attempt."""
    template = {"name": "template", "config": {"template": '{"text": "{{ payload.n }} made"}'}}
    async with running(tmp_path) as (hub, sink):
        await endpoint(hub, "deliver", transform=template)
        await hub.emit("thing.made", {"n": 7})
        await sink.wait_for("deliver", 1)
        assert sink.contents == [TransformResult(b'{"text": "7 made"}', "application/json")]
        wrong = {"name": "template", "config": {"template": "{{ payload.m }}"}}
        with pytest.raises(ValidationFailed):
            await endpoint(hub, "bad", transform=wrong)
        with pytest.raises(ValidationFailed, match="template"):
            await endpoint(hub, "bad", transform={"name": "templete", "config": {}})


async def test_an_event_that_a_transform_cannot_take_is_a_failed_attempt(tmp_path: Path) -> None:
    """With the transform's own sentence; the sink is not bothered."""
    needs = '{"text": {{ payload.extra }} }'
    template = {"name": "template", "config": {"template": needs}}
    async with running(tmp_path, retry_schedule=[]) as (hub, sink):
        made = await endpoint(hub, "deliver", "delivery.failed")
        await hub.store.write(
            lambda tx: tx.change(
                "UPDATE hookhub_endpoints SET event_types = ?, options = ? WHERE id = ?",
                ('["thing.*"]', json.dumps({"transform": template}), made.id),
            )
        )
        await hub.store.write(lambda tx: tx.endpoints_changed())
        await hub.engine.look_around()
        await hub.emit("thing.made", {"n": 1})

        async def failed() -> list[Any]:
            page = await hub.deliveries.list("obedient", made.id, status="failed")
            return page.items

        [delivery] = await until(failed)
        assert delivery.error == "transform"
        assert "extra" in delivery.error_message
        assert sink.received == {}


async def test_one_grace_period_covers_the_whole_stop(tmp_path: Path) -> None:
    """It runs from the first notice; what hangs then is cut off, and comes back after the start."""
    async with running(tmp_path, timeout=60.0) as (hub, sink):
        await endpoint(hub, "hang")
        await hub.emit("thing.made", {"n": 1})
        await sink.wait_for("hang", 1)
        hub.stopping.set()
        with trio.fail_after(10):
            while hub.stop_by is None:
                await trio.lowlevel.checkpoint()
        promised = hub.stop_by
        await trio.sleep_until(promised + 0.1)
        began = trio.current_time()
    assert hub.stop_by == promised
    assert trio.current_time() - began < 5
    async with running(tmp_path) as (hub, sink):
        await sink.wait_for("hang", 1)
