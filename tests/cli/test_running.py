"""Commands around a running hub: serve, send, demo, each as a real program."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]
Install = Callable[[str, str], None]
Hookhub = Callable[..., AbstractContextManager[Any]]


def test_serve_prints_its_address_and_a_token_once(hookhub: Hookhub, run: Run) -> None:
    """The first start makes a token and prints it on stdout, never in the log."""
    with hookhub("serve", "--bind", "127.0.0.1:0") as first:
        url = first.line(r"(http://127\.0\.0\.1:\d+)/docs")[1]
        token = first.line(r"Admin token +(hh_\S+)")[1]
        sent = run("send", "no.such_type", "a=1", "--url", url, "--token", token)
        assert "Unknown event type 'no.such_type'" in sent.stderr
        assert first.stop()[0] == 0
        assert "hub.stopped" in first.stderr
        assert token not in first.stderr
    with hookhub("serve", "--bind", "127.0.0.1:0") as second:
        second.line("/docs")
        status, rest = second.stop(signal.SIGINT)
        assert status == 0
        assert "token" not in rest


def test_serve_names_a_port_in_use(hookhub: Hookhub) -> None:
    """The exit status is 1 and there is no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with hookhub("serve", "--bind", address) as program:
            assert program.end() == (1, "")
            assert program.stderr.startswith(f"Error: {address} is in use")
            assert "Traceback" not in program.stderr


def test_serve_refuses_an_address_that_is_none(run: Run) -> None:
    """Wrong usage is exit status 2."""
    result = run("serve", "--bind", "8080")
    assert result.exit_code == 2
    assert "'8080' must be 'host:port'" in result.stderr


def test_serve_runs_on_without_a_broken_plugin(hookhub: Hookhub, install: Install) -> None:
    """It is logged with its traceback; one that is required stops the start."""
    install("broken", "import nothing_of_that_name\n")
    Path("hookhub.toml").write_text("[log]\nformat = 'json'\n[plugins]\ndisabled = ['brokn']\n")
    with hookhub("serve", "--bind", "127.0.0.1:0") as program:
        program.line("/docs")
        assert program.stop()[0] == 0
        lines = [json.loads(line) for line in program.stderr.splitlines()]
    [broken] = [line for line in lines if line["event"] == "plugin.broken"]
    assert broken["plugin"] == "broken"
    assert "nothing_of_that_name" in broken["exception"]
    assert any("did you mean 'broken'?" in line.get("notice", "") for line in lines)
    Path("hookhub.toml").write_text("[plugins]\nrequired = ['broken']\n")
    with hookhub("serve", "--bind", "127.0.0.1:0") as program:
        assert program.end() == (1, "")
        assert "Error: The required plugin 'broken' is broken: Module" in program.stderr


@pytest.fixture
def hub(hookhub: Hookhub, greet: None) -> Iterator[tuple[str, str]]:
    """Address and token of a running hub with a plugin that declares demo.greeting."""
    with hookhub("serve", "--bind", "127.0.0.1:0") as program:
        url = program.line(r"(http://127\.0\.0\.1:\d+)/docs")[1]
        yield url, program.line(r"Admin token +(hh_\S+)")[1]


def test_send(run: Run, hub: tuple[str, str]) -> None:
    """Fields, JSON, a file and stdin all make the payload; a repeat stores nothing new."""
    environ = {"HOOKHUB_URL": hub[0], "HOOKHUB_TOKEN": hub[1]}
    Path("greeting.json").write_text('{"text": "from a file"}')

    def send(*arguments: str, **options: str) -> Result:
        return run("send", "demo.greeting", *arguments, env=environ, **options)

    assert send("text=hello").stdout.endswith(" sequence 1, 0 deliveries\n")
    assert json.loads(send("--json", "--payload", '{"text": "x"}').stdout)["sequence"] == 2
    assert json.loads(send("--json", "--payload", "@greeting.json").stdout)["sequence"] == 3
    stdin = send("--json", "--payload", "-", input='{"text": "from stdin"}')
    assert json.loads(stdin.stdout)["sequence"] == 4
    first = send("text=again", "--idempotency-key", "one").stdout
    assert send("text=again", "--idempotency-key", "one").stdout.startswith(first.strip())
    other = send("text=different", "--idempotency-key", "one")
    assert other.exit_code == 1
    wrong = send("text=5")
    assert wrong.exit_code == 1
    assert "  payload.text: Input should be a valid string\n" in wrong.stderr
    assert send('text="5"', "n=5", "--key", "k", "--source", "s", "--id", "own").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("text",), "'text' is not KEY=VALUE."),
        (("=1",), "'=1' is not KEY=VALUE."),
        (("a=1", "a=2"), "'a' is given twice."),
        (("a=1", "--payload", "{}"), "not both"),
        (("--payload", "[1]"), "a payload is a JSON object"),
        (("--payload", "{"), "It is not JSON"),
        (("--payload", "@absent.json"), "absent.json: No such file"),
    ],
)
def test_send_explains_wrong_usage(run: Run, arguments: tuple[str, ...], expected: str) -> None:
    """Before anything is sent; exit status 2."""
    result = run("send", "x.y", "--token", "t", *arguments)
    assert result.exit_code == 2
    assert expected in result.stderr


def test_send_needs_a_token(run: Run) -> None:
    """The message names all the ways to give one."""
    result = run("send", "x.y", "a=1")
    assert result.exit_code == 1
    assert "There is no token for http://127.0.0.1:8080" in result.stderr
    assert all(way in result.stderr for way in ("hookhub login", "HOOKHUB_TOKEN", "--token"))


@pytest.fixture
def demo(hookhub: Hookhub) -> Hookhub:
    """``demo("--count", "3")``: a running demo."""
    for name in ("hookhub_users", "hookhub_payments", "hookhub_tickets", "hookhub_webhook"):
        pytest.importorskip(name)
    return partial(hookhub, "demo", "--bind", "127.0.0.1:0")


def test_demo_delivers_what_it_makes_and_verifies_it(demo: Hookhub) -> None:
    """Every event arrives at its own receiver with two good signatures, one line each."""
    with demo("--count", "40", "--rate", "200") as program:
        status, printed = program.end()
        assert status == 0, program.stderr
        assert program.stderr == ""
    lines = [line for line in printed.splitlines() if line.startswith(("✓", "✗"))]
    assert len(lines) == 40
    assert all(line.startswith("✓") for line in lines)
    assert "user.created" in {line.split()[1] for line in lines}
    assert "40 events made; 40 webhook requests verified, 0 with a wrong signature." in printed


def test_demo_stops_on_a_signal_and_goes_on_later(demo: Hookhub) -> None:
    """The next demo has the same token, the same database and one webhook."""
    with demo("--rate", "20") as program:
        token = program.line(r"Admin token +(hh_\S+)")[1]
        program.line("✓")
        assert program.stop(signal.SIGINT)[0] == 0, program.stderr
    assert Path("demo.db-token").stat().st_mode & 0o077 == 0
    # The demo has settings of its own: what the working directory says does not concern it.
    Path("hookhub.toml").write_text("wrong")
    with demo("--rate", "20", "--count", "3") as program:
        assert program.line(r"Admin token +(hh_\S+)")[1] == token
        status, rest = program.end()
        assert status == 0, program.stderr
        assert "3 events made" in rest
        assert "✗" not in rest


def test_demo_wants_tcp(run: Run) -> None:
    """Its receiver and its traffic call the hub by address."""
    result = run("demo", "--bind", "unix:/x")
    assert result.exit_code == 2
    assert "the demo speaks TCP" in result.stderr
