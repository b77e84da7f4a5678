"""What an answer means. Pure decisions."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from hookhub.contracts.sinks import AttemptResult, Outcome

_FAR = 10**9
_SECONDS = re.compile(r"[0-9]+")
_LOCATION_SHOWN = 200
_MAY_ASK_TO_WAIT = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def is_success(status: int) -> bool:
    """Whether an answer with this status means that the receiver has it."""
    return 200 <= status < 300


def judge(
    status: int,
    header: Callable[[str], str | None],
    body: str | None,
    now: float,
    *,
    remark: str | None = None,
    timings: Mapping[str, float] | None = None,
    fields: Sequence[tuple[bytes, bytes]] = (),
) -> AttemptResult:
    """The result of an answer.

    Args:
        header: a header field of it; asked for in lower case.
        body: its first part as text.
        now: Unix seconds, to turn a date in ``Retry-After`` into a span.
        remark: what is to be said of the body.
        timings: seconds by phase.
        fields: all header fields of it, to be kept.
    """
    timings = timings or {}
    if is_success(status):
        return AttemptResult(
            Outcome.DELIVERED,
            status,
            body,
            error_message=remark,
            timings=timings,
            response_headers=fields,
        )
    gone = status == HTTPStatus.GONE
    return AttemptResult(
        Outcome.GIVE_UP if gone else Outcome.RETRY,
        status,
        body,
        error="status",
        error_message=_sentence(status, header("location")),
        retry_after=parse_retry_after(header("retry-after"), now)
        if status in _MAY_ASK_TO_WAIT
        else None,
        disable_endpoint=gone,
        timings=timings,
        response_headers=fields,
    )


def _sentence(status: int, location: str | None) -> str:
    try:
        name = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        name = str(status)
    if status == HTTPStatus.GONE:
        return f"The receiver answered {name}: it wants no more; the webhook is disabled."
    if 300 <= status < 400 and location:
        # Whole or not at all: of a secret that it repeats, a part would not be found and masked.
        target = repr(location) if len(location) <= _LOCATION_SHOWN else "a long address"
        return (
            f"The receiver answered {name} to {target}; redirects are not followed, so set the "
            "webhook's url to where it should go."
        )
    return f"The receiver answered {name}."


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait from ``Retry-After`` (RFC 9110 §10.2.3): seconds or a date.

    Args:
        now: Unix seconds.

    Returns:
        0 or more; None if there is no such header or it says neither.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text) if len(text) < len(str(_FAR)) else float(_FAR)
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            # RFC 9110 §5.6.7: a date is always in UTC, also in the form that does not say so.
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def decode_body(data: bytes, *, cut: bool) -> str:
    """A receiver's answer as text that every database keeps.

    Args:
        cut: there was more of it: a character at the end may be incomplete, and is left out.
    """
    if cut:
        text = codecs.getincrementaldecoder("utf-8")("replace").decode(data)
    else:
        text = data.decode("utf-8", "replace")
    return text.replace("\x00", "\ufffd")
