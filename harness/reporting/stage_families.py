"""Where the time of a traced call went: one bar a stage, in pieces by family of kernels, and what was idle."""

from harness.core.base import Frozen
from harness.core.trace import Family, StageTime, TraceFacts
from harness.reporting.wording import plural, seconds, share

FAMILIES: dict[Family, str] = {
    "gemm": "matrix products",
    "attention": "attention",
    "convolution": "convolution",
    "norm": "norm",
    "elementwise": "elementwise",
    "copy": "copy",
    "other": "other",
}
IDLE = "idle"


class FamilyPiece(Frozen):
    """A piece of a stage's bar: its family, or idle; its width in percent of the longest stage."""

    kind: str
    width: float
    text: str


class StageFamilies(Frozen):
    """One stage: its wall time, its pieces, and a line about its launches."""

    name: str
    value: str
    note: str
    pieces: tuple[FamilyPiece, ...]


class FamilyKey(Frozen):
    """One family with its seconds in the whole call, in words: the legend."""

    kind: str
    name: str
    text: str


def stage_rows(facts: TraceFacts, fine: bool) -> tuple[StageFamilies, ...]:
    """Return one bar a stage, in the order of the call, its pieces in words if fine."""
    longest = max((stage.wall_s for stage in facts.stages), default=0.0)
    return tuple(_row(facts, stage, longest, fine) for stage in facts.stages if stage.wall_s > 0)


def family_keys(facts: TraceFacts) -> tuple[FamilyKey, ...]:
    """Return the legend: each family that occurs with its time, the most first, idle last."""
    sums = {family: sum(stage.families_s.get(family, 0.0) for stage in facts.stages) for family in FAMILIES}
    whole = sum(stage.wall_s for stage in facts.stages) or 1.0
    idle = sum(stage.gap_s for stage in facts.stages)
    keys = [
        FamilyKey(kind=family, name=FAMILIES[family], text=f"{seconds(sums[family])}, {share(sums[family] / whole)}")
        for family in sorted(sums, key=lambda family: -sums[family])
        if sums[family] > 0
    ]
    if idle > 0:
        keys.append(FamilyKey(kind=IDLE, name="idle", text=f"{seconds(idle)}, {share(idle / whole)}"))
    return tuple(keys)


def _row(facts: TraceFacts, stage: StageTime, longest: float, fine: bool) -> StageFamilies:
    known = {family: value for family in FAMILIES if (value := stage.families_s.get(family, 0.0)) > 0}
    # Kernels on two streams run at once: their sum may be more than the time in which there was any.
    shrink = min(1.0, stage.busy_s / sum(known.values())) if known else 1.0
    parts = [(str(family), FAMILIES[family], value, value * shrink) for family, value in known.items()]
    parts.append((IDLE, IDLE, stage.gap_s, stage.gap_s))
    pieces = tuple(
        FamilyPiece(kind=kind, width=round(100 * drawn / longest, 2), text=_piece(stage, name, value) if fine else "")
        for kind, name, value, drawn in parts
        if drawn > 0
    )  # fmt: skip
    launched = f"{plural(stage.launches, 'launch', 'launches')}, {seconds(stage.launch_s)} of the host’s time"
    notes = [plural(stage.calls, "call") if stage.calls else "", f"{share(stage.busy_s / stage.wall_s)} busy"]
    notes += [launched] if facts.device == "cuda" else []
    return StageFamilies(
        name=_title(stage.stage), value=seconds(stage.wall_s), note=", ".join(note for note in notes if note),
        pieces=pieces,
    )  # fmt: skip


def _piece(stage: StageTime, name: str, value_s: float) -> str:
    return f"{_title(stage.stage)}, {name}: {seconds(value_s)}, {share(value_s / stage.wall_s)}"


def _title(stage: str) -> str:
    return stage.replace("_", " ") or "outside of stages"
