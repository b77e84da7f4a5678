"""Plugins: each is loaded by itself; a broken one is named, left out, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from hookhub import __version__
from hookhub.cli.server.serve import log_plugins
from hookhub.config import PluginsSettings
from hookhub.contracts.errors import PluginError
from hookhub.contracts.events import EventType, Payload
from hookhub.contracts.hookspecs import hookimpl
from hookhub.plugins import GROUP, PluginReport, Plugins, load_event_types


class Greeting(Payload):
    text: str


def greeting(name: str, example: Any = None) -> EventType:
    return EventType(name, Greeting, "Somebody says hello.", example or {"text": "hello"})


class Declares:
    """A plugin that declares these types."""

    def __init__(self, *event_types: Any) -> None:
        self._event_types = event_types

    @hookimpl
    def hookhub_event_types(self) -> Iterable[Any]:
        return self._event_types


class Commands:
    """A plugin whose hook takes an argument and returns nothing."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    @hookimpl
    def hookhub_commands(self, cli: object) -> None:
        self.seen.append(cli)


def load(*extra: tuple[str, object], **settings: Any) -> Plugins:
    return Plugins.load(PluginsSettings(**settings), extra, installed=())


def report_of(plugins: Plugins, name: str) -> PluginReport:
    return next(item for item in plugins.report() if item.name == name)


class Site:
    """A directory with real distributions, as pip leaves them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def install(
        self, name: str, plugin: str, code: str, version: str = "1.0", requires: str = "hookhub"
    ) -> None:
        module = name.replace("-", "_")
        (self._directory / f"{module}.py").write_text(code)
        info = self._directory / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: {requires}\n"
        )
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{plugin} = {module}\n")

    def installed(self) -> list[EntryPoint]:
        found = distributions(path=[str(self._directory)])
        return [point for owner in found for point in owner.entry_points if point.group == GROUP]


GOOD = """
import sys
from hookhub.contracts.events import EventType, Payload
from hookhub.contracts.hookspecs import hookimpl

class Model(Payload):
    n: int

@hookimpl
def hookhub_event_types():
    return [EventType("site.good", Model, "It is good.", {"n": 1})]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    return Site(tmp_path)


def test_an_installed_plugin_is_found(site: Site) -> None:
    """The entry point's name is the plugin's; version and distribution are the package's."""
    site.install("some-site-good", "good", GOOD, "2.1")
    plugins = Plugins.load(PluginsSettings(), installed=site.installed())
    assert plugins.names() == ["good"]
    assert load_event_types(plugins).get("site.good").plugin == "good"
    assert plugins.report() == [
        PluginReport("good", "2.1", "some-site-good", {"event_types": ["site.good"]}, None)
    ]


def test_plugins_are_found_without_being_told(site: Site) -> None:
    """Loading without further ado takes all entry points of the group."""
    site.install("some-site-self", "site_self", GOOD)
    assert "site_self" in Plugins.load(PluginsSettings()).names()


def test_a_plugin_that_cannot_be_imported_is_named(site: Site) -> None:
    """An import error is that plugin's; the others work, the traceback is kept."""
    site.install("some-site-fine", "fine", GOOD)
    site.install("some-site-bad", "bad", "import nothing_of_that_name\n")
    site.install("some-site-exit", "exits", "import sys\nsys.exit('no')\n")
    plugins = Plugins.load(PluginsSettings(), installed=site.installed())
    assert plugins.names() == ["fine"]
    bad = report_of(plugins, "bad")
    assert bad.error == "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    assert "some_site_bad.py" in (bad.traceback or "")
    assert bad.distribution == "some-site-bad"
    assert report_of(plugins, "exits").error == "SystemExit: no"


@pytest.mark.parametrize(
    "requires",
    [
        *("hookhub>=2.0", "hookhub (>=2.0)", "HookHub <0.1", "hookhub[standard] ~= 7.0"),
        "hookhub>=2.0; python_version >= '3'",
    ],
)
def test_a_plugin_for_another_hookhub_is_left_out(site: Site, requires: str) -> None:
    """It is not even imported, and both versions are named."""
    site.install("some-site-new", "new", "raise RuntimeError('imported')\n", "1.4", requires)
    plugins = Plugins.load(PluginsSettings(), installed=site.installed())
    assert plugins.names() == []
    error = report_of(plugins, "new").error or ""
    assert "some-site-new 1.4 needs hookhub" in error
    assert f"this is hookhub {__version__}" in error


@pytest.mark.parametrize(
    "requires",
    [
        *("hookhub>=0.1", "hookhub", "hookhub-users>=2.0", "hookhub ==0.1.*", "hookhub[standard]"),
        *("hookhub>=2.0; extra == 'test'", "hookhub>=2.0; python_version < '3'"),
    ],
)
def test_a_plugin_for_this_hookhub_is_loaded(site: Site, requires: str) -> None:
    """Other distributions, and what is asked for elsewhere, are no matter."""
    site.install("some-site-old", "old", GOOD, "1.4", requires)
    plugins = Plugins.load(PluginsSettings(), installed=site.installed())
    assert plugins.names() == ["old"]


