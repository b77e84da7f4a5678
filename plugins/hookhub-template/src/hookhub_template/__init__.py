"""The transform ``template`` of hookhub: a delivery's body, written in sandboxed Jinja."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hookhub import hookimpl

if TYPE_CHECKING:
    from hookhub.contracts.transforms import Transform


@hookimpl
def hookhub_transforms() -> Iterable[Transform[Any]]:
    # Not at the top: 'hookhub --help' asks every plugin for commands, and need not wait for Jinja.
    from hookhub_template.template import TemplateTransform

    return [TemplateTransform()]
