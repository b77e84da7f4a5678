"""One attempt: what the sink gets to see, and what its answer becomes whatever it does."""

from __future__ import annotations

import structlog
import trio

from hookhub.delivery.model import Claim, Endpoint
from hookhub.sinks import Attempt, AttemptResult, DurableSink, Outcome

log = structlog.get_logger("hookhub.delivery")


def make_attempt(claim: Claim, endpoint: Endpoint, now: int) -> Attempt:
    """What the sink gets to see. ``now`` in microseconds."""
    return Attempt(
        delivery_id=claim.id,
        endpoint_id=endpoint.id,
        number=claim.attempts + 1,
        event=claim.event,
        config=endpoint.config,
        secrets=valid_secrets(endpoint, now),
        timestamp=now // 1_000_000,
    )


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
        with trio.fail_after(timeout):
            return await sink.attempt(attempt)
    except trio.TooSlowError:
        return AttemptResult(
            Outcome.RETRY,
            error="timeout",
            error_message=f"The attempt took longer than {timeout:g} seconds.",
        )
    except Exception as error:
        log.exception("sink.failed", sink=sink.name, delivery_id=attempt.delivery_id)
        return AttemptResult(
            Outcome.RETRY,
            error="sink_error",
            error_message=f"The sink {sink.name!r} failed: {type(error).__name__}.",
        )


def storable(text: str | None, limit: int) -> str | None:
    """Text as both databases keep it: cut, without NUL and without halves of surrogate pairs."""
    if text is None:
        return None
    return text[:limit].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
