"""The way out: which URLs and addresses are called, how, and how failures are told apart.

Addresses that must not be called are given by a resolver of the test's own or stand in the URL;
nothing here leaves the loopback interface.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from hookhub.config import EgressSettings, load_settings
from hookhub.contracts.errors import ConfigError, EgressBlocked, ValidationFailed
from hookhub.egress import EGRESS_ERRORS, Egress, EgressError, classify
from hookhub.egress.http.answer_reader import MAX_HEAD
from hookhub.egress.http.connect import Dialled
from hookhub.egress.http.connection import ClientConnection
from hookhub.egress.http.failures import Disconnected
from hookhub.egress.http.idle import IdleConnections, Origin
from hookhub.egress.http.line import SocketLine
from hookhub.egress.http.tls import MAX_CONTEXTS, TlsContexts, check_trust
from hookhub.testing.receiver import (
    Behaviour,
    Close,
    Drip,
    Hang,
    Raw,
    Receiver,
    Reply,
    Reset,
    open_receiver,
)
from support.certificates import Authority

TLS = Path(__file__).parents[1] / "data" / "tls"
"""Self-signed certificates with their keys, for these tests only: localhost and other.example."""


class TrioResolver(trio.abc.HostnameResolver):
    """Looks names up as Trio does, so that a test can tell it the answers: :func:`resolve_with`."""

    async def getaddrinfo(self, *args: Any, **kwargs: Any) -> Any:
        return await trio.socket.getaddrinfo(*args, **kwargs)

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


def make_egress(
    *allow: str,
    connect_timeout: float = 5.0,
    trust: str | None = None,
    watch: float = 0,
    **settings: Any,
) -> Egress:
    """An egress that may call these networks and trusts one of the test certificates.

    It uses connections to new receivers again at once unless told to watch them.
    """
    context = ssl.create_default_context(cafile=TLS / trust) if trust else None
    return Egress(
        EgressSettings(allow=list(allow), **settings),
        connect_timeout=connect_timeout,
        ssl_context=context,
        resolver=TrioResolver(),
        watch=watch,
    )


@asynccontextmanager
async def open_egress(*allow: str, **options: Any) -> AsyncIterator[Egress]:
    """:func:`make_egress`, closed at the end; loopback is allowed unless told otherwise."""
    egress = make_egress(*(allow or ("127.0.0.0/8",)), **options)
    try:
        yield egress
    finally:
        await egress.aclose()


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    """An egress that may call 127.0.0.0/8."""
    async with open_egress() as opened:
        yield opened


def server_context(certificate: str) -> ssl.SSLContext:
    """A TLS server's context with one of the test certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / certificate)
    return context


async def post(
    egress: Egress, url: str, body: bytes = b"{}", **extensions: Any
) -> tuple[httpx.Response, bytes]:
    """One POST through the guarded transport, its answer read to the end; one owner's, unless told
    otherwise."""
    request = httpx.Request("POST", url, content=body, extensions={"owner": 1, **extensions})
    response = await egress.transport().handle_async_request(request)
    try:
        return response, b"".join([piece async for piece in response.aiter_raw()])
    finally:
        await response.aclose()


async def failure(egress: Egress, url: str, **extensions: Any) -> tuple[str, str]:
    """The word and the sentence for a POST that fails; hanging is a failure of the test."""
    with trio.fail_after(10), pytest.raises(EGRESS_ERRORS) as caught:
        await post(egress, url, **extensions)
    return classify(caught.value)


