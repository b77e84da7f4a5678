"""Transforms run beside the loop: whatever one of them does, everything else goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trio
from pydantic import BaseModel

from hookhub.contracts.deliveries import Endpoint, EndpointOptions
from hookhub.contracts.events import Event
from hookhub.contracts.transforms import Transform, TransformError, TransformResult
from hookhub.delivery.attempts import Attempts
from hookhub.delivery.rendering import THREADS, Rendering
from hookhub.plugins import TransformRegistry
from hookhub_template.template import TemplateTransform
from support.scripted import Scripted

EVENT = Event(1, "e1", "user.created", '{"n": 1}', 1)


class Nothing(BaseModel):
    """No configuration."""


class Slow(Transform[Nothing]):
    """Returns when it may."""

    name = "slow"
    description = "Slow."
    config_model = Nothing

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def apply(self, event: Event, config: Nothing) -> TransformResult:
        self.begun.set()
        assert self.may_end.wait(20), "nobody let it end: it holds up the loop"
        return TransformResult(b"slow", "text/plain")


@pytest.fixture
def slow() -> Iterator[Slow]:
    transform = Slow()
    yield transform
    transform.may_end.set()


def registry_of(*transforms: Transform[Any]) -> TransformRegistry:
    registry = TransformRegistry()
    for transform in (TemplateTransform(), *transforms):
        registry.register(transform, "test")
    return registry


async def test_the_loop_turns_while_a_body_is_made(slow: Slow) -> None:
    """The transform ends because a task lets it; in the loop it would wait for ever."""
    sink = Scripted()
    attempts = Attempts({sink.name: sink}, registry_of(slow), 15.0)
    options = EndpointOptions(transform={"name": "slow", "config": {}})
    endpoint = Endpoint(
        1, "scripted", "one", None, ("*",), {}, True, None, 1, 1, None, 0, 0, (), options
    )

    async def attempt() -> None:
        await attempts.make(endpoint, EVENT, delivery_id=1, number=1, now=1)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attempt)
            await trio.to_thread.run_sync(slow.begun.wait)
            slow.may_end.set()
    assert [item.content and item.content.body for item in sink.attempts] == [b"slow"]


async def test_a_transform_that_does_not_return_costs_only_itself(slow: Slow) -> None:
    """It fails after its time, however often it is asked; another one is made meanwhile."""
    rendering = Rendering(registry_of(slow), timeout=0.05)
    for _ in range(THREADS + 1):
        with pytest.raises(TransformError, match=r"'slow' made no body within 0\.05 seconds"):
            await rendering.make("slow", {}, EVENT)
    rendering.timeout = 20.0
    made = await rendering.make("template", {"template": '{"n": {{ payload.n }}}'}, EVENT)
    assert made == TransformResult(b'{"n": 1}', "application/json")


async def test_a_rendering_over_its_budget_ends() -> None:
    """In a thread as well: what loops for too long is told so, at every attempt."""
    rendering = Rendering(registry_of(), timeout=20.0)
    endless = "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}"
    for _ in range(2):
        with pytest.raises(TransformError, match="steps of work"):
            await rendering.make("template", {"template": endless}, EVENT)
