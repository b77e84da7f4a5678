"""The live feed: what was committed, in order, for whoever watches."""

from hookhub.feed.broadcaster import Broadcaster
from hookhub.feed.feed import Feed, Resume, Slice

__all__ = ["Broadcaster", "Feed", "Resume", "Slice"]
