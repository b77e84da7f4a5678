"""A webhook's configuration: what is accepted, completed, refused and hidden."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import certifi
import pytest

from hookhub.config import EgressSettings
from hookhub.contracts.errors import EgressBlocked, ValidationFailed
from hookhub.egress import Egress
from hookhub_webhook.config import (
    MASK,
    changed_config,
    check_config,
    redact_config,
    secret_values,
)

URL = "https://example.com/hook"
CA = ssl.DER_cert_to_PEM_cert(
    ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)[0]
)
"""Any certificate."""


def check(**config: Any) -> dict[str, Any]:
    """A configuration, checked as the sink does."""
    return check_config({"url": URL, **config}, Egress(EgressSettings()))


def wrong(config: Mapping[str, Any]) -> list[list[str | int]]:
    """The places of what is wrong with it."""
    with pytest.raises(ValidationFailed) as caught:
        check(**config)
    assert caught.value.detail.endswith(".")
    return [error["loc"] for error in caught.value.errors]


def test_defaults() -> None:
    """A URL is enough."""
    assert check(url="HTTPS://Example.com") == {
        "url": "https://example.com/",
        "format": "payload",
        "headers": {},
    }


def test_everything() -> None:
    """What is given is kept, and what comes out is accepted again as it is."""
    config = {
        "url": URL,
        "format": "envelope",
        "headers": {"Authorization": "Bearer a b", "X-Empty": "", "accept": "*/*"},
        "timeout": 2.5,
        "ca": CA,
    }
    assert check(**config) == config
    assert check(**check(**config)) == config


@pytest.mark.parametrize("timeout", [1, 60, 1.5])
def test_timeout_within_limits(timeout: float) -> None:
    """An attempt may take 1 to 60 seconds."""
    assert check(timeout=timeout)["timeout"] == timeout


@pytest.mark.parametrize(
    ("config", "loc"),
    [
        ({"url": ""}, ["url"]),
        ({"url": None}, ["url"]),
        ({"url": "ftp://example.com/"}, ["url"]),
        ({"url": "https://user:pw@example.com/"}, ["url"]),
        ({"format": "xml"}, ["format"]),
        ({"timeout": 0}, ["timeout"]),
        ({"timeout": 61}, ["timeout"]),
        ({"timeout": float("nan")}, ["timeout"]),
        ({"timeout": "5"}, ["timeout"]),
        ({"timeout": True}, ["timeout"]),
        ({"ca": ""}, ["ca"]),
        ({"ca": "no certificate"}, ["ca"]),
        ({"ca": "x" * 70_000}, ["ca"]),
        ({"retry_schedule": [1]}, ["retry_schedule"]),
        ({"headers": []}, ["headers"]),
        ({"headers": {f"X-{n}": "" for n in range(31)}}, ["headers"]),
        ({"model": "x"}, ["model"]),
        ({"surprise": 1}, ["surprise"]),
    ],
)
def test_wrong_fields_are_named(config: dict[str, Any], loc: list[str | int]) -> None:
    """Each wrong field is refused under its name; unknown ones too."""
    assert loc in wrong(config)


@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "a\r\nb", "имя", "a\x00", "X-Header\n", "(x)", "x" * 129]
)
def test_header_names_are_tokens(name: str) -> None:
    """A header's name is a token of RFC 9110; nothing can be injected through it."""
    assert wrong({"headers": {name: "x"}})[0][:2] == ["headers", name]


