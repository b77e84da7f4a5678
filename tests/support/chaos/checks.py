"""Afterwards: do the producers' list, the receivers' lists, the rows and the audit agree?"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import trio

from hookhub.contracts.events import OWN, type_matcher
from support.chaos.cluster import Cluster
from support.chaos.ledger import Webhook
from support.chaos.producers import SOURCE
from support.chaos.receivers import Request
from support.chaos.world import CONCURRENCY, World

BUGS = ("Traceback", "writer_bug", "sink.failed", "callback_failed", "replay.failed")
"""What must not stand in the log."""
UNHEARD = ("read_timeout", "reset")
"""Why an acknowledgement may not have been heard, if the receiver died or was very late."""
LATE = 1.5
"""Seconds after its deletion in which attempts to a webhook may still be under way."""
HEARSAY = 1.5
"""Seconds more until another node has seen that it was deleted."""


@dataclass(slots=True)
class Rows:
    """What the database holds, read after the last stop."""

    deliveries: dict[int, tuple[int, int, int]]
    """Id to webhook, sequence and status (1: success)."""
    delivered: set[tuple[int, int]]
    """Attempts that were recorded as delivered: delivery and number."""
    failed: dict[tuple[int, int], str]
    """Attempts that were recorded as failed, and why."""
    users: list[Any]
    payments: list[Any]
    tickets: list[Any]
    messages: list[Any]

    @classmethod
    def read(cls, world: World) -> Rows:
        """Read them."""
        rows = world.database.rows
        deliveries = rows("SELECT id, endpoint_id, sequence, status FROM hookhub_deliveries")
        attempts = rows("SELECT delivery_id, number, outcome, error FROM hookhub_attempts")
        return cls(
            deliveries={row[0]: (row[1], row[2], row[3]) for row in deliveries},
            delivered={(row[0], row[1]) for row in attempts if row[2] == "delivered"},
            failed={(row[0], row[1]): row[3] for row in attempts if row[2] != "delivered"},
            users=rows("SELECT id, telegram_id FROM hookhub_users ORDER BY id"),
            payments=rows("SELECT id, external_id FROM hookhub_transactions ORDER BY id"),
            tickets=rows("SELECT id, title, status FROM hookhub_tickets ORDER BY id"),
            messages=rows(
                "SELECT id, ticket_id, message_text FROM hookhub_ticket_messages ORDER BY id"
            ),
        )


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    world: World
    history: list[dict[str, Any]]
    rows: Rows
    audits: list[dict[str, Any]]
    losses: list[str] = field(default_factory=list)
    """Events that were promised and are not there, or did not arrive."""
    faults: list[str] = field(default_factory=list)
    """Everything else that must not be."""
    duplicates: int = 0
    """Acknowledgements of a delivery beyond the first."""
    unheard: int = 0
    """Acknowledgements that the hub did not hear, recorded as failures."""


async def conclude(world: World) -> Outcome:
    """Read the history, audit, stop the hub, audit again, and compare everything."""
    history = await _history(world)
    audits = [await world.caller.get("/audit")]
    world.gate.close()
    await trio.to_thread.run_sync(world.hub.terminate)
    ran = await trio.to_thread.run_sync(world.hub.run, "audit", "--json")
    assert ran.stdout.startswith("{"), f"hookhub audit: {ran.returncode} {ran.stderr}"
    audits.append(json.loads(ran.stdout))
    rows = await trio.to_thread.run_sync(Rows.read, world)
    outcome = Outcome(world, history, rows, audits)
    outcome.losses += [*_lost_events(outcome), *_lost_domain(outcome), *_undelivered(outcome)]
    checks = (_order, _markers, _domain, _receivers, _records, _key_order, _agreement)
    for check in (*checks, _duplicates):
        outcome.faults += check(outcome)
    return outcome


async def _history(world: World) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await world.caller.get(f"/events?limit=200{cursor}")
        history += page["items"]
        cursor = f"&after={page['cursor']}"
        if not page["has_more"]:
            return history


# -- the history ----------------------------------------------------------------------------


def _lost_events(outcome: Outcome) -> Iterator[str]:
    """Every 202 is in the history, under the id and the sequence of the answer."""
    ledger = outcome.world.ledger
    there = {item["payload"].get("marker"): item for item in outcome.history}
    for marker, (event_id, sequence) in ledger.accepted.items():
        found = there.get(marker)
        if found is None or (found["id"], found["sequence"]) != (event_id, sequence):
            yield f"{marker} was answered 202 with {event_id}, {sequence}; there is {found}"
    for marker in ledger.outbox - there.keys():
        yield f"{marker} was committed to the outbox and is no event"


def _order(outcome: Outcome) -> Iterator[str]:
    """Sequences without gaps, ids once; and so it was for one who followed all the time."""
    sequences = [item["sequence"] for item in outcome.history]
    if sequences != list(range(1, len(sequences) + 1)):
        yield "the history's sequences have gaps or are out of order"
    ids = [item["id"] for item in outcome.history]
    if len(set(ids)) != len(ids):
        yield "an event id is there twice"
    follower = outcome.world.follower
    yield from follower.wrong
    if follower.ids != ids[: len(follower.ids)]:
        yield "who followed the feed saw other events than the history has"


def _markers(outcome: Outcome) -> Iterator[str]:
    """Nothing is there that was not sent, nothing twice; a request is there as a whole."""
    ledger = outcome.world.ledger
    places: dict[str, int] = {}
    for item in outcome.history:
        if item.get("source") in (OWN, "hookhub-users", "hookhub-payments", "hookhub-tickets"):
            continue
        marker = item["payload"].get("marker", "nobody's")
        if marker in places:
            yield f"{marker} became two events"
        places[marker] = item["sequence"]
        if item.get("source") != SOURCE and marker not in ledger.outbox | ledger.outbox_unsure:
            yield f"an event that nobody sent: {item}"
    for marker in ledger.never & places.keys():
        yield f"{marker} was rolled back and is there"
    for group, markers in ledger.groups.items():
        found = [places.get(marker, 0) for marker in markers]
        whole = found == list(range(found[0], found[0] + len(found))) and found[0] > 0
        if not whole and (any(found) or group not in ledger.unsure):
            yield f"of the request {group} there is a part, or not in its order: {found}"


# -- domain rows ----------------------------------------------------------------------------


def _lost_domain(outcome: Outcome) -> Iterator[str]:
    ledger, rows = outcome.world.ledger, outcome.rows
    for what, promised, there in (
        ("user", ledger.users, {row[1] for row in rows.users}),
        ("payment", ledger.payments, {row[1] for row in rows.payments}),
        ("ticket", set(ledger.tickets.items()), {(row[0], row[1]) for row in rows.tickets}),
        ("message", ledger.replies, {row[2] for row in rows.messages}),
    ):
        yield from (f"the {what} {name} was answered and is gone" for name in promised - there)


def _domain(outcome: Outcome) -> Iterator[str]:
    """Each row has exactly its event, and each event its row."""
    rows, payloads = outcome.rows, defaultdict(list)
    for item in outcome.history:
        if str(item.get("source", "")).startswith("hookhub-"):
            payloads[item["type"]].append(item["payload"])
    paid = [*payloads["payment.completed"], *payloads["transaction.created"]]
    # The first message of a ticket belongs to its making.
    first: dict[int, int] = {}
    for message, ticket, _ in rows.messages:
        first.setdefault(ticket, message)
    messages = [row[0] for row in rows.messages if row[0] != first[row[1]]]
    for what, kept, told in (
        ("user", [row[0] for row in rows.users], [p["user_id"] for p in payloads["user.created"]]),
        ("payment", [row[0] for row in rows.payments], [p["transaction_id"] for p in paid]),
        (
            "ticket",
            [row[0] for row in rows.tickets],
            [p["ticket_id"] for p in payloads["ticket.created"]],
        ),
        ("message", messages, [p["message_id"] for p in payloads["ticket.message_added"]]),
    ):
        if Counter(kept) != Counter(told):
            yield f"rows and events of {what}s differ: {Counter(kept) - Counter(told)}"
    yield from _statuses(rows, payloads["ticket.status_changed"])


def _statuses(rows: Rows, changes: list[dict[str, Any]]) -> Iterator[str]:
    """The changes of a ticket's status are a chain that ends with what the row says."""
    status = dict.fromkeys((row[0] for row in rows.tickets), "open")
    for change in changes:
        ticket = change["ticket_id"]
        if status[ticket] != change["old_status"]:
            yield f"ticket {ticket} was {status[ticket]}, says its event {change}"
        status[ticket] = change["new_status"]
    for ticket, _, kept in rows.tickets:
        if status[ticket] != kept:
            yield f"ticket {ticket} is {kept}, its events say {status[ticket]}"


