"""One writer, whole frames, nothing after the close frame."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import trio
from trio.testing import MemorySendStream, wait_all_tasks_blocked

from hookhub_websocket.outbox import ROOM, Outbox


class Writer:
    """A session's flusher in small: batches, and how often it was started."""

    def __init__(self, nursery: trio.Nursery, outbox: Outbox) -> None:
        self.outbox = outbox
        self.batches: list[bytes] = []
        self.starts = 0
        self._nursery = nursery
        outbox.attach(self._start)

    def _start(self) -> None:
        self.starts += 1
        self._nursery.start_soon(self._flush)

    async def _flush(self) -> None:
        while await self.outbox.flush():
            if self.batches:
                await self.outbox.send(self.batches.pop(0))
            if not self.batches and self.outbox.rest():
                return


class Plain:
    """An outbox on a real socket, with the other end of it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        left, self.peer = socket.socketpair()
        left.setblocking(False)
        self.peer.setblocking(False)
        self.stream = trio.SocketStream(trio.socket.from_stdlib_socket(left))
        self.outbox = Outbox(self.stream)
        self.writer = Writer(nursery, self.outbox)

    def read(self) -> bytes:
        """What has come so far."""
        data = b""
        try:
            while part := self.peer.recv(1 << 20):
                data += part
        except BlockingIOError:
            pass
        return data

    async def read_until(self, end: bytes) -> bytes:
        """All that comes up to this."""
        data = b""
        with trio.fail_after(10):
            while not data.endswith(end):
                data += self.read()
                await trio.lowlevel.checkpoint()
        return data


@pytest.fixture
async def plain(nursery: trio.Nursery) -> AsyncIterator[Plain]:
    """An idle outbox on a real socket."""
    found = Plain(nursery)
    await wait_all_tasks_blocked()
    yield found
    await found.stream.aclose()
    found.peer.close()


async def test_answers_come_between_batches(nursery: trio.Nursery) -> None:
    """What is posted while a batch is on its way follows it, in order."""
    stream = MemorySendStream()
    outbox = Outbox(stream)
    writer = Writer(nursery, outbox)
    writer.batches = [b"<1>", b"<2>"]

    async def answer_during_the_first() -> None:
        stream.send_all_hook = None
        outbox.post(b"[a]")
        outbox.post(b"[b]")

    stream.send_all_hook = answer_during_the_first
    await wait_all_tasks_blocked()
    assert stream.get_data_nowait() == b"<1>[a][b]<2>"


async def test_posting_starts_the_flusher(nursery: trio.Nursery) -> None:
    """Where nothing can be written at once (TLS), a task does it, and ends when nothing waits."""
    stream = MemorySendStream()
    outbox = Outbox(stream)
    writer = Writer(nursery, outbox)
    for starts, frame in enumerate((b"[a]", b"[b]"), 2):
        await wait_all_tasks_blocked()
        assert not outbox.busy
        assert not nursery.child_tasks
        outbox.post(frame)
        assert await stream.get_data() == frame
        assert writer.starts == starts


async def test_nothing_is_sent_before_it_is_attached(nursery: trio.Nursery) -> None:
    """What was posted until then goes out in order, by the flusher."""
    outbox = Outbox(stream := MemorySendStream())
    assert not outbox.offer(b"<event>")
    outbox.post(b"[a]")
    outbox.post(b"[b]")
    Writer(nursery, outbox)
    await wait_all_tasks_blocked()
    assert stream.get_data_nowait() == b"[a][b]"


async def test_nothing_follows_a_close_frame(nursery: trio.Nursery) -> None:
    """What was posted before goes out before; later frames, pongs and batches do not."""
    stream = MemorySendStream()
    outbox = Outbox(stream)
    outbox.post(b"[before]")
    outbox.close(b"<close>")
    outbox.post(b"[after]")
    outbox.post_pong(b"<pong>")
    outbox.close(b"<close again>")
    writer = Writer(nursery, outbox)
    writer.batches = [b"<event>"]
    await wait_all_tasks_blocked()
    assert stream.get_data_nowait() == b"[before]<close>"
    outbox.wake()
    assert not outbox.offer(b"<event>")
    assert writer.starts == 1


async def test_only_the_newest_pong_is_sent(nursery: trio.Nursery) -> None:
    """RFC 6455 §5.5.3: a flood of pings does not make a flood of pongs."""
    stream = MemorySendStream()
    outbox = Outbox(stream)
    for number in range(1_000):
        outbox.post_pong(b"<%d>" % number)
    Writer(nursery, outbox)
    await wait_all_tasks_blocked()
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


async def test_written_at_once(plain: Plain) -> None:
    """An idle outbox on a plain socket needs no task: what was offered has gone."""
    assert plain.outbox.offer(b"<1>")
    plain.outbox.post(b"[a]")
    plain.outbox.post_pong(b"<pong>")
    assert plain.read() == b"<1>[a]<pong>"
    assert plain.writer.starts == 1
    assert plain.outbox.bytes_sent == 12


async def test_the_rest_of_a_frame_goes_first(plain: Plain) -> None:
    """Nothing is written past a frame that the socket took in part, and nothing is lost of it."""
    large = b"<" + b"x" * 2_000_000 + b">"
    assert plain.outbox.offer(large)
    assert plain.outbox.busy
    assert not plain.outbox.offer(b"<2>")
    plain.outbox.post(b"[a]")
    plain.writer.batches = [b"<2>"]
    assert await plain.read_until(b"<2>") == large + b"[a]<2>"
    await wait_all_tasks_blocked()
    assert plain.writer.starts == 2
    assert plain.outbox.offer(b"<3>")
    assert plain.read() == b"<3>"
    assert plain.outbox.bytes_sent == len(large) + 9


async def test_a_full_socket_takes_nothing(plain: Plain) -> None:
    """What is refused was not begun: whoever offered it may do so again, or skip it."""
    for block in (b"x" * 1000, b"x"):
        with suppress(BlockingIOError):
            while True:
                os.write(plain.stream.socket.fileno(), block)
    assert not plain.outbox.offer(b"<event>")
    assert not plain.outbox.busy
    assert plain.outbox.bytes_sent == 0
    assert plain.read().strip(b"x") == b""


async def test_a_closed_socket_is_never_written_to(plain: Plain) -> None:
    """Its number may be another connection's by now; the flusher is told that it is gone."""
    await plain.stream.aclose()
    assert not plain.outbox.offer(b"<event>")
    with pytest.raises(trio.ClosedResourceError):
        await plain.outbox.send(b"<event>")


async def test_a_broken_socket_is_told_by_the_flusher(plain: Plain) -> None:
    """offer() never raises: it may be called by whoever publishes."""
    plain.peer.close()
    assert not plain.outbox.offer(b"<event>")
    with pytest.raises(trio.BrokenResourceError):
        await plain.outbox.send(b"<event>")


async def test_a_detached_outbox_starts_nothing(nursery: trio.Nursery) -> None:
    """Whoever would wait for the flusher is gone."""
    outbox = Outbox(MemorySendStream())
    writer = Writer(nursery, outbox)
    await wait_all_tasks_blocked()
    outbox.detach()
    outbox.post(b"[a]")
    outbox.close(b"<close>")
    assert writer.starts == 1
