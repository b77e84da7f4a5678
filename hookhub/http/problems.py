"""Errors as RFC 9457 problem documents: one shape, one place.

Whatever goes wrong ends here: hookhub's own errors say their code, status and sentence; the web
framework's are given the same form; anything else becomes a 500 that says nothing but a number
to look for in the log.
"""

from __future__ import annotations

import json
import secrets

import structlog
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import HTTPException

from hookhub.contracts.errors import (
    NOTHING_HERE,
    HookhubError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
)
from hookhub.contracts.routes import Response

PROBLEM_JSON = "application/problem+json"

log = structlog.get_logger("hookhub.web")


class RequestTimedOut(HookhubError):
    """The head or the body of the request did not arrive in time."""

    code = "request_timeout"
    status = 408


class HeadersTooLarge(HookhubError):
    """The head of the request is over 16 KiB."""

    code = "headers_too_large"
    status = 431
    title = "Request header fields too large"


class NotImplementedHere(HookhubError):
    """The body has another transfer coding than ``chunked``."""

    code = "not_implemented"
    status = 501


class VersionNotSupported(HookhubError):
    """The request is of another version of HTTP than 1.0 and 1.1."""

    code = "http_version_not_supported"
    status = 505
    title = "HTTP version not supported"


class FieldProblem(BaseModel):
    """One wrong field."""

    loc: list[str | int] = Field(description='Where it is: `["payload", "user_id"]`')
    msg: str = Field(description="What is wrong with it")


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it; `code` is stable, `detail` is for a person."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`urn:hookhub:problem:` and the code")
    title: str
    status: int
    detail: str = Field(description="A sentence: what was wrong and what to do")
    code: str
    errors: list[FieldProblem] = Field(default=[], description="The wrong fields, if any")


def problem_response(error: BaseException, *, method: str = "", path: str = "") -> Response:
    """The answer to a request that failed; what is the hub's own fault is also logged."""
    known = _known(error, method)
    if known is None:
        return _document(_internal(error, method, path))
    return _document(known)


def _known(error: BaseException, method: str) -> HookhubError | None:
    """The error to show; None if its text must not be shown."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # a handler's nursery wrapped it
    if isinstance(error, HTTPException):
        return _translated(error, method)
    if isinstance(error, HookhubError) and error.status != 500:
        return error
    return None


def _translated(error: HTTPException, method: str) -> HookhubError | None:
    status = error.code or 500
    if status == 404:
        return NotFound(NOTHING_HERE)
    if status == 405:
        allowed = sorted(getattr(error, "valid_methods", None) or ())
        shown = ", ".join(allowed)
        return MethodNotAllowed(
            f"{method[:20]} is not possible at this address; use {shown}.",
            headers={"Allow": shown},
        )
    if status == 408:
        return RequestTimedOut("The body did not arrive in time; send it faster.")
    if status == 413:
        return PayloadTooLarge("The body is too large; send less.")
    if 400 <= status < 500:
        return MalformedRequest(f"The request cannot be read: {error.name}.")
    return None


def _internal(error: BaseException, method: str, path: str) -> HookhubError:
    incident = secrets.token_hex(6)
    log.error("http.failed", method=method, path=path, incident=incident, exc_info=error)
    return HookhubError(
        f"Something went wrong inside the hub; its log tells more under {incident}.",
        members={"incident": incident},
    )


def _document(error: HookhubError) -> Response:
    headers = dict(error.headers)
    if isinstance(error, Unauthorized):
        headers.setdefault("WWW-Authenticate", "Bearer")  # RFC 9110 §11.6.1 wants one with a 401
    body = json.dumps(error.problem()).encode()
    return Response(body, error.status, headers, content_type=PROBLEM_JSON)
