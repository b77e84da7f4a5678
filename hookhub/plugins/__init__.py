"""Plugins: found through entry points, loaded one by one, the broken ones named and left out.

What they bring is collected, held to its contract, and, if it runs, kept running.
"""

from typing import TYPE_CHECKING

from hookhub.contracts.lazy import lazy
from hookhub.plugins.components import (
    COMPONENT_NAME,
    Components,
    collect_components,
    migrate_components,
)
from hookhub.plugins.discovery import GROUP
from hookhub.plugins.event_types import load_event_types
from hookhub.plugins.faults import only_fault
from hookhub.plugins.inspection import check_numbers, inspect_component
from hookhub.plugins.manager import Plugins
from hookhub.plugins.report import SLOW, PluginReport
from hookhub.plugins.routes import PARAMETER, claim_addresses
from hookhub.plugins.transforms import TransformRegistry, load_transforms

if TYPE_CHECKING:
    from hookhub.plugins.supervision import supervise

__all__ = [
    "COMPONENT_NAME",
    "GROUP",
    "PARAMETER",
    "SLOW",
    "Components",
    "PluginReport",
    "Plugins",
    "TransformRegistry",
    "check_numbers",
    "claim_addresses",
    "collect_components",
    "inspect_component",
    "load_event_types",
    "load_transforms",
    "migrate_components",
    "only_fault",
    "supervise",
]

# It logs, which commands that only show what there is need not wait for.
__getattr__ = lazy(__name__, __all__, "supervision")
