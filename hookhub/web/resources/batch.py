"""``POST /events/batch``: many events, all or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import trio
from pydantic import Field, RootModel

from hookhub.errors import (
    Conflict,
    FieldError,
    HookhubError,
    IdempotencyMismatch,
    MalformedRequest,
    PayloadTooLarge,
    ValidationFailed,
)
from hookhub.events import Draft, parse_json
from hookhub.routes import Answer, Header, Request, Response, Route, wrong_field
from hookhub.web.reading import MAX_ERRORS, has_escapes, media_type, validate_json_body
from hookhub.web.resources.models import (
    IDEMPOTENCY_KEY,
    AcceptedEvent,
    NewEvent,
    accepted_json,
    replay_headers,
)
from hookhub.web.resources.taking import take

if TYPE_CHECKING:
    from hookhub.hub import Hub

NDJSON = "application/x-ndjson"
TURN = 250
"""Items that are checked before other tasks have their turn."""


class NewEvents(RootModel[list[NewEvent]]):
    """Events to accept together, in this order."""

    root: list[NewEvent] = Field(min_length=1)


class AcceptedEvents(Answer):
    """The events, in the order of the request."""

    items: list[AcceptedEvent]


class _Batch:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def publish(self, request: Request) -> Response:
        """Accept many events, all or none.

        A JSON array, or one JSON object a line (NDJSON). If any item is wrong, none is stored, and
        `errors` names the index of each bad one. All are committed together: this is the fast way.
        """
        drafts = await self._drafts(request)
        accepted = await take(self._hub, request, drafts)
        items = ", ".join(map(accepted_json, accepted))
        return Response(f'{{"items": [{items}]}}'.encode(), headers=replay_headers(accepted))

    async def _drafts(self, request: Request) -> list[Draft]:
        data: bytes = request.body
        lines = media_type(request.headers) == NDJSON
        limit = self._hub.settings.events.max_batch
        items = list(islice(_ndjson(data), limit + 1)) if lines else _array(data)
        if len(items) > limit:
            raise PayloadTooLarge(
                f"A batch may have {limit} events ([events] max_batch); send it in parts.",
                members={"limit": limit},
            )
        if not items:
            raise wrong_field("The batch is empty; send at least one event.")
        return await self._check(items, has_escapes(data))

    async def _check(self, items: Sequence[Any], escapes: bool) -> list[Draft]:
        now = self._hub.now()
        drafts: list[Draft] = []
        errors: list[FieldError] = []
        for start in range(0, len(items), TURN):
            if start:
                await trio.lowlevel.checkpoint()
            turn = items[start : start + TURN]
            plain = None if escapes else self._plain(turn, now)
            if plain is not None:
                drafts += plain
                continue
            for index, item in enumerate(turn, start):
                try:
                    drafts.append(self._draft(item, escapes, now))
                except HookhubError as error:
                    errors += _located(index, error)
        if errors:
            raise ValidationFailed(_summary(errors), errors=errors[:MAX_ERRORS])
        return drafts

    def _plain(self, items: Sequence[Any], now: int) -> list[Draft] | None:
        """The usual items, which have nothing but type and payload, and nothing wrong.

        What the model of an item would check of those is checked here, at a fraction of the cost.
        """
        try:
            names = [item["type"] for item in items]
            payloads = [item["payload"] for item in items]
        except (TypeError, KeyError):
            return None
        if (
            set(map(type, names)) == {str}
            and set(map(type, payloads)) == {dict}
            and set(map(len, items)) == {2}
        ):
            return self._hub.draft_all(names, payloads, now)
        return None

    def _draft(self, item: Any, escapes: bool, now: int) -> Draft:
        if isinstance(item, HookhubError):
            raise item
        new = validate_json_body(NewEvent, item, escapes)
        assert isinstance(new, NewEvent)
        return self._hub.draft(
            new.type, new.payload, key=new.key, source=new.source, id=new.id, timestamp=now
        )


def _array(data: bytes) -> list[Any]:
    if not data:
        raise MalformedRequest("The body is empty; send a JSON array of events.")
    items = parse_json(data)
    if not isinstance(items, list):
        raise wrong_field(
            f"The body must be a JSON array of events; for one a line, send it as {NDJSON}."
        )
    return items


def _ndjson(data: bytes) -> Iterator[Any]:
    """The value of each line that is not blank; an error in its place where there is none."""
    for line in data.split(b"\n"):
        if line.strip():
            try:
                yield parse_json(line)
            except MalformedRequest as error:
                yield error


def _located(index: int, error: HookhubError) -> list[FieldError]:
    if not error.errors:
        return [{"loc": [index], "msg": error.detail}]
    return [{"loc": [index, *item["loc"]], "msg": item["msg"]} for item in error.errors]


def _summary(errors: Sequence[FieldError]) -> str:
    items = len({item["loc"][0] for item in errors})
    first = errors[0]
    place = ".".join(map(str, first["loc"]))
    are = "item is" if items == 1 else "items are"
    cut = f"; errors shows the first {MAX_ERRORS}" if len(errors) > MAX_ERRORS else ""
    return (
        f"Nothing was stored: {items} {are} wrong, first {place}: {first['msg'].rstrip('.')}{cut}."
    )


def batch_routes(hub: Hub) -> Sequence[Route]:
    """Accepting many events at once."""
    return [
        Route(
            "POST",
            "/events/batch",
            _Batch(hub).publish,
            scope="events:write",
            tag="events",
            body=NewEvents,
            raw_body=True,
            body_types=("application/json", NDJSON),
            responses={202: AcceptedEvents},
            errors=(IdempotencyMismatch, Conflict),
            request_headers={IDEMPOTENCY_KEY: Header("Makes a repeat harmless")},
        )
    ]
