"""The live feed: what was committed, in order, for whoever watches."""

from hookhub.feed.broadcaster import Broadcaster
from hookhub.feed.feed import Feed, Slice
from hookhub.feed.origins import normal_origin, origin_allowed, origins_known
from hookhub.feed.presence import (
    DISMISSED,
    DISMISSED_REASON,
    USER_AGENT_MAX,
    ConnectionStatus,
    LiveConnection,
    Presence,
)
from hookhub.feed.ranges import HistoryRange, read_range, resolve_range
from hookhub.feed.resuming import Gap, Resume, joined
from hookhub.feed.selection import Select, Wanted
from hookhub.feed.signals import (
    SIGNAL_SCOPE,
    SIGNAL_TYPES,
    SignalBox,
    Signals,
    needs_scope,
)

__all__ = [
    "DISMISSED",
    "DISMISSED_REASON",
    "SIGNAL_SCOPE",
    "SIGNAL_TYPES",
    "USER_AGENT_MAX",
    "Broadcaster",
    "ConnectionStatus",
    "Feed",
    "Gap",
    "HistoryRange",
    "LiveConnection",
    "Presence",
    "Resume",
    "Select",
    "SignalBox",
    "Signals",
    "Slice",
    "Wanted",
    "joined",
    "needs_scope",
    "normal_origin",
    "origin_allowed",
    "origins_known",
    "read_range",
    "resolve_range",
]
