"""Reading the URL of a receiver, once, strictly, into the form that is stored and dialled."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

import httpx
import idna

from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.routes import wrong_field
from hookhub.egress.guard.addresses import Guard, IPAddress

URL_MAX = 2048

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\\]")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_BRACKETS = re.compile(r"\[[^\[\]]+\](:[0-9]*)?")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")


def check_url(url: str, guard: Guard) -> str:
    """The URL in its normal form: lower-case host, IDNA, addresses spelt in the usual way.

    Raises:
        ValidationFailed: not an absolute http(s) URL, or with userinfo, a fragment, a bad host or
            a bad port.
        EgressBlocked: the host is visibly one that the guard refuses.
    """
    parts, port = _split(url)
    host = _check_host(parts, guard)
    default = {"http": 80, "https": 443}[parts.scheme]
    authority = host if port in (None, default) else f"{host}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    text = f"{parts.scheme}://{authority}{parts.path or '/'}{query}"
    try:
        parsed = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise _wrong(f"is not a URL: {error}") from None
    # Two parsers that read different hosts from one text are how guards are passed.
    same_host = parsed.raw_host.decode("ascii") == host.strip("[]")
    if not same_host or (parsed.port or default) != (port or default):
        raise _wrong("cannot be read without doubt; write its host plainly")
    return str(parsed)


def _split(url: str) -> tuple[SplitResult, int | None]:
    if len(url) > URL_MAX:
        raise _wrong(f"is longer than {URL_MAX} characters")
    if _FORBIDDEN.search(url):
        raise _wrong("has a space, control character or backslash in it; percent-encode it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _wrong(f"is not a URL: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise _wrong("must begin with http:// or https://")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise _wrong("must not hold a user name or password; send them in a custom header")
    if "#" in url:
        raise _wrong("must not have a fragment ('#…'); it is never sent")
    if not parts.hostname:
        raise _wrong("has no host")
    if port == 0:
        raise _wrong("has port 0; ports are 1 to 65535")
    return parts, port


def _check_host(parts: SplitResult, guard: Guard) -> str:
    """The host as it stands in the normal form, brackets included."""
    raw = parts.hostname or ""
    if "[" in parts.netloc or "]" in parts.netloc:
        if not _BRACKETS.fullmatch(parts.netloc):
            raise _wrong("has a host that is not a valid name or address")
        address = _ipv6(raw)
        guard.check_address(address, f"[{raw}]")
        return f"[{address}]"
    name = _ascii_name(raw)
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        address = _ipv4(name)
        guard.check_address(address, raw)
        return str(address)
    guard.check_name(name)
    return name


def literal_address(host: str) -> IPAddress | None:
    """The address that a host spells, in any spelling that resolvers take; None for a name.

    Raises:
        ValidationFailed: it looks like an address, but is none.
    """
    name = host.strip("[]").removesuffix(".")
    if ":" in name:
        return _ipv6(name)
    return _ipv4(name) if _NUMBER.fullmatch(name.rpartition(".")[2]) else None


def _ipv6(text: str) -> IPAddress:
    try:
        if "%" in text:
            raise ValueError
        return ipaddress.IPv6Address(text)
    except ValueError:
        raise _wrong(f"has the host [{text}], which is not an IPv6 address") from None


def _ascii_name(raw: str) -> str:
    name = raw
    if not raw.isascii():
        try:
            # UTS 46 maps what browsers map, full-width digits and dots included.
            name = idna.encode(raw, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise _wrong(f"has a host that is not a valid name: {error}") from None
    name = name.lower().removesuffix(".")
    if not _HOST.fullmatch(name):
        raise _wrong(f"has the host {raw[:100]!r}, which is not a valid name")
    return name


def _ipv4(name: str) -> ipaddress.IPv4Address:
    """An IPv4 address in any spelling that resolvers take (WHATWG URL, "IPv4 parser").

    ``2130706433``, ``0x7f.1`` and ``0177.0.0.1`` all are 127.0.0.1 to ``getaddrinfo``.
    """
    words = name.split(".")
    try:
        numbers = [_number(word) for word in words]
        if len(numbers) > 4 or any(number > 255 for number in numbers[:-1]):
            raise ValueError
        if numbers[-1] >= 256 ** (5 - len(numbers)):
            raise ValueError
    except ValueError:
        raise _wrong(f"has the host {name[:100]!r}, which is not an IPv4 address") from None
    value = numbers[-1]
    for position, number in enumerate(numbers[:-1]):
        value += number << (8 * (3 - position))
    return ipaddress.IPv4Address(value)


def _number(word: str) -> int:
    if word[:2] in ("0x", "0X"):
        return int(word[2:] or "0", 16)
    if len(word) > 1 and word.startswith("0"):
        return int(word, 8)
    return int(word, 10)


def _wrong(finding: str) -> ValidationFailed:
    return wrong_field(f"The URL {finding}.", "url")
