"""Takes secrets out of what is about to be shown. Pure.

No secret or token ever reaches a log, an error or a metric. Whoever logs should not log secrets in
the first place; this is the net below, for query strings in access logs, headers in exception texts
and the like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

_NAME = r"(?:token|secret|api[_-]?key|ticket|password|passwd|authorization|cookie)s?"
_SECRET_KEY = re.compile(rf"(?:.*[_.-])?{_NAME}", re.IGNORECASE)
"""A whole key: ``bootstrap_token`` and ``X-API-Key`` are secrets, ``ticket_id`` is not."""

_SECRET_TEXT = re.compile(
    rf"(?P<query>\b(?:[a-z0-9]+[_-])*{_NAME}=)[^&\s\"'<>#,;)\]}}]+"
    r"|(?P<bearer>\bbearer\s+)[a-z0-9._~+/=-]{8,}"
    r"|(?P<user>://[^/\s:@\"']*:)[^/\s@]+(?=@)"
    r"|(?P<token>\bh[ht]_)[a-z0-9_.-]+"
    r"|(?P<whsec>\bwhsec_)[a-z0-9+/=_-]+",
    re.IGNORECASE,
)

_DEEPEST = 6


def redact_text(text: str) -> str:
    """The text with every token, key and password in it masked.

    Masked are the values of query parameters and ``key=value`` pairs whose name says so, bearer
    tokens, passwords in URLs, and whatever looks like a hub's token (``hh_…``), a ticket
    (``ht_…``) or a signing secret (``whsec_…``).
    """
    return _SECRET_TEXT.sub(_mask, text)


def _mask(found: re.Match[str]) -> str:
    return (found[found.lastgroup] if found.lastgroup else "") + MASK


def is_secret_key(key: str) -> bool:
    """Whether a field of this name holds a secret."""
    return _SECRET_KEY.fullmatch(key) is not None


def redact(value: Any) -> Any:
    """A copy of the value without secrets: mappings and sequences are walked, texts masked.

    A number, a truth value or None below a secret key is kept: ``tokens: 3`` counts them.
    """
    return _redact(value, _DEEPEST)


def _redact(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "backslashreplace"))
    if depth == 0:
        return redact_text(repr(value)) if not isinstance(value, Mapping | list | tuple) else "…"
    if isinstance(value, Mapping):
        return {_text(key): redact_field(_text(key), item, depth) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return _redact_items(value, depth)
    return redact_text(repr(value))


def _redact_items(value: Any, depth: int) -> Any:
    items = list(value)
    if len(items) == 2 and isinstance(items[0], str | bytes):
        # A header or a query parameter as a pair.
        return [_redact(items[0], depth), redact_field(_text(items[0]), items[1], depth)]
    return [_redact(item, depth - 1) for item in items]


def redact_field(key: str, value: Any, depth: int = _DEEPEST) -> Any:
    """The value of a field as it may be shown below this key."""
    if is_secret_key(key) and value is not None and not isinstance(value, bool | int | float):
        return MASK
    return _redact(value, depth - 1)


def _text(key: Any) -> str:
    return key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else str(key)
