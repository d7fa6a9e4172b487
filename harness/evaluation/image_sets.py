"""The image sets of an evaluation, in the order of the baseline's (prompt, seed) pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import get_args

from harness.core.errors import ResultsError
from harness.core.outcome import Completed, Outcome
from harness.core.plan import Plan, PlannedCell
from harness.core.quality import MetricKind
from harness.store import image_path

Key = tuple[str, int]
AGAIN = "Delete that cell's folder and rerun the same command: only this cell runs again."
EVERY: frozenset[MetricKind] = frozenset(get_args(MetricKind))


@dataclass(frozen=True)
class ImageFile:
    """An image file with the sha256 its outcome recorded, and its damage, if any."""

    path: Path
    sha256: str
    damage: str = ""

    def same_pixels(self, other: "ImageFile") -> bool:
        """Return whether another image has the same file content and damage."""
        return (self.sha256, self.damage) == (other.sha256, other.damage)


@dataclass(frozen=True)
class Variant:
    """A set of images; the i-th corresponds to the baseline's i-th. It may have fewer prompts.

    `kinds` are the metrics that read it, `texts` the prompts to check images against, if not their
    own.
    """

    name: str
    images: tuple[ImageFile, ...]
    kinds: frozenset[MetricKind] = EVERY
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageSets:
    """All image sets of one evaluation. Keys are ordered by prompt, each with all its seeds.

    The baseline has all of them. In an adaptive run the others may have fewer: those of the first
    prompts.
    """

    keys: tuple[Key, ...]
    texts: tuple[str, ...]
    baseline: Variant
    candidates: tuple[Variant, ...]
    rerun: Variant | None
    other_seed: Variant | None

    @property
    def prompts(self) -> int:
        return len(self.texts)

    @property
    def seeds(self) -> int:
        return len(self.keys) // len(self.texts)

    @property
    def prompts_by_id(self) -> dict[str, str]:
        """The text of each prompt by its id."""
        return {
            prompt_id: text
            for (prompt_id, _), text in zip(self.keys[:: self.seeds], self.texts, strict=True)
        }

    @cached_property
    def mismatched(self) -> Variant | None:
        """The baseline's images with texts of other prompts; None if all texts are equal."""
        others = pair_with_other_prompts(self.texts)
        if others is None:
            return None
        texts = tuple(self.texts[other] for other in others for _ in range(self.seeds))
        return Variant("mismatched", self.baseline.images, frozenset({"correctness"}), texts)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The baseline, the candidates, and those of the controls that there are."""
        controls = (self.rerun, self.other_seed, self.mismatched)
        present = (variant for variant in controls if variant is not None)
        return (self.baseline, *self.candidates, *present)

    def get_text(self, variant: Variant, place: int) -> str:
        """Return the text against which an image of a variant is checked."""
        return variant.texts[place] if variant.texts else self.texts[place // self.seeds]

    def count_prompts(self, variant: Variant) -> int:
        """Return the number of prompts, from the first on, of which a variant has images."""
        return len(variant.images) // self.seeds


def pair_with_other_prompts(texts: Sequence[str]) -> tuple[int, ...] | None:
    """Return, for each prompt, the nearest one before it (cyclic) whose text differs.

    None if all are equal. More prompts keep the pairs of earlier ones, except the first few: their
    features stay in the cache.
    """
    if len(set(texts)) < 2:
        return None
    count = len(texts)
    return tuple(
        next((i - step) % count for step in range(1, count) if texts[(i - step) % count] != text)
        for i, text in enumerate(texts)
    )


def load_image_sets(run: Path, plan: Plan, outcomes: dict[str, Outcome]) -> ImageSets:
    """Return the image sets of a run.

    Raises ResultsError if the baseline did not complete, or if a cell's images are not exactly the
    baseline's (prompt, seed) set; in an adaptive run, that of its first prompts, as many as at one
    of the plan's interim analyses.
    """
    baseline = outcomes.get(plan.baseline_id)
    if not isinstance(baseline, Completed):
        state = baseline.status if baseline is not None else "not run yet"
        fix = "Everything is compared with it: repair it, then run harness run with --retry-failed."
        raise ResultsError(
            f"the baseline {plan.baseline_id} did not complete ({state})", str(run), fix
        )
    variants = {
        planned.role if planned.role in ("rerun", "other-seed") else planned.id: _variant(
            run, plan, planned, outcome
        )
        for planned in plan.cells
        if isinstance(outcome := outcomes.get(planned.id), Completed)
    }
    count = len(variants[plan.baseline_id].images)
    variants = {
        name: replace(variant, images=variant.images[:count]) for name, variant in variants.items()
    }
    prompts = plan.prompts[: count // len(plan.matrix.seeds)]
    wanted = [planned.id for planned in plan.compared if planned.role == "candidate"]
    return ImageSets(
        keys=tuple((prompt.id, seed) for prompt in prompts for seed in plan.matrix.seeds),
        texts=tuple(prompt.text for prompt in prompts),
        baseline=variants[plan.baseline_id],
        candidates=tuple(variants[cell_id] for cell_id in wanted if cell_id in variants),
        rerun=variants.get("rerun"),
        other_seed=variants.get("other-seed"),
    )


def _variant(run: Path, plan: Plan, planned: PlannedCell, outcome: Completed) -> Variant:
    seeds = plan.get_seeds(planned)
    found = {image.key: image for image in outcome.images}
    counts = plan.prompt_counts(planned)
    count = next((count for count in counts if count * len(seeds) >= len(found)), counts[-1])
    wanted = [(prompt.id, seed) for prompt in plan.get_prompts(planned)[:count] for seed in seeds]
    if len(found) != len(outcome.images) or set(found) != set(wanted):
        raise ResultsError(_difference(set(found), set(wanted)), f"{run.name}/{planned.id}", AGAIN)
    images = tuple(
        ImageFile(image_path(run, planned.id, found[key]), found[key].sha256) for key in wanted
    )
    kinds: dict[str, frozenset[MetricKind]] = {
        "rerun": frozenset({"paired"}),
        "other-seed": frozenset({"paired", "distribution", "prompt-wise"}),
    }
    return Variant(planned.id, images, kinds=kinds.get(planned.role, EVERY))


def _difference(have: set[Key], want: set[Key]) -> str:
    missing, extra = sorted(want - have), sorted(have - want)
    parts = [f"{len(missing)} missing, such as {missing[0]}"] if missing else []
    parts += [f"{len(extra)} not in the baseline, such as {extra[0]}"] if extra else []
    what = "; ".join(parts) or "one of them occurs twice"
    return f"its images are not exactly the baseline's (prompt, seed) set: {what}"
