"""``hookhub demo``: a hub with something going on, and a receiver that checks signatures."""

from hookhub.cli.demo.command import demo

__all__ = ["demo"]
