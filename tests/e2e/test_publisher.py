"""The client's publisher: nothing is lost or doubled, whatever becomes of hub and network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hookhub.client import Client
from hookhub.contracts.errors import NotFound, Unauthorized, Unavailable, UnknownEventType
from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import free_port
from hookhub.testing.serving import TOKEN
from support.network import Network

SETTINGS = {"log": {"level": "warning"}}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One for all of them."""
    with HubProcess(tmp_path_factory.mktemp("hub"), SETTINGS) as process:
        yield process


@pytest.fixture
def network(hub: HubProcess) -> Iterator[Network]:
    """Between the publisher and the hub."""
    with Network(hub.port) as opened:
        yield opened


def stored(hub: HubProcess, after: str) -> list[str]:
    """The ids of what the hub has, in order."""
    with Client(hub.url, TOKEN) as client:
        return [event.id for event in client.events(after)]


def now(hub: HubProcess) -> str:
    """The cursor."""
    with hub.client() as client:
        return str(client.get("/events", params={"newest": "true"}).json()["cursor"])


def test_events_are_acknowledged(network: Network, hub: HubProcess) -> None:
    """Each by what the hub says of it, in the order of sending."""
    before = now(hub)
    with Client(network.url, TOKEN) as client, client.publisher() as publisher:
        sent = [publisher.send("user.created", {"user_id": n}, key="k") for n in range(500)]
    accepted = [item.result(0) for item in sent]
    first = accepted[0].sequence
    assert [item.sequence for item in accepted] == list(range(first, first + 500))
    assert stored(hub, before) == [item.id for item in accepted]


def test_a_broken_connection_loses_and_doubles_nothing(network: Network, hub: HubProcess) -> None:
    """What was not acknowledged is sent again, and the hub knows it by its id."""
    before = now(hub)
    with Client(network.url, TOKEN) as client, client.publisher(in_flight=200) as publisher:
        sent = []
        for number in range(1_000):
            sent.append(publisher.send("user.created", {"user_id": number}))
            if number in (250, 500, 800):
                network.break_all()
    found = [item.result(0).id for item in sent]
    assert sorted(stored(hub, before)) == sorted(found)
    assert len(set(found)) == 1_000
    assert network.opened >= 2


def test_a_killed_hub_loses_and_doubles_nothing(hub: HubProcess) -> None:
    """It goes on with the next one as with the next connection."""
    before = now(hub)
    with Client(hub.url, TOKEN) as client, client.publisher(in_flight=100) as publisher:
        sent = [publisher.send("user.created", {"user_id": n}) for n in range(300)]
        hub.kill()
        hub.start()
        sent += [publisher.send("user.created", {"user_id": n}) for n in range(300)]
    assert sorted(stored(hub, before)) == sorted(item.result(0).id for item in sent)


def test_a_refused_event_is_told_by_its_future(network: Network) -> None:
    """The connection and the others go on."""
    with Client(network.url, TOKEN) as client, client.publisher() as publisher:
        bad = publisher.send("user.create", {"user_id": 1})
        good = publisher.send("user.created", {"user_id": 1})
        with pytest.raises(UnknownEventType, match=r"user\.created"):
            bad.result(10)
        assert good.result(10).sequence


def test_a_hub_that_does_not_let_it_in_is_an_error(network: Network, hub: HubProcess) -> None:
    """The token, or an address where nothing of the kind is."""
    with hub.client() as client:
        made = client.post("/tokens", json={"name": "reader", "scopes": ["events:read"]})
    for url, token, error, words in (
        (network.url, made.json()["token"], Unauthorized, "events:write"),
        (f"{network.url}/nowhere", TOKEN, NotFound, "is it a hub"),
    ):
        with (
            pytest.raises(error, match=words),
            Client(url, token) as client,
            client.publisher() as publisher,
        ):
            publisher.send("user.created", {"user_id": 1})


def test_a_hub_that_does_not_come_back_is_given_up() -> None:
    """After the client's timeout; what waits is told so, and so is whoever sends more."""
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, TOKEN, timeout=0.5) as client:
        publisher = client.publisher()
        with pytest.raises(Unavailable, match="same ids"), publisher:
            sent = publisher.send("user.created", {"user_id": 1})
        with pytest.raises(Unavailable):
            sent.result(0)
        with pytest.raises(Unavailable):
            publisher.send("user.created", {"user_id": 2})
