"""Turn whatever went wrong in a cell into a recorded outcome with a hint."""

import errno
import signal

from harness.core.errors import HarnessError, NoEffect
from harness.core.outcome import Failed, FailureKind, Phase


class BadImage(Exception):
    """The pipeline made pictures that are no pictures: not finite, or all of one colour."""


HINTS: dict[FailureKind, str] = {
    "out-of-memory": "Use a smaller batch or resolution, a smaller precision, or set measure.image_batch.",
    "timeout": "Raise measure.timeout_s, or measure fewer prompts.",
    "crash": "The process died inside native code: see the log; try the cell alone with --select.",
    "bad-image": "The settings of this cell destroy the image: often fp16 overflow in the VAE, or a wrong scheduler.",
    "no-effect": "This setting does nothing for this model here: leave it out, or change its options.",
    "disk-full": "Free some space and run the same command again.",
}


def describe_exception(error: BaseException, phase: Phase, log: str) -> Failed:
    """Return the outcome for an exception raised inside a cell."""
    kind = _kind(error)
    message = str(error).strip() or type(error).__name__
    hint = error.fix if isinstance(error, HarnessError) and error.fix else HINTS.get(kind, "See the log of this cell.")
    if not isinstance(error, HarnessError | BadImage):
        message = f"{type(error).__name__}: {message}"
    return Failed(kind=kind, phase=phase, message=message[:2000], hint=hint, log=log)


def describe_death(exit_code: int | None, phase: Phase, log: str) -> Failed:
    """Return the outcome for a worker that died without a word."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        if name == "SIGKILL":
            message = "the process was killed (SIGKILL), most likely by the system for using too much memory"
            return Failed(kind="out-of-memory", phase=phase, message=message, hint=HINTS["out-of-memory"], log=log)
        return Failed(kind="crash", phase=phase, message=f"the process died of {name}", hint=HINTS["crash"], log=log)
    message = f"the process ended without a result (exit status {exit_code})"
    return Failed(kind="crash", phase=phase, message=message, hint=HINTS["crash"], log=log)


def describe_timeout(limit_s: float, phase: Phase, log: str) -> Failed:
    """Return the outcome for a cell that took longer than it may."""
    message = f"not done after {limit_s:g} s"
    return Failed(kind="timeout", phase=phase, message=message, hint=HINTS["timeout"], log=log)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the process or of a device, whichever library says so."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "out of memory" in str(error)


def _kind(error: BaseException) -> FailureKind:
    if isinstance(error, BadImage):
        return "bad-image"
    if isinstance(error, NoEffect):
        return "no-effect"
    if is_out_of_memory(error):
        return "out-of-memory"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "disk-full"
    return "error"
