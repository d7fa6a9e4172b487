"""Standard output and standard error that survive a narrow encoding, a closed pipe and a full disk."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TextIO

from harness.core.errors import MachineError


class Stream(io.TextIOWrapper):
    """A text stream that writes `?` for characters its encoding lacks and goes quiet once nobody reads it.

    A closed pipe does not end the command: its exit code still means what it always means, as in `harness gate | head`.
    """

    def write(self, text: str, /) -> int:
        with self._guarded():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with self._guarded():
            super().flush()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._discard()
        except OSError as error:
            self._discard()
            fix = "Free some space, or send the output elsewhere."
            raise MachineError(f"cannot write: {error.strerror}", "standard output", fix) from error

    def _discard(self) -> None:
        """Send this and all later output to nowhere: Python flushes once more at its end."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def guard_streams() -> None:
    """Put a `Stream` in the place of standard output and of standard error."""
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def _guarded(stream: TextIO | None) -> TextIO:
    """Return the stream with its encoding kept; one that was closed becomes one to nowhere."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    return Stream(stream.buffer, encoding=stream.encoding, errors="replace", line_buffering=stream.isatty())


def is_unicode(stream: IO[str]) -> bool:
    """Return whether a stream can write every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")
