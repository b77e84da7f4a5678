"""Listening sockets from ``[server]``: host and port, or a Unix socket, plain or TLS."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
import ssl
import stat
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from hookhub.config import ServerSettings, parse_bind
from hookhub.contracts.errors import ConfigError

Listener = trio.SocketListener | trio.SSLListener[trio.SocketStream]

BACKLOG = 0xFFFF
"""More than any kernel allows: each cuts it down to its own limit."""

ACCEPT_TIMEOUT = 1.0
"""Seconds that the last connections have to be accepted, when there are no descriptors for them."""

_SO_ATTACH_FILTER = 26
_CHANGE = "set [server] bind (or HOOKHUB_SERVER__BIND) to another address"


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker is given by its supervisor."""

    number: int
    """1, 2, …; whoever comes after one that ended has the same."""
    directory: Path
    """Where the workers find each other; private."""
    lifeline: int
    """A socket: a byte tells that the worker serves, its end that the supervisor is gone."""
    sockets: tuple[int, ...]
    """Where to accept connections."""

    def option(self) -> str:
        """As it stands on the command line."""
        return ",".join(map(str, (self.number, self.lifeline, *self.sockets, self.directory)))

    @classmethod
    def parse(cls, text: str) -> Worker:
        """The opposite of :meth:`option`. Raises ValueError."""
        *numbers, directory = text.split(",")
        number, lifeline, *sockets = map(int, numbers)
        return cls(number, Path(directory), lifeline, tuple(sockets))


async def open_listeners(settings: ServerSettings, worker: Worker | None = None) -> list[Listener]:
    """Open what ``bind`` names: ``host:port``, ``:port``, ``[::1]:port`` or ``unix:/path``.

    Port 0 lets the system choose. A host name with several addresses is bound on each of them.

    Args:
        worker: has them open already.

    Raises:
        ConfigError: says which address cannot be used, why, and what to do.
    """
    context = _tls_context(settings)
    host, port, path = parse_bind(settings.bind)
    if worker is not None:
        plain = [_adopted(descriptor) for descriptor in worker.sockets]
    elif path is None:
        plain = await _open_tcp(settings.bind, host, port)
    else:
        plain = [await _open_unix(path)]
    if context is None:
        return list(plain)
    return [trio.SSLListener(listener, context, https_compatible=True) for listener in plain]


def listener_url(listener: Listener) -> str:
    """Where a listener is reached: ``http://127.0.0.1:8080``, ``https://[::1]:1``, ``unix:…``."""
    secure = isinstance(listener, trio.SSLListener)
    address = _socket(listener).getsockname()
    if isinstance(address, str | bytes):
        return f"unix:{os.fsdecode(address)}"
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{'https' if secure else 'http'}://{host}:{address[1]}"


def listener_sockets(listeners: Sequence[Listener]) -> list[trio.socket.SocketType]:
    """What they accept from."""
    return [_socket(listener) for listener in listeners]


def _adopted(descriptor: int) -> trio.SocketListener:
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _socket(listener: Listener) -> trio.socket.SocketType:
    plain = listener.transport_listener if isinstance(listener, trio.SSLListener) else listener
    assert isinstance(plain, trio.SocketListener)
    return plain.socket


async def wait_taken(sock: trio.socket.SocketType) -> None:
    """Return when nothing has come that is still to be taken: bytes, their end, a connection.

    Whoever takes it is another task. Nothing else runs between the look and the return.
    """
    if sock.fileno() < 0:
        return
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while poll.poll(0):  # noqa: ASYNC110 - nobody tells
        await trio.sleep(0.01)


def refuse_connections(listener: Listener) -> None:
    """Let no new connection come: not to this process, nor to others that have the same socket.

    A listener that is closed resets the connections that nobody has accepted yet, requests and
    all. So whoever accepts goes on until :func:`wait_accepted`; new clients are refused once the
    listener is closed.
    """
    sock = _socket(listener)
    with suppress(OSError):
        if sock.family == trio.socket.AF_UNIX:
            os.unlink(sock.getsockname())
        elif sys.platform == "linux":
            _drop_handshakes(sock)


