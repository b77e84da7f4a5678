"""Which certificates are trusted: the hub's, or those that a request brings."""

from __future__ import annotations

import re
import ssl
from collections import OrderedDict

import httpx

from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.routes import wrong_field

TRUST_MAX = 64 * 1024
"""Characters of the certificates that one request may bring."""
MAX_CONTEXTS = 256

_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\t\r\n ]+-----END CERTIFICATE-----"
)


class TlsContexts:
    """One context for the hub's certificates, and one for each set that requests bring.

    Args:
        own: for the hub's; None for certifi's certificates (or those that ``SSL_CERT_FILE`` names).
    """

    def __init__(self, own: ssl.SSLContext | None = None) -> None:
        self._own = own
        self._others: OrderedDict[str, ssl.SSLContext] = OrderedDict()

    def get(self, trust: str | None) -> ssl.SSLContext:
        """The context that trusts these certificates (PEM); None for the hub's."""
        if trust is None:
            if self._own is None:
                # Reading the trusted certificates takes some 20 ms: not before the first use.
                self._own = httpx.create_ssl_context()
                self._own.set_alpn_protocols(["http/1.1"])
            return self._own
        context = self._others.pop(trust, None) or private_context(trust)
        self._others[trust] = context
        if len(self._others) > MAX_CONTEXTS:
            self._others.popitem(last=False)
        return context


def private_context(trust: str) -> ssl.SSLContext:
    """A context that trusts these certificates (PEM) and no others.

    Raises:
        ssl.SSLError: they cannot be read.
    """
    context = ssl.create_default_context(cadata=trust)
    # The same on every Python: 3.13 turns both on. A certificate that was given is trusted, also
    # one that another has signed; and homemade authorities lack extensions that strictness wants.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["http/1.1"])
    return context


def check_trust(pem: str) -> str:
    """The certificates alone, in the form in which they are kept; see ``Egress.check_trust``."""
    if len(pem) > TRUST_MAX:
        raise _wrong(f"are longer than {TRUST_MAX} characters")
    if "PRIVATE KEY" in pem:
        raise _wrong("hold a private key, which the hub must not have; send the certificates alone")
    found: list[str] = _CERTIFICATE.findall(pem)
    if not found or len(found) != pem.count("-----BEGIN "):
        raise _wrong(
            "must be certificates in PEM: -----BEGIN CERTIFICATE----- and so on, each complete"
        )
    text = "\n".join("\n".join(line.strip() for line in item.splitlines()) for item in found) + "\n"
    try:
        private_context(text)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "not base64"
        raise _wrong(f"cannot be read ({str(reason).lower().replace('_', ' ')})") from None
    return text


def _wrong(finding: str) -> ValidationFailed:
    return wrong_field(f"The certificates {finding}.", "ca")