class Names(trio.abc.HostnameResolver):
    """A resolver that knows what the test tells it, and counts what it is asked."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: list[str] = []

    async def getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        answers = self.names.get(name)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


def resolve_with(**names: list[list[str]]) -> Names:
    """Answer look-ups in this test from a table: name (``_`` for a dot) to its answers in turn."""
    resolver = Names(**names)
    trio.socket.set_custom_hostname_resolver(resolver)
    return resolver


# -- URLs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.com:443/Hook?a=1&b=%20", "https://example.com/Hook?a=1&b=%20"),
        ("http://example.com:8080/", "http://example.com:8080/"),
        ("http://example.com./x", "http://example.com/x"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("http://my_service.example/", "http://my_service.example/"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://134744072/", "http://8.8.8.8/"),
        ("http://0x08.8.0x808/", "http://8.8.8.8/"),
        ("http://[2606:4700::0001]:81/", "http://[2606:4700::1]:81/"),
        ("http://[64:ff9b::808:808]/", "http://[64:ff9b::808:808]/"),
    ],
)
def test_url_is_brought_into_its_normal_form(given: str, normal: str) -> None:
    """An acceptable URL is stored in one spelling, and that spelling is a fixed point."""
    egress = make_egress()
    assert egress.check_url(given) == normal
    assert egress.check_url(normal) == normal


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "http://"),
        ("example.com", "http://"),
        ("ftp://example.com/", "http://"),
        ("javascript:alert(1)", "http://"),
        ("http://", "no host"),
        ("http:///path", "no host"),
        ("http://user@example.com/", "custom header"),
        ("http://user:secret@example.com/", "custom header"),
        ("http://@example.com/", "custom header"),
        ("http://example.com/#here", "fragment"),
        ("http://example.com/#", "fragment"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:65536/", "not a URL"),
        ("http://example.com:x/", "not a URL"),
        ("http://exa mple.com/", "space"),
        ("http://example.com/\r\nX: y", "space"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("http://example.com/" + "a" * 2048, "2048"),
        ("http://exam%70le.com/", "not a valid name"),
        ("http://-example.com/", "not a valid name"),
        ("http://a..b/", "not a valid name"),
        ("http://" + "a" * 64 + ".com/", "not a valid name"),
        ("http://1.2.3.4.5/", "not an IPv4 address"),
        ("http://1.2.3.400/", "not an IPv4 address"),
        ("http://4294967296/", "not an IPv4 address"),
        ("http://08.8.8.8/", "not an IPv4 address"),
        ("http://example.1/", "not an IPv4 address"),
        ("http://[::g]/", "URL"),
        ("http://[fe80::1%25eth0]/", "IPv6"),
        ("http://[v1.x]/", "URL"),
        ("http://ẞ\u200d.example/", "URL"),
    ],
)
def test_url_that_cannot_be_called_is_refused(url: str, says: str) -> None:
    """What is not a plain absolute http(s) URL is refused, in a sentence that says why."""
    with pytest.raises(ValidationFailed, match=says) as caught:
        make_egress("0.0.0.0/0", "::/0").check_url(url)
    assert caught.value.errors[0]["loc"] == ["url"]
    assert "secret" not in str(caught.value)


BLOCKED = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.0.0.0x1", "127.0.0.1."),
    *("0.0.0.0", "0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.9", "224.0.0.1", "239.255.255.250"),
    *("240.0.0.1", "255.255.255.255", "192.88.99.1"),
    *("127.0.0.1", "127。0。0。1"),
    *("[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a9fe:a9fe]"),
    *("[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::808:808]", "[::127.0.0.1]"),
    *("[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[fd20:ce::254]", "[ff02::1]"),
    *("[2001:db8::1]", "[3fff::1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[100::1]"),
    *("[5f00::1]", "[4000::1]", "[fec0::1]"),
    *("localhost", "LOCALHOST", "localhost.", "api.localhost", "ip6-localhost"),
    *("metadata.google.internal", "metadata", "instance-data", "metadata.goog."),
]


@pytest.mark.parametrize("host", BLOCKED)
def test_address_that_is_not_public_is_refused_in_every_spelling(host: str) -> None:
    """Private, local and metadata addresses are refused, and the sentence names the way out."""
    with pytest.raises(EgressBlocked, match=r"\[egress\] allow") as caught:
        make_egress().check_url(f"https://{host}/hook")
    assert caught.value.code == "blocked_address"
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("allow", "host"),
    [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/8", "localhost"),
        ("::1/128", "localhost"),
        ("::1", "[::1]"),
        ("127.0.0.0/8", "[::ffff:127.0.0.1]"),
        ("10.0.0.0/8", "10.9.8.7"),
        ("10.0.0.0/8", "[64:ff9b::10.9.8.7]"),
        ("fd00::/8", "[fd12::1]"),
        ("169.254.169.254/32", "metadata.google.internal"),
        ("0.0.0.0/0", "224.0.0.1"),
    ],
)
def test_allowed_network_opens_its_addresses(allow: str, host: str) -> None:
    """``[egress] allow`` opens a network, and the names that stand for it."""
    assert make_egress(allow).check_url(f"http://{host}/")


def test_allowed_network_opens_nothing_else() -> None:
    """Opening one network leaves the others closed."""
    egress = make_egress("10.0.0.0/8")
    for host in ("127.0.0.1", "localhost", "192.168.0.1", "[::1]", "metadata.google.internal"):
        with pytest.raises(EgressBlocked):
            egress.check_url(f"http://{host}/")


@pytest.mark.parametrize("item", ["10.0.0.1/8", "localhost", "10.0.0.0/33", ""])
def test_wrong_network_stops_the_start(item: str) -> None:
    """An item of ``[egress] allow`` that is no network is refused with the settings."""
    with pytest.raises(ConfigError, match=r"\[egress\] allow\[0\]"):
        load_settings(None, {"HOOKHUB_EGRESS__ALLOW": json.dumps([item])})


# -- Connecting ------------------------------------------------------------------------------------


async def test_request_arrives_as_it_was_given(egress: Egress) -> None:
    """Method, target, headers and body arrive to the byte, with nothing added but the length."""
    async with open_receiver(Reply(201, b"done", [("X-Answer", "yes")])) as receiver:
        request = httpx.Request(
            "POST",
            f"{receiver.url}?a=b%20c",
            content=b'{"a": 1}',
            headers={"Content-Type": "application/json", "X-Own": "a  b"},
        )
        response = await egress.transport().handle_async_request(request)
        assert await response.aread() == b"done"
        await response.aclose()
    assert (response.status_code, response.headers["x-answer"]) == (201, "yes")
    received = receiver.requests[0]
    assert (received.method, received.target) == ("POST", "/hook?a=b%20c")
    assert received.body == b'{"a": 1}'
    assert {name for name, _ in received.headers} == {
        *("host", "content-type", "content-length", "x-own")
    }
    assert received.header("host") == f"127.0.0.1:{receiver.port}"


async def test_address_is_checked_at_every_connection() -> None:
    """A literal address is refused when it is dialled, whatever was checked before."""
    async with open_receiver() as receiver:
        code, sentence = await failure(make_egress(), receiver.url)
        assert (code, receiver.connections) == ("blocked_address", 0)
        assert "[egress] allow" in sentence
        assert (await failure(make_egress(), f"http://2130706433:{receiver.port}/"))[0] == code


async def test_name_is_looked_up_once_and_its_checked_address_is_dialled(egress: Egress) -> None:
    """DNS rebinding does not get through: there is no second look-up to answer differently."""
    names = resolve_with(hook_example=[["127.0.0.1"], ["10.0.0.1"]])
    async with open_receiver() as receiver:
        url = f"http://hook.example:{receiver.port}/"
        response, _ = await post(egress, url)
        assert (response.status_code, names.asked) == (200, ["hook.example"])
        await egress.transport().aclose()
        code, sentence = await failure(egress, url)
        assert code == "blocked_address"
        assert "'hook.example'" not in sentence
        assert "hook.example (10.0.0.1) is a private address" in sentence


async def test_only_addresses_that_passed_are_dialled(egress: Egress) -> None:
    """Of a name with good and bad addresses only the good ones are called."""
    resolve_with(mixed_example=[["10.0.0.1", "::ffff:192.168.0.1", "127.0.0.1"]])
    async with open_receiver() as receiver:
        response, _ = await post(egress, f"http://mixed.example:{receiver.port}/")
        assert response.status_code == 200
        assert receiver.requests[0].header("host") == f"mixed.example:{receiver.port}"


async def test_next_address_is_tried_when_one_refuses() -> None:
    """A name is reached through any of its addresses that answers."""
    resolve_with(two_example=[["127.0.0.2", "::1", "127.0.0.1"]])
    allow = ("127.0.0.0/8", "::1/128")
    async with open_receiver() as receiver, open_egress(*allow) as egress:
        response, _ = await post(egress, f"http://two.example:{receiver.port}/")
        assert response.status_code == 200


async def test_all_addresses_refusing_is_told() -> None:
    """When no address of a name answers, the first one's failure is told."""
    resolve_with(dead_example=[["127.0.0.2", "127.0.0.3"]])
    port = await unused_port()
    code, sentence = await failure(make_egress("127.0.0.0/8"), f"http://dead.example:{port}/")
    assert (code, f"dead.example:{port} refused" in sentence) == ("refused", True)


