"""The composition root: opens everything, owns the nurseries, stops in order.

The engine and the broadcaster are children of the outer nursery: a bug there ends the process
loudly, and the service manager starts it again. HTTP runs in an inner one. Plugins' background
tasks are supervised: theirs may fail without taking the hub along.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import structlog
import trio
from quart_trio import QuartTrio

from hookhub.background.siblings import Siblings
from hookhub.config import Settings
from hookhub.contracts.components import Component
from hookhub.contracts.errors import HookhubError, StoreError
from hookhub.contracts.routes import UpgradeHandler
from hookhub.http.connections import serve as serve_http
from hookhub.http.limits import hypercorn_config
from hookhub.http.listeners import Listener, Worker, listener_url, open_listeners
from hookhub.hub import Hub
from hookhub.plugins import Plugins, migrate_components, only_fault, supervise
from hookhub.secretbox import SecretBox
from hookhub.store import Store, open_store
from hookhub.store.database import redacted_url
from hookhub.store.lock import HubLock
from hookhub.store.notices import Topic
from hookhub.store.units.leases import release_leases
from hookhub.store.units.replays import release_replays
from hookhub.store.units.secrets import check_secrets
from hookhub.web.app import create_app
from hookhub.web.assembly import assemble
from hookhub.web.resources import core_routes
from hookhub.web.resources.metrics import snapshot_of

__all__ = ["Started", "open_hub", "open_store", "serve"]

LAST_WORDS = 0.5
"""Seconds to write things down after the grace period is used up."""
SAME_SIGNAL = 0.5
"""Seconds within which a second signal is the same one, sent to the process and to its group."""
OVERDUE = 10.0
"""Seconds beyond the grace period after which the process ends whatever still runs."""
GOODBYE = 5.0
"""Seconds that a component may take to say goodbye."""

log = structlog.get_logger("hookhub")


@dataclass(frozen=True, slots=True)
class Started:
    """A hub that serves."""

    addresses: list[str]
    """``http://127.0.0.1:8080`` …"""
    first_token: str | None
    """The admin token made at the first start; never to be seen again."""
    hub: Hub


@asynccontextmanager
async def open_hub(settings: Settings, plugins: Plugins | None = None) -> AsyncIterator[Hub]:
    """A running hub without HTTP: events are accepted, published and delivered.

    For programs that embed hookhub, for commands, and for tests. At the end of the block no new
    attempt is started, those in flight are recorded (within ``[server] graceful_timeout``), and
    the store is closed.

    Raises:
        ConfigError, PluginError, StoreError: it cannot start; says why and what to do.
    """
    plugins = plugins or Plugins.load(settings.plugins)
    box = SecretBox(settings.auth.secret_keys())
    async with open_store(settings.database, box=box) as store:
        await _check_secrets(store)
        async with HubLock(settings.database) as lock:
            hub = assemble(settings, store, plugins)
            await migrate_components(hub.components, plugins, store)
            plugins.check_required()
            if lock.alone:
                released = await store.write(release_leases)
                await store.write(release_replays)
                if released:
                    log.info("delivery.leases_released", deliveries=released)
            lock.share()
            await hub.feed.open()
            try:
                with hub.loop.watching():
                    async with _running(hub):
                        yield hub
            finally:
                await hub.egress.aclose()


async def _check_secrets(store: Store) -> None:
    waiting = await store.read(check_secrets)
    if waiting:
        log.warning("secrets.to_reencrypt", count=waiting, command="hookhub reencrypt")


