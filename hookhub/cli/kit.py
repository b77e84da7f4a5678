"""What commands are made of, for those of plugins too (``hookhub_commands``).

A command that speaks to a running hub takes ``remote_options``, and gets ``remote``, a
``Remote`` with the address and the token that are meant. Errors of :mod:`hookhub.contracts.errors`
that leave a command are told in a sentence, with exit status 1.
"""

from hookhub.cli.running.banner import has_panel, reachable
from hookhub.cli.running.crash import crash_logged
from hookhub.cli.shared.options import bind_option, json_option
from hookhub.cli.shared.output import (
    cell,
    confirm,
    count,
    json_text,
    note,
    painted,
    print_json,
    print_json_line,
    print_members,
    print_table,
    printable,
    progress_bar,
    say,
)
from hookhub.cli.shared.payload import read_object
from hookhub.cli.shared.remote import Remote, remote_options
from hookhub.cli.speaking.deliveries import DeliveryOptions, delivery_options, print_deliveries
from hookhub.cli.speaking.following import FollowOptions, follow, follow_options
from hookhub.cli.speaking.replays import replay_range_options
from hookhub.cli.speaking.watch import watch_replay

__all__ = [
    "DeliveryOptions",
    "FollowOptions",
    "Remote",
    "bind_option",
    "cell",
    "confirm",
    "count",
    "crash_logged",
    "delivery_options",
    "follow",
    "follow_options",
    "has_panel",
    "json_option",
    "json_text",
    "note",
    "painted",
    "print_deliveries",
    "print_json",
    "print_json_line",
    "print_members",
    "print_table",
    "printable",
    "progress_bar",
    "reachable",
    "read_object",
    "remote_options",
    "replay_range_options",
    "say",
    "watch_replay",
]
