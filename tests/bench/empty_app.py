"""The floor: an empty Quart-Trio POST route under Hypercorn. Runs by itself.

python empty_app.py PORT
"""

from __future__ import annotations

import sys

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart_trio import QuartTrio

app = QuartTrio(__name__)


@app.post("/empty")
async def empty() -> tuple[str, int]:
    return "{}", 202


if __name__ == "__main__":
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.errorlog = None
    config.keep_alive_max_requests = 10_000_000
    trio.run(serve, app, config)
