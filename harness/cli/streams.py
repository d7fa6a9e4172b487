"""Standard output and error that tolerate narrow encodings, closed pipes and full disks."""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TextIO

from harness.core.errors import MachineError

_ASCII = dict(
    pair.split()
    for pair in (
        *("− -", "– -", "— -", "× x", "· *", "÷ /", "± +/-", "≠ !=", "≤ <=", "≥ >=", "≈ ~", "→ ->"),
        *("² ^2", "³ ^3", "½ 1/2", "√ sqrt", "∞ inf", "σ sigma", "Σ sum", "Δ delta", "µ u", "μ u"),
        *("° deg", "… ...", "’ '", '“ "', '” "'),
    )
)
_ERRORS = "harness-ascii"


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    """Return ASCII for characters that cannot be encoded: a lost minus changes a number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_ASCII.get(character, "?") for character in lost), error.end


class Stream(io.TextIOWrapper):
    """A text stream that writes ASCII for characters missing from its encoding, and discards output
    to a closed pipe.

    A closed pipe does not end the command, so `harness gate RUN | head` keeps its exit code.
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
        """Send all further output to the null device, because Python flushes again at exit."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def guard_streams() -> None:
    """Replace standard output and standard error by a `Stream`."""
    codecs.register_error(_ERRORS, _to_ascii)
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def _guarded(stream: TextIO | None) -> TextIO:
    """Return a guarded stream with the same encoding; the null device for a closed one."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    return Stream(
        stream.buffer, encoding=stream.encoding, errors=_ERRORS, line_buffering=stream.isatty()
    )


def is_unicode(stream: IO[str]) -> bool:
    """Return whether a stream can write every character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")
