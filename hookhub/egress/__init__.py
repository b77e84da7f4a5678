"""The only way out of the hub.

Everything that the hub calls, it calls through here: the URL is checked when it is given, every
address when it is connected to, and what a receiver can make the hub do has a limit.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import httpx

from hookhub.config import EgressSettings
from hookhub.egress.failures import EGRESS_ERRORS, EgressError, classify
from hookhub.egress.guard import Guard
from hookhub.egress.tls import TlsContexts, check_trust
from hookhub.egress.transport import GuardedTransport, IdleConnections
from hookhub.egress.urls import check_url

__all__ = ["EGRESS_ERRORS", "Egress", "EgressError", "classify"]


class Egress:
    """Checks URLs and hands out the guarded transport.

    Args:
        settings: ``[egress]``.
        connect_timeout: seconds for look-up, TCP and TLS together.
        ssl_context: trusts these certificates in place of certifi's (or those that
            ``SSL_CERT_FILE`` names).

    Raises:
        ConfigError: ``[egress] allow`` holds something that is not a network.
    """

    def __init__(
        self,
        settings: EgressSettings,
        *,
        connect_timeout: float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = Guard(settings.allow)
        self._contexts = TlsContexts(ssl_context)
        self._idle = IdleConnections()
        self._transport = GuardedTransport(
            self._guard,
            connect_timeout=connect_timeout,
            tls_context=self._contexts.get,
            idle=self._idle,
        )

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
        return self._transport.statistics()

    async def aclose(self) -> None:
        """Close the idle connections, and those in use once their exchange is over."""
        self._idle.close()
