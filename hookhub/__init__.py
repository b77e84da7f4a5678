"""hookhub: a self-hosted event hub.

The names that plugins and programs use; the rest of the package is behind them.
"""

from hookhub.contracts.components import Migration, Source
from hookhub.contracts.events import Accepted, Cursor, Draft, Event, EventType, Payload
from hookhub.contracts.hookspecs import hookimpl
from hookhub.contracts.routes import Answer, Body, Paging, Query, Request, Response, Route
from hookhub.contracts.sinks import (
    Attempt,
    AttemptResult,
    DurableSink,
    Entry,
    LiveSink,
    Outcome,
    QueuedLiveSink,
)

__version__ = "0.1.0"

__all__ = [
    "Accepted",
    "Answer",
    "Attempt",
    "AttemptResult",
    "Body",
    "Cursor",
    "Draft",
    "DurableSink",
    "Entry",
    "Event",
    "EventType",
    "LiveSink",
    "Migration",
    "Outcome",
    "Paging",
    "Payload",
    "Query",
    "QueuedLiveSink",
    "Request",
    "Response",
    "Route",
    "Source",
    "__version__",
    "hookimpl",
]
