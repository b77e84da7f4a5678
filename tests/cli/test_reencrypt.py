"""``hookhub reencrypt``: every secret under the key that is set."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
import trio
from click.testing import Result

from hookhub.config import DatabaseSettings, Settings
from hookhub.contracts.deliveries import NewEndpoint
from hookhub.contracts.errors import StoreError
from hookhub.secretbox import SecretBox
from hookhub.server import open_hub
from hookhub.store import open_store
from hookhub.store.units.endpoints import insert_endpoint

Run = Callable[..., Result]

OLD = "an old key of thirty-two characters or more"
NEW = "a new key of thirty-two characters or more"
SECRET = "the-secret-of-a-webhook"


def fill(*keys: str) -> None:
    """A database with two secrets and a URL under the first of these keys."""

    async def make() -> None:
        async with open_store(DatabaseSettings(), box=SecretBox(keys)) as store:
            for name in ("a", "b"):
                config = {"url": f"https://chat.example/{SECRET}"} if name == "b" else {}
                new = NewEndpoint(name, ("*",), config, secret=SECRET)
                await store.write(lambda tx, new=new: insert_endpoint(tx, "webhook", new))  # type: ignore[misc]

    trio.run(make)


def environment(secret_key: str, *old: str) -> Mapping[str, str]:
    """The settings as environment variables."""
    return {
        "HOOKHUB_AUTH__SECRET_KEY": secret_key,
        "HOOKHUB_AUTH__OLD_SECRET_KEYS": json.dumps(old),
    }


def test_it_encrypts_what_is_plain_and_then_nothing(run: Run) -> None:
    """It says how many; a second run finds nothing to do."""
    fill()
    result = run("reencrypt", env=environment(NEW))
    assert (result.exit_code, result.stdout) == (
        0,
        "3 secrets encrypted under [auth] secret_key.\n",
    )
    result = run("reencrypt", "--json", env=environment(NEW))
    assert json.loads(result.stdout) == {"encrypted": 0, "replaced": [], "emptied": []}


def test_it_takes_secrets_from_the_old_key_to_the_new(run: Run) -> None:
    """After that the old key is not needed."""
    fill(OLD)
    assert "3 secrets" in run("reencrypt", env=environment(NEW, OLD)).stdout
    assert "0 secrets" in run("reencrypt", env=environment(NEW)).stdout


def test_without_a_key_it_says_what_to_do(run: Run) -> None:
    """And how to make one."""
    result = run("reencrypt")
    assert result.exit_code == 1
    assert "[auth] secret_key is not set" in result.stderr
    assert "openssl rand" in result.stderr


def test_a_lost_key(run: Run) -> None:
    """Refused with the row; ``--replace-lost`` names what it replaced. No key is ever told."""
    fill(OLD)
    result = run("reencrypt", env=environment(NEW))
    assert result.exit_code == 1
    assert "hookhub_endpoints, id 1" in result.stderr
    assert "--replace-lost" in result.stderr
    result = run("reencrypt", "--replace-lost", env=environment(NEW))
    assert result.exit_code == 0
    assert "hookhub_endpoints 2: no key opens its secret" in result.stderr
    assert "hookhub_endpoints 2: no key opens its URL and headers; it is off" in result.stderr
    for hidden in (OLD, NEW, SECRET):
        assert hidden not in result.output


@pytest.mark.parametrize("tables", [{}, {"auth": {"secret_key": NEW}}], ids=["no key", "another"])
def test_a_hub_with_the_wrong_key_does_not_start(tables: dict[str, dict[str, str]]) -> None:
    """Before it takes anything; the sentence names the setting."""
    fill(OLD)

    async def start() -> None:
        async with open_hub(Settings.model_validate(tables)):
            pass

    with pytest.raises(StoreError, match=r"\[auth\] secret_key"):
        trio.run(start)


def test_old_keys_need_a_new_one(run: Run) -> None:
    """Settings that make no sense together are refused, without the keys."""
    result = run("reencrypt", env={"HOOKHUB_AUTH__OLD_SECRET_KEYS": json.dumps([OLD])})
    assert result.exit_code == 1
    assert "old_secret_keys but no secret_key" in result.stderr
    result = run("reencrypt", env=environment("short"))
    assert result.exit_code == 1
    assert "32" in result.stderr
    assert OLD not in result.stderr
    assert "short" not in result.stderr.replace("secret_key", "")
