"""The table of a run."""

from __future__ import annotations

import time

from rich.console import Console
from rich.table import Table

from support.chaos.checks import Outcome


def show(name: str, outcome: Outcome) -> None:
    """Print what came of a run."""
    world, tally = outcome.world, outcome.world.tally
    receivers = world.receivers.values()
    answers = world.ledger.answers
    kills = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.kills.items()))
    table = Table(title=f"{name}, seed {world.seed}", title_justify="left", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="left")
    for row in (
        ("rounds", f"{tally.rounds} in {time.monotonic() - tally.began:.0f} s"),
        ("kills", f"{tally.kills.total()} ({kills})"),
        ("receivers' deaths", f"{tally.receiver_kills}"),
        ("requests answered 202", f"{answers['202']}"),
        ("answers lost, 503s", f"{answers['lost']}, {answers['503']}"),
        ("events", f"{len(outcome.history)}"),
        ("webhooks", f"{len(world.ledger.webhooks)}, {len(world.ledger.living)} to the end"),
        ("deliveries", f"{len(outcome.rows.deliveries)}"),
        ("of them by replays", f"{outcome.audits[-1]['replayed']}"),
        ("attempts received", f"{sum(item.requests for item in receivers)}"),
        ("acknowledged", f"{sum(len(item.acknowledged) for item in receivers)}"),
        ("claimed at the kills", f"{tally.claimed}"),
        ("in flight at the kills", f"{tally.in_flight}, at most {tally.most_in_flight} at one"),
        ("duplicates", f"{outcome.duplicates}"),
        ("acknowledged, not heard", f"{outcome.unheard}"),
        ("other faults", f"{len(outcome.faults)}"),
        ("losses", f"{len(outcome.losses)}"),
    ):
        table.add_row(*row)
    Console(width=100).print(table)


def verify(name: str, outcome: Outcome) -> None:
    """Print the table; fail if anything is not as it must be."""
    show(name, outcome)
    found = [*outcome.losses, *outcome.faults]
    assert not found, f"{len(found)} faults:\n" + "\n".join(found[:30])
