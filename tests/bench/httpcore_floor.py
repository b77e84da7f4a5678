"""The floor for deliveries: a loop over kept ``httpcore.AsyncHTTP11Connection``s. Runs by itself.

    python httpcore_floor.py PORT IN_FLIGHT SECONDS

Prints the requests per second of one process that posts the same body with as many headers as a
webhook has, and does nothing else: no store, no signature, no record.
"""

from __future__ import annotations

import sys

import httpcore
import trio
from httpcore._backends.trio import TrioBackend

BODY = (
    b'{"first_name": "Test", "last_name": "User", "referral_code": "refABC123", '
    b'"referred_by_id": null, "telegram_id": 456789, "user_id": 123, "username": "testuser"}'
)


async def run(port: int, in_flight: int, seconds: float) -> None:
    """Print requests per second."""
    origin = httpcore.Origin(b"http", b"127.0.0.1", port)
    url = f"http://127.0.0.1:{port}/hook"
    headers = [
        ("Host", f"127.0.0.1:{port}"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(BODY))),
        ("User-Agent", "hookhub/0"),
        ("X-Webhook-Event", "user.created"),
        ("X-Webhook-Id", "1"),
        ("X-Webhook-Signature", "sha256=" + "0" * 64),
        ("X-Webhook-Delivery", "123456"),
        ("X-Webhook-Attempt", "1"),
        ("webhook-id", "evt_" + "0" * 32),
        ("webhook-timestamp", "1700000000"),
        ("webhook-signature", "v1," + "0" * 44),
    ]
    backend = TrioBackend()
    count = 0

    async def loop() -> None:
        nonlocal count
        stream = await backend.connect_tcp("127.0.0.1", port)
        connection = httpcore.AsyncHTTP11Connection(origin, stream)
        while True:
            response = await connection.request("POST", url, headers=headers, content=BODY)
            assert response.status == 200
            count += 1

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for _ in range(in_flight):
                nursery.start_soon(loop)
    print(count / seconds)


if __name__ == "__main__":
    trio.run(run, int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
