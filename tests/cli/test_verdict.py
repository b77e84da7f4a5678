"""``plugins``, ``check`` and ``serve`` say the same of a plugin, and the hub runs without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
from click.testing import Result

from hookhub.testing.machine import free_port

Run = Callable[..., Result]
Install = Callable[[str, str], None]
Hookhub = Callable[..., AbstractContextManager[Any]]

SOURCE = """
from hookhub import Migration, Route, Source, hookimpl

async def answer(request):
    "Answer."

class Made(Source):
    name = {name!r}
{members}

@hookimpl
def hookhub_sources(hub):
    return [Made()]
"""
SINK = """
from hookhub import AttemptResult, DurableSink, EventType, Outcome, Payload, hookimpl

class Said(Payload):
    text: str

class Made(DurableSink):
    name = {name!r}
    def validate(self, config): return dict(config)
    def redact(self, config): return dict(config)
    async def attempt(self, attempt): return AttemptResult(Outcome.DELIVERED)

@hookimpl
def hookhub_event_types():
    return [EventType(name, Said, "Said.", {{"text": ""}}) for name in {types!r}]

@hookimpl
def hookhub_sinks(hub):
    return [Made()]
"""


def source(name: str, *members: str) -> str:
    return SOURCE.format(name=name, members="\n".join(f"    {member}" for member in members))


def routes(*arguments: str) -> str:
    made = ", ".join(f"Route({item}, 'things')" for item in arguments)
    return f"def routes(self): return [{made}]"


PLUGINS = {
    "scope": source("scope", routes("'GET', '/s', answer, 'event:read'")),
    "twice": source("twice", routes("'GET', '/t', answer, None", "'GET', '/t', answer, None")),
    "malformed": source("malformed", routes("'GET', 't', answer, None")),
    "taken": source("taken", routes("'GET', '/health/ready', answer, None")),
    "plain": source("plain", routes("'GET', '/p', print, None")),
    "steps": source("steps", "def migrations(self): return [Migration(2, 'two', ('SELECT 1',))]"),
    "store": source("store"),
    "clash": SINK.format(name="nats", types=["nats.failing"]),
    "exits": source("exits", "def upgrades(self): raise SystemExit('no')"),
}
GOOD = {
    "hyphen": SINK.format(name="my-sink", types=["my-app.said"]),
    "told": "from hookhub import hookimpl\n@hookimpl\ndef hookhub_commands(cli): 1/0\n",
}


def test_one_verdict(run: Run, install: Install, hookhub: Hookhub) -> None:
    """Each mistake is named with its plugin, and what is fine is in use."""
    for name, code in {**PLUGINS, **GOOD}.items():
        install(name, code)
    Path("hookhub.toml").write_text("[log]\nformat = 'json'\n")
    shown = run("plugins", "--json")
    assert "The commands of plugin 'told' are left out: ZeroDivisionError" in shown.stderr
    items = json.loads(shown.stdout)["items"]
    verdict = {item["name"]: item["error"] for item in items if item["error"] is not None}
    assert verdict.keys() == PLUGINS.keys()
    assert not [item for item in items if item["error"] is not None and item["contributes"]]

    bind = f"127.0.0.1:{free_port()}"
    checked = json.loads(run("check", "--json", env={"HOOKHUB_SERVER__BIND": bind}).stdout)["items"]
    told = [item["message"] for item in checked if item["state"] == "warning"]
    broken = [f"{name} is broken and left out: {error}" for name, error in verdict.items()]
    assert sorted(line for line in told if "is broken" in line) == sorted(broken)

    with hookhub("serve", "--bind", "127.0.0.1:0") as program:
        url = program.line(r"(http://127\.0\.0\.1:\d+)/docs")[1]
        metrics = httpx.get(f"{url}/metrics")
        assert program.stop()[0] == 0
        lines = [json.loads(line) for line in program.stderr.splitlines()]
    logged = {line["plugin"]: line["error"] for line in lines if line["event"] == "plugin.broken"}
    assert logged == verdict
    assert metrics.status_code == 200
