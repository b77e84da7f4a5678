"""The address of a hub: what people copy is understood, anything else is refused in a sentence."""

from __future__ import annotations

import httpx
import pytest

from hookhub.client import AsyncClient, Client
from hookhub.client.address import hub_address
from hookhub.client.retries import Call, Patience, RetryState
from hookhub.contracts.errors import ConfigError, HookhubError, NotFound

HUB = "http://hub:8080"


@pytest.mark.parametrize(
    "given",
    [
        *(HUB, f"{HUB}/", f"{HUB}//", f" {HUB}\n", "HTTP://hub:8080", "ws://hub:8080"),
        *(f"{HUB}/admin", f"{HUB}/admin/", f"{HUB}/admin/#/webhooks/3", f"{HUB}/#/"),
        *(f"{HUB}/docs", f"{HUB}/docs/", f"{HUB}/docs#/webhooks", f"{HUB}/ws", "ws://hub:8080/ws"),
        *(f"{HUB}/openapi.json", f"{HUB}/asyncapi.json"),
    ],
)
def test_what_people_copy_is_understood(given: str) -> None:
    """The panel's address, that of the documentation, of the live feed, a slash at the end."""
    assert hub_address(given) == HUB


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("wss://hub/ws", "https://hub"),
        ("https://[::1]:1/docs", "https://[::1]:1"),
        ("https://example.org/hub", "https://example.org/hub"),
        ("https://example.org/hub/", "https://example.org/hub"),
        ("https://example.org/hub/admin/#/live", "https://example.org/hub"),
        ("https://example.org/admin/hub", "https://example.org/admin/hub"),
        ("https://example.org/mydocs", "https://example.org/mydocs"),
    ],
)
def test_a_prefix_of_a_proxy_belongs_to_it(given: str, meant: str) -> None:
    """Only the hub's own pages at the end are taken off."""
    assert hub_address(given) == meant


@pytest.mark.parametrize(
    ("given", "told"),
    [
        *((text, "is not the address of a hub") for text in ("", "ftp://hub", "http://", "//hub")),
        ("http://hub:99999", "'http://hub:99999' is not the address of a hub"),
        ("http://hu b/", "is not the address of a hub"),
        ("hub.example.org", "write it like http://hub.example.org or https://hub.example.org."),
        ("127.0.0.1:8080", "write it like http://127.0.0.1:8080 or https://"),
        ("localhost:8080/admin/", "write it like http://localhost:8080 or https://"),
        ("http://user:hunter2@hub", "no user, password or query"),
        ("user:hunter2@hub:99999", "no user, password or query"),
        ("http://hub/ws?token=hunter2", "no user, password or query"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(given: str, told: str) -> None:
    """It names what to write instead, and repeats no secret."""
    with pytest.raises(ConfigError) as error:
        hub_address(given)
    assert told in error.value.detail
    assert error.value.detail.count(". ") == 0
    assert "hunter2" not in error.value.detail


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_clients_understand_the_same(kind: type[Client] | type[AsyncClient]) -> None:
    """One helper serves every program."""
    assert kind(f"{HUB}/admin/", "token").url == HUB


def refusal(url: str, status: int, **answer: object) -> HookhubError:
    """What a call says about this answer."""
    exchange = RetryState(Call("GET", "/webhooks"), url, Patience(retries=0))
    with pytest.raises(HookhubError) as error:
        exchange.after_response(httpx.Response(status, **answer))  # type: ignore[arg-type]
    return error.value


def test_a_path_that_leads_nowhere_is_named() -> None:
    """A hub that serves nothing there, or a proxy that knows no such place."""
    nowhere = NotFound("There is nothing at this address; /docs lists all there is.").problem()
    for answer in ({"json": nowhere}, {"text": "<h1>404</h1>"}):
        error = refusal(f"{HUB}/foo", 404, **answer)
        assert isinstance(error, NotFound)
        assert error.detail == (
            f"There is no hub at {HUB}/foo; leave '/foo' out, unless a proxy has the hub there."
        )


def test_what_is_missing_behind_a_prefix_is_not_the_address() -> None:
    """A hub that knows the place, but not the thing, answers for itself."""
    missing = NotFound("There is no webhook 7.").problem()
    assert refusal(f"{HUB}/hub", 404, json=missing).detail == "There is no webhook 7."
