"""Keeps the background work of components running, whatever it raises."""

from __future__ import annotations

import structlog
import trio

from hookhub.contracts.components import Component
from hookhub.plugins.components import Components
from hookhub.plugins.faults import only_fault
from hookhub.plugins.manager import Plugins

RESTART_FIRST = 1.0
RESTART_MAX = 60.0
HEALTHY_AFTER = 60.0
"""Seconds of running after which a restart waits only :data:`RESTART_FIRST` again."""

log = structlog.get_logger("hookhub.plugins.components")


async def supervise(component: Component, components: Components, plugins: Plugins) -> None:
    """Run a component's background work; log, pause and restart it when it fails."""
    pause = RESTART_FIRST
    while True:
        began = trio.current_time()
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(_run, component)
                _note(component, components, plugins, None)
            return
        except BaseException as error:
            only_fault(error)
            if trio.current_time() - began > HEALTHY_AFTER:
                pause = RESTART_FIRST
            _note(component, components, plugins, _message(error))
            log.exception("component.failed", component=component.name, restart_in=pause)
            await trio.sleep(pause)
            pause = min(pause * 2, RESTART_MAX)


def _note(
    component: Component, components: Components, plugins: Plugins, error: str | None
) -> None:
    if error is None:
        components.failing.pop(component.name, None)
    else:
        components.failing[component.name] = error
    plugin = components.owners[component.name]
    theirs = (components.failing.get(item.name) for item in components.of(plugin))
    plugins.troubled(plugin, next(filter(None, theirs), None))


async def _run(component: Component, task_status: trio.TaskStatus[None]) -> None:
    await component.run(task_status)


def _message(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
