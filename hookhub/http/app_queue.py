"""From the connection to the task that answers: messages that never wait for somebody who left.

Hypercorn hands a request's body over through a short queue, from the task that reads the connection
and, for the last message, from the task that answers. Once nobody reads the queue any more (the
answer is complete, but the client goes on sending), both wait for ever, and with them the
connection, whatever its time-outs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.typing import (
    AppWrapper,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
    TaskGroup,
)


class AppQueues:
    """Hypercorn's task group of one connection, with a queue of our own for each request.

    What comes after the answer is complete is dropped, and the end of a request ends the queue
    instead of standing in it.
    """

    def __init__(self, task_group: TaskGroup) -> None:
        self._task_group = task_group

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start the answering task; gives what takes the messages for it."""
        into, out = trio.open_memory_channel[ASGIReceiveEvent](config.max_app_queue_size)

        async def pull() -> ASGIReceiveEvent:
            try:
                return await out.receive()
            except trio.EndOfChannel:
                return {"type": "http.disconnect"}

        async def answer(
            scope: Scope,
            receive: ASGIReceiveCallable,
            send: ASGISendCallable,
            sync_spawn: Callable[..., Any],
            call_soon: Callable[..., Any],
        ) -> None:
            with out:
                await app(scope, pull, send, sync_spawn, call_soon)

        async def put(message: ASGIReceiveEvent) -> None:
            if message["type"] == "http.disconnect":
                into.close()
                return
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await into.send(message)

        await self._task_group.spawn_app(answer, config, scope, send)
        return put

    def spawn(self, func: Callable[..., Any], *args: Any) -> None:
        """Start any other task."""
        self._task_group.spawn(func, *args)
