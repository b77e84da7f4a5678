"""The rooms stay rooms: who may import whom, read from the source without running it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "hookhub"
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/setup.cfg"))
ARCHITECTURE = ROOT / "docs" / "architecture.md"

# From the bottom up; a room imports from its own layer or from lower ones, never from above.
LAYERS: list[set[str]] = [
    {"contracts"},
    {"filters", "secretbox", "statistics"},
    {"config", "logs"},
    {"store"},
    {"access", "egress"},
    {"plugins", "feed"},
    {"delivery"},
    {"background"},
    {"hub"},
    {"http", "web"},
    {"server", "supervisor"},
    {"cli", "__main__"},
]
# Beside the layers: what they may import, and that nothing of the core imports them.
BESIDE = {"client": {"contracts"}, "testing": {"*"}}

PURE = {*LAYERS[0], *LAYERS[1]}
# And decisions in rooms that do more.
PURE_MODULES = {
    *("delivery.policy", "delivery.breaker", "delivery.lanes", "delivery.limits"),
    "feed.ring",
}
NOT_PURE = {
    *("asyncio", "http", "multiprocessing", "select", "selectors", "signal", "socket", "sqlite3"),
    *("ssl", "subprocess", "threading", "time", "urllib"),
    *("h11", "httpcore", "httpx", "hypercorn", "peewee", "psycopg", "quart", "structlog"),
}

# Library to the rooms that may know it; "*" is everywhere.
ROOMS: dict[str, set[str]] = {
    "trio": {"*"},
    "outcome": {"*"},
    "pydantic": {"*"},
    "pydantic_core": {"*"},
    "structlog": {"*"},
    "packaging": {"plugins"},
    "pluggy": {"contracts", "plugins"},
    "peewee": {"store"},
    "playhouse": {"store"},
    "psycopg": {"store"},
    "quart": {"web", "http"},
    "quart_trio": {"http", "web", "server"},
    "werkzeug": {"web", "http"},
    "hypercorn": {"http", "web", "server"},
    "httpx": {"egress", "client", "cli"},
    "anyio": {"client"},
    "cryptography": {"secretbox", "access", "client"},
    "idna": {"egress"},
    "h11": {"egress", "http", "web", "server"},
    "prometheus_client": {"web", "server"},
    "click": {"cli"},
    "rich": {"cli"},
    "trio_websocket": {"cli", "client"},
}
TESTING_ONLY = {
    *("pytest", "pytest_trio", "hypothesis", "click"),
    *("cryptography", "httpx", "h11", "peewee", "psycopg"),
}

# What plugins may import: the contracts and what the hub hands them, not the rooms behind it.
PUBLIC = {
    "hookhub",
    *(f"hookhub.contracts.{path.stem}" for path in (CORE / "contracts").glob("[!_]*.py")),
    *(f"hookhub.{name}" for name in ("hub", "config", "store", "feed", "filters", "egress")),
    "hookhub.access",
    # For their commands.
    *("hookhub.client", "hookhub.client.verify", "hookhub.cli.kit"),
    # For a command that runs a hub of its own.
    *("hookhub.server", "hookhub.logs"),
}
PUBLIC_IN_TESTS = {"hookhub.plugins", "hookhub.server"}


class Import(NamedTuple):
    """One import: of what, where, and whether only a type checker sees it."""

    module: str
    line: int
    typing_only: bool


def is_type_checking(node: ast.AST) -> bool:
    """Whether this is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def walk(tree: ast.AST, typing_only: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, with whether it stands below ``if TYPE_CHECKING:``."""
    for node in ast.iter_child_nodes(tree):
        below = typing_only or is_type_checking(node)
        yield node, below
        yield from walk(node, below)


def imports(path: Path) -> Iterator[Import]:
    """The imports of a file, those inside functions included."""
    for node, typing_only in walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, typing_only)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the whole module name"
            for alias in node.names:
                # `from hookhub import store` imports the room, `from hookhub import Hub` a name.
                module = f"{node.module}.{alias.name}"
                inside = ROOT / module.replace(".", "/")
                found = inside.is_dir() or inside.with_suffix(".py").is_file()
                yield Import(module if found else str(node.module), node.lineno, typing_only)


def module_name(path: Path) -> str:
    """``hookhub/store/writer.py`` -> ``store.writer``; the package itself is ``""``."""
    parts = path.relative_to(CORE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def place(module: str) -> tuple[str, int]:
    """The room of a core module, and its layer; -1 for what stands beside the layers."""
    room = module.split(".")[0]
    for layer, rooms in enumerate(LAYERS):
        if room in rooms:
            return room, layer
    if room in BESIDE:
        return room, -1
    pytest.fail(f"hookhub.{module} has no place in LAYERS of {Path(__file__).name}: give it one")


def core_files() -> list[Path]:
    """Every module of the core."""
    return sorted(CORE.rglob("*.py"))


def plugin_files() -> list[Path]:
    """Every module and test of every plugin."""
    return sorted(path for plugin in PLUGINS for path in plugin.rglob("*.py"))


def show(path: Path, found: Import, why: str) -> str:
    """One finding, as compilers print them."""
    return f"{path.relative_to(ROOT)}:{found.line}: imports {found.module}; {why}"


def core_imports() -> Iterator[tuple[Path, str, Import, str]]:
    """``(file, its module, import, imported core module)`` for imports inside the core."""
    for path in core_files():
        for found in imports(path):
            if found.module.split(".")[0] == "hookhub":
                yield path, module_name(path), found, found.module.partition(".")[2]


def test_imports_go_downwards() -> None:
    """A module of the core imports from its own layer or a lower one."""
    wrong = []
    for path, module, found, target in core_imports():
        if not module or not target:
            continue  # the package's own __init__ gathers names from everywhere
        if found.typing_only and target == "hub":
            continue  # hooks are called with the hub, so whatever they call names its type
        room, layer = place(module)
        target_room, target_layer = place(target)
        if room == target_room:
            continue
        if layer == -1:
            if not {"*", target_room} & BESIDE[room]:
                wrong.append(show(path, found, f"{room} may import {sorted(BESIDE[room])}"))
        elif target_layer > layer:
            wrong.append(show(path, found, f"{target_room} is above {room}"))
        elif target_layer == -1 and room != "cli":
            wrong.append(show(path, found, f"the core does not need hookhub.{target_room}"))
    assert not wrong, "\n".join(wrong)


def folder(module: str) -> str:
    """Where a module of the core stands: its folder, or itself at the top."""
    is_folder = (CORE / module.replace(".", "/")).is_dir()
    return module if is_folder else module.rpartition(".")[0] or module


@pytest.mark.parametrize("standing", [str, folder], ids=["modules", "folders"])
def test_no_circles(standing: Callable[[str], str]) -> None:
    """Modules do not import each other in a circle; neither do folders, however deep."""
    graph: dict[str, set[str]] = {}
    for _, module, found, target in core_imports():
        # Hooks are called with the hub, so whatever they call names its type.
        if module and target and not (found.typing_only and target == "hub"):
            start, end = standing(module), standing(target)
            graph.setdefault(start, set()).update({end} - {start})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"they import each other: {' <- '.join(error.args[1])}")


def test_the_layers_are_those_of_the_documentation() -> None:
    """Every room of LAYERS exists, and docs/architecture.md shows them in this order."""
    rooms = [room for layer in LAYERS for room in layer]
    there = {module_name(path).split(".")[0] for path in core_files()}
    assert not [room for room in rooms if room not in there]
    text = ARCHITECTURE.read_text("utf-8")
    shown = re.findall(r"^```text\n(contracts.*?)^```", text, re.M | re.S)
    [layers] = [[set(re.split(r"[,\s]+", part.strip())) for part in it.split("→")] for it in shown]
    assert [layer - {"__main__"} for layer in LAYERS] == layers


def test_libraries_stay_in_their_rooms() -> None:
    """Each third-party library is known to the rooms that ROOMS gives it, and to no other."""
    wrong = []
    for path in core_files():
        module = module_name(path)
        room = place(module)[0].split(".")[0] if module else ""
        for found in imports(path):
            library = found.module.split(".")[0]
            if library in sys.stdlib_module_names or library == "hookhub" or found.typing_only:
                continue
            allowed = ROOMS.get(library, set()) | (
                {"testing"} if library in TESTING_ONLY else set()
            )
            if not {"*", room} & allowed:
                wrong.append(show(path, found, f"it belongs into {sorted(allowed) or 'no room'}"))
    assert not wrong, "\n".join(wrong)


def test_contracts_and_decisions_are_pure() -> None:
    """Contracts and decisions import nothing that does I/O or has a clock."""
    wrong = []
    for path in core_files():
        module = module_name(path)
        if not module or not {module, place(module)[0]} & {*PURE, *PURE_MODULES}:
            continue
        for found in imports(path):
            if found.module.split(".")[0] in NOT_PURE and not found.typing_only:
                wrong.append(show(path, found, f"hookhub.{module} is pure"))
    assert not wrong, "\n".join(wrong)


def test_the_store_knows_what_is_pure_and_its_settings() -> None:
    """Below the store is nothing that does I/O, and of the settings nothing but its table."""
    below = {*PURE, "config", "store"}
    wrong = [
        show(path, found, "the store does not need it")
        for path, module, found, target in core_imports()
        if module.startswith("store") and target and place(target)[0] not in below
    ]
    assert not wrong, "\n".join(wrong)
    text = "".join(path.read_text("utf-8") for path in (CORE / "store").rglob("*.py"))
    assert set(re.findall("from hookhub.config.*", text)) == {
        "from hookhub.config import DatabaseSettings"
    }


def test_core_knows_no_plugin() -> None:
    """Nothing in the core imports a plugin, not even for its types."""
    packages = {path.name for plugin in PLUGINS for path in (plugin / "src").iterdir()}
    assert packages, "no plugin found"
    wrong = [
        show(path, found, "the core knows no plugin")
        for path in core_files()
        for found in imports(path)
        if found.module.split(".")[0] in packages or found.module.startswith("hookhub_")
    ]
    assert not wrong, "\n".join(wrong)


def requirements(distribution: Path) -> set[str]:
    """Distributions that a setup.cfg asks for, extras included, spelt as modules are."""
    parser = ConfigParser()
    parser.read(distribution / "setup.cfg", "utf-8")
    text = parser.get("options", "install_requires", fallback="")
    if parser.has_section("options.extras_require"):
        text += "\n".join(extra for _, extra in parser.items("options.extras_require"))
    names = set()
    for line in text.split("\n"):
        name = line.split(";")[0].split("#")[0].strip()
        for mark in "<>=!~[ ":
            name = name.split(mark)[0]
        if name:
            names.add(name.lower().replace("-", "_"))
    return names


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugin_imports_only_what_is_public(plugin: Path) -> None:
    """A plugin imports itself, hookhub's public modules and what its setup.cfg asks for."""
    own = {path.name for path in (plugin / "src").iterdir() if path.is_dir()}
    required = requirements(plugin)
    assert "hookhub" in required, f"{plugin.name}: install_requires must name hookhub"
    wrong = []
    for path in sorted(plugin.rglob("*.py")):
        in_tests = "tests" in path.relative_to(plugin).parts
        for found in imports(path):
            top = found.module.split(".")[0]
            if top in sys.stdlib_module_names or top in own:
                continue
            if top == "hookhub":
                allowed = PUBLIC | (PUBLIC_IN_TESTS if in_tests else set())
                parents = {found.module, ".".join(found.module.split(".")[:2])}
                if in_tests and "hookhub.testing" in parents:
                    continue
                if found.module not in allowed:
                    wrong.append(show(path, found, "it is not public"))
            elif top == "support":
                wrong.append(show(path, found, "it is for the core's tests"))
            elif top.startswith("hookhub_"):
                if top not in required and not in_tests:
                    wrong.append(show(path, found, "a plugin does not lean on another unasked"))
            elif not in_tests and not found.typing_only and top not in required:
                wrong.append(show(path, found, "its setup.cfg does not ask for it"))
    assert not wrong, "\n".join(wrong)


def test_setup_cfg_asks_for_what_the_core_imports() -> None:
    """Every library that the core imports is named in setup.cfg, not left to another's needs."""
    required = requirements(ROOT) | {"pydantic_core", "playhouse"}  # parts of pydantic and peewee
    wrong = [
        show(path, found, "setup.cfg does not ask for it")
        for path in core_files()
        for found in imports(path)
        if (library := found.module.split(".")[0]) not in sys.stdlib_module_names
        and library not in required | {"hookhub"}
    ]
    assert not wrong, "\n".join(wrong)


def mutable_globals(path: Path) -> Iterator[tuple[int, str]]:
    """Names in lower case that a module binds to a list, dict or set, and ``global``."""
    tree = ast.parse(path.read_text("utf-8"), str(path))
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        value = node.value
        made = isinstance(value, ast.Call) and getattr(value.func, "id", "") in {
            "dict",
            "list",
            "set",
            "defaultdict",
            "deque",
        }
        if not made and not isinstance(value, ast.List | ast.Dict | ast.Set):
            continue
        for target in targets:
            name = target.id if isinstance(target, ast.Name) else "__all__"
            if name != "__all__" and not name.strip("_").isupper():
                yield node.lineno, name
    for inner in ast.walk(tree):
        if isinstance(inner, ast.Global):
            yield inner.lineno, "global " + ", ".join(inner.names)


def test_state_is_on_instances() -> None:
    """No module keeps state of its own: two hubs in one process never meet."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in [*core_files(), *plugin_files()]
        for line, name in mutable_globals(path)
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_stay_small() -> None:
    """No module has more than 500 lines: split it by what it is about."""
    sizes = {
        str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n")
        for path in [*core_files(), *plugin_files()]
    }
    assert not {name: size for name, size in sizes.items() if size > 500}
