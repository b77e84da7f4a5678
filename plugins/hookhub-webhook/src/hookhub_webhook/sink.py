"""The durable sink: one attempt is one POST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import trio

from hookhub.contracts.routes import Route
from hookhub.contracts.sinks import Attempt, AttemptResult, DurableSink, Outcome
from hookhub.egress import EGRESS_ERRORS, Egress, ReceivedAnswer, classify
from hookhub_webhook.api import WebhookApi
from hookhub_webhook.config import NAME, check_config, redact_config, secret_values
from hookhub_webhook.keys import KeysApi
from hookhub_webhook.outcome import decode_body, is_success, judge
from hookhub_webhook.replays import replay_routes
from hookhub_webhook.request import WebhookRequest, build_request
from hookhub_webhook.settings import WebhookSettings

if TYPE_CHECKING:
    from hookhub.hub import Hub

GRACE = 1.0
"""Seconds that the core's deadline leaves beyond the sink's own, which knows better what it was
waiting for."""
BODY_GRACE = 2.0
"""Seconds for the body of an answer 2xx: it says nothing that matters, and its slot is wanted."""
MAX_PIECES = 1_000
"""Pieces (chunks) of a body that are read."""


class WebhookSink(DurableSink):
    """Posts events to URLs, signed; see ``README.md`` for the request."""

    name = NAME

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._delivery = hub.settings.delivery
        self._egress = hub.egress
        self._ed25519 = hub.settings.plugins.read(NAME, WebhookSettings).ed25519

    def routes(self) -> Sequence[Route]:
        keys = KeysApi(self._hub, signing=self._ed25519)
        return (*WebhookApi(self._hub).routes(), *keys.routes(), *replay_routes(self._hub))

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return check_config(config, self._egress)

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return redact_config(config)

    def secret_values(self, config: Mapping[str, Any]) -> Sequence[str]:
        return secret_values(config)

    def timeout(self, config: Mapping[str, Any], default: float) -> float:
        return _seconds(config, default) + GRACE

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        seconds = _seconds(attempt.config, self._delivery.timeout)
        signers = await self._hub.keys.signers() if self._ed25519 else ()
        request = build_request(attempt, [signer.sign for signer in signers])
        exchange = Exchange(attempt, request, self._egress, self._delivery.max_response)
        with trio.CancelScope(deadline=trio.current_time() + seconds):
            return await exchange.result()
        return exchange.timed_out(seconds)


class Exchange:
    """One request and its answer, and as much of them as there was when it was cut off.

    Args:
        request: what to send.
        egress: the way out.
        keep: bytes of the answer's body to keep; no more are read.
    """

    def __init__(
        self, attempt: Attempt, request: WebhookRequest, egress: Egress, keep: int
    ) -> None:
        self._attempt = attempt
        self._request = request
        self._egress = egress
        self._keep = keep
        self._start = trio.current_time()
        self._timings: dict[str, float] = {}
        self._answer: ReceivedAnswer | None = None
        self._body = b""
        self._cut = False
        self._remark: str | None = None

    async def result(self) -> AttemptResult:
        """Make the request, and say what came of it."""
        url, headers, body = self._request
        trust = self._attempt.config.get("ca")
        try:
            self._answer = await self._egress.post(
                url,
                headers,
                body,
                timings=self._timings,
                trust=trust,
                owner=self._attempt.endpoint_id,
            )
            await self._take_body(self._answer)
        except EGRESS_ERRORS as error:
            return self._failed(*classify(error))
        return self._judged(self._answer)

    def timed_out(self, seconds: float) -> AttemptResult:
        """The result when the answer was not complete within so many seconds."""
        if self._answer is not None:
            if is_success(self._answer.status):
                self._remark = f"The receiver did not end its answer within {seconds:g} s."
                self._cut = True
                return self._judged(self._answer)
            finding = f"answered {self._answer.status}, but did not end its answer"
        elif "wait" in self._timings:
            finding = "did not answer"
        else:
            message = f"No connection to the receiver within {seconds:g} s."
            return self._failed("connect_timeout", message)
        return self._failed("read_timeout", f"The receiver {finding} within {seconds:g} s.")

    async def _take_body(self, answer: ReceivedAnswer) -> None:
        """Keep the first part of the body; with 2xx the receiver has the event, whatever comes."""
        try:
            body = answer.whole_body()
            if body is not None:
                self._add(body)
            elif self._keep and is_success(answer.status):
                await self._read_briefly(answer)
            elif self._keep:
                await self._read(answer)
        finally:
            answer.close()

    async def _read_briefly(self, answer: ReceivedAnswer) -> None:
        try:
            with trio.move_on_after(BODY_GRACE) as grace:
                await self._read(answer)
        except EGRESS_ERRORS as error:
            self._cut = True
            self._remark = f"The answer's body was cut short. {classify(error)[1]}"
        if grace.cancelled_caught:
            self._cut = True
            self._remark = f"The answer's body took longer than {BODY_GRACE:g} s; the rest is cut."

    async def _read(self, answer: ReceivedAnswer) -> None:
        pieces = 0
        while not self._cut and (piece := await answer.piece()) is not None:
            pieces += 1
            self._add(piece)
            # Thousands of pieces of a byte each cost more than they are worth.
            if pieces >= MAX_PIECES:
                self._cut_here()

    def _add(self, piece: bytes) -> None:
        room = self._keep - len(self._body)
        self._body += piece[:room]
        if len(piece) > room:
            self._cut_here()

    def _cut_here(self) -> None:
        self._cut = True
        self._remark = f"Of the answer's body the first {len(self._body)} bytes are kept."

    def _judged(self, answer: ReceivedAnswer) -> AttemptResult:
        self._timings["total"] = trio.current_time() - self._start
        return judge(
            answer.status,
            answer.header,
            self._text(),
            self._attempt.timestamp,
            remark=self._remark,
            timings=self._timings,
            fields=answer.head.fields,
        )

    def _failed(self, error: str, message: str) -> AttemptResult:
        self._timings["total"] = trio.current_time() - self._start
        return AttemptResult(
            Outcome.RETRY,
            None if self._answer is None else self._answer.status,
            self._text(),
            error=error,
            error_message=message,
            timings=self._timings,
            response_headers=() if self._answer is None else self._answer.head.fields,
        )

    def _text(self) -> str | None:
        return None if self._answer is None else decode_body(self._body, cut=self._cut)


def _seconds(config: Mapping[str, Any], default: float) -> float:
    seconds: float = config.get("timeout") or default
    return seconds
