"""Components that fail at whatever they are asked: named, left out, and the hub lives."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

import hookhub
from hookhub import (
    Attempt,
    AttemptResult,
    DurableSink,
    EventType,
    LiveSink,
    Migration,
    Outcome,
    Payload,
    Request,
    Route,
    Source,
)
from hookhub.config import Settings
from hookhub.contracts.components import Component
from hookhub.contracts.errors import PluginError
from hookhub.hub import Hub
from hookhub.plugins import Plugins
from hookhub.plugins.components import GROUPS
from hookhub.server import open_hub
from hookhub.store import Store
from hookhub.web.assembly import assemble
from hookhub.web.resources.metrics import SnapshotCollector, snapshot_of


def _fail(*_: object) -> Any:
    raise RuntimeError("boom")


async def answer(request: Request) -> None:
    """Answer."""


class Quiet(Source):
    """A source in which a test puts something wrong."""

    def __init__(self, name: str = "bad", **wrong: Any) -> None:
        self.name = name
        vars(self).update(wrong)


class Sink(DurableSink):
    """A sink in which a test puts something wrong."""

    def __init__(self, name: str = "bad", **wrong: Any) -> None:
        self.name = name
        vars(self).update(wrong)

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        return AttemptResult(Outcome.DELIVERED)


class Live(LiveSink):
    """Keeps what it sees."""

    name = "live-one"

    def __init__(self) -> None:
        self.seen = 0

    def publish(self, entries: Sequence[Any]) -> None:
        self.seen += len(entries)


class Said(Payload):
    text: str


class Plugin:
    """A plugin that brings these components, and declares these event types."""

    def __init__(self, *components: Component, types: Iterable[str] = ()) -> None:
        self.components = components
        self.types = types

    @hookhub.hookimpl
    def hookhub_event_types(self) -> Iterable[EventType]:
        return [EventType(name, Said, "It is said.", {"text": ""}) for name in self.types]

    @hookhub.hookimpl
    def hookhub_sources(self, hub: Hub) -> Iterable[Source]:
        return [item for item in self.components if isinstance(item, Source)]

    @hookhub.hookimpl
    def hookhub_sinks(self, hub: Hub) -> Iterable[LiveSink | DurableSink]:
        return [item for item in self.components if isinstance(item, LiveSink | DurableSink)]


def settings_of(tmp_path: Path, **plugins: Any) -> Settings:
    return Settings.model_validate(
        {
            "database": {"url": f"sqlite:///{tmp_path / 'hub.db'}"},
            "server": {"bind": "127.0.0.1:0"},
            "plugins": plugins,
        }
    )


def load(settings: Settings, *plugins: Plugin) -> Plugins:
    """The plugins ``fine`` and ``guilty``, or as many as there are."""
    names = ("fine", "guilty") if len(plugins) > 1 else ("guilty",)
    return Plugins.load(settings.plugins, list(zip(names, plugins, strict=True)), installed=())


def routes(*made: Any) -> Any:
    return lambda: made


def steps(*numbers: int) -> Any:
    return lambda: [Migration(number, "step", ("SELECT 1",)) for number in numbers]


def route(method: str, path: str, **more: Any) -> Route:
    return Route(method, path, more.pop("handler", answer), more.pop("scope", None), "things")


async def not_plain(*_: Any) -> None: ...


WRONG: list[tuple[Plugin, str]] = [
    (Plugin(Quiet("Bad Name")), "a component named 'Bad Name'"),
    (Plugin(Quiet("store")), "'store' has the name of a part of hookhub"),
    (Plugin(Quiet("hookhub")), "'hookhub' has the name of a part of hookhub"),
    (Plugin(Quiet("good")), "'good' is brought by plugin 'fine' and 'good' by plugin 'guilty'"),
    (Plugin(Quiet("two"), Sink("two")), "brings two components of the name 'two'"),
    (Plugin(Sink("nats"), types=["nats.failing"]), "because of its sink 'nats'"),
    (Plugin(types=["delivery.failed"]), "'delivery.failed' is the hub's own"),
    (Plugin(Quiet(routes=_fail)), "boom"),
    (Plugin(Quiet(routes=lambda: sys.exit("gone"))), "SystemExit: gone"),
    (Plugin(Quiet(routes=routes("GET /x"))), "gave str, not Route"),
    (Plugin(Quiet(routes=routes(route("GET", "/x", scope="event:read")))), "no token can have"),
    (Plugin(Quiet(routes=routes(route("GET", "/x", handler=_fail)))), "is not async"),
    (Plugin(Quiet(routes=routes(route("GET", "x")))), "an impossible path"),
    (Plugin(Quiet(routes=routes(*[route("GET", "/x")] * 2))), "is declared twice"),
    (Plugin(Quiet(routes=routes(route("GET", "/good")))), "'fine' and by plugin 'guilty'"),
    (Plugin(Quiet(routes=routes(route("GET", "/metrics")))), "is hookhub's own"),
    (Plugin(Quiet(routes=routes(route("GET", "/openapi.json")))), "is hookhub's own"),
    (Plugin(Quiet(routes=routes(route("GET", "/events/{id}")))), "is hookhub's own"),
    (Plugin(Quiet(upgrades=_fail)), "boom"),
    (Plugin(Quiet(upgrades=lambda: {"ws": answer})), "the path 'ws'"),
    (Plugin(Quiet(migrations=_fail)), "boom"),
    (Plugin(Quiet(migrations=steps(2))), "are numbered 2; they must be 1, 2, 3"),
    (Plugin(Quiet(migrations=steps(1, 3))), "are numbered 1, 3; they must be 1, 2, 3"),
    (Plugin(Quiet(migrations=lambda: ["CREATE TABLE x"])), "gave str, not Migration"),
    (Plugin(Sink(attempt=_fail)), "attempt() of 'bad' must be async"),
    (Plugin(Quiet(statistics=not_plain)), "statistics() of 'bad' must not be async"),
]


@pytest.mark.parametrize(("guilty", "expected"), WRONG, ids=[text for _, text in WRONG])
async def test_a_plugin_with_a_mistake_is_left_out(
    tmp_path: Path, guilty: Plugin, expected: str
) -> None:
    """It is named before anything runs, nothing of it remains, and the other one is in use."""
    settings = settings_of(tmp_path)
    fine = Plugin(Quiet("good", routes=routes(route("GET", "/good"))), types=["good.said"])
    plugins = load(settings, fine, guilty)
    hub = assemble(settings, Store(settings.database), plugins)
    wrong = plugins.report()[-1]
    assert (wrong.name, wrong.contributes) == ("guilty", {})
    assert expected.casefold() in str(wrong.error).casefold()
    assert [item.name for item in hub.components] == ["good"]
    assert [item.name for item in hub.registry] == ["delivery.failed", "good.said"]
    assert hub.registry.own == {"delivery.failed"}
    assert [item.path for item in hub.components.routes()] == ["/good"]
    with pytest.raises(PluginError, match="'guilty' is broken"):
        assemble(
            settings_of(tmp_path, required=["guilty"]),
            Store(settings.database),
            load(settings_of(tmp_path, required=["guilty"]), fine, guilty),
        )


async def test_a_plugin_without_a_mistake_is_in_use(tmp_path: Path) -> None:
    """Names with a hyphen are legal, and so are the hub's own types that follow from them."""
    settings = settings_of(tmp_path)
    live = Live()
    guilty = Plugin(Quiet("other", migrations=lambda: [Migration(1, "no", ("NONSENSE",))]), Live())
    plugins = load(settings, Plugin(Sink("my-sink"), live, types=["my-app.said"]), guilty)
    guilty.components[1].name = "live-two"
    async with open_hub(settings, plugins) as hub:
        assert [item.error is None for item in plugins.report()] == [True, False]
        assert hub.registry.own == {"delivery.failed", "my-sink.disabled", "my-sink.failing"}
        assert hub.registry.matching(["my-sink.*"]) == ["my-sink.disabled", "my-sink.failing"]
        await hub.emit("my-app.said", {"text": "hello"})
        # What failed only when its tables were made is out all the same.
        assert (live.seen, guilty.components[1].seen) == (1, 0)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "statistics",
    [
        _fail,
        lambda: sys.exit("no"),
        lambda: {"ab": "x"},
        lambda: {"ab": float("nan")},
        lambda: {"ab": float("inf")},
        lambda: {"ab": 10**400},
        lambda: {"a b": 1},
        lambda: {5: 1},
        lambda: None,
    ],
)
async def test_wrong_statistics_take_nobody_elses_away(tmp_path: Path, statistics: Any) -> None:
    """They cost the component its own numbers, and are logged once, not at every look."""
    settings = settings_of(tmp_path)
    plugin = Plugin(Quiet("bad", statistics=statistics), Quiet("good", statistics=lambda: {"n": 1}))
    hub = assemble(settings, Store(settings.database), load(settings, plugin))
    with capture_logs() as logs:
        numbers = [hub.statistics() for _ in range(3)][-1]
    assert {*numbers} == {*GROUPS, "good"} - {"http", "hookhub"}
    assert [(line["event"], line["component"]) for line in logs] == [
        ("component.statistics_failed", "bad")
    ]


