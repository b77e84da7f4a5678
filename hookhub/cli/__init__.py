"""The program ``hookhub``: thin commands, each in a file of its own.

Commands import the rooms they need when they run: ``hookhub --help`` and shell completion must
not wait for a web framework.
"""

from hookhub.cli.app import main

__all__ = ["main"]
