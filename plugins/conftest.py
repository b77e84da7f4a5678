"""Fixtures come from hookhub.testing.

A plugin with a repository of its own has this line in its ``tests/conftest.py``; pytest takes it
from the topmost one only, which is this.
"""

pytest_plugins = ["hookhub.testing.fixtures"]
