"""The way through a proxy: what it is asked, and that the guard holds there as well.

The proxy is a real one of a few lines, on the loopback interface. It connects every address that it
is asked for to the test's receiver, so addresses out in the world can stand in the requests.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from hookhub.config import EgressSettings, Settings, load_settings
from hookhub.contracts.errors import ConfigError, EgressBlocked
from hookhub.egress import EGRESS_ERRORS, Egress, classify
from hookhub.egress.http.proxy import MAX_ANSWER
from hookhub.testing.receiver import Receiver, open_receiver
from support.certificates import Authority

PUBLIC = "93.184.216.34"
OTHER = "93.184.216.35"
V6 = "2606:2800:21f:cb07::1"
SECRET = "s3cr:t/p@ss"


class Names(trio.abc.HostnameResolver):
    """Names with their answers in turn, the last one for ever; addresses are their own."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: list[str] = []

    async def getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        await trio.lowlevel.checkpoint()
        name = host.decode("ascii")
        try:
            return socket.getaddrinfo(name, port, flags=socket.AI_NUMERICHOST, **kwargs)
        except socket.gaierror:
            self.asked.append(name)
        answers = self.names.get(name)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [entry for address in found for entry in socket.getaddrinfo(address, port, **kwargs)]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


class SmallProxy:
    """Connects CONNECT requests to ``upstream``, unless ``answers`` says otherwise."""

    def __init__(self, upstream: int, context: ssl.SSLContext | None) -> None:
        self.upstream = upstream
        self.context = context
        self.port = 0
        self.heads: list[str] = []
        """The heads of the requests that came."""
        self.connections = 0
        self.answers: Callable[[trio.abc.Stream, str], Any] | None = None
        """Called with the stream and the target in place of connecting; None connects after all."""

    @property
    def targets(self) -> list[str]:
        """What it was asked to connect to."""
        return [head.split()[1] for head in self.heads]

    async def serve(self, transport: trio.SocketStream) -> None:
        self.connections += 1
        stream: trio.abc.Stream = transport
        if self.context is not None:
            stream = trio.SSLStream(transport, self.context, server_side=True)
        try:
            await self._converse(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
            pass
        finally:
            await trio.aclose_forcefully(transport)

    async def _converse(self, stream: trio.abc.Stream) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = await stream.receive_some()
            if not more:
                return
            data += more
        self.heads.append(data.decode("ascii"))
        answers = self.answers and await self.answers(stream, self.targets[-1])
        if answers is not None or self.answers is None:
            await stream.send_all(answers or b"HTTP/1.1 200 Connection established\r\n\r\n")
            await self._relay(stream)

    async def _relay(self, stream: trio.abc.Stream) -> None:
        async def pump(source: trio.abc.Stream, target: trio.abc.Stream) -> None:
            try:
                while data := await source.receive_some():
                    await target.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
                pass
            nursery.cancel_scope.cancel()

        async with await trio.open_tcp_stream("127.0.0.1", self.upstream) as upstream:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pump, stream, upstream)
                nursery.start_soon(pump, upstream, stream)


