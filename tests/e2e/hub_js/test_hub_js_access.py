"""hub.js and its credentials: renewed where that helps, and stopped with a reason where not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hookhub.testing.hub_process import HubProcess
from support.network import Network

OpenTab = Callable[..., Any]

_NUMBERS = itertools.count()


def new_token(hub: HubProcess, seconds: float | None = None, scope: str = "events:read") -> Any:
    """A token, which may expire."""
    body: dict[str, Any] = {"name": f"panel {next(_NUMBERS)}", "scopes": [scope]}
    if seconds is not None:
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        body["expires_at"] = expires.isoformat().replace("+00:00", "Z")
    with hub.client() as http:
        response = http.post("/tokens", json=body)
    assert response.is_success, response.text
    return response.json()


@pytest.mark.parametrize("transport", ["websocket", "sse"])
def test_a_revoked_token(hub: HubProcess, open_tab: OpenTab, transport: str) -> None:
    """It stops within seconds, and does not come back with what is of no use."""
    token = new_token(hub)
    tab = open_tab().start(token["token"], transport=transport).wait_state("live")
    with hub.client() as http:
        assert http.post(f"/tokens/{token['id']}/revoke").is_success
    tab.wait_state("stopped")
    assert tab.run("[hub.state.code, hub.state.transport]") == ["revoked", None]


@pytest.mark.parametrize(("token", "words"), [("hh_wrong", "token"), (None, "scope")])
def test_a_token_that_may_not(
    hub: HubProcess, open_tab: OpenTab, token: str | None, words: str
) -> None:
    """A wrong token, or one without the scope, stops it with the hub's own words."""
    token = token or new_token(hub, scope="events:write")["token"]
    tab = open_tab().start(token).wait_state("stopped")
    assert tab.run("hub.state.code") == "refused"
    assert words in tab.run("hub.state.reason")
    loop = "async () => { try { for await (const e of hub); } catch (error) { return error.code } }"
    assert tab.run(loop) == "refused"


def start_with(tab: Any, tokens: list[str], **options: Any) -> Any:
    """A Hub whose token is a function that gives one after the other."""
    tab.run(
        """async ([url, tokens, options]) => {
          const { Hub } = await import(`${url}/hub.js`);
          window.seen = { sequences: [], states: [] };
          window.hub = new Hub({
            ...options,
            token: async () => (tokens.length > 1 ? tokens.shift() : tokens[0]),
            onEvent: (event) => seen.sequences.push(event.sequence),
            onState: (state) => seen.states.push(state.name),
          });
        }""",
        [tab.url, tokens, options],
    )
    return tab


def test_a_token_that_expires(hub: HubProcess, open_tab: OpenTab, producer: Any) -> None:
    """A text cannot be renewed; a function is asked again, and nothing is lost meanwhile."""
    text, other = open_tab(), open_tab()
    expiring = new_token(hub, 2)["token"]
    text.start(expiring).wait_state("live")
    tab = start_with(other, [expiring, new_token(hub)["token"]]).wait_state("live")
    tab.wait_sequence(producer.emit())
    tab.wait("seen.states.includes('lagging')").wait_state("live")
    tab.wait_sequence(producer.emit())
    assert tab.sequences == producer.sequences()
    text.wait_state("stopped")
    assert text.run("hub.state.code") == "expired"


def test_a_token_function_that_knows_no_other(hub: HubProcess, open_tab: OpenTab) -> None:
    """Once is enough: then it stops."""
    tab = start_with(open_tab(), ["hh_wrong"]).wait_state("stopped")
    assert tab.run("hub.state.code") == "refused"


GET_TICKET = """async ([url, site]) => {
  const { Hub } = await import(`${url}/hub.js`);
  window.seen = { sequences: [], states: [] };
  window.hub = new Hub({
    url,
    identity: "alice",
    timing: { first: 50, longest: 300, tick: 50 },
    getTicket: async () => {
      const response = await fetch("/ticket", { method: "POST" });
      if (response.status === 401) return null;
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      return response.json();
    },
    onEvent: (event) => seen.sequences.push(event.sequence),
    onState: (state) => seen.states.push(state),
  });
}"""


def test_tickets_of_a_backend(
    hub: HubProcess, open_site: Any, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """A page whose backend holds the token: one connection for its tabs, renewed, then refused."""
    statuses: list[int] = [503]
    given: list[str] = []

    def ticket() -> tuple[int, bytes]:
        if statuses:
            return statuses.pop(0), b"{}"
        with hub.client() as http:
            answer = http.post("/ws/ticket").json()
        given.append(answer["ticket"])
        return 200, json.dumps(answer).encode()

    url = open_site({"/ticket": ticket})
    tabs = [open_tab(url) for _ in range(2)]
    for tab in tabs:
        tab.run(GET_TICKET, [tab.url, url])
        tab.wait_state("live")
    assert network.websockets == 1
    network.break_all()
    last = producer.emit()
    for tab in tabs:
        tab.wait_sequence(last)
    assert len(set(given)) == len(given) >= 2
    statuses[:] = [401] * 2
    network.break_all()
    for tab in tabs:
        tab.wait_state("stopped")
        assert tab.run("hub.state.reason") == "getTicket() gave no ticket"


def test_tickets_for_an_event_stream(
    hub: HubProcess, open_site: Any, open_tab: OpenTab, producer: Any, network: Network
) -> None:
    """A ticket opens that as well."""

    def ticket() -> tuple[int, bytes]:
        with hub.client() as http:
            return 200, http.post("/ws/ticket").content

    network.refuses_websockets = True
    url = open_site({"/ticket": ticket})
    tab = open_tab(url)
    tab.run(GET_TICKET, [tab.url, url])
    tab.wait_state("live")
    assert tab.run("hub.state.transport") == "sse"
    tab.wait_sequence(producer.emit())


def test_an_administrator_closes_it(hub: HubProcess, open_tab: OpenTab) -> None:
    """Who was sent away does not come back by itself."""
    token = new_token(hub)
    tab = open_tab().start(token["token"]).wait_state("live")
    with hub.client() as http:
        items = http.get("/live/connections").json()["items"]
        [found] = [item for item in items if item["token_id"] == token["id"]]
        assert http.delete(f"/live/connections/{found['id']}").is_success
    tab.wait_state("stopped")
    assert tab.run("hub.state.code") == "dismissed"
