"""Whose a request is, if it came through a proxy. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from itertools import islice

from hookhub.egress.guard.addresses import IPAddress

HEADER = b"x-forwarded-for"
UNIX = "unix"
"""Stands for whoever connects by a Unix socket."""
HOPS = 20
"""Proxies that are walked over at most."""


class Forwarded:
    """Reads ``X-Forwarded-For``, of trusted proxies alone.

    Args:
        trusted: their networks; ``unix`` for the other end of a Unix socket.
    """

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._unix = UNIX in trusted
        self._networks = [ipaddress.ip_network(item) for item in trusted if item != UNIX]

    def client(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The address of the client: the last one in the list that is not a trusted proxy's.

        Each proxy adds whom it sees to the end of the list; what stands before the first that
        nobody trusts is that client's own word.

        Args:
            peer: the address at the other end; empty on a Unix socket.
            headers: of the request, names in lower case.
        """
        if not self._networks and not self._unix:
            return peer
        if not self._trusts(_parse(peer), peer):
            return peer
        named = b",".join(value for name, value in headers if name == HEADER).decode("latin-1")
        client = peer
        for text in islice(reversed(named.split(",")), HOPS):
            address = _parse(text)
            if address is None:
                break
            client = str(address)
            if not self._trusts(address, text):
                break
        return client

    def _trusts(self, address: IPAddress | None, text: str) -> bool:
        if address is None:
            return self._unix and not text
        return any(address in network for network in self._networks)


def _parse(text: str) -> IPAddress | None:
    """An address, perhaps with a port behind it as some proxies write it."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