async def test_numbers_of_one_name_are_the_cores(tmp_path: Path) -> None:
    """What two components would show under one name is shown once."""
    settings = settings_of(tmp_path)
    plugin = Plugin(
        Quiet("feed-ring", statistics=lambda: {"events": 7, "mine": 8}),
        Quiet("delivery-latency", statistics=lambda: {"seconds": 9}),
    )
    hub = assemble(settings, Store(settings.database), load(settings, plugin))
    found = list(SnapshotCollector(snapshot_of(hub, dict)).collect())
    names = [(family.name, family.type) for family in found]
    assert len(names) == len(set(names))
    values = {family.name: family.samples[0].value for family in found}
    assert values["hookhub_feed_ring_mine"] == 8
    assert values["hookhub_feed_ring_events"] == 0


class Dying(Quiet):
    """Ends the program, or tries to, each time that it runs."""

    def __init__(self) -> None:
        super().__init__("dying")
        self.runs = 0

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        self.runs += 1
        sys.exit("no")

    async def stop(self) -> None:
        sys.exit("no")


class Deaf(Live):
    """Ends the program, or tries to, at each event."""

    def publish(self, entries: Sequence[Any]) -> None:
        sys.exit("no")


async def test_no_component_ends_the_hub(tmp_path: Path) -> None:
    """``SystemExit`` in its background work, or at an event, is a failure as any other."""
    settings = settings_of(tmp_path)
    dying = Dying()
    plugins = load(settings, Plugin(dying, Deaf(), types=["good.said"]))
    async with open_hub(settings, plugins) as hub:
        assert (await hub.emit("good.said", {"text": ""})).sequence == 1
        with trio.fail_after(20):
            while "dying" not in hub.components.failing:
                await trio.sleep(0.01)
        assert "SystemExit: no" in str(plugins.report()[0].error)
        hub.stopping.set()
    assert dying.runs == 1


async def test_nodes_that_start_at_once_agree_on_the_first_token(any_database: str) -> None:
    """One token is made, or the configured one exists once; nobody fails."""
    settings = Settings.model_validate({"database": {"url": any_database}})
    made: list[str | None] = []

    async def node(configured: str | None) -> None:
        plugins = Plugins.load(settings.plugins, (), installed=())
        async with open_hub(settings, plugins) as hub:
            made.append(await hub.tokens.ensure_bootstrap(configured))

    for configured, tokens in ((None, 1), ("a-configured-token", 2)):
        made.clear()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(node, configured)
        assert sum(token is not None for token in made) == (configured is None)
        async with open_hub(settings, Plugins.load(settings.plugins, (), installed=())) as hub:
            assert len(await hub.tokens.list()) == tokens
