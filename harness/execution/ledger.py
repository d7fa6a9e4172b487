"""Where wall time goes, phase by phase."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.core.outcome import Phase
from harness.execution.task import Step

Tell = Callable[[Step], None]


class Ledger:
    """Seconds by phase, and the phase it is in (for the outcome of a cell that fails)."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.phase: Phase = "start"
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase_of(self, phase: Phase) -> Iterator[None]:
        """Count the time inside as this phase's, also where it ends in an error."""
        self.phase = phase
        self.tell(Step(phase))
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - begin

    def advance(self, done: int, total: int) -> None:
        self.tell(Step(self.phase, done, total))
