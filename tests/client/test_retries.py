"""When the client tries again, for how long, and what it says in the end."""

from __future__ import annotations

import httpx
import pytest

from hookhub.client.retries import Call, Patience, RetryState
from hookhub.contracts.errors import ConfigError, StoreUnavailable, Unavailable, ValidationFailed

POST = Call("POST", "/events")
REFUSED = httpx.ConnectError("connection refused")


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Time in the test's hands."""
    return Clock()


def _exchange(clock: Clock, call: Call = POST, **patience: float) -> RetryState:
    return RetryState(call, "http://hub", Patience(**patience), clock)  # type: ignore[arg-type]


def _answer(status: int, code: str = "", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": "No."}, headers=dict(headers))


def test_pauses_grow_and_are_bounded() -> None:
    """Each pause is at most twice the last and never above the longest."""
    patience = Patience(first_pause=1, longest_pause=6)
    assert [patience.pause(tries, 1.0) for tries in (1, 2, 3, 4, 9)] == [1, 2, 4, 6, 6]
    assert patience.pause(2, 0.0) == 1


def test_retries_are_counted(clock: Clock) -> None:
    """After the given number of retries the failure is raised, with what was tried."""
    exchange = _exchange(clock, retries=2, timeout=60)
    assert exchange.after_failure(REFUSED) > 0
    assert exchange.after_failure(REFUSED) > 0
    with pytest.raises(Unavailable, match=r"http://hub to POST /events after 3 tries: .*refused"):
        exchange.after_failure(REFUSED)


def test_no_retries_means_one_try(clock: Clock) -> None:
    """retries=0 raises at the first failure."""
    with pytest.raises(Unavailable, match="after 1 try"):
        _exchange(clock, retries=0).after_failure(REFUSED)


def test_the_deadline_holds(clock: Clock) -> None:
    """No pause reaches beyond the timeout of the call."""
    exchange = _exchange(clock, retries=1000, timeout=10)

    def fail_for_ever() -> None:
        while True:
            clock.now += 0.5
            clock.now += exchange.after_failure(REFUSED)
            assert clock.now < 10

    with pytest.raises(Unavailable):
        fail_for_ever()


def test_a_try_leaves_time_for_another(clock: Clock) -> None:
    """A hub that hangs takes a third of the time, then the client tries again."""
    exchange = _exchange(clock, timeout=30)
    assert exchange.timeout() == 10
    clock.now = 25
    assert exchange.timeout() == 5


def test_only_a_write_may_have_been_stored(clock: Clock) -> None:
    """The warning about a lost answer is given for writes, not for reads."""
    with pytest.raises(Unavailable, match="stored all the same"):
        _exchange(clock, retries=0).after_failure(REFUSED)
    with pytest.raises(Unavailable) as error:
        _exchange(clock, Call("GET", "/events"), retries=0).after_failure(REFUSED)
    assert "stored" not in error.value.detail


def test_retry_after_is_honoured(clock: Clock) -> None:
    """The hub's own wish sets the least pause."""
    exchange = _exchange(clock, timeout=60)
    assert exchange.after_response(_answer(503, "store_unavailable", **{"Retry-After": "7"})) == 7


def test_retry_after_beyond_the_deadline_ends_it(clock: Clock) -> None:
    """A hub that wants a longer wait than the caller has is not asked again."""
    exchange = _exchange(clock, timeout=5)
    with pytest.raises(StoreUnavailable):
        exchange.after_response(_answer(503, "store_unavailable", **{"Retry-After": "7"}))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_again(clock: Clock, status: int) -> None:
    """Statuses that say nothing was done, or that nobody knows, are worth another try."""
    pause = _exchange(clock).after_response(_answer(status))
    assert pause is not None
    assert pause > 0


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 413, 422, 500])
def test_what_will_not_pass_is_raised(clock: Clock, status: int) -> None:
    """A refusal is raised at once: the same request would be refused again."""
    exchange = _exchange(clock)
    with pytest.raises(Exception, match=r"No\."):
        exchange.after_response(_answer(status))


def test_success_ends_the_exchange(clock: Clock) -> None:
    """2xx needs no pause and no error."""
    assert _exchange(clock).after_response(_answer(202)) is None


def test_a_request_that_cannot_be_sent_is_not_tried_again(clock: Clock) -> None:
    """A mistake on this side is no outage."""
    with pytest.raises(ConfigError):
        _exchange(clock).after_failure(httpx.UnsupportedProtocol("no scheme"))


def test_a_refusal_names_the_fields(clock: Clock) -> None:
    """The wrong fields of a 422 arrive with the error."""
    response = httpx.Response(
        422,
        json={
            "code": "validation_failed",
            "detail": "Wrong.",
            "errors": [{"loc": ["payload", "user_id"], "msg": "not an integer"}],
        },
    )
    with pytest.raises(ValidationFailed) as error:
        _exchange(clock).after_response(response)
    assert error.value.errors[0]["loc"] == ["payload", "user_id"]
