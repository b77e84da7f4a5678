"""A receiver that says more than it was asked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import trio

from hookhub.testing.receiver import BROKEN, Behaviour, Conversation, Reply


@dataclass(frozen=True, slots=True)
class Twice(Behaviour):
    """Answers, and then says the same once more, which nobody asked for.

    Args:
        answer: what is said twice.
        delay: seconds in between; 0 sends the second one at once, by itself (over TLS in a record
            of its own).
    """

    answer: Reply
    delay: float = 0.0

    async def act(self, conversation: Conversation) -> None:
        await self.answer.act(conversation)
        stream, said = conversation.stream, conversation.said

        async def again() -> None:
            await trio.sleep(self.delay)
            with suppress(*BROKEN, trio.BusyResourceError):
                await stream.send_all(said)

        if self.delay:
            conversation.receiver.nursery.start_soon(again)
        else:
            await stream.send_all(said)
