"""Takes secrets out of what is about to be shown: by what they look like, and those that are known.
Pure.

No secret or token ever reaches a log, an error or a metric. Whoever logs should not log secrets in
the first place; this is the net below, for query strings in access logs, headers in exception texts
and the like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import zip_longest
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


# -- secrets that are known ------------------------------------------------------------------

KNOWN_MIN = 6
"""Characters of the shortest value that is looked for: shorter ones are everywhere."""
_ANYWHERE = 16
"""Characters of a value that is masked inside a longer word as well."""
_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")


def hidden_texts(value: Any, shown: Any) -> list[str]:
    """Every text in a value of JSON that is not in the same place of what is shown of it."""
    if isinstance(value, Mapping):
        there = shown if isinstance(shown, Mapping) else {}
        return [text for key, item in value.items() for text in hidden_texts(item, there.get(key))]
    if isinstance(value, list | tuple):
        items = shown if isinstance(shown, list | tuple) else ()
        pairs = list(zip_longest(value, items))[: len(value)]
        return [text for item, other in pairs for text in hidden_texts(item, other)]
    return [value] if isinstance(value, str) and value != shown else []


class Known:
    """Secrets to mask in texts that may repeat them, escaped as JSON, HTML or URLs write them, in
    letters of either case, and with white space (of broken lines) between their characters.

    Args:
        values: those of less than :data:`KNOWN_MIN` characters are left out.
    """

    def __init__(self, values: Iterable[str]) -> None:
        # A header's value is often a scheme and what is secret.
        parts = {part for value in values for part in (value, value.partition(" ")[2])}
        # Longest first: none leaves the rest of one that it is part of.
        wanted = sorted((part for part in parts if len(part) >= KNOWN_MIN), key=len, reverse=True)
        self._values = [
            (value, _squeezed(_longest_plain(value)), _pattern(value)) for value in wanted
        ]
        self._traces = {
            trace for item in self._values for trace in (item[1], _squeezed(item[0][:KNOWN_MIN]))
        }

    def may_be_in(self, text: str) -> bool:
        """Whether :meth:`mask` need be asked at all: nearly no answer repeats anything."""
        squeezed = _squeezed(text)
        return any(trace in squeezed for trace in self._traces)

    def mask(self, text: str) -> str:
        """The text with each of the secrets masked; one that the end cuts off as well."""
        squeezed = _squeezed(text)
        for value, plain, pattern in self._values:
            if plain in squeezed:
                text = pattern.sub(MASK, text)
            text = _mask_cut(text, value)
        return text


def _squeezed(text: str) -> str:
    return "".join(text.lower().split())


def _longest_plain(value: str) -> str:
    return max(_PLAIN.findall(value), key=len, default="")


def _pattern(value: str) -> re.Pattern[str]:
    text = ""
    for before, char in zip(" " + value, value, strict=False):
        # Not beside the value's own white space: two ways to read the same would take for ever.
        text += "" if before.isspace() or char.isspace() else r"\s*"
        text += re.escape(char) if _PLAIN.match(char) else _spellings(char)
    if len(value) < _ANYWHERE:
        # A path begins with a slash: before it there may be a host.
        text = (r"(?<![A-Za-z0-9])" if value[0].isalnum() else "") + text + r"(?![A-Za-z0-9])"
    return re.compile(text, re.IGNORECASE)


def _spellings(char: str) -> str:
    percent = "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
    ways = [re.escape(char), percent, rf"u{ord(char):04x}", "&#?[a-z0-9]{1,6};"]
    if char == " ":
        ways.append(r"\+")
    return rf"\\{{0,8}}(?:{'|'.join(ways)})"


def _mask_cut(text: str, value: str) -> str:
    value, end = value.lower(), text[-len(value) :].lower()
    if value[:KNOWN_MIN] not in end:
        return text
    for length in range(min(len(value) - 1, len(text)), KNOWN_MIN - 1, -1):
        if end.endswith(value[:length]):
            return text[:-length] + MASK
    return text
