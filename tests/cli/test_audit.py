"""``hookhub audit``: exit status 0 when everything adds up, 1 and the rows when not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import trio
from click.testing import Result

from hookhub.config import DatabaseSettings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.events import Draft, format_timestamp
from hookhub.store import Transaction, open_store
from hookhub.store.units.endpoints import insert_endpoint

Run = Callable[..., Result]

DAY = 86_400_000_000


def write(unit: Callable[[Transaction], object]) -> None:
    async def main() -> None:
        async with open_store(DatabaseSettings(url="sqlite:///hookhub.db")) as store:
            await store.write(unit)

    trio.run(main)


def three_events(tx: Transaction) -> None:
    insert_endpoint(tx, "webhook", NewEndpoint("one", ("*",), {}))
    for number in range(3):
        tx.append(Draft(f"e{number}", "a.b", "{}", number * DAY))


def test_what_adds_up(run: Run) -> None:
    """In words, or as JSON; beside nothing else that is there."""
    write(three_events)
    result = run("audit")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "Sequences 1 to 3",
        "Events     3 (0 older than the history)",
        "Promised   3 deliveries, 0 more by replays",
        "Found      0 delivered, 3 pending, 0 failed, 0 removed by retention",
        "Everything adds up.",
    ]
    found = json.loads(run("audit", "--json").stdout)
    assert (found["ok"], found["matched"], found["pending"]) == (True, 3, 3)
    period = ("--since", format_timestamp(DAY), "--until", format_timestamp(2 * DAY))
    found = json.loads(run("audit", "--json", *period).stdout)
    assert (found["first"], found["last"]) == (2, 2)


def test_what_does_not_add_up(run: Run) -> None:
    """Exit status 1; the rows are named on stderr, and in the JSON."""
    write(three_events)
    write(lambda tx: tx.change("DELETE FROM hookhub_deliveries WHERE id = 2"))
    result = run("audit")
    assert result.exit_code == 1
    assert "delivery_missing: 1 events (sequences) have fewer or more deliveries" in result.stderr
    assert "counters: 1 endpoints (ids)" in result.stderr
    assert result.stdout.endswith("Something does not add up.\n")
    result = run("audit", "--json")
    assert result.exit_code == 1
    checks = {item["check"]: item["rows"] for item in json.loads(result.stdout)["differences"]}
    assert checks == {"delivery_missing": [2], "counters": [1]}


def test_a_missing_plugin_hinders_nothing(run: Run) -> None:
    """Nothing is served here; and what is wrong is usage."""
    write(three_events)
    Path("hookhub.toml").write_text("[plugins]\nrequired = ['nothing_of_that_name']\n")
    assert run("audit").exit_code == 0
    wrong = run("audit", "--since", "yesterday")
    assert wrong.exit_code == 2
    assert "'yesterday' is neither a time" in wrong.stderr


def test_a_database_that_no_hub_has_used(run: Run) -> None:
    """The tables alone are no promise; a sentence says so."""
    run("migrate")
    result = run("audit")
    assert result.exit_code == 1
    assert "No hub has run on this database yet" in result.stderr


def test_a_span(run: Run) -> None:
    """`--since 2d` is two days back from now."""
    write(three_events)
    found = json.loads(run("audit", "--json", "--since", "2d").stdout)
    assert (found["ok"], found["events"]) == (True, 0)