async def unused_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_redirect_is_an_answer_like_any_other(egress: Egress) -> None:
    """Redirects are not followed, with httpx's client on top neither."""
    async with open_receiver(Reply(302, headers=[("Location", "/elsewhere")])) as receiver:
        async with httpx.AsyncClient(transport=egress.transport(), trust_env=False) as client:
            response = await client.post(receiver.url, content=b"{}")
        assert response.status_code == 302
        assert len(receiver.requests) == 1


async def test_proxy_environment_changes_nothing(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy variable leads a request past the guard."""
    async with open_receiver() as proxy, open_receiver() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await post(egress, receiver.url)
        assert (proxy.connections, receiver.connections) == (0, 1)


async def test_only_http_is_spoken(egress: Egress) -> None:
    """A URL of another scheme that comes to the transport is not sent as if it were HTTP."""
    assert "'ftp'" in (await failure(egress, "ftp://127.0.0.1/"))[1]


# -- TLS -------------------------------------------------------------------------------------------


async def test_tls_is_verified_for_the_name_of_the_url() -> None:
    """The certificate is checked against the URL's host, though an address is dialled."""
    context = server_context("localhost.pem")
    async with (
        open_receiver(ssl_context=context) as receiver,
        open_egress(trust="localhost.pem") as egress,
    ):
        timings: dict[str, float] = {}
        response, _ = await post(egress, receiver.url, timings=timings)
        assert response.status_code == 200
        assert set(timings) == {"dns", "connect", "tls", "wait"}
        await post(egress, receiver.url)
        assert receiver.connections == 1
        await post(egress, receiver.url.replace("localhost", "127.0.0.1"))
        assert receiver.connections == 2


@pytest.mark.parametrize(
    ("served", "trusted", "says"),
    [
        ("localhost.pem", None, "self-signed certificate"),
        ("other.pem", "other.pem", "[Hh]ostname mismatch"),
    ],
)
async def test_bad_certificate_is_refused(served: str, trusted: str | None, says: str) -> None:
    """A certificate that nobody vouches for, or for another name, ends the attempt."""
    async with open_receiver(ssl_context=server_context(served)) as receiver:
        code, sentence = await failure(make_egress("127.0.0.0/8", trust=trusted), receiver.url)
        assert code == "tls"
        assert re.search(says, sentence)
        assert receiver.requests == []


def text_of(certificate: str) -> str:
    """A file of the test certificates, the key included."""
    return (TLS / certificate).read_text("ascii")


def pem(certificate: str) -> str:
    """One of the test certificates without its key."""
    key = re.compile("-----BEGIN [A-Z ]*KEY-----.*?-----END [A-Z ]*KEY-----", re.DOTALL)
    return check_trust(key.sub("", text_of(certificate)))


def test_contexts_are_kept_but_not_for_ever() -> None:
    """Reading certificates takes time, so contexts are kept: the ones that were used last."""
    contexts = TlsContexts()
    first = contexts.get(pem("localhost.pem"))
    assert contexts.get(pem("localhost.pem")) is first
    for number in range(MAX_CONTEXTS):
        contexts.get(pem("localhost.pem") + "\n" * (number + 1))
    assert contexts.get(pem("localhost.pem")) is not first


async def test_a_request_may_bring_the_certificates_it_trusts(egress: Egress) -> None:
    """They are trusted for it alone, and the well-known ones are not."""
    async with open_receiver(ssl_context=server_context("localhost.pem")) as receiver:
        response, _ = await post(egress, receiver.url, trust=pem("localhost.pem"))
        assert response.status_code == 200
        assert (await failure(egress, receiver.url))[0] == "tls"
        assert (await failure(egress, receiver.url, trust=pem("other.pem")))[0] == "tls"
        both = pem("other.pem") + pem("localhost.pem")
        assert (await post(egress, receiver.url, trust=both))[0].status_code == 200
        assert len(receiver.requests) == 2


async def test_the_name_counts_with_certificates_of_its_own(egress: Egress) -> None:
    """A certificate that is trusted is so for the names in it."""
    async with open_receiver(ssl_context=server_context("other.pem")) as receiver:
        code, sentence = await failure(egress, receiver.url, trust=pem("other.pem"))
        assert code == "tls"
        assert re.search("[Hh]ostname mismatch", sentence)


async def test_connections_are_not_shared_across_trust(egress: Egress) -> None:
    """A connection that one request may trust is not one that another may use."""
    async with open_receiver(ssl_context=server_context("localhost.pem")) as receiver:
        mine, both = pem("localhost.pem"), pem("localhost.pem") + pem("other.pem")
        for trust in (mine, mine, both, both, mine):
            await post(egress, receiver.url, trust=trust)
        assert [request.connection for request in receiver.requests] == [1, 1, 2, 2, 1]
        assert (await failure(egress, receiver.url))[0] == "tls"
    assert egress.statistics()["idle_connections"] == 2


async def test_a_private_authority_or_the_certificate_itself_is_trusted(egress: Egress) -> None:
    """An authority vouches for what it signed; a certificate that is given needs no authority."""
    authority = Authority()
    certificate, context = authority.certify()
    async with open_receiver(ssl_context=context) as receiver:
        for trust in (authority.pem, certificate):
            response, _ = await post(egress, receiver.url, trust=egress.check_trust(trust))
            assert response.status_code == 200
        assert (await failure(egress, receiver.url, trust=Authority().pem))[0] == "tls"


def test_certificates_are_brought_into_their_normal_form() -> None:
    """Text around them is left out, lines end in one way; and that form is a fixed point."""
    normal = pem("localhost.pem")
    around = f"subject=localhost\r\n{normal.replace(chr(10), chr(13) + chr(10))}\r\n# end"
    assert check_trust(around) == normal
    assert check_trust(normal + normal) == normal + normal


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "must be certificates in PEM"),
        ("hello", "must be certificates in PEM"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n", "must be certificates in PEM"),
        (text_of("localhost.pem"), "private key"),
        ("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----", "must be certificates"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "cannot be read"),
        (pem("other.pem") + pem("localhost.pem").replace("MII", "MIX", 1), "cannot be read"),
        (pem("other.pem").replace("CERTIFICATE", "CERTIFICATE REQUEST"), "must be certificates"),
        ("-----BEGIN CERTIFICATE-----\né\n-----END CERTIFICATE-----", "must be certificates"),
        (pem("other.pem") * 100, "longer than"),
    ],
    ids=lambda value: str(value)[-30:],
)
def test_wrong_certificates_are_refused(given: str, says: str) -> None:
    """With a sentence; a private key that slipped in is not repeated."""
    with pytest.raises(ValidationFailed, match=says) as caught:
        make_egress().check_trust(given)
    assert caught.value.errors[0]["loc"] == ["ca"]
    assert "MI" not in caught.value.detail