@pytest.mark.parametrize(
    "value",
    [
        *("a\r\nX: y", "a\nb", "a\rb", "\x00", " a", "a ", "\t", "ü", "\x7f"),
        *("a\r\n b", "a\n", "a\r\n", "a\x0bb", "a\x85b", "a\u2028b", "a\u010a"),
    ],
)
def test_header_values_are_printable(value: str) -> None:
    """A header's value is printable ASCII in one line."""
    assert wrong({"headers": {"X-Own": value}}) == [["headers", "X-Own"]]


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Expect"),
        *("Proxy-Authorization", "Keep-Alive", "Trailer", "Content-Encoding", "content-type"),
        *("Content_Length", "Transfer_Encoding", "X_Webhook_Signature", "webhook_id", "USER_AGENT"),
        *("User-Agent", "X-Webhook-Signature", "x-webhook-anything", "webhook-id", "Webhook-Own"),
    ],
)
def test_reserved_headers(name: str) -> None:
    """The connection's headers and the hub's own cannot be set."""
    assert wrong({"headers": {name: "x"}}) == [["headers", name]]


def test_header_that_is_there_twice() -> None:
    """Two spellings of one name are one header twice."""
    assert wrong({"headers": {"X-Own": "a", "x-own": "b"}}) == [["headers", "x-own"]]


def test_header_that_is_there_twice_for_some_servers() -> None:
    """To a server that makes variables of headers, a dash and an underscore are one."""
    assert wrong({"headers": {"X-Own": "a", "X_Own": "b"}}) == [["headers", "X_Own"]]


def test_headers_have_a_size_in_all() -> None:
    """Thirty headers of four kilobytes are more than any server takes."""
    assert wrong({"headers": {f"X-{n}": "x" * 2040 for n in range(5)}}) == [["headers"]]
    assert check(headers={f"X-{n}": "x" * 2040 for n in range(4)})


def test_blocked_address() -> None:
    """A visibly private address is refused when the webhook is made."""
    with pytest.raises(EgressBlocked, match=r"\[egress\] allow"):
        check(url="http://169.254.169.254/latest/meta-data")


def test_what_may_be_a_password_is_not_shown() -> None:
    """A header may be one, and so may a URL's path: they are not shown, the rest is."""
    config = check(
        url="https://example.com/a?b", headers={"Authorization": "Bearer hunter2", "accept": "a/b"}
    )
    shown = redact_config(config)
    headers = {"Authorization": MASK, "accept": "a/b"}
    assert shown == {**config, "url": "https://example.com/…", "headers": headers}
    assert config["headers"]["Authorization"] == "Bearer hunter2"
    bare = check(url="https://example.com")
    assert redact_config(bare) == bare


def test_shortened_url_is_none() -> None:
    """Who sends back what was shown would lose the path."""
    assert wrong({"url": "https://example.com/…"}) == [["url"]]


def test_what_looks_like_a_password() -> None:
    """Values of headers, the whole path and query, and of their parts what is long: short words are
    everywhere."""
    url = "https://example.com/services/T0123456789abcdef/hook?event=new&token=hunter2-xyz"
    config = check(url=url, headers={"X-Key": "k", "Accept": "application/json"})
    assert secret_values(config) == [
        *("k", url.removeprefix("https://example.com"), "/services/T0123456789abcdef/hook"),
        *("event=new&token=hunter2-xyz", "T0123456789abcdef", "hunter2-xyz"),
    ]
    assert set(secret_values(check(url="https://example.com/s3cr3t"))) == {"/s3cr3t"}
    short = secret_values(check(url="https://example.com/p?k=S3cr3t"))
    assert short == ["/p?k=S3cr3t", "k=S3cr3t"]
    assert secret_values(check(url="https://example.com/hook")) == []


def test_masked_value_that_comes_back_keeps_the_stored_one() -> None:
    """A form that sends back what it was shown changes nothing; a mask for nothing is refused."""
    stored = check(headers={"Authorization": "Bearer hunter2", "X-Other": "a"})
    sent = {"authorization": MASK, "X-New": "b"}
    back, dropped = changed_config(stored, {"headers": sent})
    assert (back["headers"], dropped) == ({"authorization": "Bearer hunter2", "X-New": "b"}, [])
    unknown, _ = changed_config(stored, {"headers": {"X-Unknown": MASK}})
    assert wrong({"headers": unknown["headers"]}) == [["headers", "X-Unknown"]]
