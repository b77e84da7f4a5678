"""What goes wrong on the way out, told apart.

Each class is an ``httpx.TransportError``, so that code that knows only httpx catches it as well;
``code`` is the stable word of :attr:`hookhub.contracts.sinks.AttemptResult.error`.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import ClassVar

import httpx

from hookhub.contracts.errors import EgressBlocked, ValidationFailed


class EgressError(httpx.TransportError):
    """Base of the failures; the message is a sentence for a person, without secrets."""

    code: ClassVar[str] = "network"


class DnsFailure(EgressError, httpx.ConnectError):
    """The name does not resolve, or the resolver did not answer."""

    code = "dns"


class Refused(EgressError, httpx.ConnectError):
    """The host answered that nobody listens on this port."""

    code = "refused"


class Unreachable(EgressError, httpx.ConnectError):
    """There is no way to the host."""

    code = "network"


class TlsFailure(EgressError, httpx.ConnectError):
    """The TLS handshake failed: a certificate that is not trusted, no common version …"""

    code = "tls"


class ConnectTimedOut(EgressError, httpx.ConnectTimeout):
    """No connection (look-up, TCP and TLS together) within the connect time-out."""

    code = "connect_timeout"


class ReadTimedOut(EgressError, httpx.ReadTimeout):
    """The connection stands, but the next byte did not come, or did not go, in time."""

    code = "read_timeout"


class Disconnected(EgressError, httpx.ReadError):
    """The peer reset or closed the connection before its answer was complete."""

    code = "reset"


class BadAnswer(EgressError, httpx.RemoteProtocolError):
    """What came back is not HTTP/1.1."""

    code = "protocol"


class AnswerTooLarge(EgressError, httpx.RemoteProtocolError):
    """The head of the answer is larger than the hub reads."""

    code = "too_large"


class BadRequest(EgressError, httpx.LocalProtocolError):
    """The request cannot be written as HTTP/1.1."""

    code = "bad_request"


class ProxyFailure(EgressError, httpx.ProxyError):
    """The proxy of ``[egress] proxy`` cannot be used, or would not connect to the receiver."""

    code = "proxy"
    another_address_may_do = False
    """Whether the proxy only could not connect to this address of the receiver's."""


EGRESS_ERRORS: tuple[type[Exception], ...] = (httpx.TransportError, EgressBlocked, ValidationFailed)
"""What a call through the guarded transport may raise because of the URL or the receiver."""


def classify(error: Exception) -> tuple[str, str]:
    """The stable word and the sentence for one of :data:`EGRESS_ERRORS`.

    >>> classify(DnsFailure("The name 'a.example' does not resolve."))
    ('dns', "The name 'a.example' does not resolve.")
    """
    if isinstance(error, EgressError):
        return error.code, str(error)
    if isinstance(error, EgressBlocked):
        return "blocked_address", error.detail
    if isinstance(error, ValidationFailed):
        return "bad_url", error.detail
    return "network", f"The exchange failed: {str(error) or type(error).__name__}."


def dns_failure(host: str, error: socket.gaierror | UnicodeError) -> DnsFailure:
    """The failure for a name that did not resolve."""
    reason = error.strerror if isinstance(error, socket.gaierror) else "it is not a valid name"
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return DnsFailure(f"The name {host!r} could not be looked up just now: {reason}.")
    return DnsFailure(f"The name {host!r} does not resolve: {reason}.")


def connect_failure(where: str, error: OSError) -> EgressError:
    """The failure for an address that could not be connected to.

    Args:
        where: ``host:port`` as the URL has it.
    """
    if error.errno == errno.ECONNREFUSED:
        return Refused(f"{where} refused the connection; nothing listens there.")
    if error.errno == errno.ETIMEDOUT:
        return ConnectTimedOut(f"{where} did not answer the attempt to connect.")
    return Unreachable(f"{where} cannot be reached: {error.strerror or error}.")


def tls_failure(where: str, error: BaseException) -> TlsFailure:
    """The failure for a handshake that went wrong; ``error`` is what trio or ssl raised."""
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = f"its certificate is not accepted ({cause.verify_message})"
    elif isinstance(cause, ssl.SSLError):
        reason = (cause.reason or str(cause)).replace("_", " ").lower()
    else:
        reason = "the connection ended during the handshake"
    return TlsFailure(f"TLS with {where} failed: {reason}.")
