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
from itertools import chain, zip_longest
from typing import Any, NamedTuple

import trio

from hookhub.egress.guard.addresses import Guard, IPAddress
from hookhub.egress.http.failures import EgressError, connect_failure, dns_failure, tls_failure
from hookhub.egress.http.line import SocketLine

MAX_TARGETS = 8
"""Addresses of one name that are tried; a name can have any number."""
# RFC 8305 §5: start the next address when the first has not answered within this time.
_STAGGER = 0.25

Timings = MutableMapping[str, float]
"""Seconds by phase: ``dns``, ``connect``, ``tls``, ``wait``."""


class Target(NamedTuple):
    """One address to connect to."""

    family: int
    sockaddr: Any

    @property
    def address(self) -> IPAddress:
        """Without the port."""
        return ipaddress.ip_address(self.sockaddr[0])


class Dialled(NamedTuple):
    """A connection."""

    line: SocketLine
    """The socket."""
    stream: trio.abc.Stream
    """What to talk through: ``line``, or TLS over it."""


@contextmanager
def phase(timings: Timings, name: str) -> Iterator[None]:
    """Record how long the block took, also when it failed or was cancelled."""
    start = trio.current_time()
    try:
        yield
    finally:
        timings[name] = trio.current_time() - start


def place_of(host: str, port: int) -> str:
    """``host:port`` as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextmanager
def closed_on_failure(dialled: Dialled) -> Iterator[None]:
    """Close the connection if the block does not end well."""
    try:
        yield
    except BaseException:
        dialled.line.close()
        raise


async def look_up(resolver: trio.abc.HostnameResolver, host: str, port: int) -> list[Target]:
    """The addresses of a host in the resolver's order, the families in turn (RFC 8305 §4).

    Raises:
        DnsFailure: the name does not resolve.
    """
    try:
        name = host.encode("ascii")
        found = await resolver.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise dns_failure(host, error) from None
    families: dict[int, list[Target]] = {}
    for family, _, _, _, sockaddr in found:
        families.setdefault(int(family), []).append(Target(int(family), sockaddr))
    in_turn = chain.from_iterable(zip_longest(*families.values()))
    return list(dict.fromkeys(target for target in in_turn if target is not None))


async def resolve(
    resolver: trio.abc.HostnameResolver, host: str, port: int, guard: Guard
) -> list[Target]:
    """The addresses of a host that may be called.

    Raises:
        DnsFailure: the name does not resolve.
        EgressBlocked: it does, but to no address that may be called; or it is a name that may not.
    """
    guard.check_name(host)
    found = await look_up(resolver, host, port)
    targets = [target for target in found if guard.permits(target.address)]
    if found and not targets:
        raise guard.blocked(host, [target.address for target in found])
    if not targets:
        raise dns_failure(host, socket.gaierror(socket.EAI_NONAME, "it has no address"))
    return targets[:MAX_TARGETS]


async def _connect(target: Target) -> Dialled:
    raw = socket.socket(target.family, socket.SOCK_STREAM)
    sock = trio.socket.from_stdlib_socket(raw)
    try:
        await sock.connect(target.sockaddr)
        line = SocketLine(raw, sock)
    except BaseException:
        sock.close()
        raise
    return Dialled(line, line)


async def connect_any(targets: list[Target], place: str) -> Dialled:
    """The first target that answers; the others get a head start each (happy eyeballs).

    Args:
        place: ``host:port`` for the sentence when none does.

    Raises:
        EgressError: what the first one failed with.
    """
    if len(targets) == 1:
        try:
            return await _connect(targets[0])
        except OSError as error:
            raise connect_failure(place, error) from None
    race = _Race(place)
    try:
        async with trio.open_nursery() as nursery:
            for target in targets:
                settled = trio.Event()
                nursery.start_soon(race.enter, target, settled, nursery.cancel_scope)
                with trio.move_on_after(_STAGGER):
                    await settled.wait()
    except BaseException:
        if race.winner is not None:
            race.winner.line.close()
        raise
    if race.winner is None:
        raise race.failures[0]
    return race.winner


class _Race:
    def __init__(self, place: str) -> None:
        self.place = place
        self.winner: Dialled | None = None
        self.failures: list[EgressError] = []

    async def enter(self, target: Target, settled: trio.Event, others: trio.CancelScope) -> None:
        try:
            dialled = await _connect(target)
        except OSError as error:
            self.failures.append(connect_failure(self.place, error))
        else:
            if self.winner is None:
                self.winner = dialled
                others.cancel()
            else:
                dialled.line.close()
        settled.set()


async def handshake(dialled: Dialled, context: ssl.SSLContext, host: str, place: str) -> Dialled:
    """TLS over a connection, verified for ``host``; the connection is closed if it fails.

    Raises:
        TlsFailure: the certificate is not accepted, or there is no TLS.
    """
    with closed_on_failure(dialled):
        try:
            stream = trio.SSLStream(
                dialled.stream, context, server_hostname=host, https_compatible=True
            )
            await stream.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError, ValueError) as error:
            raise tls_failure(place, error) from None
    return dialled._replace(stream=stream)
