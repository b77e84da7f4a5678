"""Which way a connection takes: straight to a checked address, or through the proxy."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass

import trio

from hookhub.config import EgressSettings
from hookhub.egress.guard.addresses import Guard
from hookhub.egress.guard.urls import literal_address
from hookhub.egress.http.connect import (
    Dialled,
    Target,
    Timings,
    connect_any,
    handshake,
    phase,
    place_of,
    resolve,
)
from hookhub.egress.http.failures import ConnectTimedOut, EgressError, ProxyFailure
from hookhub.egress.http.idle import Origin
from hookhub.egress.http.proxy import Bypass, Tunnels, parse_proxy

MAX_TUNNELS = 3
"""Addresses of a name that the proxy is asked to connect to."""


@dataclass(slots=True)
class _Progress:
    """What a connection in the making is waiting for."""

    place: str
    waits_for: str = "the look-up of its name"
    proxy: str | None = None

    def timed_out(self, seconds: float) -> EgressError:
        if self.proxy is not None:
            sentence = f"The proxy {self.proxy} did not connect to {self.place}"
            return ProxyFailure(f"{sentence} within {seconds:g} s.")
        return ConnectTimedOut(
            f"{self.place} did not complete {self.waits_for} within {seconds:g} s."
        )


class Dialler:
    """Opens connections to origins.

    Args:
        tls_context: the context that trusts these certificates; for None, the hub's.
        connect_timeout: seconds for look-up, TCP, the proxy and TLS together.
    """

    def __init__(
        self,
        settings: EgressSettings,
        guard: Guard,
        resolver: trio.abc.HostnameResolver,
        *,
        tls_context: Callable[[str | None], ssl.SSLContext],
        connect_timeout: float,
    ) -> None:
        self._guard = guard
        self._resolver = resolver
        self._tls_context = tls_context
        self._connect_timeout = connect_timeout
        self._bypass = Bypass(settings.no_proxy)
        self._proxy_resolves = settings.proxy_resolves
        self._tunnels: Tunnels | None = None
        if settings.proxy is not None:
            self._tunnels = Tunnels(parse_proxy(settings.proxy), resolver, tls_context)

    async def dial(self, origin: Origin, asked: float | None, timings: Timings) -> Dialled:
        """Look up, check, connect and, for ``https``, shake hands.

        Args:
            asked: seconds for all of it, if that is less than the hub's.
            timings: gets the phases that were begun.

        Raises:
            EgressBlocked: no address of the host may be called.
            EgressError: it failed; see :mod:`hookhub.egress.http.failures`.
        """
        timeout = self._connect_timeout if asked is None else min(asked, self._connect_timeout)
        progress = _Progress(place_of(origin.host, origin.port))
        with trio.move_on_after(timeout):
            dialled = await self._connect(origin, timings, progress)
            if origin.scheme == "http":
                return dialled
            progress.waits_for = "the TLS handshake"
            with phase(timings, "tls"):
                context = self._tls_context(origin.trust)
                return await handshake(dialled, context, origin.host, progress.place)
        raise progress.timed_out(timeout)

    async def _connect(self, origin: Origin, timings: Timings, progress: _Progress) -> Dialled:
        straight, through = await self._route(origin, timings)
        with phase(timings, "connect"):
            if straight:
                progress.waits_for = "a connection"
                return await connect_any(straight, progress.place)
            assert self._tunnels is not None
            progress.proxy = self._tunnels.proxy.place
            dialled = await _tunnel(self._tunnels, through[:MAX_TUNNELS], origin.port)
            progress.proxy = None
            return dialled

    async def _route(self, origin: Origin, timings: Timings) -> tuple[list[Target], list[str]]:
        """The addresses to connect to, or else those that the proxy is asked for."""
        by_proxy = self._tunnels is not None and not self._bypass.takes_name(origin.host)
        if by_proxy and self._proxy_resolves and not self._is_literal(origin.host):
            return [], [origin.host]
        with phase(timings, "dns"):
            targets = await resolve(self._resolver, origin.host, origin.port, self._guard)
        if not by_proxy:
            return targets, []
        straight = [target for target in targets if self._bypass.takes_address(target.address)]
        return straight, [str(target.address) for target in targets]

    def _is_literal(self, host: str) -> bool:
        """Whether there is nothing to resolve; what can be seen of a name is checked."""
        self._guard.check_name(host)
        return literal_address(host) is not None


async def _tunnel(tunnels: Tunnels, hosts: list[str], port: int) -> Dialled:
    """A tunnel to the first of these that the proxy can connect to."""
    for number, host in enumerate(hosts[:-1]):
        left = trio.current_effective_deadline() - trio.current_time()
        try:
            with trio.move_on_after(left / (len(hosts) - number)):
                return await tunnels.open(host, port)
        except ProxyFailure as error:
            if not error.another_address_may_do:
                raise
    return await tunnels.open(hosts[-1], port)
