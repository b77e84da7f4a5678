"""The hub: what plugins, routes and programs that embed hookhub hold in their hands."""

from __future__ import annotations