@asynccontextmanager
async def open_proxy(
    upstream: int, context: ssl.SSLContext | None = None
) -> AsyncIterator[SmallProxy]:
    """A proxy that runs until the block is left."""
    proxy = SmallProxy(upstream, context)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        proxy.port = listeners[0].socket.getsockname()[1]
        await nursery.start(trio.serve_listeners, proxy.serve, listeners)
        yield proxy
        nursery.cancel_scope.cancel()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Where every tunnel leads."""
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
async def proxy(receiver: Receiver) -> AsyncIterator[SmallProxy]:
    """A plain proxy without credentials."""
    async with open_proxy(receiver.port) as opened:
        yield opened


@asynccontextmanager
async def through(
    proxy: SmallProxy,
    names: Names | None = None,
    *,
    scheme: str = "http",
    login: str = "",
    trust: ssl.SSLContext | None = None,
    connect_timeout: float = 5.0,
    **settings: Any,
) -> AsyncIterator[Egress]:
    """An egress that goes through the proxy."""
    url = f"{scheme}://{login}{'localhost' if scheme == 'https' else '127.0.0.1'}:{proxy.port}"
    names = names or Names(hook_example=[[PUBLIC]])
    names.names.setdefault("localhost", [["127.0.0.1"]])
    egress = Egress(
        EgressSettings(proxy=url, **settings),
        resolver=names,
        ssl_context=trust,
        connect_timeout=connect_timeout,
        watch=0,
    )
    try:
        yield egress
    finally:
        await egress.aclose()


async def post(egress: Egress, url: str, **options: Any) -> int:
    """The status that one POST is answered with."""
    answer = await egress.post(url, [], b"{}", **{"timings": {}, "owner": 1, **options})
    try:
        while await answer.piece() is not None:
            pass
        return answer.status
    finally:
        answer.close()


async def failure(egress: Egress, url: str = "http://hook.example/") -> tuple[str, str]:
    """The word and the sentence for a POST that fails."""
    with trio.fail_after(10), pytest.raises(EGRESS_ERRORS) as caught:
        await post(egress, url)
    return classify(caught.value)


# -- What the proxy is asked -----------------------------------------------------------------------


async def test_proxy_connects_to_the_checked_address(proxy: SmallProxy, receiver: Receiver) -> None:
    """The hub resolves and checks; the proxy gets the address, the receiver sees the name."""
    names = Names(hook_example=[[PUBLIC]])
    async with through(proxy, names) as egress:
        assert await post(egress, "http://hook.example/a?b=1") == 200
    assert proxy.targets == [f"{PUBLIC}:80"]
    assert proxy.heads[0].startswith(f"CONNECT {PUBLIC}:80 HTTP/1.1\r\nHost: {PUBLIC}:80\r\n")
    assert "hook.example" not in proxy.heads[0]
    assert "authorization" not in proxy.heads[0].lower()
    assert receiver.requests[0].header("host") == "hook.example"
    assert receiver.requests[0].target == "/a?b=1"
    assert names.asked == ["hook.example"]


async def test_tunnel_is_kept_for_its_origin(proxy: SmallProxy, receiver: Receiver) -> None:
    """Requests to one origin share a tunnel; another origin has its own."""
    names = Names(hook_example=[[PUBLIC]], other_example=[[PUBLIC]])
    async with through(proxy, names) as egress:
        for url in ("http://hook.example/", "http://hook.example/x", "http://other.example/"):
            assert await post(egress, url) == 200
        assert egress.statistics()["reused_total"] == 1
    assert [request.connection for request in receiver.requests] == [1, 1, 2]
    assert proxy.targets == [f"{PUBLIC}:80"] * 2


async def test_httpx_goes_the_same_way(proxy: SmallProxy, receiver: Receiver) -> None:
    """A client of httpx on the guarded transport uses the proxy as well."""
    async with through(proxy) as egress:
        async with httpx.AsyncClient(transport=egress.transport(), trust_env=False) as client:
            assert (await client.get("http://hook.example:8080/")).status_code == 200
    assert proxy.targets == [f"{PUBLIC}:8080"]
    assert receiver.requests[0].header("host") == "hook.example:8080"


async def test_tls_is_between_hub_and_receiver() -> None:
    """Through the tunnel the certificate is verified for the name in the URL, which is also asked
    for (SNI); the proxy sees an address."""
    authority = Authority()
    _, context = authority.certify("hook.example")
    asked: list[str | None] = []
    context.sni_callback = lambda sock, name, ctx: asked.append(name)
    names = Names(hook_example=[[PUBLIC]], other_example=[[PUBLIC]])
    async with open_receiver(ssl_context=context) as receiver, open_proxy(receiver.port) as proxy:
        async with through(proxy, names) as egress:
            timings: dict[str, float] = {}
            options = {"trust": egress.check_trust(authority.pem), "timings": timings}
            assert await post(egress, "https://hook.example/", **options) == 200
            assert set(timings) == {"dns", "connect", "tls", "wait"}
            with pytest.raises(EGRESS_ERRORS) as caught:
                await post(egress, "https://other.example/", **options)
            assert classify(caught.value)[0] == "tls"
            assert (await failure(egress, "https://hook.example/"))[0] == "tls"
    assert proxy.targets == [f"{PUBLIC}:443"] * 3
    assert asked == ["hook.example", "other.example", "hook.example"]


async def test_proxy_may_speak_tls_itself() -> None:
    """An https proxy is verified against the hub's authorities; TLS to the receiver goes inside."""
    authority, private = Authority(), Authority()
    _, context = authority.certify("localhost")
    _, inner = private.certify("hook.example")
    trust = ssl.create_default_context(cadata=authority.pem)
    names = Names(hook_example=[[PUBLIC]])
    async with open_receiver() as receiver, open_proxy(receiver.port, context) as proxy:
        async with through(proxy, names, scheme="https", trust=trust) as egress:
            assert await post(egress, "http://hook.example/") == 200
        async with through(proxy, names, scheme="https") as egress:
            code, sentence = await failure(egress)
            assert (code, "certificate is not accepted" in sentence) == ("proxy", True)
    async with open_receiver(ssl_context=inner) as receiver:
        async with open_proxy(receiver.port, context) as proxy:
            async with through(proxy, names, scheme="https", trust=trust) as egress:
                pem = egress.check_trust(private.pem)
                for _ in range(2):
                    assert await post(egress, "https://hook.example/", trust=pem) == 200
    assert receiver.connections == 1


