"""The core's tables, step by step. Times are microseconds since 1970 (UTC).

``hookhub_state`` has one row. Whoever appends events locks it first (the order of locks is told in
:mod:`hookhub.store.writer`), so the order of sequences is the order of commits on PostgreSQL too,
and the numbers have no gaps.

``due_at`` of a delivery is what the engine looks at: the time of the next attempt, or while a
lease runs, the end of the lease. So a claim that nobody finishes comes back by itself. One partial
index finds the work of each endpoint, another all that is leased. ``next_retry_at`` is what people
see. ``retry_wait`` of an attempt is how long the next one was to wait (microseconds): what
``due_at`` may be at most when the clock has been set back since. ``response_headers`` are lines
``Name: value`` (:mod:`hookhub.delivery.answer_headers`).

``order_key`` is set while a delivery holds back later ones of the same key (strict order): from its
commit until it is delivered or skipped. Those behind it are due at :data:`HELD`, that is, never.

What an audit leans on: ``deliveries`` of an event is the number of delivery rows that were
committed with it, ``replayed`` and ``removed`` count those that came and went later, so that the
rows of an event always add up. ``events_from`` is where the history begins: no event from there on
has been deleted. Counters of an endpoint count from its creation; ``removed_…`` are those of its
deliveries whose rows retention has deleted, ``removed_to`` the highest sequence among them.

``generation`` of an endpoint is what ``endpoints_generation`` was raised to when it was changed
last, so that whoever knows an earlier state reads what changed since, and nothing else. The row of
a deleted endpoint stays for an hour at least.

On PostgreSQL events, deliveries and attempts are cut into ranges (:mod:`hookhub.store.partitions`).
What goes with a range is not counted event by event: events below ``counted_from`` have in ``kept``
how many delivery rows they have (NULL: none), and their ``removed`` says nothing any more.

``hookhub_stats`` holds what charts show: ``step`` is in seconds, ``at`` is when it began.

``secrets`` of an endpoint and ``private`` of a key are sealed (:mod:`hookhub.secretbox`) when
``[auth] secret_key`` is set.
"""

from __future__ import annotations

from hookhub.contracts.components import Migration
from hookhub.store.partitions import KEYS, begin_ranges, cut

PENDING, SUCCESS, FAILED = 0, 1, 2
"""``status`` of a delivery."""
# In statements these stand as they are, not as parameters: partial indexes serve only what is known
# to match.
IS_PENDING = f"status = {PENDING}"
IS_UNCLAIMED = f"{IS_PENDING} AND lease IS NULL"
IS_LEASED = f"{IS_PENDING} AND lease IS NOT NULL"
RUNNING = "running"
"""``state`` of a job that goes on."""
IS_RUNNING = f"state = '{RUNNING}'"
LAST_NUMBER = {
    "hookhub_events": "last_sequence",
    "hookhub_deliveries": "last_delivery",
    "hookhub_attempts": "last_delivery",
}
"""Tables that PostgreSQL has in ranges, and where the last number is that was given out."""
HELD = 2**62
"""``due_at`` of a delivery that waits for an earlier one of its key."""

