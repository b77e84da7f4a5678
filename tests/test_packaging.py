"""The distributions hold all that they need, and nobody forgets one of them."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import pytest

import hookhub

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/setup.cfg"))
DISTRIBUTIONS = [ROOT, *PLUGINS]
PYPROJECT = """\
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"
"""


def setup_cfg(distribution: Path) -> ConfigParser:
    """The metadata of a distribution."""
    parser = ConfigParser()
    parser.read(distribution / "setup.cfg", "utf-8")
    return parser


def lines(text: str) -> list[str]:
    """The lines of a value, without the empty ones."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def packages(distribution: Path) -> list[Path]:
    """The import packages of a distribution."""
    place = distribution / "src" if distribution != ROOT else ROOT
    return [path.parent for path in place.glob("hookhub*/__init__.py")]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda path: path.name)
def test_distribution_is_complete(distribution: Path) -> None:
    """Each has a pyproject.toml of three lines, a README, a licence and a type marker."""
    assert (distribution / "pyproject.toml").read_text("utf-8") == PYPROJECT
    for name in ("README.md", "LICENSE", "setup.cfg"):
        assert (distribution / name).read_text("utf-8").strip(), f"{name} is empty"
    [package] = packages(distribution)
    assert (package / "py.typed").is_file()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda path: path.name)
def test_every_file_is_packaged(distribution: Path) -> None:
    """What is not Python is named in package_data, or an installed hub would lack it."""
    data = setup_cfg(distribution)["options.package_data"]
    [package] = packages(distribution)
    named = {path for pattern in lines(data[package.name]) for path in package.glob(pattern)}
    # `**` means folders to pathlib, and all below them to setuptools.
    named |= {inner for path in named if path.is_dir() for inner in path.iterdir()}
    forgotten = [
        str(path)
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path not in named
    ]
    assert not forgotten


def test_every_package_has_an_init() -> None:
    """A folder of the core with modules in it is a package: `find:` leaves out what is not."""
    folders = {path.parent for path in (ROOT / "hookhub").rglob("*.py")}
    assert not [str(path) for path in folders if not (path / "__init__.py").is_file()]


def test_version_is_the_same_everywhere() -> None:
    """`hookhub.__version__` is the distribution's."""
    assert setup_cfg(ROOT)["metadata"]["version"] == hookhub.__version__


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_plugin_has_one_entry_point(plugin: Path) -> None:
    """hookhub-users brings the plugin `users`, found in the group `hookhub`."""
    [line] = lines(setup_cfg(plugin)["options.entry_points"]["hookhub"])
    name, _, module = (part.strip() for part in line.partition("="))
    assert f"hookhub-{name}" == plugin.name
    assert module.split(":")[0].split(".")[0] == packages(plugin)[0].name


def test_standard_brings_every_plugin() -> None:
    """`pip install hookhub[standard]` installs all plugins of this repository."""
    extras = setup_cfg(ROOT)["options.extras_require"]
    assert sorted(lines(extras["standard"])) == [path.name for path in PLUGINS]


def test_tox_installs_every_plugin() -> None:
    """tox.ini names all plugins of this repository."""
    parser = ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", "utf-8")
    named = lines(parser["distributions"]["plugins"])
    assert sorted(named) == [f"-e ./plugins/{path.name}" for path in PLUGINS]
