"""What may the hub call, and does that fit what it is asked to call?"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator

from hookhub.cli.check.findings import Finding
from hookhub.cli.shared.local import existing_store
from hookhub.config import Settings
from hookhub.contracts.deliveries import Endpoint
from hookhub.contracts.errors import HookhubError
from hookhub.hub import Hub
from hookhub.secretbox import SecretBox
from hookhub.store.units.endpoints import all_endpoints

SHOWN = 10
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


async def check_egress(settings: Settings, hub: Hub) -> list[Finding]:
    """The allowed networks, proxies, and every active endpoint's configuration."""
    return [*_allowed(settings), *_proxies(settings), *await _endpoints(settings, hub)]


def _allowed(settings: Settings) -> Iterator[Finding]:
    networks = settings.egress.allow
    if not networks:
        yield Finding("egress", "ok", "Public addresses only.")
        return
    yield Finding("egress", "ok", f"Public addresses, and {', '.join(networks)}.")
    wide = [item for item in networks if ipaddress.ip_network(item).prefixlen == 0]
    if wide:
        yield Finding(
            "egress",
            "warning",
            f"[egress] allow has {', '.join(wide)}: whoever may make a webhook may reach every "
            "address from here, this machine and its metadata service included.",
            "Name the networks that are meant.",
        )


def _proxies(settings: Settings) -> Iterator[Finding]:
    names = [n for name in PROXIES for n in (name, name.lower()) if os.environ.get(n)]
    if names and settings.egress.proxy is None:
        yield Finding(
            "egress",
            "info",
            f"{', '.join(names)} is set; the hub does not go by it.",
            "If its calls need a proxy, name it as [egress] proxy.",
        )


async def _endpoints(settings: Settings, hub: Hub) -> list[Finding]:
    """Would what is stored be accepted today? Networks may have been taken away since."""
    box = SecretBox(settings.auth.secret_keys())
    try:
        async with existing_store(settings.database, box) as store:
            endpoints = await store.read(all_endpoints)
    except HookhubError:
        return []  # There is nothing yet, or the check of the database has said it.
    # Of those that cannot be read here, the check of the database says more.
    active = [item for item in endpoints if item.is_active and item.unreadable is None]
    found = [item for item in (_endpoint(hub, endpoint) for endpoint in active) if item is not None]
    more = len(found) - SHOWN
    rest = [Finding("egress", "warning", f"{more} more such endpoints.")] if more > 0 else []
    return [*found[:SHOWN], *rest]


def _endpoint(hub: Hub, endpoint: Endpoint) -> Finding | None:
    sink = hub.components.durable_sinks.get(endpoint.sink)
    name = f"{endpoint.sink} {endpoint.id} ({endpoint.name})"
    if sink is None:
        message = f"{name}: no plugin brings the sink {endpoint.sink!r}; its deliveries wait."
        return Finding("egress", "warning", message, "Install the plugin again.")
    try:
        sink.validate(endpoint.config)
    except HookhubError as error:
        return Finding("egress", "warning", f"{name}: {error.detail}")
    return None
