"""Logging: one line for each thing that happened, without secrets.

Write with ``structlog.get_logger()``; what libraries say through ``logging`` comes out of the same
handler in the same form. Exceptions are rendered before redaction, so their texts are covered too.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from hookhub.config import LogSettings
from hookhub.contracts.redaction import MASK, redact_field
from hookhub.logs.terminal import CONTROLS, UNSEEN
from hookhub.logs.tracebacks import format_exception

_NOISY = ("httpx", "httpcore", "hpack", "asyncio", "peewee", "psycopg")
"""Libraries that tell of every request and statement; theirs is not what happened in the hub, and
the parameters of a statement may be secrets."""

_UNSAFE = re.compile(f"[{CONTROLS}{UNSEEN}]")
_UNSAFE_IN_TEXT = re.compile(rf"(?![\n\t])[{CONTROLS}{UNSEEN}]")


def configure_logging(settings: LogSettings, stream: TextIO, secrets: Sequence[str] = ()) -> None:
    """Send all logging of this process to ``stream``.

    Replaces what an earlier call set up. The root logger is the process's own, so a program that
    embeds hookhub and logs in its own way does not call this.

    Args:
        settings: format and level.
        stream: colours are used only if it is a terminal (and ``NO_COLOR`` is not set).
        secrets: values that are masked wherever they turn up, such as the bootstrap token.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(settings, stream, secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    # It warns of what it raises, each time that one of several statements is refused.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(format_exception),
    ]


def _formatter(
    settings: LogSettings, stream: TextIO, secrets: Sequence[str]
) -> structlog.stdlib.ProcessorFormatter:
    last: list[Processor] = [Redactor(secrets)]
    if settings.format == "json":
        last += [common_first, structlog.processors.JSONRenderer()]
    else:
        colors = stream.isatty() and not os.environ.get("NO_COLOR")
        last += [
            escape_controls,
            structlog.dev.ConsoleRenderer(
                colors=colors, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_common()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


class Redactor:
    """The processor that masks secrets: by key, by form, and by value."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        values = sorted((item for item in secrets if item), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, values))) if values else None

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        redacted = {key: redact_field(key, value) for key, value in event.items()}
        return redacted if self._known is None else self._mask(redacted, self._known)

    def _mask(self, value: Any, known: re.Pattern[str]) -> Any:
        if isinstance(value, str):
            return known.sub(MASK, value)
        if isinstance(value, dict):
            return {key: self._mask(item, known) for key, item in value.items()}
        if isinstance(value, list):
            return [self._mask(item, known) for item in value]
        return value


def escape_controls(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Keep what others wrote from forging lines or driving the terminal."""
    for key, value in event.items():
        if isinstance(value, str):
            # The renderer quotes line breaks in fields itself, but not in the event's name.
            unsafe = _UNSAFE if key == "event" else _UNSAFE_IN_TEXT
            event[key] = unsafe.sub(_picture, value)
    return event


def _picture(found: re.Match[str]) -> str:
    """Unicode's picture of a control character: ``␛`` for Escape."""
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "�"


def common_first(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """What every line has stands at its beginning."""
    first = [key for key in ("timestamp", "level", "event", "logger") if key in event]
    return {key: event[key] for key in (*first, *(key for key in event if key not in first))}
