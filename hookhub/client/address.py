"""The address of a hub and a token for it, as people give them. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import httpx

from hookhub.contracts.errors import ConfigError

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_PAGES = re.compile(r"/(?:admin|docs|ws|openapi\.json|asyncapi\.json)/*$")
"""What people copy from a browser or a configuration, at the end of the hub's own address."""
_BARE = re.compile(r"(?:localhost|\[[\da-f:]+\]|[\w-]+(?:\.[\w-]+)+)(?::\d+)?")
"""A host, perhaps with its port, without a scheme."""
_TOKEN = re.compile(r"[!-~]+")


def hub_address(text: str) -> str:
    """The address that the API's paths are added to: ``http://hub:8080``, with a proxy's prefix.

    The panel's address is understood, and that of ``/docs`` or of the live feed (``ws://…/ws``).

    Raises:
        ConfigError: it is no such address; says what to write, and repeats no secret.
    """
    text = text.strip()
    if "@" in text or "?" in text:
        raise ConfigError(
            "The address of a hub has no user, password or query; write it like "
            "http://127.0.0.1:8080, and give the token apart from it."
        )
    try:
        parts = urlsplit(text)
        httpx.URL(text)
        parts.port  # noqa: B018 - reading it checks it
    except (ValueError, httpx.InvalidURL):
        raise _no_address(text) from None
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname or " " in parts.netloc:
        raise _no_address(text)
    return f"{scheme}://{parts.netloc}{_PAGES.sub('', parts.path).rstrip('/')}"


def _no_address(text: str) -> ConfigError:
    bare = _BARE.match(text)
    meant = f"http://{bare[0]} or https://{bare[0]}" if bare else "http://127.0.0.1:8080"
    return ConfigError(f"{text!r} is not the address of a hub; write it like {meant}.")


def nowhere(url: str) -> str | None:
    """The sentence for an address with a path where no hub answers; None if it has no path."""
    path = urlsplit(url).path
    if not path:
        return None
    return f"There is no hub at {url}; leave {path!r} out, unless a proxy has the hub there."


def authorization(token: str) -> dict[str, str]:
    """The header that carries the token.

    Raises:
        ConfigError: the token cannot be one of hookhub's; it is not repeated in the message.
    """
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            "The token is empty or holds spaces or other characters that no token has; copy it "
            "again as `hookhub token create` printed it."
        )
    return {"Authorization": f"Bearer {token}"}
