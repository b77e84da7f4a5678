"""``hookhub check``: would a hub start here, and would it do its work?"""

from hookhub.cli.check.command import check

__all__ = ["check"]
