"""A private PostgreSQL for tests: a cluster of its own, in a directory of its own.

Nothing is mocked and nothing is shared with a server of the machine. Nothing is synced to the disk
either: what a server had written before it was killed is with the system, and only a power cut
would take it. That makes tests several times faster.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from hookhub.testing.machine import free_port, missing

_USER = "hookhub"
_DEADLINE = 60
_OPTIONS = ("max_connections=200", "fsync=off", "full_page_writes=off")
_ADVICE = "Install PostgreSQL's server programs (Debian: apt-get install postgresql)."


def find_binaries() -> Path | None:
    """The directory with ``initdb`` and ``pg_ctl``: from PATH, else Debian's newest version."""
    found = shutil.which("pg_ctl")
    if found is not None:
        # Resolved, because initdb looks for postgres and its share directory beside itself.
        return Path(found).resolve().parent
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


class PostgresCluster:
    """A PostgreSQL server on a free port of the loopback interface.

    Args:
        binaries: the directory with ``initdb`` and ``pg_ctl``.
        directory: an empty directory; it is given to the user that runs the server.
    """

    def __init__(self, binaries: Path, directory: Path) -> None:
        self._binaries = binaries
        self.directory = directory
        self.data = directory / "data"
        self._user = unprivileged_user()
        self.port = free_port()

    def create(self) -> None:
        """Make the cluster; it is not started.

        Raises:
            RuntimeError: with what ``initdb`` said.
        """
        if self._user is not None:
            shutil.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self.run("initdb", f"--username={_USER}", *options, "-D", str(self.data))

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: with what ``pg_ctl`` and the server's log said.
        """
        options = f"-h 127.0.0.1 -p {self.port} -k {self.directory}"
        options += "".join(f" -c {option}" for option in _OPTIONS)
        self.run(
            "pg_ctl", "start", "-w", "-t", str(_DEADLINE), "-D", str(self.data),
            "-l", str(self.directory / "log"), "-o", options,
        )  # fmt: skip

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server; ``immediate`` is as a crash, the next start recovers."""
        self.run("pg_ctl", "stop", "-w", "-t", str(_DEADLINE), "-m", mode, "-D", str(self.data))

    def url(self, database: str = "postgres") -> str:
        """Where a database of this cluster is."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{uuid.uuid4().hex}"
        self._execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database that :meth:`new_database` made, whoever is still connected to it."""
        self._execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        # Not for everybody who uses hookhub.testing.
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the user that the server has.

        Raises:
            RuntimeError: it failed; with what it and the server's log said.
        """
        user = self._user
        # A file and not a pipe: the server lives on after pg_ctl and would keep a pipe open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [str(self._binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                cwd=self.directory,
                timeout=2 * _DEADLINE,
                check=False,
            )
            output.seek(0)
            said = output.read().decode(errors="replace")
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed ({done.returncode}): {said}{self._log()}")

    def _log(self) -> str:
        try:
            return (self.directory / "log").read_text(errors="replace")[-4000:]
        except OSError:
            return ""


def unprivileged_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; None where we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return missing(
        "postgres", "It does not run as root, and there is no user 'postgres' or 'nobody'."
    )


@contextlib.contextmanager
def running_cluster() -> Iterator[PostgresCluster]:
    """A started cluster that is gone afterwards; skips or fails without PostgreSQL."""
    binaries = find_binaries()
    if binaries is None or not (binaries / "initdb").exists():
        missing("postgres", _ADVICE)
    # Not pytest's tmp_path: only root may enter it, and socket paths end at 107 characters.
    with tempfile.TemporaryDirectory(prefix="hookhub-pg-", ignore_cleanup_errors=True) as name:
        cluster = PostgresCluster(binaries, Path(name))
        cluster.create()
        cluster.start()
        try:
            yield cluster
        finally:
            with contextlib.suppress(RuntimeError):
                cluster.stop("immediate")
