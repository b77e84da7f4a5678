"""The program as a whole: help, errors, exit statuses, plugins' commands."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from hookhub import __version__
from hookhub.cli.shared.group import HookhubGroup
from hookhub.contracts.errors import ConfigError, Conflict, HookhubError, ValidationFailed

Run = Callable[..., Result]
Install = Callable[[str, str], None]


def test_it_is_a_module_too() -> None:
    """`python -m hookhub` is the same program under the same name."""
    done = subprocess.run(
        [sys.executable, "-m", "hookhub", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"hookhub, version {__version__}\n"


@pytest.mark.parametrize(
    "command", ["serve", "demo", "migrate", "token create", "plugins", "event-types", "send"]
)
def test_help_shows_examples(run: Run, command: str) -> None:
    """Every command's help ends with examples that begin with the command."""
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"  hookhub {command}" in result.stdout.split("Example")[1]


def test_a_plugins_command_stands_beside_the_others(run: Run, greet: None) -> None:
    """It is in the help and can be called."""
    assert "Say hello." in run("--help").stdout
    assert run("greet", "Ada").stdout == "Hello, Ada!\n"


def test_a_disabled_plugin_adds_no_command(run: Run, greet: None) -> None:
    """[plugins] disabled holds for the command line too."""
    Path("hookhub.toml").write_text("[plugins]\ndisabled = ['greet']\n")
    assert "greet" not in run("--help").stdout
    result = run("greet", "Ada")
    assert result.exit_code == 2
    assert "No such command 'greet'." in result.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import nothing_of_that_name",
        "from hookhub import hookimpl\n@hookimpl\ndef hookhub_commands(cli): 1/0",
        "from hookhub import hookimpl\n@hookimpl\ndef hookhub_comands(cli): pass",
    ],
)
def test_a_broken_plugin_does_not_break_help(run: Run, install: Install, code: str) -> None:
    """Help works; who looks for the plugin's command is told that it is broken."""
    install("broken", code)
    assert run("--help").exit_code == 0
    result = run("something")
    assert result.exit_code == 2
    assert "broken plugins: broken; see 'hookhub plugins'" in result.stderr


def test_broken_settings_do_not_break_help(run: Run, greet: None) -> None:
    """A wrong hookhub.toml stops the commands that need it, not the help."""
    Path("hookhub.toml").write_text("not TOML")
    assert "Say hello." in run("--help").stdout


def test_a_command_that_fails_half_way_leaves_nothing(run: Run, install: Install) -> None:
    """A plugin that raises after adding a command has added none."""
    install(
        "half",
        "from hookhub import hookimpl\n@hookimpl\ndef hookhub_commands(cli):\n"
        "    cli.command('half')(lambda: None)\n    raise RuntimeError('no')\n",
    )
    assert "half" not in run("--help").stdout


def test_a_plugin_cannot_take_a_name_that_is_taken(run: Run, install: Install) -> None:
    """hookhub's own commands stay; the plugin is named in `hookhub plugins`."""
    code = (
        "from hookhub import hookimpl\n@hookimpl\ndef hookhub_commands(cli):\n"
        "    cli.command('token')(lambda: None)\n"
    )
    install("thief", code)
    assert "Make, list and revoke" in run("--help").stdout
    assert "Its command 'token' is a command of hookhub itself already." in run("plugins").stderr


def failing(error: BaseException) -> Result:
    group = HookhubGroup("hookhub")

    @group.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(group, ["fail"])


def test_an_error_is_a_sentence() -> None:
    """What hookhub refuses is told on stderr without a traceback; the exit status is 1."""
    result = failing(Conflict("The name is taken."))
    assert result.exit_code == 1
    assert result.stderr == "Error: The name is taken.\n"
    assert result.stdout == ""


def test_wrong_fields_are_named() -> None:
    """Each wrong field has a line; a configuration error has them in its text already."""
    errors = [{"loc": ["payload", "user_id"], "msg": "must be an integer"}]
    result = failing(ValidationFailed("It does not fit.", errors=errors))  # type: ignore[arg-type]
    assert result.stderr == "Error: It does not fit.\n  payload.user_id: must be an integer\n"
    result = failing(ConfigError("Told.", errors=errors))  # type: ignore[arg-type]
    assert result.stderr == "Error: Told.\n"


def test_an_error_from_a_nursery_is_a_sentence() -> None:
    """A nursery wraps what leaves it; a single error comes out as itself."""
    inner = BaseExceptionGroup("", [ExceptionGroup("", [HookhubError("The sentence.")])])
    assert failing(inner).stderr == "Error: The sentence.\n"
    assert failing(BaseExceptionGroup("", [click.UsageError("Use it well.")])).exit_code == 2
    assert failing(BaseExceptionGroup("", [KeyboardInterrupt()])).exit_code == 1


def test_a_mistake_that_is_the_sentence_is_not_told_twice() -> None:
    """A field's line says what the sentence does not."""
    errors = [{"loc": ["url"], "msg": "it is no URL"}, {"loc": ["name"], "msg": "is too long"}]
    result = failing(ValidationFailed("It is no URL.", errors=errors))  # type: ignore[arg-type]
    assert result.stderr == "Error: It is no URL.\n  name: is too long\n"


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: ExceptionGroup("", [error])])
def test_output_that_cannot_be_written(wrap: Callable[[Exception], Exception]) -> None:
    """A full disk is told; `| head` has read enough and is told nothing."""
    full = failing(wrap(OSError(errno.ENOSPC, "No space left on device")))
    assert full.exit_code == 1
    assert full.stderr == "Error: What it prints cannot be written: No space left on device.\n"
    enough = failing(wrap(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert (enough.exit_code, enough.output) == (1, "")
    other = wrap(OSError(errno.EACCES, "Permission denied"))
    assert failing(other).exception is other


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["serve", "--help"]])
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_help_on_a_full_disk(arguments: list[str], unbuffered: str) -> None:
    """Help and version tell it as the commands do."""
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "hookhub", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == "Error: What it prints cannot be written: No space left on device.\n"


def test_several_errors_are_not_hidden() -> None:
    """Two errors at once are a bug to be seen, with its traceback."""
    group = ExceptionGroup("", [HookhubError("a"), ValueError("b")])
    assert failing(group).exception is group
