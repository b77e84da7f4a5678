"""The part of a webhook that the hub itself goes by: when, how fast and in which order to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from hookhub.contracts.deliveries import DEFAULT_OPTIONS, EndpointOptions
from hookhub.contracts.routes import Body, TransformName

CONCURRENCY_MAX = 1000
RATE_MAX = 10_000.0

Wait = Annotated[float, Field(ge=0, le=7 * 86_400, allow_inf_nan=False)]
RetrySchedule = Annotated[list[Wait], Field(min_length=1, max_length=50)]
Concurrency = Annotated[int, Field(ge=1, le=CONCURRENCY_MAX)]
Rate = Annotated[float, Field(gt=0, le=RATE_MAX, allow_inf_nan=False)]


class TransformChoice(Body):
    """A transform and how it is configured; see `GET /transforms`."""

    name: TransformName = Field(examples=["template"])
    config: dict[str, Any] = Field(
        default_factory=dict, examples=[{"template": '{"text": "{{ type }}"}'}]
    )


FilterSpec = Annotated[
    dict[str, Any],
    Field(
        description="Only events whose payload matches are delivered; see the documentation of "
        "filters",
        examples=[{"amount_kopeks": {"$gte": 100000}}],
    ),
]


class WebhookOptions(Body):
    """What the hub does differently for one webhook."""

    retry_schedule: RetrySchedule | None = Field(
        None, description="Seconds to wait after each failed attempt; else the hub's"
    )
    concurrency: Concurrency | None = Field(
        None, description="Attempts at once; else [delivery] endpoint_concurrency"
    )
    rate_limit: Rate | None = Field(None, description="Attempts per second; else no limit")
    ordered: bool = Field(
        False,
        description="Deliver the events of one key strictly in order; one that fails holds back "
        "its key",
    )
    filter: FilterSpec | None = None
    transform: TransformChoice | None = Field(
        None, description="Makes another body than the payload; signed as it is sent"
    )


OPTION_FIELDS = tuple(WebhookOptions.model_fields)


def changed_options(stored: EndpointOptions, sent: Mapping[str, Any]) -> EndpointOptions:
    """The options after a change of some of them; None takes the hub's setting."""
    values = dict(sent)
    if values.get("retry_schedule") is not None:
        values["retry_schedule"] = tuple(values["retry_schedule"])
    if isinstance(values.get("transform"), TransformChoice):
        values["transform"] = values["transform"].model_dump()
    return replace(stored, **values)


def new_options(sent: Mapping[str, Any]) -> EndpointOptions:
    """The options of a new webhook."""
    return changed_options(DEFAULT_OPTIONS, sent)
