"""The part of a webhook that the sink itself needs: where to send, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from hookhub.contracts.errors import FieldError, ValidationFailed
from hookhub.contracts.events import field_errors
from hookhub.contracts.routes import Body
from hookhub.egress import Egress

NAME = "webhook"
"""The sink's name."""

TIMEOUT_MAX = 60.0
HEADERS_MAX = 30
HEADERS_SIZE_MAX = 8 * 1024
"""Bytes of all custom headers together: many servers take no more than that of a whole head."""
MASK = "********"
"""What is shown in place of a custom header's value: it may be a password."""
CUT = "…"
"""What is shown in place of a URL's path and query: with chat services they are the password."""
SEGMENT_MIN, PARAMETER_MIN = 16, 8
"""Characters of the parts of a URL that look like passwords: of paths and of queries."""
TARGET_MIN = 6
"""Characters of a whole path or query that is looked for: shorter ones are everywhere."""

# RFC 9110 §5.1 and §5.6.2: a field name is a token; §5.5: a value is printable, and neither begins
# nor ends with a space. ASCII only: of anything else receivers make what they like.
_TOKEN = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"  # noqa: S105 - no password
_VALUE = r"^([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?$"
# For the documentation; the egress guard reads URLs more closely, and says what is wrong.
_URL = r"^https?://[^\x00-\x20\x7f-\xa0\\/?#@]+([/?][^\x00-\x20\x7f-\xa0\\#]*)?$"

# What HTTP/1.1 itself needs (RFC 9110 §7.6.1, RFC 9112 §6): not a webhook's to say.
_CONNECTION_HEADERS = frozenset(
    (
        *("connection", "content-encoding", "content-length", "expect", "host", "http2-settings"),
        *("keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te"),
        *("trailer", "transfer-encoding", "upgrade"),
    )
)
# They say what kind of answer is wanted.
_SHOWN_HEADERS = frozenset(("accept", "accept-charset", "accept-encoding", "accept-language"))
_HUB_HEADERS = frozenset(("content-type", "user-agent"))
_HUB_PREFIXES = ("x-webhook-", "webhook-")

# The normal form of a URL has it so.
_CUT_IN_URL = "%E2%80%A6"

HeaderName = Annotated[str, StringConstraints(pattern=_TOKEN, max_length=128)]
HeaderValue = Annotated[str, StringConstraints(pattern=_VALUE, max_length=4096)]
Format = Literal["payload", "envelope"]
Url = Annotated[str, Field(min_length=1, max_length=2048, json_schema_extra={"pattern": _URL})]
Headers = Annotated[
    dict[HeaderName, HeaderValue],
    Field(max_length=HEADERS_MAX, json_schema_extra={"additionalProperties": False}),
]
Timeout = Annotated[float, Field(ge=1, le=TIMEOUT_MAX, allow_inf_nan=False)]
Certificates = Annotated[str, StringConstraints(min_length=1, max_length=64 * 1024)]


class WebhookConfig(Body):
    """Where a webhook's requests go and how they look."""

    url: Url = Field(description="http or https; private addresses only if [egress] allows them")
    format: Format = Field(
        "payload",
        description="The body: the payload alone, or {type, timestamp, data, id} around it",
    )
    headers: Headers = Field(default_factory=dict, description="Sent with every request")
    timeout: Timeout | None = Field(
        None, description="Seconds for one whole attempt; else [delivery] timeout"
    )
    ca: Certificates | None = Field(
        None,
        description="Certificates (PEM) to trust for https, in place of the well-known ones: those "
        "of a private authority, or the receiver's own",
    )


CONFIG_FIELDS = tuple(WebhookConfig.model_fields)


def check_config(config: Mapping[str, Any], egress: Egress) -> dict[str, Any]:
    """The configuration as it is stored: complete, URL and certificates in their normal form.

    Raises:
        ValidationFailed: names every wrong field.
        EgressBlocked: the URL's address may not be called.
    """
    try:
        valid = WebhookConfig.model_validate(dict(config))
    except ValidationError as error:
        raise _invalid(field_errors(error)) from None
    errors = header_errors(valid.headers)
    if errors:
        raise _invalid(errors)
    valid.url = egress.check_url(valid.url)
    if valid.url.endswith(f"/{_CUT_IN_URL}"):
        raise _invalid(
            [{"loc": ["url"], "msg": f"ends with {CUT}, which only stands for the rest"}]
        )
    if valid.ca is not None:
        valid.ca = egress.check_trust(valid.ca)
    return valid.model_dump(exclude_none=True)


