"""The durable sink: one attempt is one POST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx
import trio

from hookhub.egress import EGRESS_ERRORS, classify
from hookhub.routes import Route
from hookhub.sinks import Attempt, AttemptResult, DurableSink, Outcome
from hookhub_webhook.api import WebhookApi
from hookhub_webhook.config import NAME, check_config, redact_config
from hookhub_webhook.keys import KeysApi
from hookhub_webhook.outcome import decode_body, judge
from hookhub_webhook.replays import replay_routes
from hookhub_webhook.request import WebhookRequest, build_request
from hookhub_webhook.settings import read_settings

if TYPE_CHECKING:
    from hookhub.hub import Hub

GRACE = 1.0
"""Seconds that the core's deadline leaves beyond the sink's own, which knows better what it was
waiting for."""


class WebhookSink(DurableSink):
    """Posts events to URLs, signed; see ``README.md`` for the request."""

    name = NAME

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._delivery = hub.settings.delivery
        self._egress = hub.egress
        self._transport = hub.egress.transport()
        self._ed25519 = read_settings(hub.plugin_settings(NAME)).ed25519

    def routes(self) -> Sequence[Route]:
        keys = KeysApi(self._hub, signing=self._ed25519)
        return (*WebhookApi(self._hub).routes(), *keys.routes(), *replay_routes(self._hub))

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return check_config(config, self._egress)

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return redact_config(config)

    def timeout(self, config: Mapping[str, Any], default: float) -> float:
        return _seconds(config, default) + GRACE

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        seconds = _seconds(attempt.config, self._delivery.timeout)
        signers = await self._hub.keys.signers() if self._ed25519 else ()
        request = build_request(attempt, [signer.sign for signer in signers])
        exchange = Exchange(attempt, request, self._transport, self._delivery.max_response)
        with trio.CancelScope(deadline=trio.current_time() + seconds):
            return await exchange.result()
        return exchange.timed_out(seconds)


class Exchange:
    """One request and its answer, and as much of them as there was when it was cut off.

    Args:
        request: what to send.
        transport: the guarded one.
        keep: bytes of the answer's body to keep; no more are read.
    """

    def __init__(
        self,
        attempt: Attempt,
        request: WebhookRequest,
        transport: httpx.AsyncBaseTransport,
        keep: int,
    ) -> None:
        self._attempt = attempt
        self._request = request
        self._transport = transport
        self._keep = keep
        self._start = trio.current_time()
        self._timings: dict[str, float] = {}
        self._response: httpx.Response | None = None
        self._body = b""
        self._cut = False

    async def result(self) -> AttemptResult:
        """Make the request, and say what came of it."""
        try:
            response = await self._send()
            await self._read(response)
        except EGRESS_ERRORS as error:
            return self._failed(*classify(error))
        result = judge(
            response.status_code, response.headers, self._text(), self._attempt.timestamp
        )
        return self._timed(result)

    def timed_out(self, seconds: float) -> AttemptResult:
        """The result when the answer was not complete within so many seconds."""
        if self._response is not None:
            finding = f"answered {self._response.status_code}, but did not end its answer"
        elif "wait" in self._timings:
            finding = "did not answer"
        else:
            message = f"No connection to the receiver within {seconds:g} s."
            return self._failed("connect_timeout", message)
        return self._failed("read_timeout", f"The receiver {finding} within {seconds:g} s.")

    async def _send(self) -> httpx.Response:
        text, headers, body = self._request
        url = _url(text)
        extensions: dict[str, Any] = {"timings": self._timings}
        if "ca" in self._attempt.config:
            extensions["trust"] = self._attempt.config["ca"]
        request = httpx.Request("POST", url, headers=headers, content=body, extensions=extensions)
        self._response = await self._transport.handle_async_request(request)
        return self._response

    async def _read(self, response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        try:
            if self._keep:
                async for piece in response.stream:
                    self._body += piece[: self._keep - len(self._body)]
                    if len(self._body) >= self._keep:
                        self._cut = True
                        break
        finally:
            await response.aclose()

    def _failed(self, error: str, message: str) -> AttemptResult:
        status = self._response.status_code if self._response is not None else None
        return self._timed(
            AttemptResult(Outcome.RETRY, status, self._text(), error=error, error_message=message)
        )

    def _text(self) -> str | None:
        return None if self._response is None else decode_body(self._body, cut=self._cut)

    def _timed(self, result: AttemptResult) -> AttemptResult:
        self._timings["total"] = trio.current_time() - self._start
        return replace(result, timings=self._timings)


@lru_cache(maxsize=4096)
def _url(text: str) -> httpx.URL:
    """The URL, parsed once: that costs as much as signing."""
    return httpx.URL(text)


def _seconds(config: Mapping[str, Any], default: float) -> float:
    seconds: float = config.get("timeout") or default
    return seconds
