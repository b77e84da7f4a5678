"""The client is light."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
import hookhub.client
# Not click and rich: httpx itself imports them where they are installed.
heavy = {"quart", "hypercorn", "peewee", "structlog", "prometheus_client", "pytest"}
rooms = {"store", "web", "server", "hub", "cli", "delivery", "feed", "egress", "config", "testing"}
found = heavy & set(sys.modules) | {
    name for name in sys.modules if name.split(".")[0] == "hookhub" and name.split(".")[1:2]
    and name.split(".")[1] in rooms
}
print(",".join(sorted(found)))
"""


def test_importing_the_client_brings_no_server() -> None:
    """A producer's process does not pay for the hub's server, store and command line."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == ""
