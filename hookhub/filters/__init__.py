"""Payload filters: which events of a type somebody wants, said in JSON. Pure.

A filter looks like the payload it is about::

    {"amount_kopeks": {"$gte": 100000}, "user.country": {"$in": ["RU", "KZ"]},
     "$or": [{"status": "open"}, {"priority": {"$exists": false}}]}

Webhooks and live subscribers use the same language; ``docs/filters.md`` describes it. There is no
code in it, no regular expression and no loop, so a filter costs what its conditions cost, whatever
the payload.
"""

from hookhub.filters.compiler import (
    CONDITIONS_MAX,
    DEPTH_MAX,
    MISTAKES_MAX,
    SIZE_MAX,
    Filter,
    compile_filter,
)
from hookhub.filters.operators import OPERATORS, STRING_MAX, VALUES_MAX, Operator
from hookhub.filters.paths import STEPS_MAX

__all__ = [
    "CONDITIONS_MAX",
    "DEPTH_MAX",
    "MISTAKES_MAX",
    "OPERATORS",
    "SIZE_MAX",
    "STEPS_MAX",
    "STRING_MAX",
    "VALUES_MAX",
    "Filter",
    "Operator",
    "compile_filter",
]
