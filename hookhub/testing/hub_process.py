"""A real ``hookhub serve`` in a process of its own, to be used, stopped, killed and restarted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from hookhub.testing.machine import free_port
from hookhub.testing.serving import TOKEN, settings_for_tests, sqlite_url


class HubFailed(Exception):
    """The hub ended or did not become ready; the message holds what it printed."""


class HubProcess:
    """A hub on a free port of the loopback interface, by default on SQLite in ``directory``.

    It may call receivers on the loopback interface, and logs JSON. All methods block; from Trio,
    call them through ``trio.to_thread.run_sync``.

    Args:
        directory: the working directory; configuration and database are made there.
        settings: tables of ``hookhub.toml`` that differ: ``{"delivery": {"timeout": 1.0}}``.
        env: environment variables besides those of this process (without its ``HOOKHUB_*``).
        program: the module that is run; one in ``directory`` may change something first.
        deadline: seconds that starting or stopping may take.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        program: str = "hookhub",
        deadline: float = 30.0,
    ) -> None:
        self.directory = directory
        self.program = program
        self.token = TOKEN
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._deadline = deadline
        self._settings = _merged(
            settings_for_tests(sqlite_url(directory), f"127.0.0.1:{self.port}"), settings or {}
        )
        inherited = {
            name: text for name, text in os.environ.items() if not name.startswith("HOOKHUB_")
        }
        self._env = {**inherited, "PYTHONUNBUFFERED": "1", **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread
        self._lines: list[str] = []
        self._grown = threading.Condition()

    def __enter__(self) -> HubProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def config(self) -> Path:
        """The configuration file that the hub is started with."""
        return self.directory / "hookhub.toml"

    @property
    def running(self) -> bool:
        """Whether it was started, and nobody has stopped it since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process id of the running hub."""
        return self._started().pid

    @property
    def lines(self) -> list[str]:
        """What all starts of this hub printed, line by line."""
        with self._grown:
            return list(self._lines)

    def configure(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Change settings; the next start uses them."""
        self._settings = _merged(self._settings, settings)

    def start(self) -> None:
        """Start the hub and wait until it says that it is ready.

        Raises:
            HubFailed: it ended, or was not ready in time.
        """
        self.spawn()
        try:
            self._wait_ready()
        except BaseException:
            self.kill()
            raise

    def spawn(self) -> None:
        """Start the hub without waiting for anything."""
        assert self._process is None, "the hub is already running"
        self.config.write_text(to_toml(self._settings), encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.program, "serve", "--config", str(self.config)],
            cwd=self.directory,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal is for pytest, which then ends the hub.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``hookhub ARGUMENTS`` in the hub's directory, with its configuration."""
        self.config.write_text(to_toml(self._settings), encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-m", self.program, *arguments],
            cwd=self.directory,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=self._deadline,
            check=False,
        )

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client with the hub's address and token, blind to proxies; close it."""
        return httpx.Client(**self._http(options))

    def async_client(self, **options: Any) -> httpx.AsyncClient:
        """As :meth:`client`, for Trio and asyncio."""
        return httpx.AsyncClient(**self._http(options))

    def _http(self, options: dict[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        own = {"base_url": self.url, "trust_env": False, "timeout": self._deadline}
        return {**own, "headers": headers, **options}

    def kill(self) -> None:
        """End the hub as a power cut would (SIGKILL). Does nothing if it is not running."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def terminate(self) -> int:
        """Ask the hub to stop (SIGTERM), wait for it, and return its exit status.

        Raises:
            HubFailed: it did not stop in time; it is killed.
        """
        return self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> int:
        """Send a signal that ends the hub, wait, and return its exit status; see terminate."""
        self._started().send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait until the hub has ended by itself, and return its exit status.

        Raises:
            HubFailed: it did not end in time; it is killed.
        """
        process, late = self._started(), False
        try:
            status = process.wait(self._deadline)
        except subprocess.TimeoutExpired:
            late = True
            process.kill()
            status = process.wait()
        self._reader.join(self._deadline)
        self._process = None
        if late:
            raise self._failure(f"the hub did not end within {self._deadline:g} s")
        return status

    def restart(self) -> None:
        """Stop the hub in an orderly way if it is running, and start it again."""
        if self._process is not None:
            self.terminate()
        self.start()

    def wait_line(self, text: str, *, after: int = 0) -> str:
        """Wait until the hub prints a line that holds ``text``, and return the line.

        Args:
            text: what to look for.
            after: lines to leave out, ``len(hub.lines)`` at some moment.

        Raises:
            HubFailed: no such line in time.
        """

        def found() -> str | None:
            return next((line for line in self._lines[after:] if text in line), None)

        with self._grown:
            line = self._grown.wait_for(found, self._deadline)
        if line is None:
            raise self._failure(f"the hub printed no line with {text!r}")
        return line

    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the hub is not running"
        return self._process

    def _wait_ready(self) -> None:
        process = self._started()
        answer = "nothing"
        limit = time.monotonic() + self._deadline
        with httpx.Client(base_url=self.url, trust_env=False, timeout=1.0) as http:
            while time.monotonic() < limit:
                if process.poll() is not None:
                    raise self._failure(f"the hub ended with status {self.wait()}")
                with contextlib.suppress(httpx.TransportError):
                    response = http.get("/health/ready")
                    if response.status_code == 200:
                        return
                    answer = f"{response.status_code} {response.text}"
                time.sleep(0.02)
        raise self._failure(f"not ready after {self._deadline:g} s, /health/ready: {answer}")

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                with self._grown:
                    self._lines.append(line.decode(errors="replace").rstrip("\n"))
                    self._grown.notify_all()

    def _failure(self, what: str) -> HubFailed:
        said = "\n".join(self.lines[-100:])
        return HubFailed(f"{what}; it printed:\n{said}")


def _merged(
    base: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    merged = {name: dict(table) for name, table in base.items()}
    for name, table in changes.items():
        merged.setdefault(name, {}).update(table)
    return merged


def to_toml(table: Mapping[str, Any], path: str = "") -> str:
    """Nested mappings as TOML; None is left out.

    JSON's strings, numbers and arrays mean the same there, so only tables are written anew.
    """
    lines, inner = [], []
    for name, value in table.items():
        key = json.dumps(name)
        if isinstance(value, Mapping):
            inner += [f"[{path}{key}]", to_toml(value, f"{path}{key}.")]
        elif value is not None:
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines + inner)
