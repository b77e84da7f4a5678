"""The seed's JavaScript client, unchanged but for address and token, against a real hub."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import find_program
from hookhub.testing.waiting import wait_until

PRELUDE = Path(__file__).parent / "seed" / "prelude.js"
PLACEHOLDER = "ws://localhost:8080/ws?token=YOUR_TOKEN"
USER = {"user_id": 1, "first_name": "Аня", "username": None}


Engine = Callable[[str, Path], AbstractContextManager["Program"]]


class Program:
    """A running program and the lines that it prints."""

    def __init__(self, arguments: list[str], cwd: Path) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            arguments, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self.lines.append(line.decode(errors="replace").rstrip())

    def printed(self, text: str) -> str:
        """Wait for a line that holds ``text``."""
        return wait_until(
            lambda: next((line for line in list(self.lines) if text in line), ""), 30.0
        )

    def end(self) -> None:
        """Kill the program if it still runs."""
        self._process.kill()
        self._process.wait()
        self._reader.join()


@contextmanager
def _node(client: str, directory: Path) -> Iterator[Program]:
    script = directory / "client.js"
    script.write_text(client, encoding="utf-8")
    node = find_program("node")
    # Node 20 has the browser's WebSocket behind this flag; later ones take it and have it.
    arguments = [node, "--experimental-websocket", "--require", str(PRELUDE), str(script)]
    program = Program(arguments, directory)
    try:
        yield program
    finally:
        program.end()


@contextmanager
def _chromium(client: str, directory: Path) -> Iterator[Program]:
    page = directory / "page.html"
    prelude = PRELUDE.read_text(encoding="utf-8")
    page.write_text(
        f"<!doctype html><meta charset=utf-8><script>{prelude}</script><script>{client}</script>",
        encoding="utf-8",
    )
    chromium = find_program("chromium", "chromium", "chromium-browser", "google-chrome")
    program = Program(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--no-proxy-server", "--enable-logging=stderr",
            f"--user-data-dir={directory / 'profile'}", "--remote-debugging-port=0",
            page.as_uri(),
        ],
        directory,
    )  # fmt: skip
    try:
        yield program
    finally:
        program.end()


@pytest.mark.parametrize("engine", [_node, _chromium], ids=["node", "chromium"])
def test_the_javascript_client(
    hub_process: HubProcess, snippet: Callable[[str, str], str], engine: Engine, tmp_path: Path
) -> None:
    """It connects, is greeted, gets its pong, receives the event, and learns of the end."""
    code = snippet("javascript", "updateDashboard")
    assert code.count(PLACEHOLDER) == 1
    address = f"ws://127.0.0.1:{hub_process.port}/ws?token={hub_process.token}"
    directory = tmp_path / "javascript"
    directory.mkdir()
    with engine(code.replace(PLACEHOLDER, address), directory) as program:
        program.printed("Connected")
        program.printed("Event: connection")
        program.printed("Event: pong")
        with hub_process.client() as http:
            sent = http.post("/events", json={"type": "user.created", "payload": USER})
        assert sent.status_code == 202, sent.text
        program.printed("Event: user.created")
        line = program.printed("Dashboard:")
        found = re.search(r"Dashboard: (\{.*?\})", line)
        assert found is not None
        assert json.loads(found[1]) == USER
        hub_process.terminate()
        program.printed("Disconnected")
