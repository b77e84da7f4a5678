"""The program ``hookhub``: thin commands, a folder for each family of them.

Commands import the rooms they need when they run: ``hookhub --help`` and shell completion must
not wait for a web framework.
"""

from hookhub.cli.app import main

__all__ = ["main"]