async def wait_accepted(listener: Listener) -> None:
    """Return when all that came before are accepted."""
    with trio.move_on_after(ACCEPT_TIMEOUT):
        await wait_taken(_socket(listener))


def _drop_handshakes(sock: trio.socket.SocketType) -> None:
    """Have the kernel ignore segments with SYN alone (socket(7), SO_ATTACH_FILTER)."""
    steps = [
        (0x30, 0, 0, 13),  # load the byte of TCP's flags
        (0x54, 0, 0, 0x12),  # SYN and ACK of them
        (0x15, 0, 1, 0x02),  # SYN alone?
        (0x06, 0, 0, 0),  # then drop it
        (0x06, 0, 0, 0xFFFF),  # else keep it
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    sock.setsockopt(trio.socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _tls_context(settings: ServerSettings) -> ssl.SSLContext | None:
    certfile, keyfile = settings.certfile, settings.keyfile
    if certfile is None or keyfile is None:  # The settings have both or none.
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # HTTP/2 is not offered: over it browsers would open WebSockets with CONNECT (RFC 8441), which
    # leaves no socket of its own to take over. A proxy in front may speak it to browsers.
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certfile, keyfile)
    except FileNotFoundError:
        missing = certfile if not os.path.exists(certfile) else keyfile
        raise ConfigError(
            f"There is no file {missing!r}, which [server] certfile or keyfile names."
        ) from None
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"[server] certfile {certfile!r} and keyfile {keyfile!r} cannot be used: {error}; "
            "both must be PEM and belong together."
        ) from None
    return context


async def _open_tcp(bind: str, host: str, port: int) -> list[trio.SocketListener]:
    try:
        # No host means every address of the machine.
        addresses = await trio.socket.getaddrinfo(
            host or None, port, type=trio.socket.SOCK_STREAM, flags=trio.socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigError(
            f"[server] bind is {bind!r}, but {host!r} is no known host ({error.strerror}); "
            f"{_CHANGE}."
        ) from None
    return await _bind_all(bind, addresses, only_one=port == 0)


async def _bind_all(
    bind: str, addresses: Sequence[tuple[int, int, int, str, tuple[object, ...]]], *, only_one: bool
) -> list[trio.SocketListener]:
    """Bind every address; one that this machine does not have is left out if another works."""
    listeners: list[trio.SocketListener] = []
    absent: OSError | None = None
    try:
        for family, kind, protocol, _, address in addresses:
            try:
                listeners.append(await _bind_one(family, kind, protocol, address))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                absent = error
            if listeners and only_one:
                break
        if absent is not None and not listeners:
            raise absent
    except OSError as error:
        for listener in listeners:
            listener.socket.close()
        raise _bind_error(bind, error) from None
    return listeners


async def _bind_one(
    family: int, kind: int, protocol: int, address: tuple[object, ...] | str
) -> trio.SocketListener:
    sock = trio.socket.socket(family, kind, protocol)
    try:
        if family != trio.socket.AF_UNIX:
            # A restart must not wait for old connections in TIME_WAIT.
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)
        if family == trio.socket.AF_INET6:
            sock.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_V6ONLY, 1)
        await sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return trio.SocketListener(sock)


def _bind_error(bind: str, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"{bind} is in use by another program (perhaps another hub); stop that one, "
            f"or {_CHANGE}."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(
            f"This user may not listen on {bind}; {_CHANGE} (ports from 1024 on are free to all)."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(f"This machine does not have the address of {bind}; {_CHANGE}.")
    return ConfigError(f"Cannot listen on {bind}: {error.strerror or error}; {_CHANGE}.")


async def _open_unix(path: str) -> trio.SocketListener:
    bind = f"unix:{path}"
    try:
        await _remove_stale(path)
        return await _bind_one(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM, 0, path)
    except OSError as error:
        raise _bind_error(bind, error) from None


async def _remove_stale(path: str) -> None:
    """Remove a socket file that an earlier process left behind; leave one that is answered."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{path!r} exists and is not a socket; remove it, or {_CHANGE}.")
    try:
        stream = await trio.open_unix_socket(path)
    except ConnectionRefusedError:
        os.unlink(path)
        return
    await stream.aclose()
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