async def test_connect_time_includes_the_proxy(proxy: SmallProxy) -> None:
    """``connect`` lasts until the proxy says that it has connected."""

    async def later(stream: trio.abc.Stream, target: str) -> bytes:
        await trio.sleep(0.05)
        return b"HTTP/1.1 200 OK\r\n\r\n"

    proxy.answers = later
    timings: dict[str, float] = {}
    async with through(proxy) as egress:
        await post(egress, "http://hook.example/", timings=timings)
    assert set(timings) == {"dns", "connect", "wait"}
    assert timings["connect"] >= 0.05


# -- The guard -------------------------------------------------------------------------------------


async def test_rebinding_does_not_get_through_the_proxy(proxy: SmallProxy) -> None:
    """A name that answers differently the second time is refused; the proxy is not asked."""
    async with through(proxy, Names(hook_example=[[PUBLIC], ["10.0.0.1"]])) as egress:
        assert await post(egress, "http://hook.example/") == 200
        await egress.transport().aclose()
        assert (await failure(egress))[0] == "blocked_address"
    assert proxy.targets == [f"{PUBLIC}:80"]


@pytest.mark.parametrize("resolves", [False, True])
@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "10.0.0.1", "169.254.169.254"),
        *("[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::1]", "[fd00:ec2::254]"),
        *("localhost", "a.localhost", "metadata.google.internal", "metadata.google.internal."),
        "127.0.0.1.",
    ],
)
async def test_what_can_be_seen_is_refused_in_any_case(
    proxy: SmallProxy, host: str, resolves: bool
) -> None:
    """Addresses in every spelling and names of metadata services never reach the proxy."""
    async with through(proxy, Names(), proxy_resolves=resolves) as egress:
        assert (await failure(egress, f"http://{host}/"))[0] in (
            "blocked_address",
            "bad_url",
            "dns",
        )
        if host != "127.0.0.1.":
            with pytest.raises(EgressBlocked):
                egress.check_url(f"http://{host}/")
    assert proxy.connections == 0


async def test_private_networks_are_opened_by_allow_alone(proxy: SmallProxy) -> None:
    """A proxy opens no private network; ``allow`` does, and the proxy is asked for it."""
    names = {"hook_example": [["10.1.2.3"]]}
    async with through(proxy, Names(**names)) as egress:
        assert (await failure(egress))[0] == "blocked_address"
    async with through(proxy, Names(**names), allow=["10.1.0.0/16"]) as egress:
        assert await post(egress, "http://hook.example/") == 200
    assert proxy.targets == ["10.1.2.3:80"]


async def test_proxy_resolves_names_if_it_is_told_to(proxy: SmallProxy) -> None:
    """With ``proxy_resolves`` the name goes to the proxy, and the hub looks nothing up."""
    names = Names()
    async with through(proxy, names, proxy_resolves=True) as egress:
        assert await post(egress, "http://hook.example/") == 200
        assert await post(egress, f"http://{PUBLIC}/") == 200
        assert await post(egress, f"http://[{V6}]/") == 200
    assert proxy.targets == ["hook.example:80", f"{PUBLIC}:80", f"[{V6}]:80"]
    assert names.asked == []


