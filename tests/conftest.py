"""Fixtures come from hookhub.testing, as in every plugin."""

import signal

import pytest

pytest_plugins = ["hookhub.testing.fixtures"]


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Programs that tests start and interrupt take over what this process ignores.

    A shell without job control, nohup and some builders start what runs in the background with
    SIGINT ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
