"""Every error hookhub raises on purpose.

One small tree. Each class carries the stable problem ``code`` and the HTTP ``status`` that
``hookhub.http.problems`` puts into an RFC 9457 problem document, so that the same mistake reads
the same in Python, over REST and on the command line. The message is always a sentence for a
person: what was wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict

PROBLEM_TYPE = "urn:hookhub:problem:"
"""What the ``type`` of every problem document begins with; the code follows."""

RESERVED_MEMBERS = frozenset({"type", "title", "status", "detail", "instance", "code", "errors"})
"""Members of a problem document that mean the same in each (RFC 9457 §3.1, and ours)."""


NOTHING_HERE = "There is nothing at this address; /docs lists all there is."
"""What :class:`NotFound` says of an address that a hub does not serve at all."""


class FieldError(TypedDict):
    """One wrong field: where it is (``["payload", "user_id"]``) and what is wrong with it."""

    loc: list[str | int]
    msg: str


class HookhubError(Exception):
    """Base of all errors of hookhub.

    Args:
        detail: a sentence for a person.
        errors: the wrong fields, if the error is about fields.
        members: further members of the problem document (JSON-compatible); they may not be named
            as those that each has (:data:`RESERVED_MEMBERS`).
        headers: HTTP headers that the answer must carry (``Retry-After``, ``Allow`` …).

    Raises:
        ValueError: a member has such a name.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    """Unless a class says it, its code in words."""

    def __init_subclass__(cls) -> None:
        if "code" in vars(cls) and "title" not in vars(cls):
            cls.title = cls.code.replace("_", " ").capitalize()

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        taken = RESERVED_MEMBERS.intersection(members or ())
        if taken:
            raise ValueError(
                f"Every problem document has its own {', '.join(sorted(taken))}; give the further "
                "member another name, such as 'ticket_status'."
            )
        self.detail = detail
        self.errors = list(errors)
        self.members = dict(members or {})
        self.headers = dict(headers or {})

    def problem(self) -> dict[str, Any]:
        """The problem document (RFC 9457) that tells of this error."""
        document: dict[str, Any] = {
            **self.members,
            "type": PROBLEM_TYPE + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            document["errors"] = self.errors
        return document


class ConfigError(HookhubError):
    """A setting is misspelt, of the wrong type, or impossible; names the key and its place."""

    code = "bad_configuration"


class PluginError(HookhubError):
    """A plugin could not be loaded, or two plugins claim the same name; names the culprits."""

    code = "plugin_error"


class StoreError(HookhubError):
    """The database cannot be used: not a database, no permission, migrations missing …"""

    code = "store_error"


class StoreUnavailable(StoreError):
    """The database did not take the write now (busy, full, disconnected); nothing was stored."""

    code = "store_unavailable"
    status = 503


class StatementRefused(StoreUnavailable):
    """The database works, but refused a wrong statement of some plugin; nothing was stored."""

    code = "statement_refused"
    status = 500


class MalformedRequest(HookhubError):
    """The request cannot be read at all: not JSON, not UTF-8, nested too deeply."""

    code = "malformed_request"
    status = 400


class Unauthorized(HookhubError):
    """No token, or one that is unknown, expired or revoked."""

    code = "unauthorized"
    status = 401


class Forbidden(HookhubError):
    """The token is good but lacks the scope."""

    code = "missing_scope"
    status = 403
    title = "Forbidden"


class NotFound(HookhubError):
    """There is nothing at this address, or nothing with this id."""

    code = "not_found"
    status = 404


class UnreadableEvent(NotFound):
    """The event is stored, but cannot be written as JSON: it came past every check."""

    code = "unreadable_event"


class MethodNotAllowed(HookhubError):
    """The address exists, but not for this method."""

    code = "method_not_allowed"
    status = 405


class Conflict(HookhubError):
    """Something unique is taken; names what it collides with."""

    code = "conflict"
    status = 409


class PayloadTooLarge(HookhubError):
    """A body or a payload is over its limit; says the limit."""

    code = "payload_too_large"
    status = 413


class UnsupportedMediaType(HookhubError):
    """The Content-Type is not one that the route takes; names those it does."""

    code = "unsupported_media_type"
    status = 415


class ValidationFailed(HookhubError):
    """The request was read, but fields are wrong; ``errors`` names every one."""

    code = "validation_failed"
    status = 422


class UnknownEventType(ValidationFailed):
    """No plugin declares this event type; names the nearest one that is declared."""

    code = "unknown_event_type"


class IdempotencyMismatch(ValidationFailed):
    """The idempotency key (or event id) was used before with another body."""

    code = "idempotency_mismatch"
    title = "Idempotency key reused"


class InvalidCursor(ValidationFailed):
    """A cursor that this hub never gave out."""

    code = "invalid_cursor"


class UpgradeRequired(HookhubError):
    """The address speaks WebSocket, version 13; the request asks for another version or none."""

    code = "upgrade_required"
    status = 426


class TooManyRequests(HookhubError):
    """A limit on connections, requests or wrong tokens is reached."""

    code = "too_many_requests"
    status = 429


class EgressBlocked(HookhubError):
    """The address is private, loopback, link-local, multicast or metadata, and not allowed."""

    code = "blocked_address"
    status = 422


class Unavailable(HookhubError):
    """The hub is starting or stopping."""

    code = "unavailable"
    status = 503


def wrong_field(detail: str, *loc: str | int, msg: str | None = None) -> ValidationFailed:
    """The 422 for one field that a model cannot check by itself.

    Args:
        detail: a sentence for a person.
        loc: where the field is: ``"payload", "user_id"``; nothing for the whole body.
        msg: what is wrong with it, if that is shorter than ``detail``.
    """
    return ValidationFailed(detail, errors=[{"loc": list(loc), "msg": msg or detail}])
