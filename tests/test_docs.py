"""The documentation says all there is, and nothing that is not there any more."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

import hookhub.contracts.hookspecs
from hookhub.config import Settings, load_settings
from hookhub.testing.hub_process import HubProcess

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
EVERY_TEXT = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PLUGIN_READMES = sorted((ROOT / "plugins").glob("*/README.md"))

OPERATION = re.compile(r"\b(GET|POST|PATCH|PUT|DELETE) (/[\w/{}.-]*[\w}])")
CITED = re.compile(r"\bdocs/[\w/-]+\.md\b")
ELSEWHERE = re.compile(r"\b(?:contract|design)(?:\.md| §)", re.IGNORECASE)
METRIC = re.compile(r"^\| `(hookhub_\w+)`", re.MULTILINE)


def page(name: str) -> str:
    """The text of one page."""
    return (DOCS / name).read_text("utf-8")


def blocks(text: str, language: str) -> Iterator[str]:
    """The fenced code blocks of one language."""
    for found in re.finditer(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield found[1]


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    """The module that makes the generated parts of the site."""
    sys.path.insert(0, str(DOCS / "_ext"))
    yield importlib.import_module("hookhub_reference")
    sys.path.remove(str(DOCS / "_ext"))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A running hub with every installed plugin."""
    with HubProcess(tmp_path_factory.mktemp("hub")) as running:
        yield running


def test_sources_cite_what_the_repository_has() -> None:
    """A comment that sends its reader to a document names one that can be opened here."""
    wrong = []
    for path in (
        path for room in ("hookhub", "plugins", "tests") for path in (ROOT / room).rglob("*.py")
    ):
        text = path.read_text("utf-8")
        wrong += [f"{path}: {name}" for name in CITED.findall(text) if not (ROOT / name).exists()]
        wrong += [f"{path}: {words}" for words in ELSEWHERE.findall(text)]
    assert not wrong


def test_nobody_is_told_to_end_programs_by_their_name() -> None:
    """Another hub may run on the machine: what a reader kills is a process id."""
    texts = [*EVERY_TEXT, *PLUGIN_READMES, *DOCS.glob("examples/**/*.*")]
    assert not [path for path in texts if re.search(rb"\b(pkill|killall)\b", path.read_bytes())]


def test_every_hook_has_its_section() -> None:
    """writing-a-plugin.md has a heading with the signature of every hook, and of no other."""
    hooks = {
        f"{name}({', '.join(inspect.signature(hook).parameters)})"
        for name, hook in vars(hookhub.contracts.hookspecs).items()
        if name.startswith("hookhub_") and inspect.isfunction(hook)
    }
    headings = re.findall(r"^### (hookhub_\w+\(.*\))$", page("writing-a-plugin.md"), re.MULTILINE)
    assert set(headings) == hooks
    assert len(headings) == len(hooks)


def test_every_table_of_settings_has_its_section() -> None:
    """configuration.md has a section with the keys of every table, and of no other."""
    tables = list(Settings.model_fields)
    text = page("configuration.md")
    assert re.findall(r"^## \[(\w+)\]$", text, re.MULTILINE) == tables
    assert re.findall(r"^<!-- settings (\w+) -->$", text, re.MULTILINE) == tables


def test_every_setting_says_what_it_is() -> None:
    """Every setting has a description: it becomes its row in configuration.md."""
    silent = [
        f"[{table}] {key}"
        for table, field in Settings.model_fields.items()
        for key, inner in field.annotation.model_fields.items()  # type: ignore[union-attr]
        if not inner.description
    ]
    assert not silent


def test_every_setting_is_named_in_the_texts_as_it_is_called() -> None:
    """What the texts call `[table] key` exists."""
    known = {
        (table, key)
        for table, field in Settings.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]
    }
    wrong = [
        f"{path.name}: [{table}] {key}"
        for path in [*EVERY_TEXT, *PLUGIN_READMES]
        for table, key in re.findall(r"`\[(\w+)\] (\w+)", path.read_text("utf-8"))
        if (table, key) not in known
    ]
    assert not wrong


