"""What the hub tells people who run it: log lines, tracebacks, text that is safe for a terminal."""

from typing import TYPE_CHECKING

from hookhub.contracts.lazy import lazy
from hookhub.logs.terminal import spelt_out, spelt_out_json
from hookhub.logs.tracebacks import message_of, place_of

if TYPE_CHECKING:
    from hookhub.logs.structured import configure_logging

__all__ = ["configure_logging", "message_of", "place_of", "spelt_out", "spelt_out_json"]

__getattr__ = lazy(__name__, __all__, "structured")
