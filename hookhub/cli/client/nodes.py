"""``hookhub nodes``."""

from __future__ import annotations

import click

from hookhub.cli.shared.options import json_option
from hookhub.cli.shared.output import print_json, print_table
from hookhub.cli.shared.remote import Remote, remote_options


@click.command("nodes")
@remote_options
@json_option
def nodes(remote: Remote, as_json: bool) -> None:
    """List the hubs on one database: since when, in which state, and what each has in its hands.

    A hub that went without a word is shown as gone for ten minutes. Needs a token with the scope
    webhooks:read.

    \b
    Examples:
      hookhub nodes
      hookhub nodes --json | jq '.items[] | select(.state != "running")'
    """
    with remote.client() as client:
        found = client.call("GET", "/nodes")
    if as_json:
        print_json(found)
        return
    rows = [
        (
            item["name"] + (" *" if item["this"] else ""),
            item["state"],
            item["version"],
            item["started_at"],
            item["owned"],
            item["claimed"],
            item["connections"],
        )
        for item in found["items"]
    ]
    print_table(("NAME", "STATE", "VERSION", "SINCE", "OWNS", "DELIVERIES", "CONNECTIONS"), rows)
