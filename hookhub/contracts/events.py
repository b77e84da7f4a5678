"""Events, their types and their order. Pure: no I/O, no clock of its own.

A payload is turned into JSON text exactly once, by :func:`canonical_json`. That text is what is
stored, signed, posted to webhooks and embedded in the frames of the live feed, so that every
reader sees the producer's payload to the byte and nothing is serialised twice.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from hookhub.contracts.errors import (
    FieldError,
    InvalidCursor,
    MalformedRequest,
    PluginError,
    UnknownEventType,
    UnreadableEvent,
    ValidationFailed,
    wrong_field,
)
from hookhub.contracts.hints import nearest
from hookhub.contracts.strict_json import parse_json as parse_json
from hookhub.contracts.timestamps import format_timestamp as format_timestamp
from hookhub.contracts.timestamps import parse_timestamp as parse_timestamp

EVENT_TYPE = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)+")
EVENT_TYPE_MAX = 255
EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
TYPE_PATTERN = re.compile(r"\*|[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)*(?:\.\*)?")
OWN = "hookhub"
"""The ``source`` of the hub's own events, and who declares their types. No producer may use it."""
KEY_MAX = 255
SOURCE_MAX = 255
ERRORS_NAMED = 1_000
"""Wrong fields of one value that are named."""

_CANONICAL = json.JSONEncoder(sort_keys=True, allow_nan=False)


def _canonical_encoder() -> Callable[[Any], str]:
    """What ``_CANONICAL.encode`` does, without making CPython's encoder anew for each payload."""
    make = json.encoder.c_make_encoder  # type: ignore[attr-defined]
    if make is None:
        return _CANONICAL.encode
    # No markers: a payload that contains itself ends in the RecursionError of one too deep.
    encode = make(
        None,
        _CANONICAL.default,
        json.encoder.encode_basestring_ascii,
        None,
        _CANONICAL.key_separator,
        _CANONICAL.item_separator,
        True,  # sort_keys
        False,  # skipkeys
        False,  # allow_nan
    )
    return lambda payload: "".join(encode(payload, 0))


_encode_canonical = _canonical_encoder()


def canonical_json(payload: Mapping[str, Any]) -> str:
    """The one serialisation of a payload: ``json.dumps(payload, sort_keys=True)``.

    Receivers verify signatures over exactly this text (ASCII only, sorted keys,
    ``", "`` and ``": "`` as separators).

    Raises:
        ValidationFailed: the payload holds NaN, an infinity, or what JSON cannot express.
    """
    try:
        return _encode_canonical(payload)
    except (ValueError, TypeError) as error:
        sentence = f"The payload cannot be written as JSON: {error}."
        raise wrong_field(sentence, "payload", msg=str(error)) from None
    except RecursionError:
        raise MalformedRequest("The payload is nested too deeply; flatten it.") from None


class EventIds:
    """Makes unique ids without a dot that sort by time: ``evt_`` + 12 hex of ms + 20 of chance.

    Chance comes from the system in pieces for many ids: each call of it lets another thread have
    the interpreter's lock, and a batch would stand in line for it once for every event.
    """

    _POOL = 256

    def __init__(self) -> None:
        self._pool: list[str] = []

    def new(self, now: int) -> str:
        """A new id. May be called in any thread.

        Args:
            now: microseconds since 1970.
        """
        try:
            chance = self._pool.pop()
        except IndexError:
            pool = _chances(self._POOL)
            chance = pool.pop()
            self._pool = pool
        return _event_id(now, chance)

    def many(self, now: int, count: int) -> list[str]:
        """So many new ids at once; see :meth:`new`."""
        begin = _event_id(now, "")
        return [begin + chance for chance in _chances(count)]


def new_event_id(now: int) -> str:
    """One id as :class:`EventIds` makes them, for those who need few."""
    return _event_id(now, os.urandom(10).hex())


def _chances(count: int) -> list[str]:
    """So many pieces of chance, 20 hexadecimal digits each."""
    text = os.urandom(10 * count).hex()
    return [text[at : at + 20] for at in range(0, len(text), 20)]


def _event_id(now: int, chance: str) -> str:
    return f"evt_{now // 1000:012x}{chance}"


class Payload(BaseModel):
    """Base of payload models: strict types, unknown members kept.

    Strict, because a receiver in a typed language breaks on ``"5"`` where ``5`` was promised;
    open, because a producer may say more than the model names.
    """

    model_config = ConfigDict(strict=True, extra="allow")


@dataclass(frozen=True, slots=True)
class EventType:
    """A kind of event that a plugin declares.

    Args:
        name: two or more dotted words in lower case: ``user.created``.
        model: what a payload must look like; see :class:`Payload`.
        description: one sentence: when it happens.
        example: a payload that the model accepts; shown in docs and sent by test buttons.
        plugin: who declares it; filled in when it is registered.
    """

    name: str
    model: type[BaseModel]
    description: str
    example: Mapping[str, Any]
    plugin: str = ""

    def json_schema(self) -> dict[str, Any]:
        """The payload's JSON Schema (2020-12)."""
        return self.model.model_json_schema()