def test_the_time_that_a_plugin_takes_is_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Import and hooks; whoever delays the start is named in the log."""
    slow = f"import time\ntime.sleep(0.05)\n{GOOD.replace('return', 'time.sleep(0.05); return')}"
    site.install("some-site-slow", "slow", slow)
    site.install("some-site-quick", "quick", GOOD.replace("site.good", "site.quick"))
    plugins = Plugins.load(PluginsSettings(), installed=site.installed())
    load_event_types(plugins)
    assert 0.1 <= report_of(plugins, "slow").load_seconds < 20
    monkeypatch.setattr("hookhub.plugins.SLOW", 0.1)
    with capture_logs() as logs:
        log_plugins(plugins)
    assert ("plugin.slow", "slow") in [(line["event"], line["plugin"]) for line in logs]


def test_a_name_claimed_twice_names_both(site: Site) -> None:
    """Of two distributions with one plugin name neither is loaded, and both are named."""
    site.install("some-site-one", "same", GOOD)
    site.install("some-site-two", "same", GOOD, "3.0")
    plugins = Plugins.load(PluginsSettings(), installed=site.installed())
    assert plugins.names() == []
    error = report_of(plugins, "same").error or ""
    assert "some-site-one 1.0" in error
    assert "some-site-two 3.0" in error


def test_a_disabled_plugin_is_not_even_imported(site: Site) -> None:
    """[plugins] disabled leaves a plugin out, its import too."""
    site.install("some-site-off", "off", "raise RuntimeError('imported')\n")
    plugins = Plugins.load(PluginsSettings(disabled=["off"]), installed=site.installed())
    assert plugins.names() == []
    assert plugins.report() == [PluginReport("off", "1.0", "some-site-off", {}, None, None, True)]


def test_a_plugin_handed_over_stands_in_for_an_installed_one(site: Site) -> None:
    """Tests and embedding programs decide which object a name means."""
    site.install("some-site-other", "mine", "raise RuntimeError('imported')\n")
    mine = Declares(greeting("my.greeting"))
    plugins = Plugins.load(PluginsSettings(), [("mine", mine)], installed=site.installed())
    assert "my.greeting" in load_event_types(plugins)


class Misspelt:
    @hookimpl
    def hookhub_event_typs(self) -> list[EventType]:
        return []


class WrongSignature:
    @hookimpl
    def hookhub_sinks(self, hubb: object) -> list[object]:
        return []


class Async:
    @hookimpl
    async def hookhub_event_types(self) -> list[EventType]:
        return []


class Wrapper:
    @hookimpl(wrapper=True)
    def hookhub_event_types(self) -> Any:
        return (yield)


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Misspelt(), "unknown hook 'hookhub_event_typs'"),
        (WrongSignature(), "Argument(s) {'hubb'} are declared in the hookimpl"),
        (Async(), "Its hooks are async; hookhub calls synchronous hooks only."),
        (Wrapper(), "Its hooks are wrappers"),
        (SimpleNamespace(), "It has no function marked @hookhub.hookimpl"),
    ],
)
def test_hooks_that_are_not_as_they_should_be(plugin: object, expected: str) -> None:
    """A misspelt hook or a wrong signature is that plugin's error, at load."""
    plugins = load(("wrong", plugin), ("right", Declares(greeting("a.b"))))
    assert plugins.names() == ["right"]
    error = report_of(plugins, "wrong").error or ""
    assert expected in error
    assert "\n" not in error


def test_a_name_must_be_a_word() -> None:
    """A plugin's name goes into settings and variables."""
    plugins = load(("Not A Word", Declares()))
    assert "must be a plugin's name" in (report_of(plugins, "Not A Word").error or "")


def test_two_objects_of_one_name_are_refused() -> None:
    """Neither of two plugins that were handed over under one name is used."""
    plugins = load(("a", Declares()), ("a", Declares()))
    assert plugins.names() == []
    assert "claimed by" in (report_of(plugins, "a").error or "")


class Raises:
    def __init__(self, *, late: bool) -> None:
        self._late = late

    @hookimpl
    def hookhub_event_types(self) -> Iterable[EventType]:
        if not self._late:
            raise ValueError("at once")
        return self._some()

    def _some(self) -> Iterable[EventType]:
        yield greeting("some.first")
        raise ValueError("later")


@pytest.mark.parametrize("late", [False, True])
def test_a_hook_that_raises_is_its_plugins_error(late: bool) -> None:
    """The other plugins are called all the same; the broken one is not called again."""
    plugins = load(("bad", Raises(late=late)), ("good", Declares(greeting("a.b"))))
    registry = load_event_types(plugins)
    assert [item.name for item in registry] == ["a.b"]
    assert (report_of(plugins, "bad").error or "").startswith("ValueError: ")
    assert plugins.names() == ["good"]


