"""What the device did: kernels and copies on a GPU, operators by their own time on a CPU."""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from harness.core.errors import ResultsError
from harness.tracing.parse import Event
from harness.tracing.pieces import innermost

_OPERATOR = re.compile(r"\w::\w|^## Call CompiledFxGraph|cpp_fused")
"""What computes among the host's events: operators of torch and its libraries, and code that inductor compiled."""

_LAUNCH = re.compile(r"Launch|Memcpy|Memset")


class Work(NamedTuple):
    """A stretch of the device's time; `launched_s` is when the host asked for it, None where the trace lacks that.

    `calls` is 1 for a kernel and for the first piece of an operator, 0 for its other pieces.
    """

    name: str
    begin_s: float
    end_s: float
    launched_s: float | None
    calls: int = 1
    size_bytes: int = 0

    @property
    def is_copy(self) -> bool:
        """Whether it only moves or sets memory, which the GPU's copy engines do beside kernels."""
        return self.name.startswith(("Memcpy", "Memset"))

    @property
    def asked_s(self) -> float:
        """When the host asked for it, or when it ran where that is not known."""
        return self.begin_s if self.launched_s is None else self.launched_s


class Seen(NamedTuple):
    """The events of a trace, sorted by what they are."""

    device: Literal["cpu", "cuda"]
    work: tuple[Work, ...]
    operators: tuple[Event, ...]
    runtime: tuple[Event, ...]
    ranges: tuple[Event, ...]
    device_ranges: tuple[Event, ...]
    overhead_s: float

    @property
    def host(self) -> tuple[Event, ...]:
        """Everything that the host did."""
        return (*self.operators, *self.runtime, *self.ranges)

    def within(self, begin_s: float, end_s: float) -> "Seen":
        """Return what the host began between two moments, and the work that it launched then."""

        def inside(events: tuple[Event, ...]) -> tuple[Event, ...]:
            return tuple(event for event in events if begin_s <= event.begin_s < end_s)

        return self._replace(
            work=tuple(work for work in self.work if begin_s <= work.asked_s < end_s),
            operators=inside(self.operators),
            runtime=inside(self.runtime),
            ranges=inside(self.ranges),
        )


def sort_events(events: Iterable[Event]) -> Seen:
    """Return what a trace holds; ResultsError where kernels were launched but the profiler was not shown them."""
    of: dict[str, list[Event]] = {}
    for event in events:
        of.setdefault(event.kind, []).append(event)
    runtime, device = tuple(of.get("runtime", ())), of.get("device", [])
    launched = {event.correlation: event.begin_s for event in runtime if event.correlation}
    if not device and any(is_launch(event) and "Kernel" in event.name for event in runtime):
        what = "kernels were launched, but the profiler was not let see them on the GPU"
        raise ResultsError(what, "trace", "Allow GPU performance counters for this user (NVreg_RestrictProfiling…=0).")
    operators = tuple(of.get("operator", ()))
    work = [_kernel(event, launched.get(event.correlation)) for event in device] if device else _computed(operators)
    return Seen(
        "cuda" if device else "cpu",
        tuple(sorted(work, key=lambda piece: piece.begin_s)),
        operators,
        runtime,
        tuple(of.get("range", ())),
        tuple(of.get("device-range", ())),
        sum(event.end_s - event.begin_s for event in of.get("overhead", ())),
    )


def is_launch(event: Event) -> bool:
    """Return whether a call of the runtime hands the device something to do."""
    return _LAUNCH.search(event.name) is not None


def _kernel(event: Event, launched_s: float | None) -> Work:
    return Work(event.name, event.begin_s, event.end_s, launched_s, 1, event.size_bytes)


def _computed(operators: Iterable[Event]) -> list[Work]:
    pieces = innermost(event for event in operators if _OPERATOR.search(event.name))
    return [
        Work(_compiled(piece.event.name), piece.begin_s, piece.end_s, piece.begin_s, int(piece.first))
        for piece in pieces
    ]


def _compiled(name: str) -> str:
    """The hash in the name of a compiled graph says nothing, and differs from run to run."""
    return "compiled graph (inductor)" if name.startswith("## Call Compiled") else name
