"""What the program imports before it does anything: help and TAB must be quick."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from hookhub.cli import main
from hookhub.cli.app import COMMANDS, SECTIONS

SERVER = {
    *("quart", "quart_trio", "hypercorn", "werkzeug", "prometheus_client"),
    *("peewee", "psycopg", "hookhub.hub", "hookhub.web", "hookhub.server", "hookhub.store"),
    *("hookhub.egress", "hookhub.feed", "hookhub.delivery"),
}
CLIENT = {"httpx", "trio_websocket", "hookhub.client"}
OUTPUT = {"rich", "structlog"}

PROBE = """
import sys
from hookhub.cli import main
try:
    main(sys.argv[1:], prog_name="hookhub")
except SystemExit as error:
    print("status", error.code)
print("modules", *sys.modules)
"""


def imported(*arguments: str) -> set[str]:
    """The modules that are loaded when ``hookhub ARGUMENTS`` has ended well."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    *_, status, modules = done.stdout.splitlines()
    assert status == "status 0", done.stderr
    return set(modules.split()[1:])


@pytest.mark.parametrize(
    "arguments",
    [
        *("--version", "--help", "serve --help", "token create --help", "audit --help"),
        *("send --help", "tail --help", "replay start --help", "webhook list --help"),
        *("listen --help", "completion bash"),
    ],
)
def test_help_waits_neither_for_the_server_nor_for_the_client(arguments: str) -> None:
    """Neither the parts of a hub nor the HTTP client are imported, plugins' commands included."""
    loaded = imported(*arguments.split())
    assert loaded & (SERVER | CLIENT) == set()
    # Every run of a subcommand sets its logging up.
    assert arguments not in ("--help", "--version") or loaded & OUTPUT == set()


def test_a_version_asks_no_plugin() -> None:
    """Nor does it import any command."""
    loaded = imported("--version")
    assert not {name for name in loaded if name.startswith("hookhub_")}
    assert loaded.isdisjoint({place.partition(":")[0] for place in COMMANDS.values()})


def test_a_client_needs_no_server() -> None:
    """A command that speaks to a hub imports nothing of one: here, it may be used by itself."""
    runner = [sys.executable, "-c", PROBE]
    runner += ["token", "list", "--url", "http://127.0.0.1:9", "--token", "t"]
    done = subprocess.run(runner, capture_output=True, text=True, check=True, timeout=60)
    *_, status, modules = done.stdout.splitlines()
    assert status == "status 1"
    assert "Is the hub running there?" in done.stderr
    loaded = set(modules.split())
    assert "httpx" in loaded
    assert loaded.isdisjoint(SERVER)


def test_every_command_has_its_place_in_the_help() -> None:
    """Each is found where the table says, under the name that it bears, and under a heading."""
    with main.make_context("hookhub", [], resilient_parsing=True) as ctx:
        for name in COMMANDS:
            command = main.get_command(ctx, name)
            assert command is not None
            assert command.name == name
    listed = [name for names in SECTIONS.values() for name in names]
    assert set(COMMANDS) <= set(listed)
    assert len(listed) == len(set(listed))
    assert "More commands" not in CliRunner().invoke(main, ["--help"]).stdout
