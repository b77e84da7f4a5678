"""Fixtures come from hookhub.testing, as in every plugin."""

pytest_plugins = ["hookhub.testing.fixtures"]
