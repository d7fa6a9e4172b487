"""How many images each cell was given, at which look its verdict was settled, and what that saved."""

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.reporting.loaded import LoadedRun
from harness.reporting.wording import grouped, plural


class InterimAnalysisRow(Frozen):
    """One look of an adaptive run: its prompts, and how many cells were settled or left open at it."""

    number: int
    prompts: int
    passed: int
    failed: int
    open: int


class Sampling(Frozen):
    """The looks of an adaptive run, and what they saved in a sentence."""

    interim_analyses: tuple[InterimAnalysisRow, ...]
    sentence: str


def prompts_judged(loaded: LoadedRun, cell_id: str) -> int | None:
    """Return the number of prompts a cell was judged on, or None where it was not evaluated."""
    return max((delta.prompts for delta in loaded.deltas(cell_id)), default=None)


def find_interim_analysis(loaded: LoadedRun, cell_id: str) -> int | None:
    """Return the number (from 1) of the look a cell was last judged at; None in a run with a fixed number of images."""
    prompts, interim_analyses = prompts_judged(loaded, cell_id), loaded.plan.interim_analyses
    if prompts is None or not interim_analyses:
        return None
    return next(
        (number for number, analysis in enumerate(interim_analyses, 1) if analysis >= prompts), len(interim_analyses)
    )


def analysis_words(loaded: LoadedRun, cell_id: str) -> str:
    """Return at which look a cell was settled, or that it was not; an empty string in a run with one look."""
    analysis, verdict = find_interim_analysis(loaded, cell_id), loaded.verdict(cell_id)
    if analysis is None or verdict is None:
        return ""
    decided = verdict.result in ("pass", "fail")
    return f"{'decided' if decided else 'open'} at look {analysis} of {len(loaded.plan.interim_analyses)}"


def images_made(loaded: LoadedRun) -> tuple[int, int]:
    """Return the images that completed cells have, the baseline's extra runs included, and those of a fixed design."""
    made = full = 0
    for planned in loaded.plan.cells:
        cell = loaded.outcomes.get(planned.id)
        if isinstance(cell, Completed):
            made += len(cell.images)
            full += loaded.plan.prompt_counts(planned)[-1] * len(loaded.plan.get_seeds(planned))
    return made, full


def images_term(loaded: LoadedRun) -> str:
    """Return how many images a cell has: `256 images per cell`, or the span in an adaptive run."""
    seeds = len(loaded.plan.matrix.seeds)
    counts = {cell.prompts * seeds for p in loaded.candidates if (cell := loaded.completed(p.id)) and cell.images}
    if not loaded.plan.interim_analyses or not counts:
        return f"{plural(len(loaded.plan.prompts) * seeds, 'image')} per cell"
    span = grouped(min(counts)) if len(counts) == 1 else f"{grouped(min(counts))} to {grouped(max(counts))}"
    return f"{span} images per cell, as many as its verdict needed"


def build_sampling(loaded: LoadedRun) -> Sampling | None:
    """Return what an adaptive run did with its looks, or None where the number of images was fixed."""
    interim_analyses = loaded.plan.interim_analyses
    if not interim_analyses or loaded.judgement is None:
        return None
    ends = {
        verdict.cell_id: (find_interim_analysis(loaded, verdict.cell_id), verdict.result)
        for verdict in loaded.judgement.cells
    }
    rows = []
    for number, prompts in enumerate(interim_analyses, 1):
        here = [result for analysis, result in ends.values() if analysis == number]
        row = InterimAnalysisRow(number=number, prompts=prompts, passed=here.count("pass"), failed=here.count("fail"),
                      open=sum(result not in ("pass", "fail") for result in here))  # fmt: skip
        rows.append(row)
    made, full = images_made(loaded)
    share = f"{made / full * 100:.0f} %" if full else "0 %"
    sentence = (
        f"{grouped(made)} images were made, {share} of the {grouped(full)} that all "
        f"{plural(interim_analyses[-1], 'prompt')} for every cell would have taken: {grouped(full - made)} saved"
    )
    return Sampling(interim_analyses=tuple(rows), sentence=sentence)