_STATE = """
CREATE TABLE hookhub_state (
    id INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL,
    last_sequence {bigint} NOT NULL,
    last_delivery {bigint} NOT NULL,
    events_from {bigint} NOT NULL DEFAULT 1,
    endpoints_generation {bigint} NOT NULL,
    tokens_generation {bigint} NOT NULL
)
"""
_EVENTS = """
CREATE TABLE hookhub_events (
    sequence {bigint} PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    timestamp {bigint} NOT NULL,
    key TEXT,
    source TEXT,
    deliveries INTEGER NOT NULL,
    replayed INTEGER NOT NULL DEFAULT 0,
    removed INTEGER NOT NULL DEFAULT 0
)
"""
_IDEMPOTENCY = """
CREATE TABLE hookhub_idempotency (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    result TEXT NOT NULL,
    created_at {bigint} NOT NULL
)
"""
_OUTBOX = """
CREATE TABLE hookhub_outbox (
    id {pk},
    type TEXT NOT NULL,
    payload TEXT NOT NULL,
    key TEXT,
    source TEXT,
    event_id TEXT,
    error TEXT
)
"""
_ENDPOINTS = """
CREATE TABLE hookhub_endpoints (
    id {pk},
    sink TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    event_types TEXT NOT NULL,
    config TEXT NOT NULL,
    options TEXT NOT NULL,
    secrets TEXT NOT NULL,
    is_active {bool} NOT NULL,
    disabled_reason TEXT,
    created_at {bigint} NOT NULL,
    updated_at {bigint} NOT NULL,
    deleted_at {bigint},
    last_triggered_at {bigint},
    failing_since {bigint},
    warned_at {bigint},
    success_count {bigint} NOT NULL DEFAULT 0,
    failure_count {bigint} NOT NULL DEFAULT 0,
    deliveries_total {bigint} NOT NULL DEFAULT 0,
    deliveries_failed {bigint} NOT NULL DEFAULT 0,
    removed_delivered {bigint} NOT NULL DEFAULT 0,
    removed_failed {bigint} NOT NULL DEFAULT 0,
    removed_to {bigint} NOT NULL DEFAULT 0
)
"""
_DELIVERIES = """
CREATE TABLE hookhub_deliveries (
    id {bigint} PRIMARY KEY,
    endpoint_id {bigint} NOT NULL,
    sequence {bigint} NOT NULL,
    status INTEGER NOT NULL,
    due_at {bigint} NOT NULL,
    lease {bigint},
    attempts INTEGER NOT NULL DEFAULT 0,
    schedule_from INTEGER NOT NULL DEFAULT 0,
    order_key TEXT,
    created_at {bigint} NOT NULL,
    delivered_at {bigint},
    next_retry_at {bigint},
    response_status INTEGER,
    response_body TEXT,
    error TEXT,
    error_message TEXT
)
"""
_ATTEMPTS = """
CREATE TABLE hookhub_attempts (
    id {pk},
    delivery_id {bigint} NOT NULL,
    number INTEGER NOT NULL,
    started_at {bigint} NOT NULL,
    duration {double} NOT NULL,
    outcome TEXT NOT NULL,
    response_status INTEGER,
    response_headers TEXT,
    response_body TEXT,
    error TEXT,
    error_message TEXT,
    timings TEXT,
    retry_wait {bigint}
)
"""
_JOBS = """
CREATE TABLE hookhub_jobs (
    id {pk},
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    endpoint_id {bigint} NOT NULL,
    event_types TEXT NOT NULL,
    choice TEXT NOT NULL,
    start_after {bigint} NOT NULL,
    end_at {bigint} NOT NULL,
    since {bigint},
    until {bigint},
    gap {bool} NOT NULL,
    position {bigint} NOT NULL,
    total {bigint},
    done {bigint} NOT NULL DEFAULT 0,
    created_at {bigint} NOT NULL,
    updated_at {bigint} NOT NULL,
    finished_at {bigint},
    owner TEXT,
    lease {bigint} NOT NULL DEFAULT 0,
    error TEXT
)
"""
_TOKENS = """
CREATE TABLE hookhub_tokens (
    id {pk},
    name TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    description TEXT,
    scopes TEXT NOT NULL,
    created_at {bigint} NOT NULL,
    expires_at {bigint},
    last_used_at {bigint},
    revoked_at {bigint}
)
"""
_KEYS = """
CREATE TABLE hookhub_keys (
    id {pk},
    created_at {bigint} NOT NULL,
    private TEXT NOT NULL,
    public TEXT NOT NULL,
    retired_at {bigint}
)
"""
_STATS = """
CREATE TABLE hookhub_stats (
    step INTEGER NOT NULL,
    at {bigint} NOT NULL,
    nodes INTEGER NOT NULL,
    events {bigint} NOT NULL,
    attempts {bigint} NOT NULL,
    delivered {bigint} NOT NULL,
    failed {bigint} NOT NULL,
    latency TEXT NOT NULL,
    pending {bigint} NOT NULL,
    oldest_pending {double} NOT NULL,
    open_breakers INTEGER NOT NULL,
    connections INTEGER NOT NULL,
    PRIMARY KEY (step, at)
)
"""

_NODES = """
CREATE TABLE hookhub_nodes (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    tables_version INTEGER NOT NULL,
    started_at {bigint} NOT NULL,
    seen_at {bigint} NOT NULL,
    seen_until {bigint} NOT NULL,
    is_draining {bool} NOT NULL,
    claimed INTEGER NOT NULL,
    connections INTEGER NOT NULL
)
"""

