"""Who tries tokens that are none: how many of an address are looked up. Pure; told the time.

A token has too much chance in it to be guessed, but each guess that is looked up costs the database
a read. So an address has a bucket of them, which fills up with time.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

BURST = 20
"""Unknown tokens that an address may try at once."""
INTERVAL = 3.0
"""Seconds after which it may try one more."""
CAPACITY = 10_000
"""Addresses that are told apart; further ones share a bucket until some may try a burst again."""
PERIOD = 60.0
"""Seconds between reports."""
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Report:
    """What came since the last one."""

    address: str
    """Whence most of them came."""
    count: int
    """How many of there."""
    total: int
    """How many in all."""
    addresses: int
    """From how many addresses."""


@dataclass(slots=True)
class _Source:
    full_at: float
    """When it may try a whole burst again."""
    wrong: int = 0
    """Since the last report."""


class WrongTokens:
    """Counts unknown tokens by address, and says which to look up.

    Args:
        burst: how many of an address at once.
        interval: seconds for one more.
        capacity: how many addresses to tell apart.
    """

    def __init__(
        self, burst: int = BURST, interval: float = INTERVAL, capacity: int = CAPACITY
    ) -> None:
        self._slack = (burst - 1) * interval
        self._interval = interval
        self._capacity = capacity
        self._sources: dict[str, _Source] = {}
        self._tidied = self._reported = float("-inf")
        self._wrong = 0

    def __len__(self) -> int:
        return len(self._sources)

    def take(self, address: str, now: float) -> float:
        """Note that an unknown token came; 0 if it shall be looked up, else seconds to wait.

        Args:
            address: of the client; empty on a Unix socket.
            now: seconds, by any clock that only goes forward.
        """
        source = self._source(source_of(address), now)
        source.wrong += 1
        self._wrong += 1
        begin = max(source.full_at, now)
        wait = begin - now - self._slack
        if wait > 0:
            return wait
        source.full_at = begin + self._interval
        return 0.0

    def give_back(self, address: str) -> None:
        """What was looked up is a token after all."""
        name = source_of(address)
        source = self._sources.get(name) or self._sources.get(OTHERS)
        if source is not None:
            source.full_at -= self._interval
            counted = min(source.wrong, 1)
            source.wrong -= counted
            self._wrong -= counted

    def report(self, now: float) -> Report | None:
        """What there is to tell; once in a :data:`PERIOD`, and only if anything came."""
        if not self._wrong or now - self._reported < PERIOD:
            return None
        self._reported = now
        came = {name: source.wrong for name, source in self._sources.items() if source.wrong}
        worst = max(came, key=came.__getitem__)
        for source in self._sources.values():
            source.wrong = 0
        total, self._wrong = self._wrong, 0
        return Report(worst, came[worst], total, len(came))

    def _source(self, name: str, now: float) -> _Source:
        if name not in self._sources and len(self._sources) >= self._capacity:
            self._tidy(now)
            if len(self._sources) >= self._capacity:
                name = OTHERS
        return self._sources.setdefault(name, _Source(now))

    def _tidy(self, now: float) -> None:
        """Forget those with a full bucket; walking over all of them at each guess would cost."""
        if now - self._tidied < self._interval:
            return
        self._tidied = now
        for name in [name for name, item in self._sources.items() if item.full_at <= now]:
            self._wrong -= self._sources.pop(name).wrong


def source_of(address: str) -> str:
    """What has one bucket: an IPv4 address, the /64 of an IPv6 one, or all of a Unix socket."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address or "unix"
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip), 64), strict=False))