@pytest.mark.parametrize(
    ("no_proxy", "asked"),
    [
        (["hook.example"], 0),
        ([".example"], 0),
        (["EXAMPLE."], 0),
        (["127.0.0.0/8"], 0),
        (["::ffff:127.0.0.0/104"], 0),
        (["ook.example", "other.example", "10.0.0.0/8"], 1),
    ],
)
async def test_no_proxy_goes_straight(
    proxy: SmallProxy, receiver: Receiver, no_proxy: list[str], asked: int
) -> None:
    """Names with all below them, and networks, are called without the proxy, guarded as ever."""
    names = Names(hook_example=[["127.0.0.1"]])
    url = f"http://hook.example:{receiver.port}/"
    async with through(proxy, names, no_proxy=no_proxy, allow=["127.0.0.0/8"]) as egress:
        assert await post(egress, url) == 200
    async with through(proxy, names, no_proxy=no_proxy) as egress:
        assert (await failure(egress, url))[0] == "blocked_address"
    assert proxy.connections == asked


# -- Failures --------------------------------------------------------------------------------------


def says(data: bytes) -> Any:
    """A proxy that sends this in place of connecting, and closes."""

    async def answer(stream: trio.abc.Stream, target: str) -> None:
        await stream.send_all(data)

    return answer


