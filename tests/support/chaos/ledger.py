"""What producers were told, and what they cannot know because the answer was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from support.chaos.receivers import Receiver


@dataclass(slots=True, eq=False)
class Webhook:
    """A webhook as its owner knows it."""

    name: str
    receiver: Receiver
    event_types: tuple[str, ...]
    id: int = 0
    not_before: int = 0
    """Everything up to this sequence was committed before it was made."""
    after: int | None = 0
    """Everything after this sequence was committed after it was made; None: not known yet."""
    always_on: bool = True
    """False if it is switched off at times: then it gets what was committed while it was on."""
    ordered: bool = False
    deleted_at: float | None = None
    """Trio's clock."""


@dataclass(slots=True)
class Ledger:
    """What was promised. A marker names one event in its payload; a group is one request."""

    groups: dict[str, list[str]] = field(default_factory=dict)
    """Group to its markers: everything that was ever sent to ``/events``."""
    accepted: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Marker to the id and the sequence of the 202."""
    unsure: set[str] = field(default_factory=set)
    """Groups whose answer was lost and that were not repeated: all there, or nothing."""
    outbox: set[str] = field(default_factory=set)
    """Markers of rows that were committed."""
    outbox_unsure: set[str] = field(default_factory=set)
    """Markers of rows whose commit was not answered: there or not."""
    never: set[str] = field(default_factory=set)
    """Markers of rows that were rolled back."""
    users: set[int] = field(default_factory=set)
    """``telegram_id`` of users who were answered."""
    users_asked: set[int] = field(default_factory=set)
    payments: set[str] = field(default_factory=set)
    """``external_id``, likewise."""
    payments_asked: set[str] = field(default_factory=set)
    tickets: dict[int, str] = field(default_factory=dict)
    """Id to title of tickets that were answered."""
    titles_asked: set[str] = field(default_factory=set)
    replies: set[str] = field(default_factory=set)
    """Texts of messages that were answered."""
    replies_asked: set[str] = field(default_factory=set)
    webhooks: list[Webhook] = field(default_factory=list)
    """Those whose making was answered."""
    answers: Counter[str] = field(default_factory=Counter)
    """``202``, ``503``, ``lost`` … to how often."""

    def accept(self, group: str, items: Sequence[dict[str, object]]) -> None:
        """A request was answered 202."""
        for marker, item in zip(self.groups[group], items, strict=True):
            self.accepted[marker] = (str(item["id"]), int(str(item["sequence"])))
        self.answers["202"] += 1

    @property
    def living(self) -> list[Webhook]:
        """The webhooks that were not deleted."""
        return [webhook for webhook in self.webhooks if webhook.deleted_at is None]
