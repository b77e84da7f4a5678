"""Several hubs on one PostgreSQL, behind one address: to those who use them they are one hub."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from hookhub.testing.hub_process import HubProcess
from hookhub.testing.machine import free_port


class Cluster(HubProcess):
    """What a world needs of a hub process; what is done to "the hub" is done to one at a time.

    Args:
        directory: each node has a directory of its own in it.
        settings: of all of them; a PostgreSQL database.
    """

    def __init__(
        self, directory: Path, settings: Mapping[str, Mapping[str, Any]], nodes: int = 2
    ) -> None:
        super().__init__(directory, settings)
        self.nodes: list[HubProcess] = []
        for number in range(nodes):
            place = directory / f"node-{number}"
            place.mkdir()
            self.nodes.append(HubProcess(place, settings))
        self._running = [False] * nodes
        self._turn = 0
        # Where the nodes are reached together; the configuration beside it is for commands.
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def running(self) -> int:
        """How many of them run."""
        return sum(self._running)

    @property
    def _node(self) -> HubProcess:
        return self.nodes[self._turn]

    @property
    def pid(self) -> int:
        """Of the node whose turn it is."""
        return self._node.pid

    @property
    def lines(self) -> list[str]:
        """What all of them printed."""
        return [line for node in self.nodes for line in node.lines]

    def start(self) -> None:
        """Start those that do not run; the next turn is another one's."""
        for number, node in enumerate(self.nodes):
            if not self._running[number]:
                node.start()
                self._running[number] = True
        self._turn = (self._turn + 1) % len(self.nodes)

    def spawn(self) -> None:
        """Start the one whose turn it is, without waiting."""
        self._node.spawn()
        self._running[self._turn] = True

    def wait(self) -> int:
        """Wait until the one whose turn it is has ended."""
        self._running[self._turn] = False
        return self._node.wait()

    def kill(self) -> None:
        """Kill all of them."""
        for node in self.nodes:
            node.kill()
        self._running = [False] * len(self.nodes)

    def terminate(self) -> int:
        """Stop all of them."""
        statuses = [
            node.terminate() for on, node in zip(self._running, self.nodes, strict=True) if on
        ]
        self._running = [False] * len(self.nodes)
        return max(statuses, default=0)

    def restart(self) -> None:
        """Stop all of them, and start them again."""
        self.terminate()
        self.start()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command, on the first node's configuration."""
        return self.nodes[0].run(*arguments)

    async def balance(self, chance: random.Random) -> None:
        """Give each connection to one of the nodes that run; ends when cancelled."""

        async def serve(client: trio.SocketStream) -> None:
            running = [node for on, node in zip(self._running, self.nodes, strict=True) if on]
            try:
                server = await trio.open_tcp_stream("127.0.0.1", chance.choice(running).port)
                async with server, trio.open_nursery() as nursery:
                    for source, sink in ((client, server), (server, client)):
                        nursery.start_soon(_copy, source, sink, nursery.cancel_scope)
            except (OSError, IndexError, trio.BrokenResourceError):
                # Nobody is there: the connection ends.
                return

        await trio.serve_tcp(serve, self.port, host="127.0.0.1")


async def _copy(
    source: trio.SocketStream, sink: trio.SocketStream, around: trio.CancelScope
) -> None:
    try:
        async for data in source:
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    around.cancel()
