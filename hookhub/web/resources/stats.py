"""``/stats``: how it goes now, and went over the last hour, day and week."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import Field

from hookhub.contracts.answers import Time
from hookhub.contracts.events import format_timestamp
from hookhub.contracts.routes import Answer, Query, Request, Route
from hookhub.statistics.samples import RANGES, Counts, Gauges, RangeName

if TYPE_CHECKING:
    from hookhub.hub import Hub


class SeriesQuery(Query):
    """Which chart."""

    range: RangeName = Field("hour", description="How far it goes back")


class _Happened(Answer):
    events: int = Field(ge=0, description="Events committed")
    attempts: int = Field(ge=0, description="Attempts made")
    delivered: int = Field(ge=0, description="Deliveries that ended well")
    failed: int = Field(ge=0, description="Deliveries that were given up")
    latency_p50: float | None = Field(
        description="Seconds from a delivery's commit to its receiver's answer that half of those "
        "delivered did not exceed; null if nothing was delivered"
    )
    latency_p95: float | None = Field(description="The same for 95 %")
    latency_p99: float | None = Field(description="The same for 99 %")


class PointItem(_Happened):
    """One step of a chart; the gauges are the highest of the step, null if no hub ran."""

    at: Time = Field(description="When the step began")
    pending: int | None = Field(ge=0, description="Deliveries that have not ended yet")
    oldest_pending_seconds: float | None = Field(
        ge=0, description="How long the oldest of them waits; 0 if there is none"
    )
    open_breakers: int | None = Field(
        ge=0, description="Endpoints that are left alone because they keep failing"
    )
    connections: int | None = Field(ge=0, description="Live connections")


class SeriesItem(Answer):
    """A chart."""

    range: RangeName
    step: int = Field(description="Seconds from one point to the next")
    points: list[PointItem] = Field(description="Oldest first, one for each step that is over")


class NowItem(_Happened):
    """How it goes: counts, rates and latency are of the last minute."""

    at: Time
    pending: int = Field(ge=0, description="Deliveries that have not ended yet")
    oldest_pending_seconds: float = Field(
        ge=0, description="How long the oldest of them waits; 0 if there is none"
    )
    open_breakers: int = Field(
        ge=0, description="Endpoints that are left alone because they keep failing"
    )
    connections: int = Field(ge=0, description="Live connections")
    events_per_second: float = Field(ge=0)
    success_rate: float | None = Field(
        description="Percent of the deliveries that ended which ended well, two decimals; null if "
        "none ended"
    )
    webhooks_total: int = Field(ge=0, description="Endpoints of all sinks")
    webhooks_active: int = Field(ge=0, description="Those that are switched on")


def _happened(counts: Counts) -> dict[str, Any]:
    return {
        "events": counts.events,
        "attempts": counts.attempts,
        "delivered": counts.delivered,
        "failed": counts.failed,
        "latency_p50": counts.latency.quantile(0.5),
        "latency_p95": counts.latency.quantile(0.95),
        "latency_p99": counts.latency.quantile(0.99),
    }


def _is(gauges: Gauges | None) -> dict[str, Any]:
    return {
        "pending": None if gauges is None else gauges.pending,
        "oldest_pending_seconds": None if gauges is None else round(gauges.oldest_pending, 3),
        "open_breakers": None if gauges is None else gauges.open_breakers,
        "connections": None if gauges is None else gauges.connections,
    }


def stats_routes(hub: Hub) -> Sequence[Route]:
    """The numbers behind the panel's overview."""

    async def series(request: Request) -> dict[str, Any]:
        """How it went, step by step, on all nodes.

        From kept counters: it takes the same time however much there is. An `hour` has a point
        for each minute, a `day` for each five minutes, a `week` for each hour.
        """
        name = request.query_as(SeriesQuery).range
        points = [
            {
                "at": format_timestamp(point.at),
                **_happened(point.counts),
                **_is(point.gauges),
            }
            for point in await hub.stats.series(name)
        ]
        return {"range": name, "step": RANGES[name].step, "points": points}

    async def now(request: Request) -> dict[str, Any]:
        """How it goes now, on all nodes; from kept counters."""
        found = await hub.stats.now()
        return {
            "at": format_timestamp(found.at),
            **_happened(found.counts),
            **_is(found.gauges),
            "events_per_second": round(found.counts.events / found.seconds, 3),
            "success_rate": found.counts.success_rate,
            "webhooks_total": found.endpoints,
            "webhooks_active": found.active,
        }

    route = partial(Route, "GET", scope="webhooks:read", tag="stats")
    return [
        route("/stats/series", series, query=SeriesQuery, responses={200: SeriesItem}),
        route("/stats/now", now, responses={200: NowItem}),
    ]
