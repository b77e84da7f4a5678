"""The only way out of the hub.

Everything that the hub calls, it calls through here: the URL is checked when it is given, every
address when it is connected to, and what a receiver can make the hub do has a limit.
"""

from __future__ import annotations

import ssl
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache

import httpx
import trio

from hookhub.config import EgressSettings
from hookhub.contracts.routes import wrong_field
from hookhub.egress.guard.addresses import Guard
from hookhub.egress.guard.names import ThreadResolver
from hookhub.egress.guard.urls import check_url
from hookhub.egress.http.connect import Timings
from hookhub.egress.http.dialler import Dialler
from hookhub.egress.http.failures import EGRESS_ERRORS, EgressError, classify
from hookhub.egress.http.idle import WATCH, IdleConnections
from hookhub.egress.http.sender import ReceivedAnswer, RequestStart, Sender, request_start
from hookhub.egress.http.tls import TlsContexts, check_trust
from hookhub.egress.http.transport import GuardedTransport
from hookhub.egress.http.wire import request_head

__all__ = ["EGRESS_ERRORS", "Egress", "EgressError", "ReceivedAnswer", "classify"]

_MAX_STARTS = 4096


class Egress:
    """Checks URLs and hands out the guarded transport.

    Args:
        settings: ``[egress]``.
        connect_timeout: seconds for look-up, TCP and TLS together.
        ssl_context: trusts these certificates in place of certifi's (or those that
            ``SSL_CERT_FILE`` names).
        resolver: looks names up; None for ``getaddrinfo`` in threads.
        watch: seconds that a connection to a new receiver rests before it is used again.
    """

    def __init__(
        self,
        settings: EgressSettings,
        *,
        connect_timeout: float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
        resolver: trio.abc.HostnameResolver | None = None,
        watch: float = WATCH,
    ) -> None:
        self._guard = Guard(settings.allow)
        self._idle = IdleConnections(watch=watch)
        dialler = Dialler(
            settings,
            self._guard,
            resolver or ThreadResolver(),
            tls_context=TlsContexts(ssl_context).get,
            connect_timeout=connect_timeout,
        )
        self._sender = Sender(dialler, self._idle)
        self._transport = GuardedTransport(self._sender)
        # Taking a URL apart costs as much as signing.
        self._start_of = lru_cache(maxsize=_MAX_STARTS)(_post_to)

    def check_url(self, url: str) -> str:
        """The URL in its normal form, as it should be stored.

        Raises:
            ValidationFailed: not an absolute http(s) URL, or with userinfo, a fragment, a bad
                host or port.
            EgressBlocked: the host is visibly one that ``[egress] allow`` does not open. Names
                that only resolve to such an address are found out when they are called.
        """
        return check_url(url, self._guard)

    def check_trust(self, pem: str) -> str:
        """Certificates to trust for some requests, in the form that they take as ``trust``.

        Args:
            pem: one or more certificates; text around them is left out.

        Raises:
            ValidationFailed: there is none, one cannot be read, or a private key is among them.
        """
        return check_trust(pem)

    async def post(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        timings: Timings,
        trust: str | None = None,
        owner: Hashable = None,
    ) -> ReceivedAnswer:
        """One POST, as :meth:`transport` makes it, without httpx's models: half the CPU.

        Args:
            url: as :meth:`check_url` gave it.
            headers: besides ``Host`` and ``Content-Length``; names and values of one line each.
            timings: gets the seconds of each phase that was begun.
            trust: as :meth:`check_trust` gave it.
            owner: whose request it is, such as the endpoint's id: the connection is kept for the
                next request of the same owner alone, and for nobody if there is none.

        Returns:
            The answer with its head; close it. The deadline is the caller's.

        Raises:
            EgressBlocked: the host has no address that may be called.
            EgressError: a kind of failure; see :func:`classify`.
        """
        origin, start = self._start_of(url, trust, owner)
        data = request_head(start, headers, len(body)) + body
        return await self._sender.send(origin, "POST", data, timings)

    def transport(self) -> httpx.AsyncBaseTransport:
        """The guarded transport, one for the whole hub: its idle connections are shared.

        Give it whole ``httpx.Request`` objects, or put ``httpx.AsyncClient(transport=…,
        trust_env=False)`` on top. The deadline of the whole exchange is the caller's
        (``trio.fail_after``), and so is reading no more of the body than it wants: closing the
        response early closes the connection.
        """
        return self._transport

    def statistics(self) -> Mapping[str, float]:
        """Counters and gauges for ``/metrics``."""
        return self._sender.statistics()

    async def aclose(self) -> None:
        """Close the idle connections, and those in use once their exchange is over."""
        self._idle.close()


def _post_to(url: str, trust: str | None, owner: Hashable) -> RequestStart:
    try:
        return request_start("POST", httpx.URL(url), trust, owner)
    except httpx.InvalidURL as error:
        raise wrong_field(f"The URL is none: {error}.", "url") from None
