"""``POST /events/batch``: many events, all or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, RootModel

from hookhub.contracts.errors import (
    Conflict,
    FieldError,
    HookhubError,
    IdempotencyMismatch,
    MalformedRequest,
    PayloadTooLarge,
    ValidationFailed,
)
from hookhub.contracts.events import Draft
from hookhub.contracts.routes import Answer, Header, Request, Response, Route, wrong_field
from hookhub.contracts.strict_json import malformed
from hookhub.web.reading.bodies import MAX_ERRORS, has_escapes, media_type, validate_json_body
from hookhub.web.reading.incremental_json import (
    NDJSON,
    ONE_GO,
    Turns,
    array_in_turns,
    lines_in_turns,
)
from hookhub.web.resources.models import (
    IDEMPOTENCY_KEY,
    AcceptedEvent,
    PostedEvent,
    accepted_json,
    event_limit,
    replay_headers,
)
from hookhub.web.resources.new_events import take

if TYPE_CHECKING:
    from hookhub.hub import Hub


class NewEvents(RootModel[list[PostedEvent]]):
    """Events to accept together, in this order."""

    root: list[PostedEvent] = Field(min_length=1)


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
        settings = self._hub.settings.events
        checked = _Checked(self._hub, has_escapes(data), large=len(data) > ONE_GO)
        for turn in _turns(data, media_type(request.headers), event_limit(settings).bytes):
            await checked.add(turn)
            if checked.count > settings.max_batch:
                raise PayloadTooLarge(
                    f"A batch may have {settings.max_batch} events ([events] max_batch); send it "
                    "in parts.",
                    members={"limit": settings.max_batch},
                )
        if not checked.count:
            raise wrong_field("The batch is empty; send at least one event.")
        return checked.drafts()


class _Checked:
    """What was read of a batch so far.

    Args:
        escapes: whether there are any in it.
        large: whether reading a part of it takes so long that others should have a turn after it.
    """

    def __init__(self, hub: Hub, escapes: bool, *, large: bool) -> None:
        self._hub = hub
        self._escapes = escapes
        self._large = large
        self._now = hub.now()
        self._turns = Turns()
        self._drafts: list[Draft] = []
        self._errors: list[FieldError] = []
        self._wrong = 0
        self.count = 0

    async def add(self, turn: Sequence[Any]) -> None:
        """Check the next items; others have their turn before, and in a large batch after."""
        if self.count or self._large:
            await self._turns.give_way()
        plain = None if self._escapes else self._plain(turn)
        if plain is not None:
            self._drafts += plain
        else:
            if self._large:
                await self._turns.give_way()
            for index, item in enumerate(turn, self.count):
                try:
                    self._drafts.append(self._draft(item))
                except HookhubError as error:
                    self._refuse(index, error)
                    await self._turns.give_way()
        self.count += len(turn)
        if self._large:
            await self._turns.give_way()

    def drafts(self) -> list[Draft]:
        """All of them.

        Raises:
            ValidationFailed: names those that are wrong.
        """
        if self._wrong:
            raise ValidationFailed(self._summary(), errors=self._errors[:MAX_ERRORS])
        return self._drafts

    def _refuse(self, index: int, error: HookhubError) -> None:
        self._wrong += 1
        if len(self._errors) <= MAX_ERRORS:
            self._errors += _located(index, error)

    def _plain(self, items: Sequence[Any]) -> list[Draft] | None:
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
            return self._hub.draft_all(names, payloads, self._now)
        return None

    def _draft(self, item: Any) -> Draft:
        if isinstance(item, HookhubError):
            raise item
        new = validate_json_body(PostedEvent, item, self._escapes)
        assert isinstance(new, PostedEvent)
        return self._hub.draft(
            new.type, new.payload, key=new.key, source=new.source, id=new.id, timestamp=self._now
        )

    def _summary(self) -> str:
        first = self._errors[0]
        place = ".".join(map(str, first["loc"]))
        are = "item is" if self._wrong == 1 else "items are"
        cut = f"; errors shows the first {MAX_ERRORS}" if len(self._errors) > MAX_ERRORS else ""
        return (
            f"Nothing was stored: {self._wrong} {are} wrong, first {place}: "
            f"{first['msg'].rstrip('.')}{cut}."
        )


def _turns(data: bytes, kind: str | None, bound: int) -> Iterator[list[Any]]:
    if kind == NDJSON:
        return lines_in_turns(data, bound)
    if not data:
        raise MalformedRequest("The body is empty; send a JSON array of events.")
    try:
        return array_in_turns(data.decode("utf-8"), bound)
    except UnicodeDecodeError as error:
        raise malformed(error) from None


def _located(index: int, error: HookhubError) -> list[FieldError]:
    if not error.errors:
        return [{"loc": [index], "msg": error.detail}]
    return [{"loc": [index, *item["loc"]], "msg": item["msg"]} for item in error.errors]


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
