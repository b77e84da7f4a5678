"""TAB in the shell, and help that has examples."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from hookhub.cli import main

Run = Callable[..., Result]


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that is no group, those of plugins too."""
    if not isinstance(command, click.Group):
        yield path
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from commands(child, (*path, name))


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_help_shows_examples(run: Run, path: tuple[str, ...]) -> None:
    """Every command's help has examples, of this very command, and every option its line."""
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert f"hookhub {' '.join(path)}" in result.stdout.split("Example")[1]


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_what_prints_data_prints_json(path: tuple[str, ...]) -> None:
    """--json is everywhere but where there is no data: what runs, and what only says 'done'."""
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    silent = {"serve", "demo", "completion", "login", "use", "delete"}
    assert any("--json" in param.opts for param in command.params) or path[-1] in silent


SHELLS = {
    "bash": 'eval "$(hookhub completion bash)"; COMP_WORDS=(hookhub {0}); COMP_CWORD={1}; '
    '_hookhub_completion hookhub; printf "%s\\n" "${{COMPREPLY[@]}}"',
}


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program ``hookhub`` can be found."""
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    program = tmp_path / "bin" / "hookhub"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m hookhub "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["he"], set()),
        (["tok"], {"token"}),
        (["token", "cr"], {"create"}),
        (["tail", "--sin"], {"--since"}),
        (["greet"], {"greet"}),
        (["send", "demo."], {"demo.greeting"}),
    ],
)
def test_bash_completes(on_path: None, greet: None, words: list[str], expected: set[str]) -> None:
    """Commands, options, plugins' commands and event types, in a real bash."""
    script = SHELLS["bash"].format(" ".join(words), len(words))
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(done.stdout.split()) == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(run: Run, shell: str) -> None:
    """The script names the variable that asks the program."""
    assert "_HOOKHUB_COMPLETE" in run("completion", shell).stdout
