"""What single values must look like. Pure; each check returns its value or raises ValueError."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_PROXY = re.compile(r"https?://([^\s:/?#@]*(:[^\s:/?#@]*)?@)?[\x21-\x3f\x41-\x7e]+", re.IGNORECASE)
_DOMAIN = re.compile(r"\.?[a-zA-Z0-9_]([a-zA-Z0-9_-]*)(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]*))*\.?")
_ADDRESS_LIKE = re.compile(r"(^|\.)[0-9]+\.?$")
_BIND = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^\[\]:/\s]*)):(?P<port>\d{1,5})")


class Bind(NamedTuple):
    """An address to listen on."""

    host: str
    """Without brackets; empty for every address of the machine."""
    port: int
    """0 lets the system choose."""
    path: str | None = None
    """Of a Unix socket, in place of both."""


def parse_bind(value: str) -> Bind:
    """Read ``host:port``, ``:port``, ``[v6]:port`` or ``unix:/path``. Raises ValueError."""
    if value.startswith("unix:"):
        if len(value) > len("unix:"):
            return Bind("", 0, value.removeprefix("unix:"))
        raise ValueError("needs a path after 'unix:', such as 'unix:/run/hookhub.sock'")
    found = _BIND.fullmatch(value)
    if found is None:
        raise ValueError(
            "must be 'host:port' ('127.0.0.1:8080'), '[v6]:port' ('[::1]:8080') or 'unix:/path'"
        )
    if int(found["port"]) > 65535:
        raise ValueError("must have a port between 0 and 65535")
    if found["v6"] is not None:
        _check_v6(found["v6"])
    return Bind(found["v6"] or found["host"], int(found["port"]))


def check_bind(value: str) -> str:
    """See :func:`parse_bind`."""
    parse_bind(value)
    return value


def _check_v6(text: str) -> None:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError("must have an IPv6 address in its brackets: '[::1]:8080'") from None


def check_public_url(value: str) -> str:
    """How browsers reach the hub: an http(s) URL with a host; a final slash is dropped."""
    parts = _split(value)
    if parts is None or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be a URL such as 'https://hub.example.com'")
    if parts.path.rstrip("/").endswith(("/admin", "/docs")):
        raise ValueError("must be the hub's own URL, without the panel's /admin/ or /docs")
    return value.rstrip("/")


def check_origin(value: str) -> str:
    """A browser's Origin (RFC 6454): ``https://host[:port]`` and nothing more, or ``*``."""
    parts = _split(value)
    if value != "*" and (parts is None or f"{parts.scheme}://{parts.netloc}" != value):
        raise ValueError("must be an origin such as 'https://app.example.com' (no path), or '*'")
    return value


def _split(value: str) -> SplitResult | None:
    try:
        parts = urlsplit(value)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        return None
    return parts if known else None


def check_database_url(value: str) -> str:
    """``sqlite:///FILE`` or ``postgresql://…``. The value is never in the message: passwords."""
    if value.startswith("sqlite:///") and len(value) > len("sqlite:///"):
        return value
    if value.startswith("postgresql://"):
        return value
    raise ValueError(
        "must be 'sqlite:///FILE' (four slashes for an absolute path) or "
        "'postgresql://USER:PASSWORD@HOST/NAME'"
    )


def check_network(value: str) -> str:
    """A network in CIDR notation, or a single address."""
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(_network_hint(value)) from None
    return value


def check_trusted_proxy(value: str) -> str:
    """A network, an address, or ``unix`` for whoever connects by a Unix socket."""
    return value if value == "unix" else check_network(value)


def _network_hint(value: str) -> str:
    try:
        meant = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return "must be a network ('10.0.0.0/8', 'fd00::/8') or one address"
    return f"has bits set after its prefix; did you mean '{meant}'?"


def check_proxy(value: str) -> str:
    """A proxy to call through. The value is never in the message: passwords."""
    parts = _split(value)
    tail = None if parts is None else (parts.path.strip("/"), parts.query, parts.fragment)
    if parts is None or tail != ("", "", "") or not _PROXY.fullmatch(value) or parts.port == 0:
        raise ValueError(
            "must be a URL such as 'http://proxy.example.com:3128' or "
            "'http://USER:PASSWORD@proxy.example.com:3128', in which ':', '/', '?', '#', '@' and "
            "'%' of the name and password are percent-encoded"
        )
    return value


def check_bypassed(value: str) -> str:
    """A name whose hosts, or a network whose addresses, are called without the proxy."""
    try:
        return check_network(value)
    except ValueError:
        if _DOMAIN.fullmatch(value) and not _ADDRESS_LIKE.search(value):
            return value
    raise ValueError(
        "must be a name ('example.com', for it and all names below it) or a network ('10.0.0.0/8')"
    )


def check_plugin_name(value: str) -> str:
    """The name of a plugin: a word in lower case."""
    if not PLUGIN_NAME.fullmatch(value):
        raise ValueError("must be a plugin's name: a word in lower case")
    return value