@asynccontextmanager
async def _running(hub: Hub) -> AsyncIterator[None]:
    raised: Exception | None = None
    async with trio.open_nursery() as nursery:
        hub.store.on_commit(hub.broadcaster.committed)
        hub.store.on_commit(hub.engine.committed)
        hub.store.notices.on(Topic.EVENTS, hub.broadcaster.look)
        hub.store.notices.on(Topic.ENDPOINTS, hub.engine.look)
        hub.store.notices.on(Topic.TOKENS, hub.tokens.look)
        hub.store.notices.on(Topic.NODES, hub.engine.nodes_changed)
        hub.store.notices.on_due(hub.engine.due)
        await nursery.start(hub.store.notices.run)
        await nursery.start(hub.tokens.run)
        await nursery.start(hub.broadcaster.run)
        await nursery.start(hub.engine.run)
        await nursery.start(hub.outbox.run)
        await nursery.start(hub.replays.run)
        await nursery.start(hub.retention.run)
        await nursery.start(hub.stats.run)
        await nursery.start(hub.membership.run)
        for component in hub.components:
            nursery.start_soon(supervise, component, hub.components, hub.plugins)
        nursery.start_soon(_wind_down, hub)
        nursery.start_soon(_leave, hub)
        try:
            yield
        except Exception as error:
            # The block's own error comes out as it is, not in the nursery's group.
            raised = error
        finally:
            hub.stopping.set()
            with trio.CancelScope(shield=True, deadline=_stop_by(hub)):
                await hub.engine.stop()
                await _flush(hub)
            nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised


def _stop_by(hub: Hub) -> float:
    """When attempts in flight must have ended: one grace period, counted from the first notice.

    HTTP has had its share of it before; a moment is always left to write things down.
    """
    now = trio.current_time()
    if hub.stop_by is None:
        hub.stop_by = now + hub.settings.server.graceful_timeout
    return max(hub.stop_by, now + LAST_WORDS)


async def _leave(hub: Hub) -> None:
    """When the hub is about to stop, others take over its endpoints."""
    await hub.draining.wait()
    hub.engine.leave()


async def _wind_down(hub: Hub) -> None:
    """When the hub begins to stop: start no more attempts, and let components say goodbye."""
    await hub.stopping.wait()
    _stop_by(hub)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hub.engine.stop)
        for component in hub.components:
            nursery.start_soon(_say_goodbye, component)


async def _say_goodbye(component: Component) -> None:
    try:
        with trio.move_on_after(GOODBYE):
            await component.stop()
    except BaseException as error:
        only_fault(error)
        log.exception("component.stop_failed", component=component.name)


async def _flush(hub: Hub) -> None:
    try:
        await hub.tokens.flush_used()
    except HookhubError as error:
        log.warning("tokens.flush_failed", error=error.detail)
    try:
        await hub.stats.flush()
    except HookhubError as error:
        log.warning("stats.flush_failed", error=error.detail)


async def serve(
    settings: Settings,
    *,
    started: Callable[[Started], None] | None = None,
    plugins: Plugins | None = None,
    handle_signals: bool = True,
    worker: Worker | None = None,
) -> None:
    """Run a hub with its HTTP server until SIGTERM or SIGINT (or cancellation).

    Args:
        started: called once, when requests are served.
        handle_signals: False leaves signals to the caller, who stops the hub by setting
            ``hub.stopping``.
        worker: this is one of several behind the same port.

    Raises:
        ConfigError, PluginError, StoreError: it cannot start; says why and what to do.
    """
    raise_file_limit()
    async with AsyncExitStack() as stack:
        # First of all: a port in use is the likeliest mistake, and nothing is begun yet.
        listeners = await open_listeners(settings.server, worker)
        for listener in listeners:
            stack.push_async_callback(listener.aclose)
        hub = await stack.enter_async_context(open_hub(settings, plugins))
        first_token = await hub.tokens.ensure_bootstrap(settings.auth.bootstrap_token)
        upgrades = hub.components.upgrades()
        app = create_app(hub, [*core_routes(hub), *hub.components.routes()], upgrades)
        addresses = [listener_url(listener) for listener in listeners]
        async with trio.open_nursery() as nursery:
            shared = worker is not None
            await nursery.start(
                _serve_http, hub, app, listeners, upgrades, shared, nursery.cancel_scope
            )
            if handle_signals:
                await nursery.start(_stop_on_signal, hub)
            nursery.start_soon(_stop_when_outdated, hub)
            if worker is not None:
                hub.siblings = Siblings(
                    worker.directory,
                    hub.membership.id,
                    partial(snapshot_of, hub, app.counters.statistics),
                )
                await nursery.start(hub.siblings.run)
                await nursery.start(_stop_with_supervisor, hub, worker)
            tune_interpreter()
            database = redacted_url(settings.database.url)
            log.info("hub.started", addresses=addresses, database=database)
            if started is not None:
                started(Started(addresses, first_token, hub))
        log.info("hub.stopping")
    log.info("hub.stopped")
    if hub.membership.why_outdated is not None:
        raise StoreError(f"This hub has stopped. {hub.membership.why_outdated}")