def _invalid(errors: list[FieldError]) -> ValidationFailed:
    first = errors[0]
    place = ".".join(map(str, first["loc"]))
    return ValidationFailed(f"{place}: {first['msg']}.", errors=errors)


def header_errors(headers: Mapping[str, str]) -> list[FieldError]:
    """What is wrong with custom headers beyond their spelling."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for name, value in headers.items():
        # Servers that hand headers on as variables (CGI, WSGI) make no difference between the two.
        same = name.lower().replace("_", "-")
        finding = _header_error(same, value, seen)
        seen.add(same)
        if finding:
            errors.append({"loc": ["headers", name], "msg": finding})
    size = sum(len(name) + len(value) + len(": \r\n") for name, value in headers.items())
    if size > HEADERS_SIZE_MAX:
        finding = f"are {size} bytes together; the most is {HEADERS_SIZE_MAX}"
        errors.append({"loc": ["headers"], "msg": finding})
    return errors


def _header_error(name: str, value: str, seen: set[str]) -> str | None:
    if name in seen:
        return "is there twice (names have no case, and '_' counts as '-')"
    if name in _CONNECTION_HEADERS:
        return "belongs to the connection and cannot be set"
    if name in _HUB_HEADERS or name.startswith(_HUB_PREFIXES):
        return "is the hub's own and cannot be set"
    if value == MASK:
        return f"has {MASK} as its value, which only stands for a value that is not shown"
    return None


def origin_of(url: str) -> tuple[str, ...]:
    """Scheme, host and port of a URL in its normal form."""
    return tuple(url.split("/", 3)[:3])


def shown_url(url: str) -> str:
    """A URL as it is shown to those who may not change it: without its path and query."""
    return f"{'/'.join(origin_of(url))}/{CUT}" if len(_target(url)) > 1 else url


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Custom headers as they are shown to anybody."""
    return {name: value if _is_shown(name) else MASK for name, value in headers.items()}


def redact_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it is shown to anybody."""
    headers = shown_headers(config.get("headers", {}))
    return {**config, "url": shown_url(config.get("url", "")), "headers": headers}


def secret_values(config: Mapping[str, Any]) -> list[str]:
    """The values of headers that are not shown, the URL's path and query, and what in them looks
    like a password."""
    headers = config.get("headers", {})
    values = [value for name, value in headers.items() if not _is_shown(name)]
    target = _target(config.get("url", ""))
    path, _, query = target.partition("?")
    # All of it is hidden in the URL that is shown, whatever it looks like.
    values += [part for part in (target, path, query) if len(part) >= TARGET_MIN]
    values += [part for part in path.split("/") if len(part) >= SEGMENT_MIN]
    parameters = [item.partition("=")[2] for item in query.split("&")]
    return values + [value for value in parameters if len(value) >= PARAMETER_MIN]


def changed_config(
    stored: Mapping[str, Any], sent: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The whole configuration after a change of some of its fields.

    A masked header is the one that is stored. Headers whose values are not shown are for the
    origin that they were given for: at another one they are dropped unless they are given again.

    Args:
        stored: as :func:`check_config` returned it.
        sent: its URL in the normal form.

    Returns:
        the configuration, and the names of the headers that were dropped.
    """
    config = {**stored, **sent}
    old = stored.get("headers", {})
    given = sent.get("headers", shown_headers(old))
    known = {name.lower(): value for name, value in old.items()}
    moved = "url" in stored and origin_of(config["url"]) != origin_of(stored["url"])
    masked = [name for name, value in given.items() if value == MASK and name.lower() in known]
    dropped = masked if moved else []
    config["headers"] = {
        name: known[name.lower()] if name in masked else value
        for name, value in given.items()
        if name not in dropped
    }
    return config, dropped


def _is_shown(name: str) -> bool:
    return name.lower() in _SHOWN_HEADERS


def _target(url: str) -> str:
    return url[len("/".join(origin_of(url))) :]