def test_default_configuration_lists_every_setting() -> None:
    """hookhub.toml names every setting; each commented-out value is the default."""
    text = (ROOT / "hookhub.toml").read_text("utf-8")
    defaults = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    examples = tomllib.loads(re.sub(r"^#   (\w+ = )", r"\1", text, flags=re.MULTILINE))
    for table, field in Settings.model_fields.items():
        for key, inner in field.annotation.model_fields.items():  # type: ignore[union-attr]
            default = inner.get_default(call_default_factory=True)
            if default is None:
                assert key in examples.get(table, {}), f"hookhub.toml lacks [{table}] {key}"
            else:
                assert key in defaults.get(table, {}), f"hookhub.toml lacks [{table}] {key}"
                assert defaults[table][key] == default, f"[{table}] {key}"
    # Nothing else, either: an unknown key is refused.
    assert Settings.model_validate(defaults) == Settings()


def test_default_configuration_changes_nothing() -> None:
    """`hookhub serve` in the checkout runs with the defaults."""
    assert load_settings(ROOT / "hookhub.toml", {}) == Settings()


@pytest.mark.parametrize("path", EVERY_TEXT, ids=lambda path: path.name)
def test_snippets_are_what_they_say(path: Path) -> None:
    """JSON in the texts is JSON, TOML is a configuration that would start, Python compiles."""
    text = path.read_text("utf-8")
    for snippet in blocks(text, "json"):
        decoder = json.JSONDecoder()
        rest = snippet.strip()
        while rest:
            _, end = decoder.raw_decode(rest)
            rest = rest[end:].strip()
    for snippet in blocks(text, "toml"):
        Settings.model_validate(tomllib.loads(snippet))
    for snippet in blocks(text, "python"):
        compile(snippet, path.name, "exec")


def headings(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.*)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


LINKING = [*EVERY_TEXT, *PLUGIN_READMES, *sorted(DOCS.glob("changelog/*.md"))]