GC_THRESHOLD = 200_000
"""Objects between two rounds of the collector: more than a batch of events makes."""
SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes lets another one go on."""


def tune_interpreter() -> None:
    """Set Python up for a process that does nothing but serve.

    What was loaded until now stays: without it in the collector's rounds, and with fewer rounds, a
    batch of events is parsed several times as fast. And the writer's thread needs the
    interpreter's lock before and after every statement: by default a busy main thread lets it
    wait 5 ms each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 10, 10)
    sys.setswitchinterval(SWITCH_INTERVAL)


def raise_file_limit() -> None:
    """Allow as many open files as the system lets this user have: each connection is one."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft == hard:
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve_http(
    hub: Hub,
    app: QuartTrio,
    listeners: Sequence[Listener],
    upgrades: Mapping[str, UpgradeHandler],
    shared: bool,
    around: trio.CancelScope,
    task_status: trio.TaskStatus[None],
) -> None:
    await serve_http(
        app,
        listeners,
        upgrades=upgrades,
        config=hypercorn_config(hub.settings.server.trusted_proxies),
        draining=hub.draining,
        stopping=hub.stopping,
        grace=hub.settings.server.graceful_timeout,
        shared=shared,
        task_status=task_status,
    )
    around.cancel()


async def _stop_on_signal(hub: Hub, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            task_status.started()
            first = 0.0
            async for number in signals:
                if hub.leaving and trio.current_time() - first < SAME_SIGNAL:
                    continue
                if hub.leaving:
                    # Whoever sends a second one has waited long enough. Leases make it safe.
                    log.warning("hub.killed", signal=signal.Signals(number).name)
                    os._exit(128 + number)
                # A person at the keyboard (SIGINT) waits for nobody who looks.
                delay = hub.settings.server.drain() if number == signal.SIGTERM else 0.0
                log.info("hub.signal", signal=signal.Signals(number).name, drain_delay=delay)
                first = trio.current_time()
                hub.draining.set()
                _end_in_any_case(delay + hub.settings.server.graceful_timeout + OVERDUE)
                nursery.start_soon(_stop_after, delay, hub)


async def _stop_with_supervisor(
    hub: Hub, worker: Worker, task_status: trio.TaskStatus[None]
) -> None:
    """Tell it that this worker serves, and stop when it is gone."""
    with trio.socket.from_stdlib_socket(socket.socket(fileno=worker.lifeline)) as line:
        await line.send(b".")
        task_status.started()
        with suppress(ConnectionError):
            await line.recv(1)
        log.warning("worker.orphaned")
        # It would have done that.
        shutil.rmtree(worker.directory, ignore_errors=True)
        hub.draining.set()
        hub.stopping.set()


async def _stop_when_outdated(hub: Hub) -> None:
    """Stop as at SIGTERM when a newer hub has made of the tables what this one does not know."""
    await hub.membership.outdated.wait()
    hub.draining.set()
    await _stop_after(hub.settings.server.drain(), hub)


async def _stop_after(delay: float, hub: Hub) -> None:
    await trio.sleep(delay)
    hub.stopping.set()


def _end_in_any_case(seconds: float) -> None:
    """End the process when a stop is overdue: a plugin may shield itself from cancellation."""

    def end() -> None:
        log.error("hub.killed", reason="the stop is overdue", seconds=seconds)
        os._exit(1)

    watchdog = threading.Timer(seconds, end)
    watchdog.daemon = True
    watchdog.start()