def test_what_a_hook_returns_is_a_list() -> None:
    """None is an empty list, a generator is run to its end, anything else is an error."""
    commands = Commands()
    plugins = load(("commands", commands), ("types", Declares(greeting("a.b"))))
    cli = object()
    assert plugins.collect("hookhub_commands", cli=cli) == [("commands", [])]
    assert commands.seen == [cli]
    assert plugins.call("types", "hookhub_commands", cli=cli) is None


def test_a_hook_that_returns_something_else_is_an_error() -> None:
    """One object instead of a list of one is the usual mistake."""

    class One:
        @hookimpl
        def hookhub_event_types(self) -> Any:
            return greeting("a.b")

    plugins = load(("one", One()))
    assert len(load_event_types(plugins)) == 0
    expected = "Its hookhub_event_types() returned EventType; it must return a list."
    assert report_of(plugins, "one").error == expected


class Indescribable(BaseModel, arbitrary_types_allowed=True):
    text: str
    thing: Site | None = None


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (greeting("not_dotted"), "declares the event type 'not_dotted'"),
        (greeting("good.one"), "is declared by plugin 'broken' and by plugin 'broken'"),
        (greeting("good.two", {"text": 1}), "does not fit its own model"),
        ("good.three", "gave str; it must give EventType"),
        (
            EventType("good.four", Indescribable, "?", {"text": ""}),
            "PydanticInvalidForJsonSchema",
        ),
    ],
)
def test_a_wrong_event_type_leaves_nothing_of_its_plugin(wrong: object, expected: str) -> None:
    """The good types of a plugin with a bad one go with it."""
    plugins = load(
        ("broken", Declares(greeting("good.one"), wrong)), ("fine", Declares(greeting("a.b")))
    )
    registry = load_event_types(plugins)
    assert [item.name for item in registry] == ["a.b"]
    broken = report_of(plugins, "broken")
    assert expected in (broken.error or "")
    assert broken.contributes == {}


def test_a_type_of_two_plugins_is_the_seconds_error() -> None:
    """The error names both plugins; the first keeps its type."""
    plugins = load(("a", Declares(greeting("x.y"))), ("b", Declares(greeting("x.y"))))
    registry = load_event_types(plugins)
    assert registry.get("x.y").plugin == "a"
    assert "by plugin 'a' and by plugin 'b'" in (report_of(plugins, "b").error or "")


def test_what_a_failed_plugin_had_registered_is_taken_back() -> None:
    """Later failures undo everything, newest first, and the plugin is not called any more."""
    plugins = load(("late", Declares(greeting("x.y"))))
    registry = load_event_types(plugins)
    undone: list[str] = []
    for name in ("first", "second"):
        plugins.contributed("late", "sinks", name, partial(undone.append, name))
    assert report_of(plugins, "late").contributes == {
        "event_types": ["x.y"],
        "sinks": ["first", "second"],
    }
    plugins.failed("late", "It fell over.")
    assert undone == ["second", "first"]
    assert len(registry) == 0
    assert plugins.names() == []
    assert plugins.report() == [PluginReport("late", "", "", {}, "It fell over.")]


def test_trouble_comes_and_goes() -> None:
    """A running plugin's trouble is shown while it lasts; nothing is taken back."""
    plugins = load(("ws", Declares(greeting("x.y"))))
    load_event_types(plugins)
    plugins.troubled("ws", RuntimeError("task crashed"))
    assert report_of(plugins, "ws").error == "RuntimeError: task crashed"
    plugins.troubled("ws", None)
    assert plugins.report() == [PluginReport("ws", "", "", {"event_types": ["x.y"]}, None)]


@pytest.mark.parametrize(
    ("plugin", "expected"),
    [
        (Misspelt(), "The required plugin 'main' is broken: PluginValidationError: unknown hook"),
        (Raises(late=False), "The required plugin 'main' is broken: ValueError: at once"),
        (Declares(greeting("nodot")), "The required plugin 'main' is broken: Plugin 'main' decl"),
    ],
)
def test_a_broken_required_plugin_stops_the_start(plugin: object, expected: str) -> None:
    """[plugins] required turns that plugin's error into the hub's, whenever it shows."""
    with pytest.raises(PluginError) as caught:
        load_event_types(load(("main", plugin), required=["main"]))
    assert expected in caught.value.detail


def test_a_missing_required_plugin_stops_the_start() -> None:
    """The error names it, and the nearest plugin there is."""
    with pytest.raises(PluginError) as caught:
        load(("webhook", Declares()), required=["webhok", "far_off"])
    assert "'webhok' is not installed (did you mean 'webhook'?)" in caught.value.detail
    assert "'far_off' is not installed; install it" in caught.value.detail


def test_names_that_no_plugin_has_are_noticed() -> None:
    """A misspelt name in [plugins] stops nothing, but is told."""
    plugins = load(
        ("web-hook", Declares()), disabled=["web-hok"], web_hook={"a": 1}, **{"slack": {"b": 1}}
    )
    assert plugins.notices() == [
        "[plugins] disabled names the plugin 'web-hok', which is not installed"
        " (did you mean 'web-hook'?)",
        "there are settings for the plugin 'slack', which is not installed",
    ]
