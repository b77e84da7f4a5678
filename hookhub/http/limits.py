"""Hypercorn's settings as the hub wants them, and its log as structured lines without secrets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog
from hypercorn.config import Config
from hypercorn.logging import Logger
from hypercorn.typing import ResponseSummary, WWWScope

from hookhub.http.forwarded import Forwarded


class QuietLogger(Logger):
    """Hypercorn's log through structlog. Query strings never appear: they may hold tokens."""

    def __init__(self, config: Config) -> None:
        self._log = structlog.get_logger("hookhub.web")
        self.access_logger = None
        self.error_logger = _ErrorLog(self._log)  # type: ignore[assignment]

    async def access(
        self, request: WWWScope, response: ResponseSummary | None, request_time: float
    ) -> None:
        client = request.get("client")
        self._log.debug(
            "http.request",
            method=request.get("method", "GET"),
            path=request["path"],
            status=response["status"] if response is not None else None,
            duration=round(request_time, 6),
            client=client[0] if client else None,
        )


class _ErrorLog:
    """What Hypercorn says, however loud, under one name."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log

    def __getattr__(self, level: str) -> Callable[..., None]:
        return partial(self._write, getattr(self._log, level))

    def log(self, level: int, message: str, *args: Any, **kwargs: Any) -> None:
        self._write(partial(self._log.log, level), message, *args, **kwargs)

    def _write(self, write: Callable[..., None], message: str, *args: Any, **kwargs: Any) -> None:
        shown = {"exc_info": kwargs["exc_info"]} if kwargs.get("exc_info") else {}
        write("http.server", message=message % args if args else message, **shown)


class ServerConfig(Config):
    """Hypercorn's settings, and what it does not have."""

    head_timeout = 30.0
    """Seconds from the first byte of a request to the end of its head. Hypercorn's own timer does
    not know whether anything has come, and its ``read_timeout`` begins anew with every byte."""

    forwarded = Forwarded()
    """Says whose a request is."""

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """What every answer carries, whoever gives it."""
        # Browsers shall not take an answer with others' text in it for a page or a program.
        return [*super().response_headers(protocol), (b"x-content-type-options", b"nosniff")]


def hypercorn_config(trusted_proxies: Sequence[str] = ()) -> ServerConfig:
    """Settings for :func:`hookhub.http.connections.serve`.

    Args:
        trusted_proxies: as ``[server]`` has them.
    """
    config = ServerConfig()
    config.forwarded = Forwarded(trusted_proxies)
    config.logger_class = QuietLogger
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    # Longer than nginx keeps its idle upstream connections (60 s), so that nginx closes first and
    # never sends a request into a connection that is being closed.
    config.keep_alive_timeout = 75.0
    config.keep_alive_max_requests = 100_000
    config.ssl_handshake_timeout = 10.0
    return config