async def test_plain_http_behind_https_is_a_tls_failure(egress: Egress) -> None:
    """Speaking TLS to a server that does not is told as such."""
    async with open_receiver() as receiver:
        code, _ = await failure(egress, receiver.url.replace("http:", "https:"))
        assert code == "tls"


# -- Failures, told apart --------------------------------------------------------------------------


async def test_name_that_does_not_resolve() -> None:
    """``dns``: the sentence names the host."""
    resolve_with()
    code, sentence = await failure(make_egress(), "http://nowhere.example/")
    assert (code, "'nowhere.example'" in sentence) == ("dns", True)


async def test_refused_connection(egress: Egress) -> None:
    """``refused``: the sentence names host and port."""
    port = await unused_port()
    code, sentence = await failure(egress, f"http://127.0.0.1:{port}/")
    assert (code, f"127.0.0.1:{port}" in sentence) == ("refused", True)


@asynccontextmanager
async def silent_listener() -> AsyncIterator[int]:
    """A port whose connections the kernel accepts and nobody ever reads."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    try:
        port: int = listeners[0].socket.getsockname()[1]
        yield port
    finally:
        for listener in listeners:
            await listener.aclose()


async def test_connect_timeout_covers_tls() -> None:
    """``connect_timeout``: a peer that takes the connection but never shakes hands."""
    async with silent_listener() as port:
        egress = make_egress("127.0.0.0/8", connect_timeout=0.05)
        code, sentence = await failure(egress, f"https://127.0.0.1:{port}/")
        assert (code, "TLS" in sentence) == ("connect_timeout", True)


async def test_connect_timeout_covers_the_look_up() -> None:
    """``connect_timeout``: a resolver that never answers."""
    names = resolve_with()

    async def never(*args: Any, **kwargs: Any) -> list[Any]:
        await trio.sleep_forever()
        raise AssertionError

    names.getaddrinfo = never  # type: ignore[method-assign]
    code, _ = await failure(
        make_egress(connect_timeout=30), "http://slow.example/", timeout={"connect": 0.02}
    )
    assert code == "connect_timeout"


async def test_read_timeout(egress: Egress) -> None:
    """``read_timeout``: no byte within the time that the request gives."""
    async with open_receiver(Hang()) as receiver:
        code, _ = await failure(egress, receiver.url, timeout={"read": 0.05})
        assert code == "read_timeout"


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (Close(), "reset"),
        (Reset(), "reset"),
        (Raw(b"HTTP/1.1 200 OK\r\nContent-"), "reset"),
        (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), "reset"),
        (Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "protocol"),
        (Raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "protocol"),
        (Raw(b"\x00\xff\xfe garbage\r\n\r\n"), "protocol"),
        (Raw(b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"), "protocol"),
        (Raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), "protocol"),
        (Raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * (2 * MAX_HEAD)), "too_large"),
        (Raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_HEAD), "too_large"),
    ],
    ids=repr,
)
async def test_broken_answer(egress: Egress, behaviour: Behaviour, code: str) -> None:
    """Answers that are cut off, not HTTP or too large are told apart."""
    async with open_receiver(behaviour) as receiver:
        found, sentence = await failure(egress, receiver.url)
        assert found == code, sentence
        assert sentence.endswith(".")


def test_failures_are_httpx_errors() -> None:
    """Code that knows only httpx catches every failure of the transport."""
    assert issubclass(EgressError, httpx.TransportError)
    assert classify(httpx.ReadError(""))[0] == "network"


async def test_refusal_before_the_end_of_the_request_is_read(egress: Egress) -> None:
    """An answer that comes while a large body is still being sent is not lost."""
    async with open_early_refusal() as port:
        request = httpx.Request("POST", f"http://127.0.0.1:{port}/", content=b"x" * 20_000_000)
        with trio.fail_after(10):
            response = await egress.transport().handle_async_request(request)
        assert response.status_code == 413
        await response.aclose()


@asynccontextmanager
async def open_early_refusal() -> AsyncIterator[int]:
    """A server that answers 413 after a request's first bytes, then reads no further."""

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some(1024)
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await stream.send_eof()
        with trio.move_on_after(10):
            while await stream.receive_some():
                pass

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, refuse, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


