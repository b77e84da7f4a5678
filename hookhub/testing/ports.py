"""Ports of the loopback interface for tests."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on.

    Somebody else may take it before it is used; the system hands ports out in turn, so that is
    rare, and whoever listens on it then says so.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
