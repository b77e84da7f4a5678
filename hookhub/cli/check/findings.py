"""What a check finds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """``configuration``, ``database`` …"""
    state: State
    """``error``: a hub would not start, or not work."""
    message: str
    advice: str | None = None
    """What to do."""