# -- Kept connections ------------------------------------------------------------------------------


async def test_connection_is_kept_for_the_next_request(egress: Egress) -> None:
    """Requests to one origin, one after the other, share a connection."""
    async with open_receiver() as receiver:
        for _ in range(3):
            await post(egress, receiver.url)
        assert receiver.connections == 1
        assert egress.statistics() == {
            "idle_connections": 1,
            "dialled_total": 1,
            "reused_total": 2,
            "resent_total": 0,
            "unasked_total": 0,
        }
        await egress.aclose()
        assert egress.statistics()["idle_connections"] == 0


@pytest.mark.parametrize(
    "behaviour",
    [
        Reply(close=True),
        Raw(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ],
    ids=repr,
)
async def test_connection_that_cannot_be_reused_is_closed(
    egress: Egress, behaviour: Behaviour
) -> None:
    """``Connection: close``, HTTP/1.0 or unasked bytes end a connection with its exchange."""
    async with open_receiver(behaviour) as receiver:
        await post(egress, receiver.url)
        assert egress.statistics()["idle_connections"] == 0


async def test_reading_part_of_the_body_closes_the_connection(egress: Egress) -> None:
    """A caller that has enough of an endless body leaves, and costs nothing more."""
    async with open_receiver(Drip(piece=b"x" * 1000, interval=0)) as receiver:
        request = httpx.Request("POST", receiver.url, content=b"{}")
        response = await egress.transport().handle_async_request(request)
        kept = b""
        assert isinstance(response.stream, httpx.AsyncByteStream)
        async for piece in response.stream:
            kept += piece
            if len(kept) >= 5000:
                break
        await response.aclose()
        assert egress.statistics()["idle_connections"] == 0


async def test_connection_closed_while_idle_is_not_used(egress: Egress) -> None:
    """A close that was seen in time costs a new connection, not an attempt."""
    async with open_receiver() as receiver:
        await post(egress, receiver.url)
        await receiver.close_idle()
        await post(egress, receiver.url)
        assert (receiver.connections, egress.statistics()["resent_total"]) == (2, 0)


@pytest.mark.parametrize("behaviour", [Close(), Reset()], ids=repr)
async def test_close_that_crosses_the_request_is_made_good_once(
    egress: Egress, behaviour: Behaviour
) -> None:
    """A kept connection that ends without a byte of an answer: once more, on a new connection."""
    async with open_receiver(Reply(), behaviour, Reply(202)) as receiver:
        await post(egress, receiver.url)
        response, _ = await post(egress, receiver.url, b"[1]")
        assert response.status_code == 202
        assert [request.body for request in receiver.requests] == [b"{}", b"[1]", b"[1]"]
        assert egress.statistics()["resent_total"] == 1


@pytest.mark.parametrize(
    ("script", "sent"),
    [
        ([Close()], 1),
        ([Reply(), Close(), Close()], 3),
        ([Reply(), Raw(b"HTTP/1.1 2")], 2),
    ],
)
async def test_nothing_else_is_sent_twice(
    egress: Egress, script: list[Behaviour], sent: int
) -> None:
    """No second try on a new connection, after a second one, or once an answer had begun."""
    async with open_receiver(*script) as receiver:
        if isinstance(script[0], Reply):
            await post(egress, receiver.url)
        assert (await failure(egress, receiver.url))[0] == "reset"
        assert len(receiver.requests) == sent


async def test_timeout_on_a_kept_connection_is_not_sent_again(egress: Egress) -> None:
    """A receiver that is slow on a kept connection gets the request once."""
    async with open_receiver(Reply(), Hang()) as receiver:
        await post(egress, receiver.url)
        assert (await failure(egress, receiver.url, timeout={"read": 0.05}))[0] == "read_timeout"
        assert len(receiver.requests) == 2


async def test_cancelled_exchange_closes_its_connection(egress: Egress) -> None:
    """After a deadline of the caller's, nothing is left open or kept."""
    async with open_receiver(Hang()) as receiver:
        with trio.move_on_after(5) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post, egress, receiver.url)
                await receiver.wait_for(1)
                nursery.cancel_scope.cancel()
        assert not scope.cancelled_caught
        assert egress.statistics()["idle_connections"] == 0


