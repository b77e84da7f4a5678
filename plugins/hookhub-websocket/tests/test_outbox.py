"""One writer, whole frames, nothing after the close frame."""

from __future__ import annotations

import trio
from trio.testing import MemorySendStream, wait_all_tasks_blocked

from hookhub_websocket.outbox import ROOM, Outbox


async def write(outbox: Outbox, batches: list[bytes]) -> None:
    """A session's writer in small."""
    while await outbox.flush():
        if batches:
            await outbox.send(batches.pop(0))
        else:
            await outbox.wait(trio.sleep_forever)


async def test_answers_come_between_batches(nursery: trio.Nursery) -> None:
    """What is posted while a batch is on its way follows it, in order."""
    stream = MemorySendStream()
    outbox = Outbox(stream)
    batches = [b"<1>", b"<2>"]

    async def answer_during_the_first() -> None:
        stream.send_all_hook = None
        outbox.post(b"[a]")
        outbox.post(b"[b]")

    stream.send_all_hook = answer_during_the_first
    nursery.start_soon(write, outbox, batches)
    await wait_all_tasks_blocked()
    assert stream.get_data_nowait() == b"<1>[a][b]<2>"


async def test_posting_wakes_an_idle_writer(nursery: trio.Nursery) -> None:
    """Answers do not wait for the next event."""
    stream = MemorySendStream()
    outbox = Outbox(stream)
    nursery.start_soon(write, outbox, [])
    for frame in (b"[a]", b"[b]"):
        await wait_all_tasks_blocked()
        outbox.post(frame)
        assert await stream.get_data() == frame


async def test_nothing_follows_a_close_frame(nursery: trio.Nursery) -> None:
    """What was posted before goes out before; later frames, pongs and batches do not."""
    stream = MemorySendStream()
    outbox = Outbox(stream)
    outbox.post(b"[before]")
    outbox.close(b"<close>")
    outbox.post(b"[after]")
    outbox.post_pong(b"<pong>")
    outbox.close(b"<close again>")
    with trio.fail_after(5):
        await write(outbox, [b"<event>"])
        await outbox.finished.wait()
    assert stream.get_data_nowait() == b"[before]<close>"


async def test_only_the_newest_pong_is_sent() -> None:
    """RFC 6455 §5.5.3: a flood of pings does not make a flood of pongs."""
    stream = MemorySendStream()
    outbox = Outbox(stream)
    for number in range(1_000):
        outbox.post_pong(b"<%d>" % number)
    assert await outbox.flush()
    assert stream.get_data_nowait() == b"<999>"


async def test_room(nursery: trio.Nursery) -> None:
    """Whoever posts too much waits until it is written."""
    stream = MemorySendStream()
    outbox = Outbox(stream)
    outbox.post(b"x" * ROOM)
    with trio.fail_after(5):
        await outbox.wait_room()
    outbox.post(b"x")
    nursery.start_soon(outbox.wait_room)
    await wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == 1
    assert await outbox.flush()
    await wait_all_tasks_blocked()
    assert len(nursery.child_tasks) == 0


async def test_a_stuck_write_can_be_told(nursery: trio.Nursery) -> None:
    """writing_since is set while a write is under way."""
    stream = MemorySendStream()
    outbox = Outbox(stream)
    stream.send_all_hook = trio.sleep_forever
    nursery.start_soon(outbox.send, b"<1>")
    await wait_all_tasks_blocked()
    assert outbox.writing_since is not None
    nursery.cancel_scope.cancel()
