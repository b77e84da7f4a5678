"""The floor that others stand on: websockets' asyncio ``broadcast``, in a process of its own.

Prints its port; each JSON line on standard input asks for rounds of broadcasts, the answer is the
CPU seconds of each.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from websockets.asyncio.server import ServerConnection, broadcast, serve

SIZE = 241


async def main() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with serve(
        handler, "127.0.0.1", 0, compression=None, ping_interval=None, backlog=1000
    ) as server:
        print(json.dumps(server.sockets[0].getsockname()[1]), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            command = json.loads(line)
            seconds = []
            for _ in range(command["rounds"]):
                begin = time.thread_time()
                broadcast(server.connections, f'{{"sent": {time.monotonic()}}}'.ljust(SIZE))
                seconds.append(time.thread_time() - begin)
                await asyncio.sleep(command["pause"])
            print(json.dumps(seconds), flush=True)


asyncio.run(main())