def origin(name: str) -> Origin:
    """An origin of somebody's."""
    return Origin("http", name, 80, owner=1)


class Kept:
    """Connections for the idle list, real ones to a listener that never answers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.made: list[ClientConnection] = []

    async def add(self, idle: IdleConnections, name: str) -> ClientConnection:
        raw = socket.create_connection(("127.0.0.1", self.port))
        line = SocketLine(raw, trio.socket.from_stdlib_socket(raw))
        connection = ClientConnection(Dialled(line, line))
        connection.can_be_reused = lambda: True  # type: ignore[method-assign]
        self.made.append(connection)
        idle.put(origin(name), connection)
        return connection

    def open(self) -> list[bool]:
        return [not connection._closed for connection in self.made]


async def test_idle_list_is_bounded() -> None:
    """No more connections wait than the limits say, in all and for each origin."""
    async with silent_listener() as port:
        kept = Kept(port)
        idle = IdleConnections(maximum=3, maximum_per_origin=2)
        for name in ("a", "a", "a", "b", "c"):
            await kept.add(idle, name)
        assert (len(idle), kept.open()) == (3, [True, True, False, True, False])
        idle.close()
        await kept.add(idle, "d")
        assert (len(idle), any(kept.open())) == (0, False)


async def test_idle_connections_expire(autojump_clock: trio.testing.MockClock) -> None:
    """The newest is used first; one that waited too long is closed, whatever its origin."""
    async with silent_listener() as port:
        kept = Kept(port)
        idle = IdleConnections(keep=4)
        idle.trust(origin("a"))
        for name in ("a", "b", "a"):
            await kept.add(idle, name)
            autojump_clock.jump(1.5)
        newest = kept.made[2]
        assert idle.take(origin("a")) is newest
        assert kept.open() == [False, True, True]
        autojump_clock.jump(1.5)
        assert idle.take(origin("b")) is None
        assert kept.open() == [False, False, True]
        newest.close()


def test_disconnection_is_a_read_error() -> None:
    """The class that decides about a second try is httpx's ``ReadError``."""
    assert issubclass(Disconnected, httpx.ReadError)


async def test_receiver_says_what_it_waited_for() -> None:
    """The scripted receiver fails a test with the number of requests that did come."""
    async with open_receiver() as receiver:
        assert isinstance(receiver, Receiver)
        with pytest.raises(AssertionError, match=r"for 1 requests .* but 0 came"):
            await receiver.wait_for(1, timeout=0.01)
