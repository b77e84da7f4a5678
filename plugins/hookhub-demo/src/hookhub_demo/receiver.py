"""A receiver of webhooks as somebody else might write it: the standard library, a few lines."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from hookhub_demo.verify import signature_holds, standard_signature_holds


@dataclass(frozen=True, slots=True)
class Received:
    """A webhook request and what the receiver thinks of it."""

    event_type: str
    attempt: str
    body: str
    signed: bool
    """``X-Webhook-Signature`` holds."""
    signed_standard: bool
    """``webhook-signature`` holds."""

    @property
    def good(self) -> bool:
        """Whether both signatures hold."""
        return self.signed and self.signed_standard


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A hub that is killed leaves its connections: no news.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class DemoReceiver:
    """Listens on a free port of 127.0.0.1, in threads of its own.

    Args:
        secret: the webhook's, as ``whsec_…``.
        seen: called in one of the threads for every request, one at a time.
    """

    def __init__(self, secret: str, seen: Callable[[Received], None]) -> None:
        self._secret = secret
        self._seen = seen
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.good = 0
        self.bad = 0

    def __enter__(self) -> DemoReceiver:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """What to give to the hub."""
        return f"http://127.0.0.1:{self.port}/"

    def take(self, headers: dict[str, str], body: bytes) -> bool:
        """Verify one request; returns whether it is good."""
        received = Received(
            headers.get("x-webhook-event", "?"),
            headers.get("x-webhook-attempt", "?"),
            body.decode(),
            signature_holds(headers, body, self._secret),
            standard_signature_holds(headers, body, self._secret, time.time()),
        )
        with self._lock:
            self.good += received.good
            self.bad += not received.good
            self._seen(received)
        return received.good

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class RequestHandler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                names = {name.lower(): value for name, value in self.headers.items()}
                try:
                    status = 200 if receiver.take(names, body) else 401
                except ValueError:
                    status = 400  # Not JSON, not UTF-8: not from a hub.
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """The demo prints a line of its own."""

        return RequestHandler
