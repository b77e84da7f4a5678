"""``/webhooks``: its routes; docs/rest.md lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hookhub.contracts.deliveries import Endpoint, NewEndpoint
from hookhub.contracts.errors import EgressBlocked, NotFound, UnknownEventType
from hookhub.contracts.events import EventRegistry
from hookhub.contracts.routes import Request, Response, Route, only, wrong_field
from hookhub_webhook import shapes, showing
from hookhub_webhook.config import CONFIG_FIELDS, NAME, changed_config
from hookhub_webhook.options import OPTION_FIELDS, changed_options, new_options
from hookhub_webhook.signing import generate_secret

if TYPE_CHECKING:
    from hookhub.hub import Hub

READ = "webhooks:read"
WRITE = "webhooks:write"


class WebhookApi:
    """Webhooks over REST."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> Sequence[Route]:
        """All routes."""
        return (*self._collection(), *self._single(), *self._actions(), *self._deliveries())

    def _collection(self) -> Sequence[Route]:
        return (
            Route(
                "POST",
                "/webhooks",
                self.create,
                scope=WRITE,
                tag="webhooks",
                body=shapes.NewWebhook,
                responses={201: shapes.NewWebhookAnswer},
                errors=(EgressBlocked, UnknownEventType),
            ),
            Route(
                "GET",
                "/webhooks",
                self.list,
                scope=READ,
                tag="webhooks",
                query=shapes.WebhookQuery,
                responses={200: shapes.WebhookList},
            ),
            Route(
                "GET",
                "/webhooks/stats",
                self.stats,
                scope=READ,
                tag="webhooks",
                responses={200: shapes.WebhookStats},
            ),
        )

    def _single(self) -> Sequence[Route]:
        path = "/webhooks/{webhook_id:int}"
        return (
            Route(
                "GET",
                path,
                self.get,
                scope=READ,
                tag="webhooks",
                responses={200: shapes.Webhook},
                errors=(NotFound,),
            ),
            Route(
                "PATCH",
                path,
                self.update,
                scope=WRITE,
                tag="webhooks",
                body=shapes.WebhookChanges,
                responses={200: shapes.ChangedWebhook},
                errors=(NotFound, EgressBlocked, UnknownEventType),
            ),
            Route(
                "DELETE",
                path,
                self.delete,
                scope=WRITE,
                tag="webhooks",
                responses={204: None},
                errors=(NotFound,),
            ),
        )

    def _actions(self) -> Sequence[Route]:
        path = "/webhooks/{webhook_id:int}"
        return (
            Route(
                "POST",
                f"{path}/test",
                self.test,
                scope=WRITE,
                tag="webhooks",
                body=shapes.TestRequest,
                responses={200: shapes.TestResult},
                errors=(NotFound, UnknownEventType),
            ),
            Route(
                "POST",
                f"{path}/rotate-secret",
                self.rotate_secret,
                scope=WRITE,
                tag="webhooks",
                body=shapes.NewSecret,
                responses={200: shapes.WebhookWithSecret},
                errors=(NotFound,),
            ),
            *(
                Route(
                    "POST",
                    f"{path}/{verb}",
                    handler,
                    scope=WRITE,
                    tag="webhooks",
                    responses={200: shapes.Webhook},
                    errors=(NotFound,),
                )
                for verb, handler in (("enable", self.enable), ("disable", self.disable))
            ),
        )

    def _deliveries(self) -> Sequence[Route]:
        path = "/webhooks/{webhook_id:int}"
        return (
            Route(
                "GET",
                f"{path}/deliveries",
                self.deliveries,
                scope=READ,
                tag="deliveries",
                query=shapes.DeliveryQuery,
                responses={200: shapes.DeliveryList},
                errors=(NotFound,),
            ),
            Route(
                "DELETE",
                f"{path}/deliveries",
                self.cancel_pending,
                scope=WRITE,
                tag="deliveries",
                query=shapes.CancelQuery,
                responses={200: shapes.Cancelled},
                errors=(NotFound,),
            ),
            Route(
                "POST",
                f"{path}/retry-failed",
                self.retry_failed,
                scope=WRITE,
                tag="deliveries",
                responses={200: shapes.Retried},
                errors=(NotFound,),
            ),
        )

    async def create(self, request: Request) -> shapes.Webhook:
        """Create a webhook.

        With `generate_secret` the hub makes the secret, and shows it in this answer and never
        again.
        """
        new = request.body_as(shapes.NewWebhook)
        if new.generate_secret and new.secret is not None:
            raise wrong_field("Send a secret or let the hub make one, not both.", "secret")
        secret = generate_secret() if new.generate_secret else new.secret
        patterns = wanted_types(new.event_type, new.event_types, self._hub.registry)
        if patterns is None:
            raise wrong_field("event_type (or event_types) is needed.", "event_type")
        endpoint = await self._hub.endpoints.create(
            NAME,
            NewEndpoint(
                name=new.name,
                event_types=patterns,
                config={field: getattr(new, field) for field in CONFIG_FIELDS},
                description=new.description,
                is_active=new.is_active,
                secret=secret,
                options=new_options({field: getattr(new, field) for field in OPTION_FIELDS}),
            ),
        )
        if new.generate_secret and secret is not None:
            return showing.show_with_secret(endpoint, await self._breaker(endpoint), secret)
        return await self._show(endpoint)

    async def list(self, request: Request) -> shapes.WebhookList:
        """List webhooks in the order in which they were made."""
        query = request.query_as(shapes.WebhookQuery)
        page = await self._hub.endpoints.list(
            NAME,
            event_type=query.event_type,
            is_active=query.is_active,
            limit=query.limit,
            offset=query.offset,
        )
        return showing.show_webhooks(
            page, await self._breakers(page.items), whole=_may_change(request)
        )

    async def stats(self, request: Request) -> shapes.WebhookStats:
        """Totals over all webhooks and their deliveries, from kept counters."""
        return showing.show_stats(await self._hub.endpoints.stats(NAME))

    async def get(self, request: Request) -> shapes.Webhook:
        """Get one webhook."""
        endpoint = await self._hub.endpoints.get(NAME, _id(request))
        whole = _may_change(request)
        return showing.show_webhook(endpoint, await self._breaker(endpoint), whole=whole)

    async def update(self, request: Request) -> shapes.ChangedWebhook:
        """Change a webhook; what the body leaves out stays as it is.

        Headers whose values are masked are for the origin (scheme, host and port) of `url`: when
        it changes to another one, they are dropped unless they are given again in the same body.
        `dropped_headers` names those.
        """
        sent = only(request.body_as(shapes.WebhookChanges))
        changes: dict[str, Any] = {
            field: sent[field]
            for field in ("name", "description", "is_active", "secret")
            if field in sent
        }
        patterns = wanted_types(sent.get("event_type"), sent.get("event_types"), self._hub.registry)
        if patterns is not None:
            changes["event_types"] = patterns
        config = {field: sent[field] for field in CONFIG_FIELDS if field in sent}
        options = {field: sent[field] for field in OPTION_FIELDS if field in sent}

        dropped: list[str] = []

        def change(endpoint: Endpoint) -> Mapping[str, Any]:
            found = dict(changes)
            if "url" in config:
                config["url"] = self._hub.egress.check_url(config["url"])
            if config:
                found["config"], dropped[:] = changed_config(endpoint.config, config)
            if options:
                found["options"] = changed_options(endpoint.options, options)
            return found

        endpoint = await self._hub.endpoints.update(NAME, _id(request), change)
        return showing.show_changed(endpoint, await self._breaker(endpoint), dropped)

    async def delete(self, request: Request) -> None:
        """Delete a webhook; nothing more is sent to it."""
        await self._hub.endpoints.delete(NAME, _id(request))

    async def test(self, request: Request) -> shapes.TestResult:
        """Send the example of an event type now, once; nothing is stored.

        The answer is 200 whatever the receiver says; `success` tells.
        """
        body = request.body_as(shapes.TestRequest)
        tested = await self._hub.endpoints.test(NAME, _id(request), body.event_type)
        return showing.show_test(*tested)

    async def rotate_secret(self, request: Request) -> shapes.WebhookWithSecret:
        """Give the webhook a new secret, shown in this answer and never again.

        For 24 hours the old one signs as well, in `webhook-signature`; `X-Webhook-Signature` has
        room for one signature, and carries the new secret's at once.
        """
        secret = request.body_as(shapes.NewSecret).secret or generate_secret()
        endpoint = await self._hub.endpoints.rotate_secret(NAME, _id(request), secret)
        return showing.show_with_secret(endpoint, await self._breaker(endpoint), secret)

    async def enable(self, request: Request) -> shapes.Webhook:
        """Send events to the webhook again."""
        return await self._set_active(request, True)

    async def disable(self, request: Request) -> shapes.Webhook:
        """Send no more events to the webhook."""
        return await self._set_active(request, False)

    async def _set_active(self, request: Request, active: bool) -> shapes.Webhook:
        endpoint = await self._hub.endpoints.update(NAME, _id(request), {"is_active": active})
        return await self._show(endpoint)

    async def _show(self, endpoint: Endpoint) -> shapes.Webhook:
        return showing.show_webhook(endpoint, await self._breaker(endpoint))

    async def _breaker(self, endpoint: Endpoint) -> str:
        return (await self._breakers([endpoint]))[endpoint.id]

    async def _breakers(self, endpoints: Sequence[Endpoint]) -> Mapping[int, str]:
        numbers = [endpoint.id for endpoint in endpoints]
        own = self._hub.engine.breaker_states(numbers)
        # One that nobody owns yet was attempted by nobody.
        found = dict.fromkeys(numbers, "closed")
        if len(own) < len(numbers):
            found |= await self._hub.membership.breakers()
        return found | own

    async def deliveries(self, request: Request) -> Response:
        """List deliveries to a webhook, newest first."""
        query = request.query_as(shapes.DeliveryQuery)
        wanted = query.filter(_id(request))
        limit, offset = query.limit, query.offset
        if query.before is None and not wanted.narrows():
            page = await self._hub.deliveries.list(
                NAME, _id(request), status=query.status, limit=limit, offset=offset
            )
            more = bool(page.items) and offset + len(page.items) < page.total
            after = page.items[-1].id if more else None
            body = showing.deliveries_json(
                page.items, total=page.total, limit=limit, offset=offset, after=after
            )
            return Response(body)
        if offset:
            raise wrong_field("offset goes with status only; page by before.", "query", "offset")
        found = await self._hub.deliveries.search(
            wanted, sink=NAME, before=query.before, limit=limit
        )
        body = showing.deliveries_json(
            found.items, total=None, limit=limit, offset=0, after=found.before
        )
        return Response(body)

    async def cancel_pending(self, request: Request) -> shapes.Cancelled:
        """End the pending deliveries to a webhook as failed; they can be retried by hand."""
        cancelled = await self._hub.deliveries.cancel_pending(NAME, _id(request))
        return shapes.Cancelled(cancelled=cancelled)

    async def retry_failed(self, request: Request) -> shapes.Retried:
        """Attempt all failed deliveries to a webhook again, from now on."""
        retried = await self._hub.deliveries.retry_failed(NAME, _id(request))
        return shapes.Retried(retried=retried)


