"""Where the lines go. Blocking: call from a worker thread."""

from __future__ import annotations

import os
from typing import Protocol

from hookhub.contracts.errors import PluginError

STDOUT = 1


class Output(Protocol):
    """A place for lines."""

    may_hang: bool
    """Whether a write may take for ever, as to a pipe whose reader does not read."""

    def open(self) -> None:
        """Get ready to write.

        Raises:
            PluginError: it cannot be written; says why and what to do.
        """

    def write(self, data: bytes) -> None:
        """Write whole lines, and return when the operating system has them all.

        Raises:
            PluginError: it cannot be written; says why and what to do.
        """

    def close(self) -> None:
        """Let go of it; :meth:`open` takes it up again."""


class StandardOutput:
    """The standard output of the process (or another stream that is open already)."""

    may_hang = True

    def __init__(self, fd: int = STDOUT) -> None:
        self._fd = fd

    def open(self) -> None:
        """It is open."""

    def write(self, data: bytes) -> None:
        try:
            _write_all(self._fd, data)
        except OSError as error:
            raise PluginError(
                f"The standard output takes no more events: {error.strerror}. Give [plugins.log] "
                "file a path, or disable the plugin in [plugins] disabled."
            ) from error

    def close(self) -> None:
        """It stays open: it is not ours."""


class FileOutput:
    """A file that is appended to, made when it is missing, and reopened when it was rotated."""

    may_hang = False

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd: int | None = None

    def open(self) -> None:
        try:
            self._current()
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, data: bytes) -> None:
        try:
            _write_all(self._current(), data)
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _current(self) -> int:
        """The open file, if it is still the one that the path names; else that one, opened."""
        if self._fd is not None and not self._is_current(self._fd):
            self.close()
        if self._fd is None:
            # With O_APPEND, programs that write to the same file do not overwrite one another.
            # Payloads are about people: no rights for others.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o640)
        return self._fd

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _unwritable(self, error: OSError) -> PluginError:
        return PluginError(
            f"[plugins.log] file = {self._path!r} cannot be written: {error.strerror}. Check that "
            "its directory exists, that this user may write there, and that the disk has room."
        )


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
