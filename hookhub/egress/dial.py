"""From a host and a port to a checked, connected stream.

The name is looked up once; every address that comes back is checked; what passes is connected to
as an address, so that there is no second look-up which could answer differently (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import trio

from hookhub.egress.failures import (
    ConnectTimedOut,
    EgressError,
    connect_failure,
    dns_failure,
    tls_failure,
)
from hookhub.egress.guard import Guard, IPAddress

# RFC 8305 §5: start the next address when the first has not answered within this time.
_STAGGER = 0.25

Timings = MutableMapping[str, float]
"""Seconds by phase: ``dns``, ``connect``, ``tls``, ``wait``."""


class Target(NamedTuple):
    """One address that passed the guard."""

    family: int
    sockaddr: Any


@contextmanager
def phase(timings: Timings, name: str) -> Iterator[None]:
    """Record how long the block took, also when it failed or was cancelled."""
    start = trio.current_time()
    try:
        yield
    finally:
        timings[name] = trio.current_time() - start


async def dial(
    host: str,
    port: int,
    guard: Guard,
    *,
    timeout: float,
    tls: ssl.SSLContext | None,
    timings: Timings,
) -> tuple[trio.SocketStream, trio.abc.Stream]:
    """Look up, check, connect and, with ``tls``, shake hands.

    Args:
        host: a name, or an address without brackets.
        timeout: seconds for all of it.
        timings: gets the phases that were begun.

    Returns:
        The socket's stream and the one to talk through: the same without TLS.

    Raises:
        EgressBlocked: no address of the host may be called.
        EgressError: it failed; see :mod:`hookhub.egress.failures`.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    transport: trio.SocketStream | None = None
    stream: trio.abc.Stream | None = None
    try:
        with trio.move_on_after(timeout):
            with phase(timings, "dns"):
                targets = await resolve(host, port, guard)
            with phase(timings, "connect"):
                transport = await _connect_any(targets, where)
            if tls is None:
                stream = transport
            else:
                with phase(timings, "tls"):
                    stream = await _handshake(transport, tls, host, where)
    finally:
        if stream is None and transport is not None:
            transport.socket.close()
    if transport is None or stream is None:
        doing = "the TLS handshake" if transport else "a connection"
        raise ConnectTimedOut(f"{where} did not complete {doing} within {timeout:g} s.")
    return transport, stream


async def resolve(host: str, port: int, guard: Guard) -> list[Target]:
    """The addresses of a host that may be called, in the resolver's order.

    Raises:
        DnsFailure: the name does not resolve.
        EgressBlocked: it does, but to no address that may be called.
    """
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise dns_failure(host, error) from None
    targets: dict[Target, None] = {}
    refused: list[IPAddress] = []
    for family, _, _, _, sockaddr in found:
        address = ipaddress.ip_address(sockaddr[0])
        if guard.permits(address):
            targets[Target(family, sockaddr)] = None
        else:
            refused.append(address)
    if not targets:
        raise guard.blocked(host, refused)
    return list(targets)


async def _connect(target: Target) -> trio.SocketStream:
    sock = trio.socket.socket(target.family, socket.SOCK_STREAM)
    try:
        await sock.connect(target.sockaddr)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def _connect_any(targets: list[Target], where: str) -> trio.SocketStream:
    """The first target that answers; the others get a head start each (happy eyeballs)."""
    if len(targets) == 1:
        try:
            return await _connect(targets[0])
        except OSError as error:
            raise connect_failure(where, error) from None
    race = _Race(where)
    try:
        async with trio.open_nursery() as nursery:
            for target in targets:
                settled = trio.Event()
                nursery.start_soon(race.enter, target, settled, nursery.cancel_scope)
                with trio.move_on_after(_STAGGER):
                    await settled.wait()
    except BaseException:
        if race.winner is not None:
            race.winner.socket.close()
        raise
    if race.winner is None:
        raise race.failures[0]
    return race.winner


class _Race:
    def __init__(self, where: str) -> None:
        self.where = where
        self.winner: trio.SocketStream | None = None
        self.failures: list[EgressError] = []

    async def enter(self, target: Target, settled: trio.Event, others: trio.CancelScope) -> None:
        try:
            stream = await _connect(target)
        except OSError as error:
            self.failures.append(connect_failure(self.where, error))
        else:
            if self.winner is None:
                self.winner = stream
                others.cancel()
            else:
                stream.socket.close()
        settled.set()


async def _handshake(
    transport: trio.SocketStream, context: ssl.SSLContext, host: str, where: str
) -> trio.abc.Stream:
    try:
        stream = trio.SSLStream(transport, context, server_hostname=host, https_compatible=True)
        await stream.do_handshake()
    except (trio.BrokenResourceError, ssl.SSLError, ValueError) as error:
        raise tls_failure(where, error) from None
    return stream