@pytest.mark.parametrize("path", LINKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Relative links in the texts lead to files and headings that are there, and say where to."""
    folder = DOCS if path.is_relative_to(DOCS) else path.parent  # fragments become part of a page
    links = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", path.read_text("utf-8"))
    dead = []
    for target, heading in links:
        place = folder / target if target else path
        text = place.read_text("utf-8") if heading and place.suffix == ".md" else ""
        if "://" not in target and not (place.exists() and (not text or heading in headings(text))):
            dead.append(f"{target}#{heading}")
    assert not dead
    assert "[](" not in path.read_text("utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_read_well_in_a_checkout(path: Path, reference: ModuleType) -> None:
    """What only Sphinx understands is in comments, and what the code says is written down."""
    text = path.read_text("utf-8")
    plain = re.sub(r"^<!--site\n.*?^-->", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"^```\{.*|^\([\w-]+\)=$|\{(?:py:)?[a-z]+\}`~", plain, re.MULTILINE)
    assert reference.written(text) == text, "run: python docs/_ext/hookhub_reference.py"


def test_every_example_is_shown() -> None:
    """Every file of docs/examples is part of a page."""
    shown = {
        target
        for path in PAGES
        for target in re.findall(r"^<!-- file ([\w./-]+)", path.read_text("utf-8"), re.MULTILINE)
    }
    kept = {
        str(path.relative_to(DOCS))
        for path in DOCS.glob("examples/**/*")
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in str(path)
    }
    assert kept - shown == {
        "examples/hookhub-chat/pyproject.toml",  # three lines that every distribution has
        "examples/hookhub-orders/pyproject.toml",
        "examples/hookhub-orders/setup.cfg",
    }


DESCRIPTIONS = {"/openapi.json", "/asyncapi.json", "/docs"}
"""Pages about the API; they do not describe themselves."""


def operations(hub: HubProcess) -> set[str]:
    """``METHOD /path`` of every operation that the hub serves, the takeovers apart."""
    with hub.client() as http:
        paths = http.get("/openapi.json").raise_for_status().json()["paths"]
        for page_path in DESCRIPTIONS:
            http.get(page_path).raise_for_status()
    described = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    return described | {f"GET {path}" for path in DESCRIPTIONS}


def test_every_route_is_documented(hub: HubProcess) -> None:
    """rest.md lists every operation of the core and of the plugins."""
    listed = {" ".join(found) for found in OPERATION.findall(page("rest.md"))}
    missing = operations(hub) - listed
    assert not missing


def test_texts_name_only_routes_that_exist(hub: HubProcess) -> None:
    """Wherever the texts say METHOD /path, the hub serves it."""
    served = {re.sub(r"\{\w+\}", "{}", item) for item in operations(hub)}
    wrong = [
        f"{path.name}: {method} {target}"
        for path in [*EVERY_TEXT, *PLUGIN_READMES]
        for method, target in OPERATION.findall(path.read_text("utf-8"))
        if re.sub(r"\{\w+\}", "{}", f"{method} {target}") not in served
    ]
    assert not wrong


def test_every_event_type_is_documented(hub: HubProcess) -> None:
    """events.md has a row for every type of the hub and its plugins, and for no other."""
    with hub.client() as http:
        items = http.get("/event-types").raise_for_status().json()["items"]
    rows = re.findall(r"^\| `(\w+\.\w+)` \|", page("events.md"), re.MULTILINE)
    assert sorted(rows) == sorted(item.get("name", item.get("type")) for item in items)


def test_every_metric_is_documented(hub: HubProcess) -> None:
    """operations.md lists every metric that /metrics shows, and no other."""
    with hub.client() as http:
        text = http.get("/metrics").raise_for_status().text
    shown = set(re.findall(r"^# TYPE (hookhub_\w+) ", text, re.MULTILINE))
    assert shown, text
    assert set(METRIC.findall(page("operations.md"))) == shown


def test_every_error_code_is_documented(reference: ModuleType) -> None:
    """rest.md has the table of codes, and each code has a status and a meaning."""
    assert "<!-- errors -->" in page("rest.md")
    rows = "\n".join(reference.errors_markdown())
    for error in reference.error_classes():
        assert error.__doc__, f"{error.__name__} does not say what it means"
        assert f"| `{error.code}` | {error.status} |" in rows


def test_error_codes_in_texts_exist(reference: ModuleType) -> None:
    """What the texts call a code is one."""
    known = {error.code for error in reference.error_classes()}
    named = {
        (path.name, code)
        for path in EVERY_TEXT
        for code in re.findall(r"codes? `(\w+)`", path.read_text("utf-8"))
    }
    assert not [item for item in named if item[1] not in known]


def test_every_command_is_documented(reference: ModuleType) -> None:
    """cli.md shows every command with its help, and every command has one."""
    from hookhub.cli import main

    assert "<!-- cli -->" in page("cli.md")
    for path, command in reference.commands(main):
        name = " ".join(path)
        assert command.help, f"{name} has no help"
        assert any(name in line for line in reference.command_markdown(path, command))
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{name} {option.opts[0]} has no help"


def test_commands_in_texts_exist(reference: ModuleType) -> None:
    """Every `hookhub …` that the texts show is a command with these options."""
    from hookhub.cli import main

    known = dict(reference.commands(main))
    wrong = []
    for path in [*EVERY_TEXT, *PLUGIN_READMES]:
        text = reference.PART.sub("", path.read_text("utf-8"))
        lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
        lines += re.findall(r"`(hookhub [^`]+)`", text)
        for line in lines:
            found = re.search(r"(?:^|[\s/])hookhub ((?:[\w-]+ ?)+)", line.split("#")[0])
            if found is None or "install" in line.split("hookhub")[0].split("&&")[-1]:
                continue
            words = found[1].split()
            deepest: tuple[str, ...] = ("hookhub",)
            while words and (*deepest, words[0]) in known:
                deepest = (*deepest, words.pop(0))
            options = {name for param in known[deepest].params for name in param.opts}
            options |= {"--help"}
            used = set(re.findall(r" (--[\w-]+)", line[found.start() :]))
            if isinstance(known[deepest], click.Group) or not used <= options:
                wrong.append(f"{path.name}: {line.strip()}")
    assert not wrong