def field_errors(error: ValidationError, *prefix: str | int) -> list[FieldError]:
    """Pydantic's findings as ``errors`` members, behind ``prefix``; too many are only counted."""
    if error.error_count() > ERRORS_NAMED:
        return [{"loc": [*prefix], "msg": f"has {error.error_count():,} wrong fields"}]
    return [
        {"loc": [*prefix, *found["loc"]], "msg": found["msg"]}
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    ]


class EventRegistry:
    """All event types that the installed plugins declare."""

    def __init__(self) -> None:
        self._types: dict[str, EventType] = {}
        self._validators: dict[str, Callable[..., Any]] = {}
        self.own: set[str] = set()
        """The names of the hub's own types."""

    def register(self, event_type: EventType, plugin: str) -> None:
        """Add a type; its example must pass its own model.

        Raises:
            PluginError: bad name, taken name (both plugins are named), or a wrong example.
        """
        name = event_type.name
        if not EVENT_TYPE.fullmatch(name) or len(name) > EVENT_TYPE_MAX:
            raise PluginError(
                f"Plugin {plugin!r} declares the event type {name!r}; names are dotted words in "
                "lower case, such as 'user.created'."
            )
        taken = self._types.get(name)
        if taken is not None and taken.plugin == OWN:
            raise PluginError(f"The event type {name!r} is the hub's own; give yours another name.")
        if taken is not None:
            raise PluginError(
                f"The event type {name!r} is declared by plugin {taken.plugin!r} and by plugin "
                f"{plugin!r}; disable one of them in [plugins] disabled."
            )
        try:
            _validate(event_type.model.__pydantic_validator__.validate_json, event_type.example)
        except (ValidationError, ValidationFailed) as error:
            raise PluginError(
                f"Plugin {plugin!r}: the example of {name!r} does not fit its own model: {error}"
            ) from None
        self._validators[name] = event_type.model.__pydantic_validator__.validate_python
        self._types[name] = EventType(
            name, event_type.model, event_type.description, event_type.example, plugin
        )
        if plugin == OWN:
            self.own.add(name)

    def unregister(self, name: str) -> None:
        """Take a type back: its plugin turned out to be broken."""
        self._types.pop(name, None)
        self._validators.pop(name, None)
        self.own.discard(name)

    def __iter__(self) -> Iterator[EventType]:
        return iter(sorted(self._types.values(), key=lambda item: item.name))

    def __len__(self) -> int:
        return len(self._types)

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def get(self, name: str) -> EventType:
        """The type of this name.

        Raises:
            UnknownEventType: names the nearest type that is declared.
        """
        found = self._types.get(name)
        if found is None:
            raise unknown_event_type(name, self._types)
        return found

    def check(self, name: str, payload: Any) -> None:
        """Check a payload against its type's model; the payload is left as it is.

        Raises:
            UnknownEventType: there is no such type.
            ValidationFailed: names every wrong field, below ``payload``.
        """
        validate = self._validators.get(name)
        if validate is None:
            raise unknown_event_type(name, self._types)
        try:
            validate(payload, strict=True)
        except ValidationError:
            self._check_json(name, payload)

    def _check_json(self, name: str, payload: Any) -> None:
        """What JSON has only text for (times, enumerations, UUIDs …) is refused by the fast way."""
        try:
            _validate(self._types[name].model.__pydantic_validator__.validate_json, payload)
        except ValidationError as error:
            raise ValidationFailed(
                f"The payload does not fit {name!r}; GET /event-types shows its schema.",
                errors=field_errors(error, "payload"),
            ) from None

    def check_all(self, name: str, payloads: Iterable[Any]) -> None:
        """Check many payloads of one type; see :meth:`check`.

        Raises:
            UnknownEventType: there is no such type.
            pydantic.ValidationError: of the first wrong one.
        """
        validate = self._validators.get(name)
        if validate is None:
            raise unknown_event_type(name, self._types)
        # A loop in C, without a frame for each payload.
        deque(map(partial(validate, strict=True), payloads), maxlen=0)

    def matching(self, patterns: Iterable[str]) -> list[str]:
        """The declared types that at least one pattern matches."""
        match = type_matcher(patterns)
        return [name for name in sorted(self._types) if match(name)]


def _validate(validate_json: Callable[..., Any], payload: Any) -> None:
    """Check a payload as the JSON that it will be."""
    validate_json(canonical_json(payload), strict=True)


def unknown_event_type(name: str, known: Iterable[str]) -> UnknownEventType:
    """The error for a type that nobody declares."""
    names = sorted(known)
    near = nearest(name, names, cutoff=0.5)
    if near:
        hint = f"the nearest known type is {near!r}"
    elif names:
        hint = "the known types are " + ", ".join(names)
    else:
        hint = "no installed plugin declares any type"
    shown = name if len(name) <= 100 else name[:100] + "…"
    return UnknownEventType(
        f"Unknown event type {shown!r}; {hint}.",
        errors=[{"loc": ["type"], "msg": "unknown event type"}],
        members={"nearest": near},
    )


