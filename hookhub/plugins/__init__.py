"""Plugins: found through entry points, loaded one by one, the broken ones named and left out."""

from hookhub.plugins.discovery import GROUP
from hookhub.plugins.event_types import load_event_types
from hookhub.plugins.manager import Plugins
from hookhub.plugins.report import SLOW, PluginReport
from hookhub.plugins.transforms import load_transforms

__all__ = ["GROUP", "SLOW", "PluginReport", "Plugins", "load_event_types", "load_transforms"]
