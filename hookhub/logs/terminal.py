"""What others wrote, harmless to a terminal. Pure.

Control characters steer it, bidirectional overrides turn the text around, and what is invisible
makes two names look the same.
"""

from __future__ import annotations

import json
import re

CONTROLS = r"\x00-\x1f\x7f-\x9f"
"""C0 and C1 (ECMA-48), line breaks and tabs included; a part of a regular expression's class."""
UNSEEN = (
    # Soft hyphen, Arabic letter mark, Mongolian vowel separator, zero width and directional marks,
    # separators of lines and paragraphs, embeddings and overrides, invisible operators, isolates.
    r"\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f"
    # Letters and marks without a shape: fillers of Hangul, inherent vowels of Khmer, the grapheme
    # joiner, the empty pattern of Braille. Variation selectors stay: emoji need them.
    r"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
)
"""Formatting characters (Unicode's Cf, Zl and Zp), tags, halves of surrogate pairs, and what else
has no shape."""

_UNSAFE = re.compile(rf"(?![\n\t])[{CONTROLS}{UNSEEN}]")


def spelt_out(text: str) -> str:
    """The text with such characters as ``\\x1b`` and ``\\u202e``; line breaks and tabs stay."""
    return _UNSAFE.sub(_spell, text)


def _spell(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else found[0].encode("unicode_escape").decode()


def spelt_out_json(text: str) -> str:
    """JSON text with such characters as JSON escapes them: it means the same."""
    return _UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text)
