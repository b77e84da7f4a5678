"""The way through a proxy: a tunnel for each connection, to an address that was checked."""

from __future__ import annotations

import base64
import ipaddress
import ssl
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import h11
import trio

from hookhub import __version__
from hookhub.egress.guard.addresses import IPAddress, parse_networks, unwrap
from hookhub.egress.http.connect import (
    Dialled,
    closed_on_failure,
    connect_any,
    handshake,
    look_up,
    place_of,
)
from hookhub.egress.http.failures import BadAnswer, EgressError, ProxyFailure

MAX_ANSWER = 16 * 1024
"""Bytes that the head of a proxy's answer may take, with interim ones before it."""
_REASON_SHOWN = 100
_TOO_LONG = f"gave an answer whose head is over {MAX_ANSWER} bytes"


class Proxy(NamedTuple):
    """The proxy of ``[egress] proxy``."""

    tls: bool
    host: str
    port: int
    authorization: str | None
    """The value of ``Proxy-Authorization``."""

    @property
    def place(self) -> str:
        """``host:port``, for people: without credentials."""
        return place_of(self.host, self.port)


def parse_proxy(url: str) -> Proxy:
    """The proxy that a URL names, as :func:`hookhub.config.checks.check_proxy` lets it through."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    authorization = None
    if parts.username is not None:
        # RFC 7617 §2.
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")
    return Proxy(tls, parts.hostname or "", parts.port or (443 if tls else 80), authorization)


class Bypass:
    """What ``[egress] no_proxy`` names: names with all below them, and networks."""

    def __init__(self, items: Iterable[str]) -> None:
        names, networks = [], []
        for item in items:
            try:
                ipaddress.ip_network(item)
            except ValueError:
                names.append(item.strip(".").lower())
            else:
                networks.append(item)
        self._names = tuple(names)
        self._networks = parse_networks(networks)

    def takes_name(self, host: str) -> bool:
        """Whether the name, or one that it lies below, is named."""
        host = host.rstrip(".")
        return any(host == name or host.endswith(f".{name}") for name in self._names)

    def takes_address(self, address: IPAddress) -> bool:
        """Whether the address lies in a network that is named."""
        inner = unwrap(address)
        return any(inner in network for network in self._networks)


class Tunnels:
    """Opens tunnels through one proxy.

    CONNECT for plain ``http`` as well: in the other form of a request to a proxy the receiver's
    name and the address to call are one text (RFC 9112 §3.2.2), so either the proxy would look the
    name up again or the receiver would not see its name; and nobody could tell the proxy's answers
    from the receiver's.

    Args:
        resolver: for the proxy's own name; it was configured, so its addresses are not checked.
        tls_context: for a proxy that is spoken to in TLS: the hub's own.
    """

    def __init__(
        self,
        proxy: Proxy,
        resolver: trio.abc.HostnameResolver,
        tls_context: Callable[[None], ssl.SSLContext],
    ) -> None:
        self.proxy = proxy
        self._resolver = resolver
        self._tls_context = tls_context

    async def open(self, host: str, port: int) -> Dialled:
        """Connect to the proxy and have it connect to the receiver.

        Args:
            host: the checked address; or a name, if the proxy resolves names.

        Raises:
            ProxyFailure: it cannot be reached, or did not connect.
        """
        try:
            dialled = await self._reach()
        except EgressError as error:
            raise ProxyFailure(f"The proxy of [egress] proxy cannot be used: {error}") from None
        with closed_on_failure(dialled):
            try:
                await self._ask(dialled.stream, place_of(host, port))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise self._failed("closed the connection without an answer") from None
        return dialled

    async def _reach(self) -> Dialled:
        proxy = self.proxy
        targets = await look_up(self._resolver, proxy.host, proxy.port)
        dialled = await connect_any(targets, proxy.place)
        if not proxy.tls:
            return dialled
        return await handshake(dialled, self._tls_context(None), proxy.host, proxy.place)

    async def _ask(self, stream: trio.abc.Stream, target: str) -> None:
        headers = [("Host", target), ("User-Agent", f"hookhub/{__version__}")]
        if self.proxy.authorization is not None:
            headers.append(("Proxy-Authorization", self.proxy.authorization))
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER)
        request = h11.Request(method="CONNECT", target=target, headers=headers)
        head, end = http.send(request) or b"", http.send(h11.EndOfMessage()) or b""
        await stream.send_all(head + end)
        answer = await self._answer(http, stream)
        if not 200 <= answer.status_code < 300:
            raise self._refused(answer, target)
        if http.trailing_data[0]:
            raise BadAnswer("The receiver spoke before it was asked; that is not HTTP.")

    async def _answer(self, http: h11.Connection, stream: trio.abc.Stream) -> h11.Response:
        received = 0
        while True:
            try:
                event = http.next_event()
            except h11.RemoteProtocolError as error:
                raise self._failed(_garbage(error)) from None
            if isinstance(event, h11.Response):
                return event
            if event is h11.NEED_DATA:
                if received > MAX_ANSWER:
                    raise self._failed(_TOO_LONG)
                data = bytes(await stream.receive_some(MAX_ANSWER))
                if not data:
                    raise self._failed("closed the connection without an answer")
                received += len(data)
                http.receive_data(data)

    def _refused(self, answer: h11.Response, target: str) -> ProxyFailure:
        reason = answer.reason.decode("ascii", "replace")[:_REASON_SHOWN]
        finding = f"did not connect to {target}: it answered {answer.status_code} {reason}".rstrip()
        if answer.status_code == 407:
            finding += "; see that [egress] proxy holds a user name and password that it takes"
        failure = self._failed(finding)
        # What proxies answer when they could not connect, and not when they did not want to.
        failure.another_address_may_do = answer.status_code >= 500
        return failure

    def _failed(self, finding: str) -> ProxyFailure:
        return ProxyFailure(f"The proxy {self.proxy.place} {finding}.")


def _garbage(error: h11.RemoteProtocolError) -> str:
    return _TOO_LONG if error.error_status_hint == 431 else "gave an answer that is not HTTP"
