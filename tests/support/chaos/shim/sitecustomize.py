"""Moves the wall clock of the Python process that finds this on its path.

``CHAOS_CLOCK`` names a file with an offset in nanoseconds (8 bytes, little endian), which may be
changed while the process runs. Monotonic clocks go on as they are, as when a machine's time is set.
"""

import mmap
import os
import time

with open(os.environ["CHAOS_CLOCK"], "rb") as file:
    _offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
_time_ns = time.time_ns


def moved_ns() -> int:
    """Nanoseconds since 1970, by the moved clock."""
    return _time_ns() + int.from_bytes(_offset[:8], "little", signed=True)


def moved() -> float:
    """Seconds since 1970, by the moved clock."""
    return moved_ns() / 1e9


time.time_ns, time.time = moved_ns, moved
