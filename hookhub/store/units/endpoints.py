"""Endpoints: units of work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, NamedTuple

from hookhub.contracts.deliveries import (
    DEFAULT_OPTIONS,
    Endpoint,
    EndpointOptions,
    EndpointStats,
    NewEndpoint,
    Page,
    Secret,
    Unreadable,
)
from hookhub.contracts.errors import ConfigError, NotFound, StoreError
from hookhub.contracts.events import type_matcher
from hookhub.secretbox import SecretBox
from hookhub.store.database import Reader
from hookhub.store.schema import HELD, IS_UNCLAIMED
from hookhub.store.subscriptions import read_subscription, why
from hookhub.store.unit import Transaction

NOTHING = "{}"
"""A configuration that says nothing."""
MAX_SECRETS = 3
"""The newest secret and at most two that were rotated out and still sign."""


_COLUMNS = (
    "id, sink, name, description, event_types, config, is_active, disabled_reason, created_at, "
    "updated_at, last_triggered_at, success_count, failure_count, secrets, options, failing_since"
)


def _endpoints(reader: Reader, rest: str = "", params: Sequence[Any] = ()) -> list[Endpoint]:
    """Those that are not deleted, of the rest of a query from AND on."""
    rows = reader.records(
        f"SELECT {_COLUMNS} FROM hookhub_endpoints WHERE deleted_at IS NULL {rest}", params
    )
    return [_endpoint(row, reader) for row in rows]


def _endpoint(row: dict[str, Any], reader: Reader) -> Endpoint:
    now = reader.now
    secrets: list[Secret] = []
    config: dict[str, Any] = {}
    event_types, options, unreadable = _wishes(row["id"], row["event_types"], row["options"])
    try:
        for text, until in json.loads(row["secrets"]):
            secrets.append(Secret(reader.box.open(text), until))
        config = json.loads(reader.box.open(row["config"]))
    except (ConfigError, StoreError) as error:
        # Another hub sealed it with a key that this one has not: everything else about the
        # endpoint can be seen and changed all the same.
        secrets, unreadable = [], Unreadable("secret_unreadable", error.detail)
    row |= {
        "event_types": event_types,
        "config": config,
        "is_active": bool(row["is_active"]),
        "secrets": tuple(s for s in secrets if s.expires_at is None or s.expires_at > now),
        "options": options,
        "unreadable": unreadable,
    }
    return Endpoint(**row)


def _wishes(
    endpoint_id: int, types: str, options: str
) -> tuple[tuple[str, ...], EndpointOptions, Unreadable | None]:
    """What an endpoint wants; as far as possible, if that cannot be understood here."""
    try:
        read_subscription(endpoint_id, types, options)
        return tuple(json.loads(types)), _load_options(options), None
    except Exception as error:
        reason = (
            f"What it wants cannot be read here: {why(error)}. Set its event types, filter and "
            "options anew, or run the version of the hub that stored them; until then nothing is "
            "sent to it, and what it misses is replayed."
        )
    found: Any = None
    with suppress(ValueError):
        found = json.loads(types)
    shown = tuple(map(str, found)) if isinstance(found, list) else (types,)
    kept = DEFAULT_OPTIONS
    with suppress(ValueError, TypeError, AttributeError):
        kept = _load_options(options)
    return shown, kept, Unreadable("endpoint_unreadable", reason)


def _load_options(text: str) -> EndpointOptions:
    values = json.loads(text)
    if values.get("retry_schedule") is not None:
        values["retry_schedule"] = tuple(values["retry_schedule"])
    return EndpointOptions(**values)


def _dump_options(options: EndpointOptions) -> str:
    default = asdict(DEFAULT_OPTIONS)
    return json.dumps({k: v for k, v in asdict(options).items() if v != default[k]})


def _dump_config(box: SecretBox, config: Mapping[str, Any]) -> str:
    """All of it is sealed: where requests go is the secret of many a receiver."""
    return box.seal(json.dumps(dict(config))) if config else NOTHING


def _dump_secrets(box: SecretBox, secrets: Sequence[Secret]) -> str:
    return json.dumps([[box.seal(item.value), item.expires_at] for item in secrets[:MAX_SECRETS]])


def insert_endpoint(tx: Transaction, sink: str, new: NewEndpoint) -> Endpoint:
    """Store a new endpoint; events committed after this one's transaction are delivered to it."""
    secrets = [Secret(new.secret)] if new.secret is not None else []
    values = {
        "sink": sink,
        "name": new.name,
        "description": new.description,
        "event_types": json.dumps(list(new.event_types)),
        "config": _dump_config(tx.box, new.config),
        "options": _dump_options(new.options),
        "secrets": _dump_secrets(tx.box, secrets),
        "is_active": new.is_active,
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    endpoint_id = tx.insert("hookhub_endpoints", values)
    tx.endpoints_changed(endpoint_id)
    return get_endpoint(tx, sink, endpoint_id)


def get_endpoint(reader: Reader, sink: str | None, endpoint_id: int) -> Endpoint:
    """The endpoint with this id.

    Args:
        sink: whose it must be; None for anybody's.

    Raises:
        NotFound: there is none (any more).
    """
    found = find_endpoint(reader, endpoint_id)
    if found is None or (sink is not None and found.sink != sink):
        raise NotFound(f"There is no {sink or 'endpoint'} {endpoint_id}; it may have been deleted.")
    return found


def find_endpoint(reader: Reader, endpoint_id: int) -> Endpoint | None:
    """The endpoint with this id, whosever it is; None if there is none (any more)."""
    return next(iter(_endpoints(reader, "AND id = ?", (endpoint_id,))), None)


def mark_warned(tx: Transaction, endpoint_id: int) -> bool:
    """Note that the warning about a failing endpoint was given; False if it was before."""
    changed = tx.change(
        "UPDATE hookhub_endpoints SET warned_at = ? WHERE id = ? AND warned_at IS NULL",
        (tx.now, endpoint_id),
    )
    return changed > 0


def all_endpoints(reader: Reader) -> list[Endpoint]:
    """All that are not deleted, of whatever sink."""
    return _endpoints(reader, "ORDER BY id")


class EndpointsAsOf(NamedTuple):
    """The state of the endpoints that somebody knows."""

    epoch: str
    """Of the history: in another one, nothing that was known counts."""
    generation: int
    """It rises whenever an endpoint is made, changed or deleted, on any node."""


NO_ENDPOINTS = EndpointsAsOf("", -1)


def endpoints_as_of(reader: Reader) -> EndpointsAsOf:
    """Their state now."""
    rows = reader.sql("SELECT epoch, endpoints_generation FROM hookhub_state WHERE id = 1")
    return EndpointsAsOf(*rows[0])


def changed_endpoints(reader: Reader, after: EndpointsAsOf) -> dict[int, Endpoint | None]:
    """All that were changed since that state (None: deleted), by id."""
    since = (after.generation,)
    gone = "SELECT id FROM hookhub_endpoints WHERE deleted_at IS NOT NULL AND generation > ?"
    found: dict[int, Endpoint | None] = dict.fromkeys(row[0] for row in reader.sql(gone, since))
    found |= {item.id: item for item in _endpoints(reader, "AND generation > ?", since)}
    return found


def list_endpoints(
    reader: Reader,
    sink: str,
    *,
    event_type: str | None = None,
    is_active: bool | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page[Endpoint]:
    """Endpoints of a sink in the order they were made.

    Args:
        event_type: only those that this type would be delivered to, or that name this pattern.
    """
    rest, params = "AND sink = ?", [sink]
    if is_active is not None:
        rest += " AND is_active" if is_active else " AND NOT is_active"
    if event_type is None:
        counted = f"SELECT COUNT(*) FROM hookhub_endpoints WHERE deleted_at IS NULL {rest}"
        [(total,)] = reader.sql(counted, params)
        page = _endpoints(reader, f"{rest} ORDER BY id LIMIT ? OFFSET ?", (*params, limit, offset))
        return Page(page, total, limit, offset)
    found = [
        endpoint
        for endpoint in _endpoints(reader, f"{rest} ORDER BY id", params)
        if event_type in endpoint.event_types or type_matcher(endpoint.event_types)(event_type)
    ]
    return Page(found[offset : offset + limit], len(found), limit, offset)


def update_endpoint(
    tx: Transaction, sink: str, endpoint_id: int, changes: Mapping[str, Any]
) -> Endpoint:
    """Change an endpoint; keys are those of :class:`NewEndpoint`.

    Raises:
        NotFound: there is none with this id.
    """
    tx.endpoints_changed(endpoint_id)
    get_endpoint(tx, sink, endpoint_id)
    values: dict[str, Any] = {"updated_at": tx.now}
    for name, value in changes.items():
        if name in ("name", "description"):
            values[name] = value
        elif name == "event_types":
            values[name] = json.dumps(list(value))
        elif name == "config":
            values[name] = _dump_config(tx.box, value)
        elif name == "options":
            values[name] = _dump_options(value)
        elif name == "secret":
            secrets = [Secret(value)] if value is not None else []
            values["secrets"] = _dump_secrets(tx.box, secrets)
        elif name == "is_active":
            values[name] = value
            values |= {"disabled_reason": None, "failing_since": None, "warned_at": None}
        else:
            raise TypeError(f"An endpoint has no {name!r}.")
    tx.update("hookhub_endpoints", endpoint_id, values)
    changed = get_endpoint(tx, sink, endpoint_id)
    if "options" in changes and not changed.options.ordered:
        release_held(tx, endpoint_id)
    return changed


def release_held(tx: Transaction, endpoint_id: int) -> None:
    """Strict order is off: nothing waits for anything any more."""
    tx.unhurried()
    tx.change(
        "UPDATE hookhub_deliveries SET due_at = ? "
        f"WHERE endpoint_id = ? AND {IS_UNCLAIMED} AND due_at = ?",
        (tx.now, endpoint_id, HELD),
    )
    tx.change(
        "UPDATE hookhub_deliveries SET order_key = NULL "
        "WHERE endpoint_id = ? AND order_key IS NOT NULL",
        (endpoint_id,),
    )


def rotate_secret(
    tx: Transaction, sink: str, endpoint_id: int, secret: str, overlap: float
) -> Endpoint:
    """Give an endpoint a new secret; the old one goes on signing for ``overlap`` seconds.

    Raises:
        NotFound: there is none with this id.
        StoreError: its secrets cannot be read here, so the old one could not go on.
    """
    tx.endpoints_changed(endpoint_id)
    endpoint = get_endpoint(tx, sink, endpoint_id)
    if endpoint.unreadable is not None and endpoint.unreadable.error == "secret_unreadable":
        raise StoreError(endpoint.unreadable.reason)
    until = tx.now + round(overlap * 1_000_000)
    old = [
        Secret(item.value, until if item.expires_at is None else min(item.expires_at, until))
        for item in endpoint.secrets
        if item.value != secret
    ]
    values = {"secrets": _dump_secrets(tx.box, [Secret(secret), *old]), "updated_at": tx.now}
    tx.update("hookhub_endpoints", endpoint_id, values)
    return get_endpoint(tx, sink, endpoint_id)


def disable_endpoint(tx: Transaction, endpoint_id: int, reason: str) -> bool:
    """Switch an endpoint off on the hub's own account; False if it was off already."""
    tx.endpoints_changed(endpoint_id)
    changed = tx.change(
        "UPDATE hookhub_endpoints SET is_active = FALSE, disabled_reason = ?, updated_at = ? "
        "WHERE id = ? AND is_active",
        (reason, tx.now, endpoint_id),
    )
    return changed > 0


def delete_endpoint(tx: Transaction, sink: str, endpoint_id: int) -> None:
    """Delete an endpoint: it is gone from every list, and nothing more is sent to it.

    Its secrets and its configuration are wiped.

    Raises:
        NotFound: there is none with this id.
    """
    tx.endpoints_changed(endpoint_id)
    get_endpoint(tx, sink, endpoint_id)
    wiped = {"deleted_at": tx.now, "is_active": False, "secrets": "[]", "config": NOTHING}
    tx.update("hookhub_endpoints", endpoint_id, wiped)


def endpoint_stats(reader: Reader, sink: str) -> EndpointStats:
    """Totals over the endpoints of a sink, from the counters kept in their rows."""
    row = reader.sql(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN is_active THEN 1 ELSE 0 END), 0), "
        "COALESCE(SUM(deliveries_total), 0), COALESCE(SUM(success_count), 0), "
        "COALESCE(SUM(deliveries_failed), 0) FROM hookhub_endpoints "
        "WHERE sink = ? AND deleted_at IS NULL",
        (sink,),
    )[0]
    total, active, deliveries, delivered, failed = (int(value) for value in row)
    return EndpointStats(
        total, active, deliveries, delivered, failed, deliveries - delivered - failed
    )
