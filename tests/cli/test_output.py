"""What a person sees on a terminal, and what a program gets through a pipe."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import hookhub.cli
from hookhub.cli.client.deliveries import print_deliveries, print_delivery
from hookhub.cli.client.tail import print_event
from hookhub.cli.shared.output import (
    cell,
    count,
    note,
    print_json,
    print_json_line,
    print_members,
    print_table,
    printable,
    say,
)

Run = Callable[..., Result]

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(*arguments: str) -> str:
    """What a command prints on a terminal, with its colours."""
    main, terminal = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    program = subprocess.Popen(
        [sys.executable, "-m", "hookhub", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        env=environ,
    )
    os.close(terminal)
    printed = b""
    # Linux ends a terminal that nobody holds any more with EIO.
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:
            break
        if not piece:
            break
        printed += piece
    os.close(main)
    assert program.wait(timeout=60) == 0
    return printed.decode()


def test_a_table_is_drawn_on_a_terminal_and_plain_in_a_pipe(run: Run) -> None:
    """Colours and lines are for people; the words are the same."""
    run("token", "create", "--name", "ci", "--scope", "events:read")
    seen, piped = on_a_terminal("token", "list"), run("token", "list").stdout
    assert ESCAPE.search(seen)
    assert "─" in seen
    assert not ESCAPE.search(piped)
    assert "─" not in piped
    words = [word for word in ESCAPE.sub("", seen).split() if "─" not in word]
    assert words == piped.split()


def test_times_are_short_on_a_terminal(run: Run) -> None:
    """To the second for people, to the microsecond for programs."""
    run("token", "create", "--name", "ci", "--scope", "events:read", "--expires", "1d")
    whole = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
    assert re.search(whole, run("token", "list").stdout)
    seen = ESCAPE.sub("", on_a_terminal("token", "list"))
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", seen)
    assert not re.search(whole, seen)


def test_a_check_is_coloured_on_a_terminal(run: Run) -> None:
    """The marks stand in a pipe too, without colours."""
    assert ESCAPE.search(on_a_terminal("check"))
    assert not ESCAPE.search(run("check").stdout)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, Аня\n\tindented", "plain, Аня\n\tindented"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J\x7f\r", "\\x9b2J\\x7f\\x0d"),
        ("gpj.\u202etxt\u2069", "gpj.\\u202etxt\\u2069"),
        ("a\u200b\u2028b\ufeff\u2066\u061c", "a\\u200b\\u2028b\\ufeff\\u2066\\u061c"),
        ("\ud800\U000e0041", "\\ud800\\U000e0041"),
        ("\u034f\u115f\u1160\u17b5", "\\u034f\\u115f\\u1160\\u17b5"),
        ("\u2800\u3164\uffa0", "\\u2800\\u3164\\uffa0"),
        ("\u2764\ufe0f \ud55c", "\u2764\ufe0f \ud55c"),
    ],
)
def test_control_characters_are_spelt_out(text: str, expected: str) -> None:
    """Nothing that a stranger sent steers the terminal."""
    assert printable(text) == expected


def test_cells() -> None:
    """Nothing is a dash; lists, truth and numbers as people write them."""
    values = [None, "", 0, False, True, 1.5, ["a", "b"], {"a": 1}]
    assert [cell(value) for value in values] == [
        *("-", "-", "0", "no", "yes", "1.5"),
        *("a, b", '{"a": 1}'),
    ]
    assert [count(n, "delivery") for n in (0, 1, 2)] == [
        *("0 deliveries", "1 delivery", "2 deliveries"),
    ]


def test_a_delivery_shows_the_headers_of_each_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """As they came, below the attempts, harmless to a terminal; nothing where there are none."""
    names = ("id", "webhook_id", "event_id", "event_type", "status", "attempt_number")
    names += ("created_at", "delivered_at", "next_retry_at", "error_message", "held")
    attempt = dict.fromkeys(("started_at", "duration", "outcome", "response_status"), 1)
    attempt |= {"error_message": None, "response_body": "no", "response_headers": []}
    sly = [{"name": "X-Id", "value": "7"}, {"name": "X-Sly", "value": "\x9b2J"}]
    attempts = [{**attempt, "number": 1}, {**attempt, "number": 2, "response_headers": sly}]
    print_delivery({**dict.fromkeys(names), "payload": {}, "attempts": attempts})
    out = capsys.readouterr().out
    assert "attempt 1" not in out
    assert out.partition("answer's headers, attempt 2\n")[2].splitlines()[0] == "  X-Id: 7"
    assert "X-Sly" in out
    assert "\x9b" not in out


SLY = "a\x1b]0;x\x07\x9b2J\x85\u202eb\u2066c\u200bd\u2028e\ufefff\U000e0041g\ud800h"
"""Of each kind of character that steers a terminal, hides, or turns text around."""


def sly_delivery() -> dict[str, Any]:
    """A delivery in which every text that others chose is sly."""
    attempt = dict.fromkeys(("number", "started_at", "duration", "response_status"), 1)
    attempt |= dict.fromkeys(("outcome", "error_message", "response_body"), SLY)
    attempt["response_headers"] = [{"name": SLY, "value": SLY}]
    names = ("id", "webhook_id", "endpoint_name", "event_id", "event_type", "status")
    names += ("response_status", "attempt_number", "created_at", "delivered_at", "next_retry_at")
    rest = {"payload": {SLY: [SLY]}, "attempts": [attempt], "held": False}
    return {**dict.fromkeys((*names, "error_message"), SLY), **rest}


@pytest.mark.parametrize(
    "show",
    [
        lambda: print_event({"type": SLY, "timestamp": SLY, "payload": {SLY: SLY}}),
        lambda: print_deliveries({"items": [sly_delivery()]}, endpoints=True),
        lambda: print_delivery(sly_delivery()),
        lambda: print_table((SLY,), [(SLY,)]),
        lambda: print_members([(SLY, SLY), ("list", [SLY]), ("object", {SLY: 1})]),
        lambda: note(SLY),
        lambda: say(SLY),
        lambda: print_json({SLY: SLY}),
        lambda: print_json_line({SLY: SLY}),
    ],
    ids=["tail", "list", "show", "table", "members", "note", "say", "json", "json line"],
)
def test_nothing_that_is_printed_steers_a_terminal(
    capsys: pytest.CaptureFixture[str], show: Callable[[], None]
) -> None:
    """Not in any table, line or document, wherever others have put it."""
    show()
    printed = "".join(capsys.readouterr())
    assert "2J" in printed
    assert [char for char in printed if char != "\n" and not char.isprintable()] == []


def test_json_is_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """What is spelt out is spelt as JSON does; letters of any language stay readable."""
    print_json({"Аня": SLY})
    printed = capsys.readouterr().out
    assert "Аня" in printed
    assert json.loads(printed) == {"Аня": SLY}


def test_an_error_cannot_steer_the_terminal_either(run: Run) -> None:
    """The sentence of an error may hold what a hub or a file said."""
    result = run("delivery", "show", "1", "--profile", SLY)
    assert result.exit_code == 1
    assert [char for char in result.stderr if char != "\n" and not char.isprintable()] == []


def test_a_cell_is_one_line() -> None:
    """Nobody makes a row of his own."""
    assert cell("failed\n17  success") == "failed\\n17  success"


def test_members_of_several_lines_stay_below_their_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A description cannot pretend to be another member."""
    print_members([("ca", "BEGIN\nstatus  ok")])
    assert capsys.readouterr().out == "ca  BEGIN\n    status  ok\n"


def test_every_line_is_printed_by_the_one_module_that_makes_it_harmless() -> None:
    """No command prints past it, those of the plugins that come with hookhub included."""
    program = Path(hookhub.cli.__file__).parent
    folders = [program, *Path(__file__).parents[2].glob("plugins/*/src")]
    past = [
        str(path)
        for folder in folders
        for path in folder.rglob("*.py")
        if path != program / "shared" / "output.py"
        and re.search(r"click\.(s?echo|confirm)\(|\bprint\(", path.read_text("utf-8"))
    ]
    assert past == []
