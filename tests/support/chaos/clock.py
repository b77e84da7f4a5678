"""The wall clock of the hub's process, which can be set while it runs."""

from __future__ import annotations

from pathlib import Path

SHIM = Path(__file__).parent / "shim"


class Clock:
    """Give :attr:`env` to the process; nothing in hookhub knows of it.

    Args:
        file: where the offset is kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        file.write_bytes(bytes(8))
        self.env = {"PYTHONPATH": str(SHIM), "CHAOS_CLOCK": str(file)}

    def set(self, seconds: float) -> None:
        """Let it be so many seconds ahead of the true time; negative for behind."""
        offset = round(seconds * 1e9).to_bytes(8, "little", signed=True)
        # In place: the process has mapped this very file.
        with self._file.open("r+b") as file:
            file.write(offset)
