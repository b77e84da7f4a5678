"""The transform ``template``: a body written in Jinja, for Slack, Telegram and the like. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from types import TracebackType
from typing import Annotated, Any

from jinja2 import Template, TemplateSyntaxError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from hookhub.contracts.events import Event, format_timestamp
from hookhub.contracts.transforms import Transform, TransformError, TransformResult
from hookhub_template.budget import Budget
from hookhub_template.library import BUDGET
from hookhub_template.sandbox import NAMES, WRITER, Sandbox
from hookhub_template.syntax import check_and_count, parse
from hookhub_template.writers import ValueWriter, writer_for

TEMPLATE_MAX = 16 * 1024
"""Bytes of a template."""
COMPILED_MAX = 256
"""Compiled templates that are kept."""

_CONTENT_TYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(; ?charset=utf-8)?", re.IGNORECASE | re.ASCII
)
_MESSAGE_MAX = 300


def _check_template(text: str) -> str:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise _wrong("a template must not hold half a surrogate pair, which is no text") from None
    if size > TEMPLATE_MAX:
        raise _wrong(f"a template is at most {TEMPLATE_MAX} bytes; this has {size}")
    return text


def _wrong(message: str) -> PydanticCustomError:
    """The error of a field, without pydantic's "Value error" before it."""
    return PydanticCustomError("template", "{message}", {"message": message})


def _check_content_type(text: str) -> str:
    if not _CONTENT_TYPE.fullmatch(text) or len(text) > 100:
        raise _wrong(
            "it must look like 'application/json' or 'text/plain; charset=utf-8'; bodies are UTF-8"
        )
    return text


class TemplateConfig(BaseModel):
    """What an endpoint says about its template."""

    model_config = ConfigDict(strict=True, extra="forbid")

    template: Annotated[str, AfterValidator(_check_template)] = Field(
        description="The body, in Jinja",
        examples=['{"text": "{{ payload.title }} by {{ payload.user_id }}"}'],
    )
    content_type: Annotated[str, AfterValidator(_check_content_type)] = Field(
        default="application/json",
        description="Values are escaped accordingly; JSON is checked",
    )


class TemplateTransform(Transform[TemplateConfig]):
    """Renders a template; sandboxed, with its work, its output and its values' shape bounded."""

    name = "template"
    description = "A body written in Jinja: for Slack, Telegram and whatever wants its own shape."
    config_model = TemplateConfig

    def __init__(self) -> None:
        self._sandbox = Sandbox()
        self._compiled = lru_cache(maxsize=COMPILED_MAX)(self._compile)

    def check(self, config: TemplateConfig) -> None:
        """Compile the template.

        Raises:
            TransformError: names the line and what is wrong there.
        """
        self._compiled(config.template)

    def apply(self, event: Event, config: TemplateConfig) -> TransformResult:
        """Render the template with this event.

        Raises:
            TransformError: names the line and what is wrong there.
        """
        writer = writer_for(config.content_type)
        _render(self._compiled(config.template), _values(event), writer)
        return TransformResult(writer.finish(), config.content_type)

    def _compile(self, text: str) -> Template:
        try:
            return self._sandbox.from_string(check_and_count(parse(self._sandbox, text)))
        except TransformError:
            raise
        except TemplateSyntaxError as error:
            raise _at(error.lineno, self._known(error.message or "")) from None
        except Exception as error:
            # What the parser or Python's own compiler cannot take: too deep, too long a number.
            raise TransformError(f"The template cannot be compiled: {_said(error)}.") from None

    def _known(self, message: str) -> str:
        """Name what there is, where Jinja says only what there is not."""
        for kind, table in (("filter", self._sandbox.filters), ("test", self._sandbox.tests)):
            if message.startswith(f"No {kind} named"):
                names = ", ".join(sorted(name for name in table if " " not in name))
                return f"{message.rstrip('.')}; there are {names}"
        return message


def _values(event: Event) -> dict[str, Any]:
    values = {
        "type": event.type,
        "payload": event.data(),
        "timestamp": format_timestamp(event.timestamp),
        "id": event.id,
        "sequence": event.sequence,
        "key": event.key,
        "source": event.source,
    }
    assert tuple(values) == NAMES
    return values


def _render(template: Template, values: dict[str, Any], writer: ValueWriter) -> None:
    values |= {BUDGET: Budget(), WRITER: writer}
    try:
        # Not template.render(): each piece must reach the writer before the next value is made.
        for chunk in template.root_render_func(template.new_context(values)):
            writer.feed(chunk)
    except Exception as error:
        line = _line(error.__traceback__, template)
        if isinstance(error, TransformError):
            raise (error if line is None else _at(line, error.detail)) from None
        raise _at(line, _said(error)) from None


def _line(traceback: TracebackType | None, template: Template) -> int | None:
    """The line of the template at which an error came up."""
    found = None
    for frame in _frames(traceback):
        if frame.tb_frame.f_code.co_filename == "<template>":
            found = template.get_corresponding_lineno(frame.tb_lineno)
    return found


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _at(line: int | None, message: str) -> TransformError:
    place = "The template" if line is None else f"Line {line} of the template"
    sentence = message if message.endswith((".", "?")) else f"{message}."
    return TransformError(f"{place}: {sentence}")


def _said(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    message = (
        str(error.msg if isinstance(error, SyntaxError) else error).rstrip(".")
        or type(error).__name__
    )
    return message if len(message) <= _MESSAGE_MAX else message[:_MESSAGE_MAX] + "…"
