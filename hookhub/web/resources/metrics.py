"""``/metrics``: what long-lived objects count, in the Prometheus text format."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from hookhub.background.siblings import Snapshot, is_counter
from hookhub.contracts.routes import Request, Response, Route

if TYPE_CHECKING:
    from hookhub.hub import Hub

Statistics = Callable[[], Mapping[str, float]]
Metric = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

LATENCY = "hookhub_delivery_latency_seconds"
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")


class SnapshotCollector(Collector):
    """What was counted: ``hookhub_<component>_<name>``.

    What ends in ``_total`` is a counter, the rest are gauges; and one histogram.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """One metric for each number, and how long deliveries take."""
        # The core's come first: of two that make one name, the first has it.
        shown = {LATENCY}
        for component, numbers in self._snapshot.numbers.items():
            for name, value in numbers.items():
                full = _NOT_IN_NAMES.sub("_", f"hookhub_{component}_{name}")
                if full in shown:
                    continue
                shown.add(full)
                text = f"{name.replace('_', ' ')} of {component}"
                if is_counter(full):
                    yield CounterMetricFamily(full.removesuffix("_total"), text, value)
                else:
                    yield GaugeMetricFamily(full, text, value)
        latency = self._snapshot.latency
        yield HistogramMetricFamily(
            LATENCY,
            "from the commit of a delivery to its receiver's answer",
            buckets=latency.cumulative(),
            sum_value=latency.total,
        )


def snapshot_of(hub: Hub, web: Statistics) -> Snapshot:
    """What this process counts."""
    return Snapshot({"http": web(), **hub.statistics()}, hub.stats.latency())


def metrics_routes(hub: Hub, web: Statistics) -> Sequence[Route]:
    """The page that Prometheus reads."""

    async def metrics(request: Request) -> Response:
        """Counters and gauges in the Prometheus text format.

        Of all workers behind this port, if there are several.
        """
        siblings = hub.siblings
        found = snapshot_of(hub, web) if siblings is None else await siblings.all()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(SnapshotCollector(found))
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return [
        Route(
            "GET",
            "/metrics",
            metrics,
            scope=None,
            tag="health",
            response_type="text/plain",
        )
    ]
