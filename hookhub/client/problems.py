"""Problem documents become the errors they were made of. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hookhub.contracts import errors
from hookhub.contracts.errors import HookhubError

# For answers that are not hookhub's own, or carry the code of a plugin's error.
_BY_STATUS: Mapping[int, type[HookhubError]] = {
    400: errors.MalformedRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    409: errors.Conflict,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    422: errors.ValidationFailed,
    429: errors.TooManyRequests,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
}


def _tree(root: type[HookhubError]) -> Iterator[type[HookhubError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


def error_class(code: object, status: int) -> type[HookhubError]:
    """The class of hookhub.contracts.errors with this code, or else the nearest one by status."""
    for found in _tree(HookhubError):
        if found.code == code and found.__module__ == errors.__name__:
            return found
    return _BY_STATUS.get(status, HookhubError)


def error_of(status: int, body: bytes, headers: Mapping[str, str], url: str) -> HookhubError:
    """Rebuild the error that an answer of 4xx or 5xx tells of.

    Args:
        status: HTTP status.
        body: the answer's body, a problem document (RFC 9457) if it came from hookhub.
        headers: the answer's headers.
        url: what was asked; named if the answer is not hookhub's.
    """
    document = problem_of(body)
    if document is None:
        return error_class(None, status)(
            f"{url} answered {status} without a problem document, so it is hardly hookhub that "
            "answered; check the address and the proxies before it.",
            headers=headers,
        )
    code = document.get("code")
    found = error_class(code, status)
    reserved = errors.RESERVED_MEMBERS
    members = {name: value for name, value in document.items() if name not in reserved}
    if found.code != code:
        members["problem_code"] = code
    return found(
        document["detail"],
        errors=document.get("errors") or (),
        members=members,
        headers=headers,
    )


def problem_of(body: bytes) -> dict[str, Any] | None:
    """The problem document that a body is; None if it is something else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("detail"), str):
        return None
    return document
