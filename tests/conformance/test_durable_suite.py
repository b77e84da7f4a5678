"""The suite for durable sinks passes a good sink and catches each way of being a bad one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
import trio

from hookhub.contracts.errors import ValidationFailed
from hookhub.contracts.sinks import Attempt, AttemptResult, DurableSink, Outcome
from hookhub.testing.conformance import DurableSinkConformance
from hookhub.testing.samples import SECRET

PASSWORD = "hunter2-of-the-endpoint"


class LineSink(DurableSink):
    """A good sink: writes the event as a line to a TCP server and reads back ``ok``."""

    name = "line"

    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        wrong = set(config) ^ {"port", "password"}
        if wrong or not isinstance(config["port"], int):
            raise ValidationFailed(
                "A line endpoint has port and password.",
                errors=[{"loc": [name], "msg": "wrong"} for name in wrong or {"port"}],
            )
        return dict(config)

    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {**config, "password": "…"}

    async def attempt(self, attempt: Attempt) -> AttemptResult:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", attempt.config["port"])
        except OSError:
            return AttemptResult(
                Outcome.RETRY, error="refused", error_message="The line server is not there."
            )
        async with stream:
            await stream.send_all(attempt.event.payload.encode() + b"\n")
            answer = await stream.receive_some()
        return AttemptResult(Outcome.DELIVERED, response_body=bytes(answer).decode())


class Suite(DurableSinkConformance):
    """What both the good and the bad sinks are given."""

    secrets = (PASSWORD,)
    bad_configs = ({}, {"port": "one", "password": ""}, {"port": 1, "password": "", "more": 1})

    @pytest.fixture
    async def config(self) -> AsyncIterator[Mapping[str, Any]]:
        async with _server(b"ok") as port:
            yield {"port": port, "password": PASSWORD}

    @pytest.fixture
    def failing_config(self, unused_port: int) -> Mapping[str, Any]:
        return {"port": unused_port, "password": PASSWORD}

    @pytest.fixture
    async def hanging_config(self) -> AsyncIterator[Mapping[str, Any]]:
        async with _server(None) as port:
            yield {"port": port, "password": PASSWORD}


class _server:
    """A line server that answers ``answer``, or never."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._nursery = trio.open_nursery()

    async def __aenter__(self) -> int:
        nursery = await self._nursery.__aenter__()
        listeners = await nursery.start(trio.serve_tcp, self._serve, 0)
        port: int = listeners[0].socket.getsockname()[1]
        self.cancel = nursery.cancel_scope.cancel
        return port

    async def __aexit__(self, *error: Any) -> None:
        self.cancel()
        await self._nursery.__aexit__(*error)

    async def _serve(self, stream: trio.SocketStream) -> None:
        await stream.receive_some()
        if self._answer is None:
            await trio.sleep_forever()
        else:
            await stream.send_all(self._answer)


@pytest.fixture
def unused_port() -> int:
    """A port that nobody listens on."""
    from hookhub.testing.machine import free_port

    return free_port()


class TestLineSink(Suite):
    """A sink of twenty lines keeps every rule."""

    @pytest.fixture
    def sink(self) -> DurableSink:
        return LineSink()


class Rewriting(LineSink):
    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {**config, "password": config["password"] + "!"}


class Unstorable(LineSink):
    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {**config, "weight": float("nan")}


class Credulous(LineSink):
    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)


class Mumbling(LineSink):
    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        raise ValidationFailed("Wrong.")


class Meddling(LineSink):
    def validate(self, config: Mapping[str, Any]) -> dict[str, Any]:
        assert isinstance(config, dict)
        config["more"] = 1
        return dict(config)


class Talkative(LineSink):
    def redact(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return dict(config)


class Raising(LineSink):
    async def attempt(self, attempt: Attempt) -> AttemptResult:
        raise OSError("refused")


class Silent(LineSink):
    async def attempt(self, attempt: Attempt) -> AttemptResult:
        return AttemptResult(Outcome.RETRY)


class Leaking(LineSink):
    async def attempt(self, attempt: Attempt) -> AttemptResult:
        return AttemptResult(
            Outcome.RETRY, error="key", error_message=f"signed with {attempt.secrets[0]}"
        )


class Swallowing(LineSink):
    async def attempt(self, attempt: Attempt) -> AttemptResult:
        with trio.move_on_after(0.01):
            return await super().attempt(attempt)
        return AttemptResult(Outcome.RETRY, error="timeout", error_message="Too slow.")


class Impatient(LineSink):
    def timeout(self, config: Mapping[str, Any], default: float) -> float:
        return 0.0


# How a suite may fail; not TypeError, which would be a mistake of this test.
BROKEN = (AssertionError, pytest.fail.Exception, ValidationFailed, ValueError, OSError)

BAD: list[tuple[type[DurableSink], Callable[..., object], tuple[str, ...]]] = [
    (Rewriting, Suite.test_validate_is_stable, ("config",)),
    (Unstorable, Suite.test_validate_returns_json, ("config",)),
    (Credulous, Suite.test_validate_refuses_garbage, ()),
    (Mumbling, Suite.test_validate_refuses_garbage, ()),
    (Meddling, Suite.test_validate_leaves_its_argument, ("config",)),
    (Talkative, Suite.test_redact_hides_secrets, ("config",)),
    (Impatient, Suite.test_timeout_is_positive, ("config",)),
    (Raising, Suite.test_attempt_delivers, ("config",)),
    (Raising, Suite.test_attempt_reports_failure, ("failing",)),
    (Silent, Suite.test_attempt_reports_failure, ("failing",)),
    (Leaking, Suite.test_results_hide_secrets, ("config", "failing")),
    (Swallowing, Suite.test_attempt_is_cancellable, ("hanging", "config")),
]


@pytest.mark.parametrize(
    ("kind", "rule", "needs"),
    BAD,
    ids=[f"{kind.__name__}-{rule.__name__}" for kind, rule, _ in BAD],
)
async def test_bad_sinks_are_caught(
    kind: type[DurableSink],
    rule: Callable[..., object],
    needs: tuple[str, ...],
    unused_port: int,
) -> None:
    """Each rule fails for a sink that breaks it."""
    assert SECRET != PASSWORD
    async with _server(b"ok") as good, _server(None) as silent:
        ports = {"config": good, "hanging": silent, "failing": unused_port}
        configs = [{"port": ports[name], "password": PASSWORD} for name in needs]

        async def apply() -> None:
            outcome = rule(Suite(), kind(), *configs)
            if isinstance(outcome, Awaitable):
                await outcome

        with pytest.raises(BROKEN):
            await apply()
