"""A real PgBouncer before a PostgreSQL of the tests."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from hookhub.testing.machine import find_program, free_port
from hookhub.testing.postgres import unprivileged_user

_DEADLINE = 20
_CONFIG = """
[databases]
* = host={host} port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {directory}/users
pool_mode = {mode}
default_pool_size = {sessions}
"""


@contextlib.contextmanager
def running_pgbouncer(
    url: str, mode: Literal["transaction", "session"] = "transaction", sessions: int = 4
) -> Iterator[str]:
    """The URL of the same database through a pooler; skips or fails without PgBouncer.

    Apart from what a pool needs, it is configured as it comes.

    Args:
        url: of a database.
        mode: for how long a client is lent a session.
        sessions: of the server that the pooler lends to all clients.

    Raises:
        RuntimeError: it did not start, with what it said.
    """
    program = find_program("pgbouncer")
    target = urlsplit(url)
    port = free_port()
    user = unprivileged_user()
    with tempfile.TemporaryDirectory(prefix="hookhub-pgbouncer-") as name:
        directory = Path(name)
        (directory / "users").write_text(f'"{target.username}" ""\n')
        (directory / "config").write_text(
            _CONFIG.format(
                host=target.hostname,
                server=target.port,
                port=port,
                directory=name,
                mode=mode,
                sessions=sessions,
            )
        )
        if user is not None:
            for path in (directory, *directory.iterdir()):
                shutil.chown(path, user.pw_uid, user.pw_gid)
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [program, str(directory / "config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
                cwd=directory,
            )
        try:
            _wait(process, port, directory / "log")
            yield target._replace(netloc=f"{target.username}@127.0.0.1:{port}").geturl()
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    limit = time.monotonic() + _DEADLINE
    while process.poll() is None and time.monotonic() < limit:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise RuntimeError(f"pgbouncer does not listen: {log.read_text(errors='replace')}")
