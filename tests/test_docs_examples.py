"""What the documentation shows runs: its verifiers accept what the hub signs, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hookhub import DurableSink
from hookhub.config import EgressSettings
from hookhub.egress import Egress
from hookhub.testing.conformance import DurableSinkConformance
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import find_program, free_port
from hookhub.testing.receiver import Hang, Receiver, Reply, open_receiver

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
PAYLOAD = {"name": "Зоя", "amount": 12.50, "big": 2**53 + 1, "nested": {"b": [1, None], "a": True}}
BODY = json.dumps(PAYLOAD, sort_keys=True)
PLAIN = "a plain secret, с кириллицей"
PREFIXED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Case(NamedTuple):
    """One request, and whether each verifier must accept it."""

    headers: dict[str, str]
    body: str
    secret: str
    standard: bool
    simple: bool


def sign(secret: str, body: str, timestamp: int) -> dict[str, str]:
    """Sign as docs/webhooks.md and Standard Webhooks 1.0 say, apart from the code of the hub."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = f"evt_1.{timestamp}.{body}".encode()
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    simple = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
        "x-webhook-signature": f"sha256={simple}",
    }


def cases() -> list[Case]:
    """Good requests of every kind, and each way of being wrong."""
    now = int(time.time())
    good = sign(PLAIN, BODY, now)
    old = sign(PLAIN, BODY, now - 600)
    ahead = sign(PLAIN, BODY, now + 600)
    other = sign("another secret", BODY, now)
    rotated = {
        **good,
        "webhook-signature": f"{other['webhook-signature']} v1a,AAAA {good['webhook-signature']}",
    }
    unknown = {**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v2,")}
    return [
        Case(good, BODY, PLAIN, standard=True, simple=True),
        Case(sign(PREFIXED, BODY, now), BODY, PREFIXED, standard=True, simple=True),
        Case(rotated, BODY, PLAIN, standard=True, simple=True),
        Case(good, BODY.replace("12.5", "12.6"), PLAIN, standard=False, simple=False),
        Case(other, BODY, PLAIN, standard=False, simple=False),
        Case(old, BODY, PLAIN, standard=False, simple=True),
        Case(ahead, BODY, PLAIN, standard=False, simple=True),
        Case({**good, "webhook-timestamp": "soon"}, BODY, PLAIN, standard=False, simple=True),
        Case({**good, "webhook-timestamp": "9" * 99}, BODY, PLAIN, standard=False, simple=True),
        Case({**good, "webhook-id": "evt_2"}, BODY, PLAIN, standard=False, simple=True),
        Case(unknown, BODY, PLAIN, standard=False, simple=True),
        Case({}, BODY, PLAIN, standard=False, simple=False),
    ]


def load(name: str) -> Any:
    """Import one file of docs/examples."""
    module_name = name.rpartition("/")[2]
    spec = importlib.util.spec_from_file_location(module_name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python(requests: list[Case]) -> list[list[bool]]:
    """The answers of verify.py."""
    module = load("verify")
    return [
        [
            module.verify(case.headers, case.body.encode(), case.secret),
            module.verify_body(case.headers, case.body.encode(), case.secret),
        ]
        for case in requests
    ]


def run(command: list[str], requests: list[Case], cwd: Path) -> list[list[bool]]:
    """Feed a driver the requests as JSON, read its answers as JSON."""
    done = subprocess.run(
        command,
        input=json.dumps([case._asdict() for case in requests]),
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        env={**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GO111MODULE": "on"},
    )
    assert done.returncode == 0, done.stderr
    answers: list[list[bool]] = json.loads(done.stdout)
    return answers


NODE_DRIVER = """
import { readFileSync } from "node:fs";
import { verify, verifyBody } from "./verify.mjs";
const cases = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(({ headers, body, secret }) => [
  verify(headers, Buffer.from(body), secret), verifyBody(headers, Buffer.from(body), secret)])));
"""

GO_DRIVER = """
package hookhub

import ("encoding/json"; "net/http"; "os"; "testing")

func TestMain(m *testing.M) {
	var cases []struct { Headers map[string]string; Body, Secret string }
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil { panic(err) }
	answers := [][]bool{}
	for _, one := range cases {
		headers := http.Header{}
		for name, value := range one.Headers { headers.Set(name, value) }
		answers = append(answers, []bool{
			Verify(headers, []byte(one.Body), one.Secret),
			VerifyBody(headers, []byte(one.Body), one.Secret)})
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil { panic(err) }
}
"""

PHP_DRIVER = """<?php
require 'verify.php';
echo json_encode(array_map(fn ($case) => [
    verify($case['headers'], $case['body'], $case['secret']),
    verify_body($case['headers'], $case['body'], $case['secret']),
], json_decode(stream_get_contents(STDIN), true)));
"""


def node(requests: list[Case], work: Path) -> list[list[bool]]:
    """The answers of verify.mjs."""
    (work / "driver.mjs").write_text(NODE_DRIVER)
    shutil.copy(EXAMPLES / "verify.mjs", work)
    return run(["node", "driver.mjs"], requests, work)


def go(requests: list[Case], work: Path) -> list[list[bool]]:
    """The answers of verify.go, compiled as it stands."""
    (work / "go.mod").write_text("module hookhub\n\ngo 1.20\n")
    (work / "driver_test.go").write_text(GO_DRIVER)
    shutil.copy(EXAMPLES / "verify.go", work)
    binary = work / "driver"
    built = subprocess.run(
        ["go", "test", "-c", "-o", str(binary)],
        capture_output=True,
        text=True,
        cwd=work,
        timeout=300,
        env={**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GO111MODULE": "on"},
    )
    assert built.returncode == 0, built.stderr
    return run([str(binary)], requests, work)


def php(requests: list[Case], work: Path) -> list[list[bool]]:
    """The answers of verify.php."""
    (work / "driver.php").write_text(PHP_DRIVER)
    shutil.copy(EXAMPLES / "verify.php", work)
    return run(["php", "driver.php"], requests, work)


def test_python_verifier() -> None:
    """docs/examples/verify.py accepts exactly the requests that are genuine and fresh."""
    requests = cases()
    assert python(requests) == [[case.standard, case.simple] for case in requests]


@pytest.mark.parametrize("language", [node, go, php], ids=lambda item: item.__name__)
def test_verifier(language: Callable[[list[Case], Path], list[list[bool]]], tmp_path: Path) -> None:
    """The verifiers in other languages accept exactly the requests that are genuine and fresh."""
    find_program(language.__name__)
    requests = cases()
    answers = language(requests, tmp_path)
    assert answers == [[case.standard, case.simple] for case in requests]


KEY_DRIVER = """
import { readFileSync } from "node:fs";
import { verify } from "./verify-key.mjs";
const cases = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(({ headers, body, keys }) =>
  verify(headers, Buffer.from(body), keys))));
"""


def test_verifier_with_a_public_key(tmp_path: Path) -> None:
    """docs/examples/verify-key.mjs accepts what one of the keys signed, fresh and unchanged."""
    find_program("node")
    mine, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()

    def case(signer: Ed25519PrivateKey, age: int = 0, body: str = BODY) -> dict[str, Any]:
        headers = sign(PLAIN, BODY, int(time.time()) - age)
        signed = f"evt_1.{headers['webhook-timestamp']}.{BODY}".encode()
        signature = base64.b64encode(signer.sign(signed)).decode()
        headers["webhook-signature"] += f" v1a,AAAA v1a,{signature}"
        raw = mine.public_key().public_bytes_raw()
        jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).decode()[:-1]}
        return {"headers": headers, "body": body, "keys": [jwk]}

    good = case(mine)
    cases = [good, case(other), case(mine, 600), case(mine, body=BODY + " "), {**good, "keys": []}]
    (tmp_path / "verify-key.mjs").write_text((EXAMPLES / "verify-key.mjs").read_text("utf-8"))
    (tmp_path / "driver.mjs").write_text(KEY_DRIVER)
    done = subprocess.run(
        ["node", "driver.mjs"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, False, False, False, False]


def test_receiver(tmp_path: Path) -> None:
    """docs/examples/receiver.py prints what is signed, and answers 401 to what is not."""
    port = free_port()
    command = [sys.executable, str(EXAMPLES / "receiver.py"), str(port), PLAIN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            transport = httpx.HTTPTransport(retries=8)  # until it listens, with growing pauses
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", transport=transport, trust_env=False
            ) as http:
                headers = {**sign(PLAIN, BODY, int(time.time())), "X-Webhook-Event": "user.created"}
                assert http.post("/", content=BODY, headers=headers).status_code == 204
                assert http.post("/", content=BODY + " ", headers=headers).status_code == 401
        finally:
            process.terminate()
        printed = process.communicate(timeout=10)[0]
    assert printed == f"user.created {BODY}\n"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A chat server that takes everything."""
    async with open_receiver() as opened:
        yield opened


class TestChatSink(DurableSinkConformance):
    """The sink that writing-a-plugin.md shows whole keeps what a sink promises."""

    @pytest.fixture
    async def sink(self) -> AsyncIterator[DurableSink]:
        """The sink, with the guarded way out that a hub would give it."""
        egress = Egress(EgressSettings(allow=["127.0.0.0/8"]))
        yield load("hookhub-chat/hookhub_chat").ChatSink(SimpleNamespace(egress=egress))
        await egress.aclose()

    @pytest.fixture
    def config(self, receiver: Receiver) -> Mapping[str, Any]:
        """A chat that takes the line."""
        return {"url": receiver.url}

    @pytest.fixture
    def failing_config(self) -> Mapping[str, Any]:
        """A chat that is not there."""
        return {"url": f"http://127.0.0.1:{free_port()}/"}

    @pytest.fixture
    async def hanging_config(self) -> AsyncIterator[Mapping[str, Any]]:
        """A chat that never answers."""
        async with open_receiver() as opened:
            opened.default = Hang()
            yield {"url": opened.url}


def install(name: str, directory: Path) -> None:
    """Do what ``pip install`` does, as far as Python looks: the module and its entry point."""
    module = name.replace("-", "_")
    shutil.copy(EXAMPLES / name / f"{module}.py", directory)
    parser = ConfigParser()
    parser.read(EXAMPLES / name / "setup.cfg", "utf-8")
    about = directory / f"{module}-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    entry_points = parser["options.entry_points"]["hookhub"].strip()
    (about / "entry_points.txt").write_text(f"[hookhub]\n{entry_points}\n")


async def test_example_plugins_run_in_a_hub(receiver: Receiver, tmp_path: Path) -> None:
    """Both plugins of writing-a-plugin.md run: an order reaches the chat, in spite of a failure."""
    site = tmp_path / "site"
    site.mkdir()
    install("hookhub-chat", site)
    install("hookhub-orders", site)
    receiver.script(Reply(503))
    hub = HubProcess(
        tmp_path,
        {"delivery": {"retry_schedule": [0.1]}, "plugins": {"required": ["chat", "orders"]}},
        env={"PYTHONPATH": str(site)},
    )
    with hub:
        async with hub.async_client() as http:
            chat = {"name": "ops", "url": receiver.url, "event_types": ["order.*"]}
            (await http.post("/chats", json=chat)).raise_for_status()
            made = await http.post("/orders", json={"amount": 1250})
            assert made.status_code == 201, made.text
            bad = await http.post("/orders", json={"amount": "1250"})
            assert bad.status_code == 422
            requests = await receiver.wait_for(2)
        said = await trio.to_thread.run_sync(hub.run, "orders")
    assert [request.json()["text"] for request in requests] == [
        'order.paid: {"amount": 1250, "order_id": 1}'
    ] * 2
    assert said.stdout.strip() == "A shop takes orders.", said.stderr
