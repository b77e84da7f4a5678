"""Clients that post one event after the other on kept connections, while the hub stops."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11
import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.receiver import ReceivedRequest, Receiver, Reply, open_receiver

EVENT = json.dumps({"type": "user.created", "payload": {"user_id": 1}}).encode()
LATE = 3.0
"""Seconds that a stop may take beyond what it waits for."""
PAUSE = 0.1
"""Seconds between two attempts to reach a hub that is not there."""


@dataclass(slots=True)
class Posters:
    """What became of their requests.

    A request that gets no whole answer is aborted: its client cannot know what became of it. A
    connection that is refused is none, since the client has sent nothing.
    """

    port: int
    token: str
    answers: Counter[int] = field(default_factory=Counter)
    """Status to answers."""
    told: int = 0
    """Answers that said that their connection ends."""
    refused: int = 0
    """Connections."""
    aborted: list[str] = field(default_factory=list)

    async def post(self) -> None:
        """Post for ever, on a new connection whenever the last one has ended."""
        while True:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", self.port)
            except OSError:
                self.refused += 1
                await trio.sleep(PAUSE)
                continue
            async with stream:
                while await self._exchange(stream):
                    pass

    async def _exchange(self, stream: trio.SocketStream) -> bool:
        """Post once; whether the connection may be used again."""
        client = h11.Connection(h11.CLIENT)
        headers = [
            ("Host", "hub"),
            ("Authorization", f"Bearer {self.token}"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(EVENT))),
        ]
        parts = [
            h11.Request(method="POST", target="/events", headers=headers),
            h11.Data(data=EVENT),
            h11.EndOfMessage(),
        ]
        status = 0
        try:
            await stream.send_all(b"".join(client.send(part) or b"" for part in parts))
            while not isinstance(event := client.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    client.receive_data(await stream.receive_some())
                elif isinstance(event, h11.Response):
                    status = event.status_code
        except (trio.BrokenResourceError, h11.RemoteProtocolError) as error:
            self.aborted.append(f"{error!r} because of {error.__cause__!r}, status {status}")
            return False
        self.answers[status] += 1
        kept = client.our_state is h11.DONE
        self.told += not kept
        return kept


@dataclass(frozen=True, slots=True)
class Stop:
    """How one stop under load went."""

    posters: Posters
    status: int
    """The hub's exit status."""
    late: float
    """Seconds from the last attempt's end, or from the end of the delay, to the hub's."""

    @property
    def faults(self) -> list[str]:
        """What should not be."""
        found = list(self.posters.aborted)
        if set(self.posters.answers) != {202}:
            found.append(f"answers: {dict(self.posters.answers)}")
        if self.status:
            found.append(f"exit status {self.status}")
        if self.late > LATE:
            found.append(f"it took {self.late:.1f} s")
        return found


class Trial:
    """A hub with a webhook whose receiver answers every tenth attempt late, to be stopped often."""

    def __init__(self, hub: HubProcess, receiver: Receiver, nursery: trio.Nursery) -> None:
        self._hub = hub
        self._receiver = receiver
        self._nursery = nursery
        self._attempts = 0
        self._ended = 0.0
        receiver.respond = self._respond

    async def stop(self, count: int, seconds: float, delay: float) -> Stop:
        """Start the hub, let so many clients post for so long, and send SIGTERM.

        Args:
            delay: ``[server] drain_delay``.
        """
        self._hub.configure({"server": {"drain_delay": delay}})
        await trio.to_thread.run_sync(self._hub.start)
        if not self._attempts:
            await self._make_webhook()
        posters = Posters(self._hub.port, self._hub.token)
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(posters.post)
            await trio.sleep(seconds)
            signalled = trio.current_time()
            status = await trio.to_thread.run_sync(self._hub.terminate)
            late = trio.current_time() - max(signalled + delay, self._ended)
            nursery.cancel_scope.cancel()
        return Stop(posters, status, late)

    async def _make_webhook(self) -> None:
        webhook = {"name": "slow", "url": self._receiver.url, "event_type": "*"}
        async with self._hub.async_client() as http:
            (await http.post("/webhooks", json=webhook)).raise_for_status()

    def _respond(self, request: ReceivedRequest) -> Reply:
        self._attempts += 1
        wait = trio.Event()
        self._nursery.start_soon(self._answer, wait, 0.0 if self._attempts % 10 else 1.5)
        return Reply(wait=wait)

    async def _answer(self, wait: trio.Event, seconds: float) -> None:
        await trio.sleep(seconds)
        self._ended = trio.current_time()
        wait.set()


@asynccontextmanager
async def open_trial(hub: HubProcess) -> AsyncIterator[Trial]:
    """The receiver lives until the block is left."""
    async with open_receiver() as receiver, trio.open_nursery() as nursery:
        yield Trial(hub, receiver, nursery)
        nursery.cancel_scope.cancel()
