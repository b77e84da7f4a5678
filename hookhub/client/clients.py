"""The client for blocking programs, and the one for asynchronous ones.

Their operations are those of :mod:`hookhub.client.operations`, with ``self`` before the arguments.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, get_args

import anyio
import httpx

from hookhub.client import operations
from hookhub.client.address import authorization, hub_address
from hookhub.client.operations import ListSteps, Steps
from hookhub.client.retries import Call, Patience, RetryState

if TYPE_CHECKING:
    from hookhub.client.publishing import Publisher

P = ParamSpec("P")
T = TypeVar("T")
Q = ParamSpec("Q")
R = TypeVar("R")


TransportT = TypeVar("TransportT")
ShellT = TypeVar("ShellT", bound="_Shell[Any]")


class _Shell(Generic[TransportT]):
    """What fails for a reason that may pass (no connection, 429, 502, 503, 504) is tried again.
    Each event carries an id or an idempotency key that stays the same on every try, so trying
    again never doubles an event.

    Args:
        url: the hub's address: ``http://127.0.0.1:8080``; that of its panel will do.
        token: an API token with the scopes ``events:write`` to send, ``events:read`` to read.
        timeout: seconds that a call may take in all, pauses included.
        retries: how many tries may follow the first one.
        transport: another way to the hub than httpx's own (for tests, or a proxy).

    Raises:
        ConfigError: the address or the token cannot be right.
    """

    _opens: Callable[..., Any]
    """httpx's client."""
    _http: Any

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 30.0,
        retries: int = 5,
        transport: TransportT | None = None,
    ) -> None:
        self.url = hub_address(url)
        self._token = token
        self._patience = Patience(timeout, retries)
        self._http = self._opens(headers=authorization(token), transport=transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"


def _shown(cls: type[ShellT]) -> type[ShellT]:
    """The whole documentation, and a constructor that names the transport of its class."""
    cls.__doc__ = f"{cls.__doc__}\n\n    {_Shell.__doc__}"
    plain = _Shell.__init__
    init = FunctionType(plain.__code__, plain.__globals__, "__init__")
    init.__kwdefaults__ = plain.__kwdefaults__
    [transport] = get_args(cls.__orig_bases__[0])  # type: ignore[attr-defined]
    name = f"httpx.{transport.__name__} | None"
    init.__annotations__ = plain.__annotations__ | {"transport": name}
    init.__qualname__ = f"{cls.__name__}.__init__"
    cls.__init__ = init  # type: ignore[method-assign]
    return cls


def _as(
    operation: Callable[..., Any], returns: str = "{}"
) -> Callable[[Callable[Q, R]], Callable[Q, R]]:
    """Name and documentation of an operation, and its signature as that of a method."""

    def dress(method: Callable[Q, R]) -> Callable[Q, R]:
        functools.update_wrapper(method, operation)
        plain = inspect.signature(operation)
        result = returns.format(plain.return_annotation.partition("[")[2].removesuffix("]"))
        me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        parameters = [me, *plain.parameters.values()]
        signature = plain.replace(parameters=parameters, return_annotation=result)
        method.__signature__ = signature  # type: ignore[attr-defined]
        method.__annotations__ = operation.__annotations__ | {"return": result}
        return method

    return dress


def _blocking(operation: Callable[P, Steps[T]]) -> Callable[Concatenate[Client, P], T]:
    @_as(operation)
    def run(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        steps = operation(*args, **kwargs)
        try:
            call = next(steps)
            while True:
                call = steps.send(self._answer(call))
        except StopIteration as end:
            result: T = end.value
            return result

    return run


def _blocking_list(
    operation: Callable[P, ListSteps[T]],
) -> Callable[Concatenate[Client, P], Iterator[T]]:
    @_as(operation, "Iterator[{}]")
    def run(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        steps = operation(*args, **kwargs)
        found, call = next(steps)
        while call is not None:
            found, call = steps.send(self._answer(call))
            yield from found

    return run


@_shown
class Client(_Shell[httpx.BaseTransport]):
    """Publishes events to a hub and reads its history; safe to share between threads."""

    _opens = httpx.Client
    _http: httpx.Client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    send = _blocking(operations.send)
    send_many = _blocking(operations.send_many)
    events = _blocking_list(operations.events)
    event_types = _blocking(operations.event_types)
    cursor_at = _blocking(operations.cursor_at)
    call = _blocking(operations.call)
    items = _blocking_list(operations.items)

    def publisher(self, *, in_flight: int = 1_000) -> Publisher:
        """Publish over one open connection, many events a round trip; use it in a ``with`` block.

        Args:
            in_flight: events that may wait for their acknowledgement.
        """
        # Not for everybody: it needs Trio's WebSockets.
        from hookhub.client.publishing import Publisher

        timeout = self._patience.timeout
        return Publisher(self.url, self._token, in_flight=in_flight, timeout=timeout)

    def _answer(self, call: Call) -> httpx.Response:
        state = RetryState(call, self.url, self._patience)
        while True:
            try:
                response = self._http.request(**state.request())
            except httpx.RequestError as error:
                pause: float | None = state.after_failure(error)
            else:
                pause = state.after_response(response)
            if pause is None:
                return response
            time.sleep(pause)


def _awaited(
    operation: Callable[P, Steps[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    @_as(operation)
    async def run(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        steps = operation(*args, **kwargs)
        try:
            call = next(steps)
            while True:
                call = steps.send(await self._answer(call))
        except StopIteration as end:
            result: T = end.value
            return result

    return run


def _awaited_list(
    operation: Callable[P, ListSteps[T]],
) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    @_as(operation, "AsyncIterator[{}]")
    async def run(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        steps = operation(*args, **kwargs)
        found, call = next(steps)
        while call is not None:
            found, call = steps.send(await self._answer(call))
            for item in found:
                yield item

    return run


@_shown
class AsyncClient(_Shell[httpx.AsyncBaseTransport]):
    """:class:`Client` for asyncio and Trio; safe to share between tasks."""

    _opens = httpx.AsyncClient
    _http: httpx.AsyncClient

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    send = _awaited(operations.send)
    send_many = _awaited(operations.send_many)
    events = _awaited_list(operations.events)
    event_types = _awaited(operations.event_types)
    cursor_at = _awaited(operations.cursor_at)
    call = _awaited(operations.call)
    items = _awaited_list(operations.items)

    async def _answer(self, call: Call) -> httpx.Response:
        state = RetryState(call, self.url, self._patience)
        while True:
            try:
                response = await self._http.request(**state.request())
            except httpx.RequestError as error:
                pause: float | None = state.after_failure(error)
            else:
                pause = state.after_response(response)
            if pause is None:
                return response
            await anyio.sleep(pause)