# -- receivers ------------------------------------------------------------------------------


def _wanted(webhook: Webhook, item: dict[str, Any]) -> bool:
    patterns = webhook.event_types
    if item.get("source") == OWN:
        patterns = tuple(pattern for pattern in patterns if pattern != "*")
    return type_matcher(patterns)(item["type"])


def _undelivered(outcome: Outcome) -> Iterator[str]:
    """Every event was acknowledged by every webhook that was there for it."""
    for webhook in outcome.world.ledger.living:
        got = {request.event for request in webhook.receiver.acknowledged}
        for item in outcome.history:
            after = webhook.after is not None and item["sequence"] > webhook.after
            if after and webhook.always_on and _wanted(webhook, item) and item["id"] not in got:
                yield f"{item['id']} ({item['sequence']}) never arrived at {webhook.name}"


def _receivers(outcome: Outcome) -> Iterator[str]:
    """What arrived is what was sent, signed; nothing arrives where it should not."""
    bodies = {
        item["id"]: json.dumps(item["payload"], sort_keys=True).encode() for item in outcome.history
    }
    types = {item["id"]: item for item in outcome.history}
    late_by = LATE + HEARSAY * isinstance(outcome.world.hub, Cluster)
    for webhook in outcome.world.ledger.webhooks:
        receiver = webhook.receiver
        yield from receiver.wrong
        for request in receiver.acknowledged:
            if bodies.get(request.event) != request.body:
                yield f"{request.event} at {webhook.name} is not what the history has"
            elif not _wanted(webhook, types[request.event]):
                yield f"{request.event} was sent to {webhook.name}, which did not ask for it"
        if webhook.deleted_at is None:
            if webhook.event_types[0] in ("*", "user.*") and not receiver.newest:
                yield f"the newest secret of {webhook.name} does not sign"
        elif receiver.last_at > webhook.deleted_at + late_by:
            late = receiver.last_at - webhook.deleted_at
            yield f"{webhook.name} was called {late:.1f} s after it was deleted"