def _may_change(request: Request) -> bool:
    return request.principal is not None and request.principal.may(WRITE)


def _id(request: Request) -> int:
    return request.id("webhook_id")


def wanted_types(
    single: str | None, several: Sequence[str] | None, registry: EventRegistry
) -> tuple[str, ...] | None:
    """The type patterns that a body asks for, each once, ``event_type`` first; None if it says
    nothing about them.

    Raises:
        ValidationFailed: a pattern matches no declared type.
        UnknownEventType: an exact type that no plugin declares; names the nearest.
    """
    if single is None and several is None:
        return None
    wanted: dict[str, tuple[str | int, ...]] = {}
    if single is not None:
        wanted[single] = ("event_type",)
    for position, pattern in enumerate(several or ()):
        wanted.setdefault(pattern, ("event_types", position))
    for pattern, loc in wanted.items():
        _check_known(pattern, registry, *loc)
    return tuple(wanted)


def _check_known(pattern: str, registry: EventRegistry, *loc: str | int) -> None:
    if pattern == "*":
        return
    if pattern.endswith(".*"):
        if not registry.matching([pattern]):
            known = ", ".join(event_type.name for event_type in registry) or "none"
            raise wrong_field(f"{pattern!r} matches no known event type ({known}).", *loc)
        return
    try:
        registry.get(pattern)
    except UnknownEventType as error:
        error.errors = [{"loc": [*loc], "msg": error.detail}]
        raise
