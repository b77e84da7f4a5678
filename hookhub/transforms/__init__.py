"""Transforms: another body for a delivery than the payload, made by name. Pure.

A plugin brings transforms as it brings event types. An endpoint names one with its configuration;
it is tried with the examples of the event types that the endpoint wants before the endpoint is
stored, and applied anew at every attempt.
"""

from hookhub.transforms.model import (
    OUTPUT_MAX,
    Transform,
    TransformError,
    TransformResult,
    UnknownTransform,
    example_event,
)
from hookhub.transforms.registry import TransformRegistry

__all__ = [
    "OUTPUT_MAX",
    "Transform",
    "TransformError",
    "TransformRegistry",
    "TransformResult",
    "UnknownTransform",
    "example_event",
]
