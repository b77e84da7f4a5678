"""How values become text, so that no value can change the shape of what the template wrote. Pure.

The writer sees everything that was written so far, in order. For JSON it follows whether that ends
inside a string, and writes the next value accordingly: inside, its text with everything escaped;
outside, the value as JSON. So ``"text": "Hello {{ payload.name }}"`` and ``"name": {{ payload.name
}}`` are both right, and no name of a user ends the string it stands in.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

from jinja2 import Undefined
from markupsafe import Markup

from hookhub.contracts.transforms import OUTPUT_MAX, TransformError

_MARK = re.compile(r'\\.?|"', re.DOTALL)


class JsonText(str):
    """Text that is JSON already: what ``tojson`` returns, and the template's own punctuation."""

    __slots__ = ()


def is_nothing(value: Any) -> bool:
    """Whether this is what ``{{ x if y }}`` gives when ``y`` is false: no mistake, unlike a member
    that is not there."""
    return type(value) is Undefined


def to_json(value: Any) -> JsonText:
    """A value as JSON, everything but half surrogate pairs as it is."""
    return JsonText(json.dumps(value, ensure_ascii=False, allow_nan=False, default=_refuse))


def _refuse(value: object) -> Any:
    if isinstance(value, Undefined):
        str(value)  # raises, with a sentence about what there is not
    raise TypeError(f"a {type(value).__name__} is nothing that can be written")


def to_text(value: Any) -> str:
    """A value as people read it: null is nothing, ``true`` is true, arrays and objects are JSON."""
    if isinstance(value, str):
        return value
    if value is None or is_nothing(value):
        return ""
    return to_json(value)


class ValueWriter:
    """Gathers what a template writes; plain text, in which nothing needs escaping."""

    def __init__(self) -> None:
        self._chunks: list[str] = []
        self._size = 0

    def value(self, value: Any) -> str:
        """How a value is written at this place."""
        return to_text(value)

    def feed(self, chunk: str) -> None:
        """Take the next piece, the template's own or a value as :meth:`value` gave it.

        Raises:
            TransformError: it is too much in all.
        """
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > OUTPUT_MAX:
            raise _too_large()

    def finish(self) -> bytes:
        """Everything that was written, in UTF-8.

        Raises:
            TransformError: it is too much, or not what it should be.
        """
        # Half surrogate pairs come in as \\ud800 in JSON, and can only leave as that.
        body = "".join(self._chunks).encode("utf-8", "backslashreplace")
        if len(body) > OUTPUT_MAX:
            raise _too_large()
        return body


class MarkupWriter(ValueWriter):
    """HTML and XML: values are text, unless a filter made markup of them."""

    def value(self, value: Any) -> str:
        return value if isinstance(value, Markup) else html.escape(to_text(value))


class JsonWriter(ValueWriter):
    """JSON: values are escaped inside strings and encoded outside."""

    def __init__(self) -> None:
        super().__init__()
        self._in_string = False
        self._in_escape = False

    def value(self, value: Any) -> str:
        if self._in_escape:
            raise TransformError("there is a backslash right before '{{'; take it out.")
        if self._in_string:
            return to_json(to_text(value))[1:-1]
        if is_nothing(value):
            return ""
        return value if isinstance(value, JsonText) else to_json(value)

    def feed(self, chunk: str) -> None:
        super().feed(chunk)
        start = 1 if self._in_escape and chunk else 0
        self._in_escape = self._in_escape and not chunk
        for mark in _MARK.findall(chunk, start):
            if mark == '"':
                self._in_string = not self._in_string
            elif mark == "\\":
                self._in_escape = True

    def finish(self) -> bytes:
        body = super().finish()
        try:
            json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            near = error.doc[max(0, error.pos - 30) : error.pos + 30]
            raise TransformError(
                f"The template makes no JSON: {error.msg} at line {error.lineno}, column "
                f"{error.colno}, near {near!r}."
            ) from None
        except (ValueError, RecursionError) as error:
            raise TransformError(f"The template makes no JSON: {error}.") from None
        return body


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _too_large() -> TransformError:
    return TransformError(f"The template makes more than {OUTPUT_MAX} bytes; write less.")


def writer_for(content_type: str) -> ValueWriter:
    """The writer for a content type: JSON, markup, or plain text."""
    media = content_type.partition(";")[0].strip().lower()
    if media.endswith(("/json", "+json")):
        return JsonWriter()
    if media == "text/html" or media.endswith(("/xml", "+xml")):
        return MarkupWriter()
    return ValueWriter()
