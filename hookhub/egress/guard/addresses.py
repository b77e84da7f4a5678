"""Which addresses the hub may call. Pure: no look-ups, no sockets.

The tables are written out, not taken from ``ipaddress.is_global``: what that says differs between
the Python releases that hookhub runs on (CVE-2024-4032), and an answer here must not.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from hookhub.contracts.errors import EgressBlocked

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA IPv4 Special-Purpose Address Registry, plus the metadata service of Azure, which is the only
# one at a public address; those of the other clouds are link-local, CGNAT or unique local.
_BLOCKED_V4 = tuple(
    (ipaddress.IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address of carrier-grade NAT"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a cloud's metadata address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmark address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
)
# Of IPv6 only 2000::/3 is routed worldwide; inside it, these are not, or wrap another address
# (6to4, Teredo) that a relay would unwrap behind the guard's back.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_BLOCKED_V6 = tuple(
    (ipaddress.IPv6Network(network), kind)
    for network, kind in (
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "a 6to4 address"),
        ("3fff::/20", "a documentation address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("ff00::/8", "a multicast address"),
    )
)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_LOOPBACK = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
_LOOPBACK_NAMES = frozenset(
    ("localhost", "localhost.localdomain", "localhost6", "ip6-localhost", "ip6-loopback")
)
_METADATA = ipaddress.ip_address("169.254.169.254")
_METADATA_NAMES = frozenset(
    (
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.tencentyun.com",
        "instance-data",
        "instance-data.ec2.internal",
    )
)


def parse_networks(items: Iterable[str]) -> tuple[IPNetwork, ...]:
    """The networks of a setting of ``[egress]``, which has checked them."""
    return tuple(_unwrap_network(ipaddress.ip_network(item)) for item in items)


def _unwrap_network(network: IPNetwork) -> IPNetwork:
    """The IPv4 network that an IPv4-mapped or NAT64 network leads to; others as they are."""
    for wrapper in (_MAPPED, _NAT64):
        if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(wrapper):
            address = int(network.network_address) & 0xFFFFFFFF
            return ipaddress.IPv4Network((address, network.prefixlen - wrapper.prefixlen))
    return network


def unwrap(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv4-mapped or NAT64 address leads to; others as they are."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def special_kind(address: IPAddress) -> str | None:
    """What keeps an (unwrapped) address from being public, in words; None if it is public."""
    if isinstance(address, ipaddress.IPv4Address):
        return next((kind for network, kind in _BLOCKED_V4 if address in network), None)
    for network, kind in _BLOCKED_V6:
        if address in network:
            return kind
    return None if address in _GLOBAL_V6 else "a reserved address"


class Guard:
    """Decides on addresses and names.

    Args:
        allow: networks (CIDR) that may be called although they are not public.
    """

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allow = parse_networks(allow)

    def permits(self, address: IPAddress) -> bool:
        """Whether the address may be called.

        Of one that wraps another, the inner one counts: opening ``::/0`` opens no IPv4.
        """
        inner = unwrap(address)
        return special_kind(inner) is None or self._allowed(inner)

    def check_address(self, address: IPAddress, host: str) -> None:
        """Refuse an address that may not be called.

        Args:
            host: how the URL names it; for the message.

        Raises:
            EgressBlocked: names the address, its kind and the setting that opens it.
        """
        if not self.permits(address):
            raise self.blocked(host, [address])

    def check_name(self, name: str) -> None:
        """Refuse names that stand for this machine or for a metadata service.

        A courtesy: what a name resolves to is checked at every connection anyway, unless the proxy
        resolves it.

        Args:
            name: in lower case.

        Raises:
            EgressBlocked: names the setting that opens it.
        """
        name = name.removesuffix(".")
        if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
            if not any(map(self._allowed, _LOOPBACK)):
                raise _blocked(f"{name!r} is this machine itself", "127.0.0.0/8")
        elif name in _METADATA_NAMES and not self._allowed(_METADATA):
            raise _blocked(f"{name!r} is a cloud's metadata service", f"{_METADATA}/32")

    def blocked(self, host: str, addresses: Iterable[IPAddress]) -> EgressBlocked:
        """The error for a host none of whose addresses may be called."""
        address = next(iter(addresses))
        inner = unwrap(address)
        kind = special_kind(inner)
        shown = str(address)
        if host.strip("[]") != shown:
            shown = f"{host} ({address})"
        if inner != address:
            kind = f"{kind} ({inner}) inside IPv6"
        return _blocked(f"{shown} is {kind}", f"{inner}/{inner.max_prefixlen}")

    def _allowed(self, address: IPAddress) -> bool:
        return any(address in network for network in self._allow)


def _blocked(finding: str, network: str) -> EgressBlocked:
    sentence = (
        f"{finding}; the hub does not call it. If it should, add its network to [egress] allow, "
        f'for example "{network}".'
    )
    return EgressBlocked(sentence, errors=[{"loc": ["url"], "msg": sentence}])
