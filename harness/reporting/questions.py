"""The questions that a verdict must answer, and those that this run did not ask."""

from collections.abc import Callable, Mapping

from harness.core.quality import Delta
from harness.core.units import Absent
from harness.metrics import get_metric
from harness.reporting.loaded import LoadedRun

QUESTIONS: Mapping[str, tuple[str, Callable[[Delta], bool]]] = {
    "content": ("pictures show what their prompts ask for", lambda delta: delta.definition.kind == "correctness"),
    "fidelity": ("pictures are as sharp and clean as the baseline's", lambda d: d.definition.question == "fidelity"),
    "variety": ("pictures are as varied as the baseline's", lambda d: d.definition.question == "variety"),
}
"""What each question asks, and which losses answer it. A CLIP score is no check of content: it hardly falls where one
picture in ten shows the wrong thing."""


def unasked(loaded: LoadedRun) -> tuple[str, ...]:
    """Return a sentence for each question that no loss of an evaluated run answers, with the reason."""
    evaluation = loaded.evaluation
    if evaluation is None or not loaded.plan.model.quality_applies or not loaded.candidates:
        return ()
    found = []
    for question, (words, answers) in QUESTIONS.items():
        losses = [delta for delta in evaluation.deltas if answers(delta) and delta.gates]
        if not any(not isinstance(delta.loss, Absent) for delta in losses):
            found.append(f"Nobody checked whether {words}: {_why(loaded, question, losses)}.")
    return tuple(found)


def _why(loaded: LoadedRun, question: str, losses: list[Delta]) -> str:
    absent = dict.fromkeys(f"{d.metric}: {d.loss.absent}" for d in losses if isinstance(d.loss, Absent))
    missing = loaded.evaluation.missing if loaded.evaluation else {}
    reasons = [*absent, *(f"{name} is missing, {why}" for name, why in missing.items() if _asks(name, question))]
    return "; ".join(reasons).rstrip(".") or "no metric of this run does (quality.metrics)"


def _asks(name: str, question: str) -> bool:
    metric = get_metric(name)
    return metric.kind == "correctness" if question == "content" else metric.question == question