def check_pattern(pattern: str) -> str:
    """Return a type pattern that is well-formed: ``user.created``, ``user.*`` or ``*``.

    Raises:
        ValueError: it is not; the message shows the three forms.
    """
    if not TYPE_PATTERN.fullmatch(pattern) or len(pattern) > EVENT_TYPE_MAX:
        raise ValueError(
            f"{pattern[:100]!r} is not an event type pattern; use an exact type "
            "('user.created'), a prefix ('user.*') or '*'"
        )
    return pattern


def type_matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A predicate over type names; ``user.*`` matches at any depth below ``user.``."""
    return _type_matcher(frozenset(patterns))


@lru_cache(maxsize=4096)
def _type_matcher(patterns: frozenset[str]) -> Callable[[str], bool]:
    if "*" in patterns:
        return _match_all
    exact = frozenset(item for item in patterns if not item.endswith(".*"))
    prefixes = tuple(item[:-1] for item in patterns if item.endswith(".*"))
    return lambda name: name in exact or name.startswith(prefixes)


def _match_all(name: str) -> bool:
    return True


class Draft(NamedTuple):
    """An event that passed every check and waits for its commit."""

    id: str
    type: str
    payload: str
    """Canonical JSON text; see :func:`canonical_json`."""
    timestamp: int
    """Microseconds since 1970, UTC."""
    key: str | None = None
    source: str | None = None
    own_id: bool = False
    """Whether the producer chose the id: then a second event with it is a repeat."""


class Event(NamedTuple):
    """A committed event."""

    sequence: int
    """The order of commit: 1, 2, 3 … without a gap."""
    id: str
    type: str
    payload: str
    """Canonical JSON text; see :func:`canonical_json`."""
    timestamp: int
    """Microseconds since 1970, UTC."""
    key: str | None = None
    source: str | None = None

    def data(self) -> dict[str, Any]:
        """The payload as Python objects, parsed anew at every call.

        Raises:
            UnreadableEvent: it came past every check, and is no JSON object.
        """
        try:
            found = json.loads(self.payload)
        except (TypeError, ValueError, RecursionError) as error:
            raise self._unreadable(error) from error
        if not isinstance(found, dict):
            raise self._unreadable("its payload is no JSON object")
        return found

    def encode(self, epoch: str) -> bytes:
        """The event as clients see it, in every feed: one JSON object in UTF-8.

        ``type``, ``payload`` and ``timestamp`` come first, as the original sent them.

        Raises:
            UnreadableEvent: it came past every check, and cannot be written.
        """
        try:
            # Added up: bytes, which a format would take, are refused.
            start = '{"type": "' + self.type + '", "payload": ' + self.payload
            if self.payload[:1] != "{" or self.payload[-1:] != "}" or "\n" in start:
                raise ValueError("its payload is no JSON object in one line")
            extra = ""
            if self.key is not None:
                extra += f', "key": {_quoted(self.key)}'
            if self.source is not None:
                extra += f', "source": {_quoted(self.source)}'
            return (
                f'{start}, "timestamp": "{format_timestamp(self.timestamp)}", "id": "{self.id}", '
                f'"sequence": {self.sequence}, "cursor": "{epoch}-{self.sequence:x}"{extra}}}'
            ).encode("ascii")
        except (OverflowError, TypeError, ValueError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, reason: object) -> UnreadableEvent:
        return UnreadableEvent(
            f"The event {self.id!r} is stored, but cannot be shown: {reason}. All others can; "
            "it goes with its time ([retention] events)."
        )


def _quoted(text: str) -> str:
    """As JSON; json.dumps() would let halves of surrogate pairs pass, which are no text."""
    text.encode()
    return json.dumps(text)


_CURSOR = re.compile(r"([a-z0-9]{4,32})-([0-9a-f]{1,16})")


class Cursor(NamedTuple):
    """A place in the history: everything up to and including ``sequence`` has been seen.

    Opaque to clients. ``epoch`` names the history: a cursor of another one (of a database that went
    back to an older backup, say) must not be taken for a place in this one.
    """

    epoch: str
    sequence: int

    def __str__(self) -> str:
        # Event.encode() writes the same, without a Cursor for each event.
        return f"{self.epoch}-{self.sequence:x}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read a cursor that a client sent back.

        Raises:
            InvalidCursor: it is not one.
        """
        found = _CURSOR.fullmatch(text)
        if found is None or int(found[2], 16) >= 2**63:
            raise InvalidCursor(
                f"{text[:60]!r} is not a cursor; use one that an event, a page or the live feed "
                "gave you, or leave it out to start at the beginning.",
                errors=[{"loc": ["cursor"], "msg": "not a cursor"}],
            )
        return cls(found[1], int(found[2], 16))


@dataclass(slots=True)
class Accepted:
    """What a producer is told about an event.

    ``deliveries`` is the number of delivery rows that were committed with it; ``repeated`` says
    that the answer is the one of an earlier, equal request.
    """

    id: str
    sequence: int
    deliveries: int
    repeated: bool = field(default=False, kw_only=True)
