"""Rendering a template, as the tests of this plugin do it."""

from __future__ import annotations

from typing import Any

import pytest

from hookhub.contracts.events import Event, canonical_json
from hookhub.contracts.transforms import TransformError
from hookhub_template.template import TemplateTransform

PAYLOAD = {
    "amount_kopeks": 123450,
    "name": 'Zoë "Z" <b>&\n',
    "username": None,
    "done": True,
    "items": [{"sku": "A", "price": 10}, {"sku": "b", "price": 2.5}],
    "tags": ["x", "y", "x"],
    "user": {"first name": "Зоя", "get": "got"},
}


def event(payload: Any = PAYLOAD, type: str = "payment.completed", key: str | None = None) -> Event:
    """An event with this payload."""
    return Event(7, "evt_7", type, canonical_json(payload), 1_735_689_600_123_456, key, "shop")


# One for all: it holds nothing but compiled templates.
TEMPLATE = TemplateTransform()


def render(template: str, payload: Any = PAYLOAD, content_type: str = "application/json") -> str:
    """What a template makes."""
    config = TEMPLATE.config_model(template=template, content_type=content_type)
    return TEMPLATE.apply(event(payload), config).body.decode("utf-8")


def fails(template: str, payload: Any = PAYLOAD, content_type: str = "text/plain") -> str:
    """Why a template fails."""
    with pytest.raises(TransformError) as caught:
        render(template, payload, content_type)
    detail = caught.value.detail
    assert detail.endswith((".", "?"))
    assert len(detail) < 600
    return detail


def body_or_sentence(template: str, content_type: str) -> str | None:
    """What a template makes; None if it fails as it should."""
    try:
        return render(template, content_type=content_type)
    except TransformError as caught:
        failure = caught
    assert failure.detail[0].isupper()
    assert failure.detail.endswith((".", "?"))
    return None
