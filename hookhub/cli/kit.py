"""What commands are made of, for those of plugins too (``hookhub_commands``).

A command that speaks to a running hub takes ``remote_options``, and gets ``remote``, a
``Remote`` with the address and the token that are meant. Errors of :mod:`hookhub.contracts.errors`
that leave a command are told in a sentence, with exit status 1.
"""

from hookhub.cli.client.deliveries import DeliveryOptions, delivery_options, print_deliveries
from hookhub.cli.client.replays import replay_range_options, watch_replay
from hookhub.cli.client.tail import FollowOptions, follow, follow_options
from hookhub.cli.server.serve import crash_logged, has_panel, reachable
from hookhub.cli.shared.options import bind_option, json_option, together
from hookhub.cli.shared.output import (
    cell,
    confirm,
    count,
    json_text,
    mark,
    note,
    painted,
    print_json,
    print_json_line,
    print_list,
    print_members,
    print_result,
    print_table,
    printable,
    progress_bar,
    say,
)
from hookhub.cli.shared.remote import Remote, remote_options
from hookhub.cli.shared.values import read_file, read_object

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
    "mark",
    "note",
    "painted",
    "print_deliveries",
    "print_json",
    "print_json_line",
    "print_list",
    "print_members",
    "print_result",
    "print_table",
    "printable",
    "progress_bar",
    "reachable",
    "read_file",
    "read_object",
    "remote_options",
    "replay_range_options",
    "say",
    "together",
    "watch_replay",
]
