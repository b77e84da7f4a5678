"""The last line of a hub that a bug has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from hookhub.config import LogSettings
from hookhub.contracts.errors import HookhubError
from hookhub.logs.tracebacks import message_of, place_of


@contextmanager
def crash_logged(settings: LogSettings, running: Callable[[], bool]) -> Iterator[None]:
    """Turn whatever leaves the block into one line ``hub.crashed`` and exit status 1.

    Except hookhub's own errors before the hub ran: those say why it does not start, to a person.

    Args:
        settings: as JSON the line has the traceback; on a console only at level debug.
        running: whether the hub had started.
    """
    try:
        yield
    except Exception as error:
        shown: BaseException = error
        while isinstance(shown, BaseExceptionGroup) and len(shown.exceptions) == 1:
            shown = shown.exceptions[0]
        if isinstance(shown, HookhubError) and not running():
            raise
        if isinstance(shown, click.ClickException | click.exceptions.Exit):
            raise
        # Not at the top: 'hookhub --help' needs no log.
        import structlog

        traced = settings.format == "json" or settings.level == "debug"
        structlog.get_logger("hookhub").critical(
            "hub.crashed",
            error=message_of(shown),
            where=place_of(shown),
            **({"exc_info": error} if traced else {}),
        )
        raise click.exceptions.Exit(1) from None
