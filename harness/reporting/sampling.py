"""How many images each cell was given, at which look its verdict was settled, and what that saved."""

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.reporting.loaded import Loaded
from harness.reporting.wording import grouped, plural


class LookRow(Frozen):
    """One look of an adaptive run: its prompts, and how many cells were settled or left open at it."""

    number: int
    prompts: int
    passed: int
    failed: int
    open: int


class Sampling(Frozen):
    """The looks of an adaptive run, and what they saved in a sentence."""

    looks: tuple[LookRow, ...]
    sentence: str


def prompts_judged(loaded: Loaded, cell_id: str) -> int | None:
    """Return the number of prompts a cell was judged on, or None where it was not evaluated."""
    return max((delta.prompts for delta in loaded.deltas(cell_id)), default=None)


def look_of(loaded: Loaded, cell_id: str) -> int | None:
    """Return the number (from 1) of the look a cell was last judged at; None in a run with a fixed number of images."""
    prompts, looks = prompts_judged(loaded, cell_id), loaded.plan.looks
    if prompts is None or not looks:
        return None
    return next((number for number, look in enumerate(looks, 1) if look >= prompts), len(looks))


def look_words(loaded: Loaded, cell_id: str) -> str:
    """Return at which look a cell was settled, or that it was not; an empty string in a run with one look."""
    look, verdict = look_of(loaded, cell_id), loaded.verdict(cell_id)
    if look is None or verdict is None:
        return ""
    settled = verdict.result in ("pass", "fail")
    return f"{'settled' if settled else 'open'} at look {look} of {len(loaded.plan.looks)}"


def images_made(loaded: Loaded) -> tuple[int, int]:
    """Return the images that completed cells have, the baseline's extra runs included, and those of a fixed design."""
    made = full = 0
    for planned in loaded.plan.cells:
        cell = loaded.outcomes.get(planned.id)
        if isinstance(cell, Completed):
            made += len(cell.images)
            full += loaded.plan.prompt_counts(planned)[-1] * len(loaded.plan.seeds_of(planned))
    return made, full


def images_term(loaded: Loaded) -> str:
    """Return how many images a cell has: `256 images per cell`, or the span in an adaptive run."""
    seeds = len(loaded.plan.matrix.seeds)
    counts = {cell.prompts * seeds for p in loaded.candidates if (cell := loaded.completed(p.id)) and cell.images}
    if not loaded.plan.looks or not counts:
        return f"{plural(len(loaded.plan.prompts) * seeds, 'image')} per cell"
    span = grouped(min(counts)) if len(counts) == 1 else f"{grouped(min(counts))} to {grouped(max(counts))}"
    return f"{span} images per cell, as many as its verdict needed"


def sampling_of(loaded: Loaded) -> Sampling | None:
    """Return what an adaptive run did with its looks, or None where the number of images was fixed."""
    looks = loaded.plan.looks
    if not looks or loaded.judgement is None:
        return None
    ends = {verdict.cell_id: (look_of(loaded, verdict.cell_id), verdict.result) for verdict in loaded.judgement.cells}
    rows = []
    for number, prompts in enumerate(looks, 1):
        here = [result for look, result in ends.values() if look == number]
        row = LookRow(number=number, prompts=prompts, passed=here.count("pass"), failed=here.count("fail"),
                      open=sum(result not in ("pass", "fail") for result in here))  # fmt: skip
        rows.append(row)
    made, full = images_made(loaded)
    share = f"{made / full * 100:.0f} %" if full else "0 %"
    sentence = (
        f"{grouped(made)} images were made, {share} of the {grouped(full)} that all {plural(looks[-1], 'prompt')} for "
        f"every cell would have taken: {grouped(full - made)} saved"
    )
    return Sampling(looks=tuple(rows), sentence=sentence)
