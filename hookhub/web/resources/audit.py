"""``/audit``: whether the database holds what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import trio
from pydantic import Field

from hookhub.contracts.answers import moment
from hookhub.contracts.routes import RFC_3339, Answer, Line, Query, Request, Route
from hookhub.store.units.audit import OVERDUE, audit

if TYPE_CHECKING:
    from hookhub.hub import Hub


TIME: dict[str, Any] = {"format": "date-time", "pattern": f"^{RFC_3339}$"}


class AuditQuery(Query):
    """Which period."""

    since: Line | None = Field(
        None,
        description="Events from this time (RFC 3339) on; all if left out",
        json_schema_extra=TIME,
    )
    until: Line | None = Field(
        None, description="Events before this time; all if left out", json_schema_extra=TIME
    )


class DifferenceItem(Answer):
    """Rows that are not as they must be."""

    check: str = Field(description="A stable word", examples=["delivery_missing"])
    message: str
    count: int
    rows: list[int] = Field(description="The first of them")


class AuditItem(Answer):
    """What was promised, and what is there."""

    ok: bool = Field(description="Whether everything adds up")
    first: int = Field(description="The first sequence looked at")
    last: int = Field(description="The last one")
    events: int
    expired: int = Field(description="Events that retention has deleted")
    matched: int = Field(description="Deliveries that were committed with the events")
    replayed: int = Field(description="Deliveries that replays added")
    delivered: int
    pending: int
    failed: int
    skipped: dict[str, int] = Field(
        description="Deliveries that will not be attempted: `cancelled`, `skipped`, "
        "`endpoint_deleted`"
    )
    removed: int = Field(description="Deliveries that retention has deleted")
    differences: list[DifferenceItem]


def audit_routes(hub: Hub) -> Sequence[Route]:
    """The audit."""
    one_at_a_time = trio.Lock()
    started = hub.now()

    async def run_audit(request: Request) -> dict[str, Any]:
        """Check that every event has the deliveries it was accepted with, and what became of them.

        `matched + replayed = delivered + pending + failed + skipped + removed`, computed from the
        rows; `differences` names the rows where something does not add up. It takes a few seconds
        for each million deliveries; one audit runs at a time.
        """
        query = request.query_as(AuditQuery)
        since, until = moment("since", query.since), moment("until", query.until)
        now = hub.now()
        # A hub that has just started has time to attempt what fell due while it was down.
        as_of = now if now - started > OVERDUE else None
        async with one_at_a_time:
            found = await audit(
                hub.store,
                since=since,
                until=until,
                sinks=set(hub.components.durable_sinks),
                as_of=as_of,
            )
        return found.members()

    return [
        Route(
            "GET",
            "/audit",
            run_audit,
            scope="webhooks:read",
            tag="audit",
            query=AuditQuery,
            responses={200: AuditItem},
        )
    ]