_TICKETS = """
CREATE TABLE hookhub_live_tickets (
    hash TEXT PRIMARY KEY,
    token_id {bigint} NOT NULL,
    expires_at {bigint} NOT NULL
)
"""

CORE_MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        "events, endpoints, deliveries, tokens",
        (
            _STATE,
            _EVENTS,
            _IDEMPOTENCY,
            "CREATE INDEX hookhub_idempotency_created ON hookhub_idempotency (created_at)",
            _OUTBOX,
            "CREATE INDEX hookhub_outbox_waiting ON hookhub_outbox (id) WHERE error IS NULL",
            _ENDPOINTS,
            "CREATE UNIQUE INDEX hookhub_endpoints_name ON hookhub_endpoints (sink, name) "
            "WHERE deleted_at IS NULL",
            _DELIVERIES,
            "CREATE INDEX hookhub_deliveries_due ON hookhub_deliveries (endpoint_id, due_at) "
            f"WHERE {IS_UNCLAIMED}",
            "CREATE INDEX hookhub_deliveries_leased ON hookhub_deliveries "
            "(lease, endpoint_id, due_at, status) "
            f"WHERE {IS_LEASED}",
            "CREATE INDEX hookhub_deliveries_order ON hookhub_deliveries "
            "(endpoint_id, order_key, id) WHERE order_key IS NOT NULL",
            "CREATE INDEX hookhub_deliveries_endpoint ON hookhub_deliveries (endpoint_id, id)",
            "CREATE INDEX hookhub_deliveries_pending ON hookhub_deliveries (endpoint_id, id) "
            f"WHERE {IS_PENDING}",
            "CREATE INDEX hookhub_deliveries_failed ON hookhub_deliveries (endpoint_id, id) "
            f"WHERE status = {FAILED}",
            "CREATE INDEX hookhub_deliveries_sequence ON hookhub_deliveries (sequence)",
            _ATTEMPTS,
            "CREATE INDEX hookhub_attempts_delivery ON hookhub_attempts (delivery_id, number)",
            _JOBS,
            f"CREATE INDEX hookhub_jobs_running ON hookhub_jobs (id) WHERE {IS_RUNNING}",
            _TOKENS,
            _KEYS,
            _STATS,
        ),
    ),
    Migration(
        2,
        "epochs of the history",
        (
            "ALTER TABLE hookhub_state ADD COLUMN epoch_number {bigint} NOT NULL DEFAULT 1",
            "ALTER TABLE hookhub_state ADD COLUMN epoch_begin {bigint} NOT NULL DEFAULT 0",
        ),
    ),
    Migration(3, "names that need not be unique", ("DROP INDEX hookhub_endpoints_name",)),
    Migration(
        4,
        "what endpoints have missed while they were set aside",
        ("ALTER TABLE hookhub_endpoints ADD COLUMN missed_after {bigint}",),
    ),
    Migration(5, "which hubs there are, and tickets that are good on each", (_NODES, _TICKETS)),
    Migration(
        6,
        "which change of the endpoints each was in last",
        (
            "ALTER TABLE hookhub_endpoints ADD COLUMN generation {bigint} NOT NULL DEFAULT 0",
            "CREATE INDEX hookhub_endpoints_generation ON hookhub_endpoints (generation)",
        ),
        # Who does not know of it changes endpoints without telling.
        needs=6,
    ),
    Migration(
        7,
        "ranges that are dropped when they are old",
        (
            "ALTER TABLE hookhub_events ADD COLUMN kept INTEGER",
            "ALTER TABLE hookhub_state ADD COLUMN counted_from {bigint} NOT NULL DEFAULT 0",
            *(cut(table) for table in KEYS),
            *(begin_ranges(table, LAST_NUMBER[table], 250_000) for table in KEYS),
        ),
        # The retention of who does not know of it counts otherwise.
        needs=7,
    ),
    Migration(
        8,
        "what each hub owns, and which receivers it lets rest",
        (
            "ALTER TABLE hookhub_nodes ADD COLUMN owned INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE hookhub_nodes ADD COLUMN breakers TEXT NOT NULL DEFAULT '{}'",
        ),
    ),
)
