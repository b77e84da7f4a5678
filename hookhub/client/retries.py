"""One call to the hub, from the first try to the last. Pure but for the clock.

The two clients are thin shells around this: they send what they are told, report what came of
it, and pause for as long as they are told.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from hookhub.client.address import nowhere
from hookhub.client.problems import error_of, problem_of
from hookhub.contracts.errors import NOTHING_HERE, ConfigError, HookhubError, NotFound, Unavailable

# 503: the hub is starting, stopping or its database is busy; 502 and 504: a proxy did not reach
# it; 429: a limit. None of them says that the event is stored, and the idempotency key makes a
# repeat safe if it is.
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_NOT_DONE = frozenset({429, 503})
"""What says that nothing was done, so that also what must not be done twice may be tried again."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operation, the same on every try."""

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    repeatable: bool = True
    """Whether a second one does no harm where nobody knows whether the first one was heard."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often to try.

    Args:
        timeout: seconds for a call in all, pauses included.
        retries: how many tries may follow the first one.
        first_pause: seconds before the second try; each further pause is twice as long.
        longest_pause: seconds that a pause has at most, unless the hub asks for more.
    """

    timeout: float = 30.0
    retries: int = 5
    first_pause: float = 0.2
    longest_pause: float = 5.0

    def pause(self, tries: int, chance: float) -> float:
        """Seconds to wait after ``tries`` tries; ``chance`` in 0–1 spreads many clients out."""
        longest = min(self.longest_pause, self.first_pause * 2.0 ** (tries - 1))
        return longest * (0.5 + chance / 2)


class RetryState:
    """The state of one call: try the :meth:`request`, then report to one of the ``after_…``.

    Args:
        call: what is asked.
        url: the hub's address.
        patience: how long and how often to try.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        call: Call,
        url: str,
        patience: Patience,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = call
        self._url = url
        self._patience = patience
        self._clock = clock
        self._deadline = clock() + patience.timeout
        self._tries = 0

    def request(self) -> dict[str, Any]:
        """The next try, as arguments of ``httpx.Client.request``."""
        return {
            "method": self._call.method,
            "url": self._url + self._call.path,
            "params": self._call.params,
            "headers": self._call.headers,
            "content": self._call.content,
            "timeout": self.timeout(),
        }

    def timeout(self) -> float:
        """Seconds that the next try may take: a hub that hangs must leave time for another."""
        left = max(self._deadline - self._clock(), 0.001)
        return min(left, max(self._patience.timeout / 3, 0.001))

    def after_failure(self, error: httpx.RequestError) -> float:
        """Seconds to pause before the next try.

        Raises:
            Unavailable: no further try is left.
            ConfigError: the request itself cannot be sent.
        """
        if isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
            raise ConfigError(f"{self._url} cannot be asked: {error}.") from error
        pause = self._next_pause(0.0)
        unheard = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        if pause is None or not (self._call.repeatable or unheard):
            raise Unavailable(self._no_answer(error, unheard)) from error
        return pause

    def after_response(self, response: httpx.Response) -> float | None:
        """None if the answer is good, else seconds to pause before the next try.

        Raises:
            HookhubError: the hub refused, or no further try is left.
        """
        if response.is_success:
            return None
        error = self._refusal(response)
        again = _TRY_AGAIN if self._call.repeatable else _NOT_DONE
        if response.status_code not in again:
            raise error
        pause = self._next_pause(_retry_after(response))
        if pause is None:
            raise error
        return pause

    def _refusal(self, response: httpx.Response) -> HookhubError:
        asked = f"{self._url}{self._call.path}"
        error = error_of(response.status_code, response.content, response.headers, asked)
        astray = problem_of(response.content) is None or error.detail == NOTHING_HERE
        if response.status_code == NotFound.status and astray:
            return NotFound(nowhere(self._url) or error.detail)
        return error

    def _no_answer(self, error: httpx.RequestError, unheard: bool) -> str:
        tries = "1 try" if self._tries == 1 else f"{self._tries} tries"
        text = (
            f"No answer from {self._url} to {self._call.method} {self._call.path} after {tries}: "
            f"{str(error) or type(error).__name__}. Is the hub running there?"
        )
        if self._call.method == "GET":
            return text
        if not self._call.repeatable:
            return text if unheard else f"{text} It may have been done all the same; look first."
        return (
            f"{text} It may have been stored all the same; send it again with the same id or "
            "idempotency key."
        )

    def _next_pause(self, at_least: float) -> float | None:
        self._tries += 1
        if self._tries > self._patience.retries:
            return None
        pause = max(at_least, self._patience.pause(self._tries, random.random()))  # noqa: S311
        return None if self._clock() + pause >= self._deadline else pause


def _retry_after(response: httpx.Response) -> float:
    # RFC 9110 §10.2.3 also allows a date; the hub always sends seconds.
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def json_of(response: httpx.Response) -> Any:
    """The JSON of a good answer.

    Raises:
        HookhubError: it is not JSON.
    """
    try:
        return response.json()
    except ValueError:
        raise not_hookhub(response) from None


def not_hookhub(response: httpx.Response) -> HookhubError:
    """The error for a 2xx answer that the hub does not give."""
    return HookhubError(
        f"{response.request.url.path} answered {response.status_code}, but not as hookhub does; "
        "check the address and the proxies before it."
    )
