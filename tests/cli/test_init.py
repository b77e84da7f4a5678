"""``hookhub init``: a configuration that starts, with everything explained."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from hookhub.cli.server.init import config_text
from hookhub.config import Settings, load_settings

Run = Callable[..., Result]


def test_every_setting_stands_there_with_its_default() -> None:
    """Commented out, each line is the default; nothing chosen changes nothing."""
    text = config_text({})
    assert tomllib.loads(text) == {table: {} for table in Settings.model_fields}
    defaults = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert Settings.model_validate(defaults) == Settings()
    for table, field in Settings.model_fields.items():
        for key in field.annotation.model_fields:  # type: ignore[union-attr]
            assert re.search(rf"^#\s+{key} = ", text, re.MULTILINE), f"[{table}] {key}"
    assert max(map(len, text.splitlines())) <= 100


def test_what_is_chosen_is_set(run: Run) -> None:
    """The options are in the file; only its owner may read it, for there is a key in it."""
    options = ("--bind", "0.0.0.0:9000", "--public-url", "https://hub.example.org/")
    options += ("--allow", "127.0.0.0/8", "--allow", "10.1.0.0/16")
    result = run("init", "--yes", *options)
    assert result.exit_code == 0, result.output
    assert "'hookhub check'" in result.stdout
    settings = load_settings(None, {})
    assert settings.server.bind == "0.0.0.0:9000"
    assert settings.server.public_url == "https://hub.example.org"
    assert settings.egress.allow == ["127.0.0.0/8", "10.1.0.0/16"]
    assert len(settings.auth.secret_key or "") >= 32
    assert Path("hookhub.toml").stat().st_mode & 0o777 == 0o600


def test_an_existing_file_stays(run: Run) -> None:
    """It is named; --force replaces it, --config writes another."""
    Path("hookhub.toml").write_text("# mine\n")
    result = run("init", "--yes")
    assert result.exit_code == 1
    assert "hookhub.toml is there already; --force" in result.stderr
    assert Path("hookhub.toml").read_text() == "# mine\n"
    assert json.loads(run("init", "--json", "--config", "other.toml").stdout)["path"]
    assert run("init", "--yes", "--force").exit_code == 0
    assert Path("hookhub.toml").read_text() != "# mine\n"


def test_no_key_for_a_database_that_is_there(run: Run) -> None:
    """Its secrets are plain: a key is only made if somebody asks for it."""
    Path("hookhub.db").touch()
    run("init", "--yes")
    assert load_settings(None, {}).auth.secret_key is None
    run("init", "--yes", "--force", "--secret-key")
    assert load_settings(None, {}).auth.secret_key is not None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--bind", "8080"), "must be 'host:port'"),
        (("--database", "mysql://me:pass-word@db/hub"), "must be 'sqlite:///FILE'"),
        (("--allow", "10.1.0.1/16"), "--allow"),
        (("--public-url", "hub.example.org"), "must be a URL"),
    ],
)
def test_wrong_values_are_usage(run: Run, options: tuple[str, str], expected: str) -> None:
    """Nothing is written, and no password is repeated; exit status 2."""
    result = run("init", "--yes", *options)
    assert result.exit_code == 2
    assert expected in " ".join(result.stderr.split())
    assert "pass-word" not in result.output
    assert not Path("hookhub.toml").exists()


def test_it_asks_on_a_terminal() -> None:
    """A wrong answer is told and asked again; an empty one takes the default."""
    main, terminal = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "hookhub", "init"],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(main, b"nowhere\n127.0.0.1:9001\n\n\ny\n")
    printed, asked = program.communicate(timeout=60)
    os.close(terminal)
    os.close(main)
    assert program.returncode == 0, asked
    assert "must be 'host:port'" in asked
    assert "hookhub.toml is written" in printed
    settings = load_settings(None, {})
    assert settings.server.bind == "127.0.0.1:9001"
    assert settings.database == Settings().database
    assert settings.egress.allow == ["127.0.0.0/8", "::1/128"]