def _records(outcome: Outcome) -> Iterator[str]:
    """A success in the database was acknowledged, and what was acknowledged is a success."""
    rows = outcome.rows
    for webhook in outcome.world.ledger.webhooks:
        got = {request.delivery for request in webhook.receiver.acknowledged}
        mine = {key: row for key, row in rows.deliveries.items() if row[0] == webhook.id}
        done = {key for key, row in mine.items() if row[2] == 1}
        if done - got:
            yield f"{webhook.name} never acknowledged what is a success: {sorted(done - got)[:9]}"
        if webhook.deleted_at is None and got != mine.keys():
            odd = sorted(got ^ mine.keys())[:9]
            yield f"{webhook.name} acknowledged other deliveries than there are: {odd}"
        if webhook.deleted_at is None and done != mine.keys():
            yield f"not delivered to {webhook.name}: {sorted(mine.keys() - done)[:9]}"
    got_attempts = {
        (request.delivery, request.attempt)
        for receiver in outcome.world.receivers.values()
        for request in receiver.acknowledged
    }
    odd_attempts = rows.delivered - got_attempts
    if odd_attempts:
        yield f"recorded as delivered, never acknowledged: {sorted(odd_attempts)[:9]}"


def _duplicates(outcome: Outcome) -> Iterator[str]:
    """More than one acknowledgement of a delivery: only where a kill came before the record."""
    tally, rows = outcome.world.tally, outcome.rows
    for receiver in outcome.world.receivers.values():
        attempts: dict[tuple[int, int], list[Request]] = defaultdict(list)
        for request in receiver.acknowledged:
            attempts[request.delivery, request.attempt].append(request)
        deliveries = {delivery for delivery, _ in attempts}
        outcome.duplicates += len(receiver.acknowledged) - len(deliveries)
        for place, requests in attempts.items():
            again = len(requests) - (place in rows.delivered) - tally.cut[place]
            if again <= 0:
                continue
            if rows.failed.get(place) in UNHEARD:
                outcome.unheard += again
            else:
                yield (
                    f"attempt {place} was acknowledged {len(requests)} times at {receiver.name}, "
                    f"but was in flight at {tally.cut[place]} kills"
                )
    if outcome.duplicates > tally.in_flight + outcome.unheard:
        yield f"{outcome.duplicates} duplicates, {tally.in_flight} in flight at kills"
    if tally.most_in_flight > CONCURRENCY:
        yield f"{tally.most_in_flight} in flight at one kill, {CONCURRENCY} are allowed"


def _key_order(outcome: Outcome) -> Iterator[str]:
    """Of one key, an ordered webhook gets the events in the order of their commits."""
    events = {item["id"]: item for item in outcome.history}
    for webhook in outcome.world.ledger.webhooks:
        if not webhook.ordered:
            continue
        last: dict[str, int] = {}
        for event_id in dict.fromkeys(item.event for item in webhook.receiver.acknowledged):
            item = events.get(event_id, {})
            key, sequence = item.get("key"), item.get("sequence", 0)
            if key is not None and sequence < last.get(key, 0):
                yield f"{webhook.name} got {sequence} after {last[key]}, both of {key}"
            if key is not None:
                last[key] = sequence


# -- the audit ------------------------------------------------------------------------------


def _agreement(outcome: Outcome) -> Iterator[str]:
    """Both audits say the same as the rows and the receivers."""
    statuses = Counter(status for _, _, status in outcome.rows.deliveries.values())
    for found in outcome.audits:
        if not found["ok"]:
            yield f"the audit found differences: {found['differences']}"
        ended = found["failed"] + sum(found["skipped"].values()) + found["pending"]
        promised = found["matched"] + found["replayed"]
        if promised != found["delivered"] + ended + found["removed"]:
            yield f"the audit does not add up: {found}"
        told = (found["events"], found["delivered"], found["removed"])
        if told != (len(outcome.history), statuses[1], 0):
            yield f"the audit says {told}, there are {len(outcome.history)}, {statuses[1]}, 0"
    for line in outcome.world.hub.lines:
        if any(bug in line for bug in BUGS):
            yield f"the hub's log has: {line[:500]}"