@pytest.mark.parametrize(
    ("data", "finding"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "user name"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "403 Forbidden"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.example/\r\n\r\n", "302 Found"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "502 Bad Gateway"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "not HTTP"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not HTTP"),
        (b"\x00\xff\r\n\r\n", "not HTTP"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nVia", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 5 * MAX_ANSWER, "whose head is over"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * MAX_ANSWER, "whose head is over"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * MAX_ANSWER, "whose head is over"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_failures_of_the_proxy_are_told_apart(
    proxy: SmallProxy, receiver: Receiver, data: bytes, finding: str
) -> None:
    """``proxy``: whatever it says that is no tunnel is its own failure, no receiver's answer."""
    proxy.answers = says(data)
    async with through(proxy) as egress:
        code, sentence = await failure(egress)
        assert code == "proxy"
        assert finding in sentence
        assert f"127.0.0.1:{proxy.port}" in sentence
        assert egress.statistics()["idle_connections"] == 0
    assert receiver.connections == 0


@pytest.mark.parametrize("drips", [False, True])
async def test_proxy_that_takes_too_long(proxy: SmallProxy, drips: bool) -> None:
    """A proxy that hangs, or drips its answer, ends with the time to connect, as ``proxy``."""

    async def hang(stream: trio.abc.Stream, target: str) -> None:
        while drips:
            await stream.send_all(b"H" if len(proxy.heads) > 1 else b"HTTP/1.1 200 OK\r\nX: ")
            await trio.sleep(0.01)
        await stream.receive_some()

    proxy.answers = hang
    async with through(proxy, connect_timeout=0.2) as egress:
        code, sentence = await failure(egress)
        assert (code, "within 0.2 s" in sentence) == ("proxy", True)


async def test_proxy_that_cannot_be_reached() -> None:
    """``proxy``: nobody listens there, or its name does not resolve."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = SmallProxy(0, None)
        nobody.port = probe.getsockname()[1]
    async with through(nobody) as egress:
        code, sentence = await failure(egress)
        assert (code, "refused the connection" in sentence) == ("proxy", True)
    settings = EgressSettings(proxy="http://proxy.example:3128")
    egress = Egress(settings, resolver=Names(hook_example=[[PUBLIC]]))
    code, sentence = await failure(egress)
    assert (code, "'proxy.example' does not resolve" in sentence) == ("proxy", True)


async def test_next_address_is_asked_for_when_one_does_not_connect(proxy: SmallProxy) -> None:
    """A 5xx says that the proxy could not connect: another address of the name may do."""

    async def v4_only(stream: trio.abc.Stream, target: str) -> bytes:
        status = b"502 Bad Gateway" if "[" in target else b"200 OK"
        return b"HTTP/1.1 " + status + b"\r\n\r\n"

    proxy.answers = v4_only
    async with through(proxy, Names(hook_example=[[V6, PUBLIC, OTHER]])) as egress:
        assert await post(egress, "http://hook.example/") == 200
    assert proxy.targets == [f"[{V6}]:80", f"{PUBLIC}:80"]


async def test_no_other_address_is_asked_for_when_it_does_not_want_to(proxy: SmallProxy) -> None:
    """A 403 is a decision."""
    proxy.answers = says(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    async with through(proxy, Names(hook_example=[[PUBLIC, OTHER]])) as egress:
        assert (await failure(egress))[0] == "proxy"
    assert proxy.targets == [f"{PUBLIC}:80"]


async def test_an_address_that_hangs_leaves_time_for_the_next(proxy: SmallProxy) -> None:
    """Each address gets its share of the time to connect."""

    async def hang_first(stream: trio.abc.Stream, target: str) -> bytes | None:
        if target == f"{PUBLIC}:80":
            await stream.receive_some()
            return None
        return b"HTTP/1.1 200 OK\r\n\r\n"

    proxy.answers = hang_first
    async with through(proxy, Names(hook_example=[[PUBLIC, OTHER]]), connect_timeout=1) as egress:
        assert await post(egress, "http://hook.example/") == 200


async def test_receiver_that_speaks_first_is_no_receiver(proxy: SmallProxy) -> None:
    """Bytes behind the proxy's answer are the receiver's, and it was not asked yet."""

    async def banner(stream: trio.abc.Stream, target: str) -> bytes:
        return b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-OpenSSH_9.6\r\n"

    proxy.answers = banner
    async with through(proxy) as egress:
        assert (await failure(egress))[0] == "protocol"


async def test_receiver_behind_the_proxy_has_its_own_failures(proxy: SmallProxy) -> None:
    """Once the tunnel stands, failures are the receiver's, told as without a proxy."""

    async def empty(stream: trio.abc.Stream, target: str) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        await stream.receive_some()

    proxy.answers = empty
    async with through(proxy) as egress:
        assert (await failure(egress))[0] == "reset"


# -- Credentials -----------------------------------------------------------------------------------


async def test_credentials_are_sent_to_the_proxy_and_shown_to_nobody(proxy: SmallProxy) -> None:
    """Percent-encoded in the setting, Basic on the wire; in no error and no ``repr``."""
    login = "hub:s3cr%3At%2Fp%40ss@"
    async with through(proxy, login=login) as egress:
        assert await post(egress, "http://hook.example/") == 200
        proxy.answers = says(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        await egress.transport().aclose()
        _, sentence = await failure(egress)
    expected = httpx.BasicAuth("hub", SECRET)._auth_header
    assert f"Proxy-Authorization: {expected}\r\n" in proxy.heads[0]
    settings = Settings(egress=EgressSettings(proxy=f"http://{login}p.example:3128"))
    for text in (sentence, repr(settings), str(settings)):
        assert "s3cr" not in text
        assert "hub:" not in text


# -- Settings --------------------------------------------------------------------------------------


def wrong(**variables: str) -> str:
    """What is said of settings from the environment."""
    environ = {f"HOOKHUB_EGRESS__{key.upper()}": value for key, value in variables.items()}
    with pytest.raises(ConfigError) as caught:
        load_settings(None, environ)
    return caught.value.detail


@pytest.mark.parametrize(
    "proxy",
    [
        *(
            "proxy",
            "proxy.example:3128",
            "socks5://hunter2@p.example",
            "http://",
            "http://:3128",
        ),
        *("http://u:hunter2@", "http://u:hunter2@p.example:x", "http://u:hunter2@p.example:0"),
        *("http://u:hunter2@p.example/path", "http://u:hunter2@p.example?q", "http://u:h@unter2@p"),
        *("http://u:hunter2@p.example#f", "http://u:hunter2@p exa", "http://u:hun/ter2@p.example"),
    ],
)
def test_wrong_proxy_stops_the_start_and_is_not_repeated(
    proxy: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what a proxy looks like, and nothing of what was given."""
    monkeypatch.chdir(tmp_path)
    message = wrong(proxy=proxy)
    assert "[egress] proxy" in message
    assert "http://proxy.example.com:3128" in message
    assert "hunter" not in message.replace("HOOKHUB", "")
    assert "unter2" not in message


@pytest.mark.parametrize(
    "item", ["", "a b", "http://x.example", "*.example", "10.0.0.1/8", "1.2.3"]
)
def test_wrong_no_proxy_stops_the_start(
    item: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An item is a name or a network."""
    monkeypatch.chdir(tmp_path)
    message = wrong(proxy="http://p.example", no_proxy=f'["{item}"]')
    assert "[egress] no_proxy[0]" in message


@pytest.mark.parametrize(
    ("key", "value"), [("no_proxy", '["a.example"]'), ("proxy_resolves", "true")]
)
def test_settings_that_need_a_proxy(
    key: str, value: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a configuration is no configuration."""
    monkeypatch.chdir(tmp_path)
    message = wrong(**{key: value})
    assert f"has {key} but no proxy" in message
