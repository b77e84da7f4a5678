"""Looking names up, so that a name server which does not answer holds up nobody else."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any, cast
from weakref import WeakValueDictionary

import trio

MAX_LOOKUPS = 200
MAX_LOOKUPS_PER_NAME = 2

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class ThreadResolver(trio.abc.HostnameResolver):
    """``getaddrinfo`` in threads of its own.

    It cannot be cancelled: a look-up that hangs keeps its thread for up to half a minute after its
    attempt has timed out. Trio's own takes a thread of the few that everything shares.
    """

    def __init__(
        self, maximum: int = MAX_LOOKUPS, maximum_per_name: int = MAX_LOOKUPS_PER_NAME
    ) -> None:
        self._all = trio.CapacityLimiter(maximum)
        self._per_name = maximum_per_name
        # A name's limiter lives as long as somebody looks the name up, or a thread still does.
        self._names: WeakValueDictionary[bytes, trio.CapacityLimiter] = WeakValueDictionary()

    async def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        try:
            return socket.getaddrinfo(host, port, family, type, proto, flags | _NUMERIC)
        except socket.gaierror as error:
            if error.errno != socket.EAI_NONAME:
                raise
        one = self._names.setdefault(host, trio.CapacityLimiter(self._per_name))
        # run_sync takes whatever can be acquired and released on a thread's behalf.
        limiter = cast(trio.CapacityLimiter, _Both(one, self._all))
        look_up = partial(socket.getaddrinfo, host, port, family, type, proto, flags)
        return await trio.to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=limiter)

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


class _Both:
    """Two limiters as one."""

    def __init__(self, first: trio.CapacityLimiter, second: trio.CapacityLimiter) -> None:
        self._first = first
        self._second = second

    async def acquire_on_behalf_of(self, borrower: Any) -> None:
        await self._first.acquire_on_behalf_of(borrower)
        try:
            await self._second.acquire_on_behalf_of(borrower)
        except BaseException:
            self._first.release_on_behalf_of(borrower)
            raise

    def release_on_behalf_of(self, borrower: Any) -> None:
        self._second.release_on_behalf_of(borrower)
        self._first.release_on_behalf_of(borrower)
