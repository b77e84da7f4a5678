"""One attempt: what the sink gets to see, and what its answer becomes whatever it does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import structlog
import trio

from hookhub.contracts.deliveries import Endpoint
from hookhub.contracts.events import Event
from hookhub.contracts.redaction import Known
from hookhub.contracts.sinks import Attempt, AttemptResult, DurableSink, Outcome
from hookhub.contracts.transforms import TransformError
from hookhub.delivery.rendering import Rendering
from hookhub.plugins import TransformRegistry, only_fault

STATUS_MAX = 2**31 - 1
MAX_TIMEOUT = 65.0
"""Seconds that a sink may ask for one attempt."""
MAX_KNOWN = 4096
"""Endpoints whose secrets are kept as they are looked for."""

log = structlog.get_logger("hookhub.delivery")


class Attempts:
    """Makes attempts; the engine decides when, and what follows from them.

    Args:
        sinks: durable sinks by name.
        transforms: bodies that endpoints may ask for.
        timeout: seconds for one attempt if its sink asks for no other time.
    """

    def __init__(
        self, sinks: Mapping[str, DurableSink], transforms: TransformRegistry, timeout: float
    ) -> None:
        self.sinks = sinks
        self._rendering = Rendering(transforms)
        self._timeout = timeout
        self._longest = max(MAX_TIMEOUT, timeout)
        self._known: dict[int, tuple[Endpoint, Known]] = {}

    @property
    def longest(self) -> float:
        """Seconds that an attempt may take at most, its body's making included."""
        return self._longest + self._rendering.timeout

    def timeout(self, endpoint: Endpoint) -> float:
        """Seconds that the sink's attempt to this endpoint may take."""
        wanted = self.sinks[endpoint.sink].timeout(endpoint.config, self._timeout)
        if not math.isfinite(wanted):
            raise ValueError(f"timeout() is {wanted}, not a number of seconds")
        return min(wanted, self._longest)

    async def make(
        self, endpoint: Endpoint, event: Event, *, delivery_id: int, number: int, now: int
    ) -> AttemptResult:
        """Make one attempt; only cancellation comes out as an exception.

        Args:
            number: 1 for the first attempt.
            now: microseconds since 1970.
        """
        if endpoint.unreadable is not None:
            # Never without the signature that was asked for.
            return AttemptResult(
                Outcome.RETRY,
                error=endpoint.unreadable.error,
                error_message=endpoint.unreadable.reason,
            )
        content = None
        try:
            if (wanted := endpoint.options.transform) is not None:
                content = await self._rendering.make(wanted["name"], wanted["config"], event)
        except TransformError as error:
            # The next attempt may find a transform that was mended.
            return AttemptResult(Outcome.RETRY, error="transform", error_message=error.detail)
        attempt = Attempt(
            delivery_id=delivery_id,
            endpoint_id=endpoint.id,
            number=number,
            event=event,
            config=endpoint.config,
            secrets=valid_secrets(endpoint, now),
            timestamp=now // 1_000_000,
            content=content,
        )
        sink = self.sinks[endpoint.sink]
        try:
            timeout = self.timeout(endpoint)
            secrets = self._secrets_of(endpoint)
        except (Exception, SystemExit) as error:
            return _broken(sink, attempt, error)
        return without(secrets, await run_attempt(sink, attempt, timeout))

    def _secrets_of(self, endpoint: Endpoint) -> Known:
        """What this endpoint's receiver may repeat and nobody is to see."""
        found = self._known.get(endpoint.id)
        if found is None or found[0] is not endpoint:
            signing = [secret.value for secret in endpoint.secrets]
            secret = self.sinks[endpoint.sink].secret_values(endpoint.config)
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            found = self._known[endpoint.id] = endpoint, Known((*signing, *secret))
        return found[1]


def valid_secrets(endpoint: Endpoint, now: int) -> tuple[str, ...]:
    """The secrets that sign at this moment, newest first."""
    return tuple(
        secret.value
        for secret in endpoint.secrets
        if secret.expires_at is None or secret.expires_at > now
    )


async def run_attempt(sink: DurableSink, attempt: Attempt, timeout: float) -> AttemptResult:
    """Let the sink make its attempt, within ``timeout`` seconds; a failing sink is a failure."""
    try:
        with trio.CancelScope(deadline=trio.current_time() + timeout):
            return checked(await sink.attempt(attempt))
    except BaseException as error:
        only_fault(error)
        return _broken(sink, attempt, error)
    return AttemptResult(
        Outcome.RETRY,
        error="timeout",
        error_message=f"The attempt took longer than {timeout:g} seconds.",
    )


def _broken(sink: DurableSink, attempt: Attempt, error: BaseException) -> AttemptResult:
    log.error("sink.failed", sink=sink.name, delivery_id=attempt.delivery_id, exc_info=error)
    return AttemptResult(
        Outcome.RETRY,
        error="sink_error",
        error_message=f"The sink {sink.name!r} failed: {type(error).__name__}.",
    )


def checked(result: object) -> AttemptResult:
    """A sink's result, held to its contract: what cannot be written down must not be tried to.

    Raises:
        TypeError: a wrong type; names the member.
        ValueError: a number that no column holds.
    """
    if not isinstance(result, AttemptResult):
        raise TypeError(f"attempt() returned {type(result).__name__}, not AttemptResult")
    if not isinstance(result.outcome, Outcome):
        raise TypeError("outcome is no Outcome")
    for name in ("response_body", "error", "error_message"):
        value = getattr(result, name)
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} is {type(value).__name__}, not str")
    status = result.response_status
    if status is not None and (type(status) is not int or not 0 <= status <= STATUS_MAX):
        raise ValueError(f"response_status is not an int from 0 to {STATUS_MAX}")
    for field, content in result.response_headers:
        if type(field) is not bytes or type(content) is not bytes:
            raise TypeError("response_headers are pairs of bytes")
    if result.error is not None and not result.error.isprintable():
        raise ValueError("error is no word")
    _check_seconds(result)
    return result


def _check_seconds(result: AttemptResult) -> None:
    if not all(isinstance(phase, str) for phase in result.timings):
        raise TypeError("timings are not named by str")
    seconds: list[object] = list(result.timings.values())
    if result.retry_after is not None:
        seconds.append(result.retry_after)
    for value in seconds:
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError("timings and retry_after are finite numbers of seconds")


def without(secrets: Known, result: AttemptResult) -> AttemptResult:
    """The result as it may be kept: a receiver may repeat what it was sent."""
    head = b"\n".join([text for field in result.response_headers for text in field])
    body, message = result.response_body, result.error_message
    if not secrets.may_be_in(f"{head.decode('latin-1')}\n{body or ''}\n{message or ''}"):
        return result
    fields = [
        (_masked(secrets, name), _masked(secrets, value)) for name, value in result.response_headers
    ]
    return replace(
        result,
        response_body=body and secrets.mask(body),
        error_message=message and secrets.mask(message),
        response_headers=fields,
    )


def _masked(secrets: Known, text: bytes) -> bytes:
    return secrets.mask(text.decode("latin-1")).encode("latin-1")


def storable(text: str | None, limit: int) -> str | None:
    """Text as both databases keep it: cut, without NUL and without halves of surrogate pairs."""
    if text is None:
        return None
    return text[:limit].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
