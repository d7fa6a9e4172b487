"""What changed inside a call against the baseline's trace, as a page shows it."""

from harness.core.base import Frozen
from harness.core.trace import TraceFacts
from harness.reporting.loaded import LoadedRun
from harness.reporting.wording import DASH, number, seconds

_KINDS = {"came": "new", "went": "gone"}


class KernelChangeRow(Frozen):
    """A kernel that came, went, got slower or ran more often, in one call of its stage."""

    change_kind: str
    name: str
    stage: str
    calls: str
    before: str
    after: str
    change: str


class TraceChange(Frozen):
    """Sentences about what changed, and the kernels that changed most."""

    sentences: tuple[str, ...]
    kernels: tuple[KernelChangeRow, ...]


def build_trace_change(loaded: LoadedRun, cell_id: str, facts: TraceFacts, most: int) -> TraceChange | None:
    """Return how a cell's trace differs from the baseline's, in sentences and in at most so many kernels; None where
    either has none.
    """
    from harness.tracing import compare

    before = loaded.traces.get(loaded.plan.baseline_id)
    if cell_id == loaded.plan.baseline_id or before is None:
        return None
    found = compare(before, facts)
    rows = tuple(
        KernelChangeRow(
            change_kind=_KINDS.get(kernel.change_kind, kernel.change_kind), name=kernel.name,
            stage=kernel.stage.replace("_", " "),
            calls=f"{number(kernel.before_calls)} → {number(kernel.after_calls)}",
            before=seconds(kernel.before_s) if kernel.before_calls else DASH,
            after=seconds(kernel.after_s) if kernel.after_calls else DASH,
            change=f"{'+' if kernel.change_s > 0 else '−'}{seconds(abs(kernel.change_s))}",
        )
        for kernel in found.kernels[:most]
    )  # fmt: skip
    return TraceChange(sentences=found.sentences, kernels=rows)
