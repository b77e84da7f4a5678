"""Settings: what the file and the environment say, and what a person is told when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hookhub.config import Settings, load_settings
from hookhub.config.environment import PREFIX
from hookhub.config.problems import find_line, tables
from hookhub.contracts.errors import ConfigError


def write(directory: Path, text: str) -> Path:
    path = directory / "hub.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | None, environ: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ or {})
    return caught.value


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "cwd"
    directory.mkdir()
    monkeypatch.chdir(directory)


def test_nothing_is_needed() -> None:
    """Without file and environment every setting has its default."""
    assert load_settings(None, {}) == Settings()


def test_the_file_of_the_working_directory_is_read() -> None:
    """No path means hookhub.toml, if there is one."""
    Path("hookhub.toml").write_text("[server]\nbind = '[::1]:9000'\n")
    assert load_settings(None, {}).server.bind == "[::1]:9000"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """Every kind of setting can be given as a variable, read by its type."""
    path = write(tmp_path, "[server]\nbind = '127.0.0.1:1'\n[delivery]\nconcurrency = 3\n")
    settings = load_settings(
        path,
        {
            "HOOKHUB_SERVER__BIND": "0.0.0.0:8080",
            "HOOKHUB_SERVER__PUBLIC_URL": "https://hub.example/",
            "HOOKHUB_DELIVERY__RETRY_SCHEDULE": "[1, 2.5]",
            "HOOKHUB_DELIVERY__TIMEOUT": "2.5",
            "HOOKHUB_DATABASE__READERS": "2",
            "HOOKHUB_EGRESS__ALLOW": '["10.0.0.0/8", "fd00::1"]',
            "HOOKHUB_LOG__FORMAT": "json",
        },
    )
    assert settings.server.bind == "0.0.0.0:8080"
    assert settings.server.public_url == "https://hub.example"
    assert settings.delivery.retry_schedule == [1, 2.5]
    assert settings.delivery.timeout == 2.5
    assert settings.delivery.concurrency == 3
    assert settings.database.readers == 2
    assert settings.egress.allow == ["10.0.0.0/8", "fd00::1"]
    assert settings.log.format == "json"


def test_an_empty_variable_unsets_what_may_be_unset(tmp_path: Path) -> None:
    """Compose files pass empty variables for what nobody set."""
    path = write(tmp_path, "[server]\npublic_url = 'https://hub.example'\n")
    assert load_settings(path, {"HOOKHUB_SERVER__PUBLIC_URL": ""}).server.public_url is None


@pytest.mark.parametrize(
    ("given", "delay"),
    [
        ({}, 0.0),
        ({"public_url": "https://hub.example"}, 5.0),
        ({"public_url": "https://hub.example", "drain_delay": 0.0}, 0.0),
        ({"drain_delay": 12.5}, 12.5),
    ],
)
def test_a_stop_is_delayed_where_somebody_looks(given: dict[str, Any], delay: float) -> None:
    """What is set counts; else a hub behind a proxy waits a little, and one without does not."""
    assert Settings.model_validate({"server": given}).server.drain() == delay


def test_a_plugins_table_is_its_own(tmp_path: Path) -> None:
    """[plugins.<name>] and HOOKHUB_PLUGINS__<NAME>__<KEY> reach the plugin as they are."""
    path = write(tmp_path, "[plugins]\ndisabled = ['log']\n[plugins.my-sink]\nurl = 'x'\nn = 1\n")
    settings = load_settings(
        path,
        {
            "HOOKHUB_PLUGINS__MY_SINK__N": "2",
            "HOOKHUB_PLUGINS__MY_SINK__NAME": "two words",
            "HOOKHUB_PLUGINS__MY_SINK__TLS__VERIFY": "false",
            "HOOKHUB_PLUGINS__REQUIRED": '["webhook"]',
        },
    )
    assert settings.plugins.table("my-sink") == {
        "url": "x",
        "n": 2,
        "name": "two words",
        "tls": {"verify": False},
    }
    assert settings.plugins.table("other") == {}
    assert settings.plugins.required == ["webhook"]
    assert settings.plugins.disabled == ["log"]


def test_other_variables_are_left_alone() -> None:
    """HOOKHUB_URL and its like belong to the client and the command line."""
    environ = {"HOOKHUB_URL": "x", "HOOKHUB_TOKEN": "x", "HOOKHUB_CONFIG": "x", "HOME": "/"}
    assert load_settings(None, environ) == Settings()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\n\nbnid = 1\n", "line 3: [server] bnid is unknown; did you mean 'bind'?"),
        ("[servr]\nbind = ''\n", "line 1: [servr] is unknown; did you mean [server]?"),
        ("bind = 'x'\n", "line 1: [bind] is unknown; did you mean server.bind"),
        ("[live]\nreaders = 1\n", "line 2: [live] readers is unknown; did you mean 'readers' of"),
        ("[log]\nx = 1\n", "line 2: [log] x is unknown; [log] has format, level."),
        ("server = 5\n", "line 1: [server] must be a table"),
        ("[server]\nbind = 8080\n", "line 2: [server] bind = 8080 must be a string (Address"),
        ("[server]\nbind = '8080'\n", "line 2: [server] bind = '8080' must be 'host:port'"),
        ("[server]\nbind = 'a:70000'\n", "a port between 0 and 65535"),
        ("[server]\nbind = '::1:80'\n", "must be 'host:port'"),
        ("[server]\nbind = '[::x]:80'\n", "an IPv6 address in its brackets"),
        ("[server]\nkeyfile = 'key.pem'\n", "has keyfile but no certfile; TLS needs both"),
        ("[server]\nbind = 'unix:'\n", "needs a path after 'unix:'"),
        ("[server]\npublic_url = 'hub.example'\n", "must be a URL such as"),
        (
            "[server]\npublic_url = 'https://hub.example/admin/'\n",
            "without the panel's /admin/ or /docs",
        ),
        ("[server]\ncertfile = 'c'\n", "line 1: [server] has certfile but no keyfile"),
        ("[server]\nkeyfile = 'c'\n", "[server] has keyfile but no certfile"),
        ("[server]\ncertfile = 'c'\nkeyfile = 'k'\n", "line 3: [server] keyfile is 'k', but there"),
        ("[server]\nmax_body = 1\n", "= 1 must be greater than or equal to 1024 (Largest"),
        ("[database]\nurl = 'mysql://x'\n", "[database] url must be 'sqlite:///FILE'"),
        ("[database]\nreaders = 2.5\n", "= 2.5 must be a whole number"),
        ("[database]\nreaders = true\n", "= True must be a whole number"),
        ("[egress]\nallow = ['10.0.0.1/8']\n", "allow[0] = '10.0.0.1/8' has bits set"),
        ("[egress]\nallow = ['x']\n", "must be a network ('10.0.0.0/8'"),
        ("[egress]\nallow = '10.0.0.0/8'\n", "must be a list"),
        (
            "[delivery]\nretry_schedule = [\n 1,\n -1]\n",
            "line 2: [delivery] retry_schedule[1] = -1",
        ),
        ("[delivery]\ntimeout = nan\n", "must be a finite number"),
        ("[live]\norigins = ['https://a/b']\n", "must be an origin such as"),
        ("[log]\nformat = 'xml'\n", "= 'xml' must be 'console' or 'json'"),
        ("[plugins]\nrequird = ['x']\n", "line 2: [plugins] requird is no table of a plugin, so"),
        ("[plugins]\ndisabled = ['Log']\n", "disabled[0] = 'Log' must be a plugin's name"),
        ("[plugins]\nrequired=['a']\ndisabled=['a']\n", "has a both in required and in disabled"),
        ("[server]\nbind = \n", "hub.toml, line 2: this is not TOML: Invalid value."),
        ("[server]\nbind = 'x'\n[server]\n", "line 3: this is not TOML: Cannot declare"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, expected: str) -> None:
    """A mistake in the file is told with its line, what is wrong and what is allowed."""
    detail = refusal(write(tmp_path, text)).detail
    assert expected in detail
    assert str(tmp_path / "hub.toml") in detail


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HOOKHUB_SERVER__BNID", "x", "[server] bnid is unknown; did you mean 'bind'?"),
        ("HOOKHUB_SERVR__BIND", "x", "[servr] is unknown; did you mean [server]?"),
        ("HOOKHUB_SERVER__BIND__X", "x", "[server] bind__x is unknown; did you mean 'bind'?"),
        ("HOOKHUB_SERVER__", "x", "is not of the form HOOKHUB_<TABLE>__<KEY>"),
        ("HOOKHUB_SERVER_BIND", "x", "one underscore too few; write HOOKHUB_SERVER__BIND."),
        ("HOOKHUB_SERVER__BIND", "x", "[server] bind = 'x' must be 'host:port'"),
        ("HOOKHUB_DATABASE__READERS", "many", "[database] readers must be a whole number"),
        ("HOOKHUB_DATABASE__READERS", "0", "[database] readers = 0 must be greater"),
        ("HOOKHUB_DELIVERY__TIMEOUT", "soon", "[delivery] timeout must be a number"),
        ("HOOKHUB_DELIVERY__TIMEOUT", "inf", "must be a finite number"),
        ("HOOKHUB_EGRESS__ALLOW", "10.0.0.0/8", "must be a list as JSON"),
        ("HOOKHUB_EGRESS__ALLOW", '["x"]', "[egress] allow[0] = 'x' must be a network"),
        ("HOOKHUB_PLUGINS__LOG", "5", "[plugins] log is no table of a plugin"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, expected: str) -> None:
    """A mistake in the environment is told with the variable's name."""
    detail = refusal(None, {name: value}).detail
    assert expected in detail
    assert detail.startswith(f"{name}: ")


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    """Nobody has to start the hub four times to find four mistakes."""
    path = write(tmp_path, "[server]\nbind = 1\nx = 2\n[log]\nlevel = 'loud'\n")
    error = refusal(path, {"HOOKHUB_DATABASE__READERS": "many"})
    assert error.detail.startswith("4 settings are wrong:\n  HOOKHUB_DATABASE__READERS: ")
    assert [item["loc"] for item in error.errors] == [
        ["database", "readers"],
        ["server", "bind"],
        ["server", "x"],
        ["log", "level"],
    ]


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    """A token or a password in a refused setting is not in the message."""
    path = write(
        tmp_path,
        "[auth]\nbootstrap_token = 'tooshort'\nsecret_key = 'tooshort'\n"
        "old_secret_keys = ['tooshort', 'hunter2']\n[database]\nurl = 'mysql://me:hunter2@db/x'\n"
        "[server]\npublic_url = 'https://me:hunter2@hub/'\ntoken = 'hunter2'\n",
    )
    detail = refusal(path).detail
    assert "[auth] bootstrap_token must have at least 16 characters" in detail
    assert "tooshort" not in detail
    assert "hunter2" not in detail
    settings = load_settings(
        None,
        {
            "HOOKHUB_AUTH__BOOTSTRAP_TOKEN": "hunter2hunter2hunter2",
            "HOOKHUB_AUTH__SECRET_KEY": "hunter2" * 5,
            "HOOKHUB_AUTH__OLD_SECRET_KEYS": '["hunter2hunter2hunter2hunter2hunter2"]',
            "HOOKHUB_DATABASE__URL": "postgresql://me:hunter2@db/x",
            "HOOKHUB_PLUGINS__X__PASSWORD": "hunter2",
        },
    )
    assert "hunter2" not in repr(settings)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, a directory and a file that is not UTF-8 are told apart."""
    assert "There is no configuration file" in refusal(tmp_path / "none.toml").detail
    assert "cannot be read: Is a directory" in refusal(tmp_path).detail
    path = tmp_path / "latin.toml"
    path.write_bytes(b"[server]\nbind = '\xe4'\n")
    assert "is not UTF-8 (byte 17)" in refusal(path).detail


def test_a_setting_is_found_in_any_spelling() -> None:
    """Dotted keys, inline tables and values of several lines have a line too."""
    text = 'a.b = 1\nc = { d = 1 }\n\n# e\n[f]\ng = """\n[x]\ny = 1\n"""\n"h i" = 2\n'
    assert find_line(text, ("a", "b")) == 1
    assert find_line(text, ("c", "d")) == 2
    assert find_line(text, ("f",)) == 5
    assert find_line(text, ("f", "g")) == 6
    assert find_line(text, ("f", "h i")) == 10
    assert find_line(text, ("x", "y")) is None


def test_every_setting_can_be_overridden() -> None:
    """Each setting's default, written as a variable, gives the default back."""
    import json

    environ = {}
    for table, model in tables().items():
        for key in model.model_fields:
            value = getattr(getattr(Settings(), table), key)
            text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
            environ[f"{PREFIX}{table}__{key}".upper()] = text
    assert load_settings(None, environ) == Settings()


def test_every_setting_is_described() -> None:
    """A setting's description is what the documentation and the errors say of it."""
    for model in tables().values():
        for key, field in model.model_fields.items():
            assert field.description, key
