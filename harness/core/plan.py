"""What is decided before any time is spent: every cell, ready or skipped with its reason."""

from typing import Literal

from harness.core.axis import Cell
from harness.core.base import Frozen
from harness.core.machine import Machine
from harness.core.matrix import Matrix
from harness.core.model import Footprint, ModelInfo, PublishedFile
from harness.core.outcome import Caution
from harness.core.policy import Policy

Role = Literal["baseline", "candidate", "rerun", "other-seed"]

RERUN_ID = "baseline-rerun"
OTHER_SEED_ID = "baseline-other-seed"
OTHER_SEED_OFFSET = 1_000_000
"""Seed s of the baseline is compared with seed s + this of its other-seed run."""


class Prompt(Frozen):
    """One prompt of a set: `id` is stable and pairs images across cells."""

    id: str
    text: str
    negative: str | None = None
    """What its images should not show; in a set all prompts have one, if only the empty text, or
    none has."""
    category: str = ""


class Latent(Frozen):
    """The noise in a file that every image starts from; `shape` is (channels, rows, columns)."""

    path: str
    sha256: str
    shape: tuple[int, int, int]


class Rate(Frozen):
    """Seconds of one denoiser pass per image in a full batch, and the source of this figure."""

    image_step_s: float
    source: str


class PlannedCell(Frozen):
    """A cell with its role, its order, what it is expected to take, or why it is skipped."""

    cell: Cell
    role: Role = "candidate"
    order: int
    files: dict[str, str] = {}
    """Axis → hash of the files that its value reads, such as an adapter's weights."""
    skip: str | None = None
    cautions: tuple[Caution, ...] = ()
    """Warnings about a cell that runs but is likely to disappoint, with advice."""
    downloads: tuple[PublishedFile, ...] = ()
    """What is fetched for it before the first cell, besides the model."""
    needs: Footprint | None = None
    """What it surely needs of its device's memory; None where that is not known."""
    estimate_s: float
    content_key: str
    """Hash of all that determines its images and timings: model, settings, files, prompts, seeds,
    hardware and software. The host's name does not count."""

    @property
    def id(self) -> str:
        return self.cell.id

    @property
    def timed(self) -> bool:
        """Whether its calls are timed: the baseline's rerun too, which shows what a speedup of 1
        looks like here."""
        return self.role != "other-seed"


class Plan(Frozen):
    """One decided run: its matrix, machine, prompts and cells, with notes on what was decided and
    why."""

    run_id: str
    matrix: Matrix
    matrix_sha256: str
    model: ModelInfo
    machine: Machine
    prompts: tuple[Prompt, ...]
    latent: Latent | None = None
    """Every image starts from it but those of the other-seed run, which are there to be other
    images."""
    baseline_id: str
    cells: tuple[PlannedCell, ...]
    notes: tuple[str, ...] = ()
    policy: Policy = Policy()
    """What may ship, decided before anything was measured: the matrix's policy with the matrix's
    own rules."""
    interim_analyses: tuple[int, ...] = ()
    """Adaptive runs: the numbers of prompts (rising, the last is the most) at which a cell may be
    judged. Empty: once, with all prompts."""

    def find(self, cell_id: str) -> PlannedCell:
        """Return the planned cell with this id; KeyError if there is none."""
        for planned in self.cells:
            if planned.id == cell_id:
                return planned
        raise KeyError(cell_id)

    @property
    def compared(self) -> tuple[PlannedCell, ...]:
        """The cells people asked for: the baseline and the candidates, without the two extra
        baseline runs."""
        return tuple(planned for planned in self.cells if planned.role in ("baseline", "candidate"))

    @property
    def downloads(self) -> tuple[PublishedFile, ...]:
        """What is fetched before the first cell, besides the model: each file once."""
        return tuple(dict.fromkeys(file for planned in self.cells for file in planned.downloads))

    def get_prompts(self, planned: PlannedCell) -> tuple[Prompt, ...]:
        """Return the prompts this cell makes images of: the rerun needs only the first few."""
        if planned.role == "rerun":
            return self.prompts[: self.matrix.quality.rerun_prompts]
        return self.prompts

    def prompt_counts(self, planned: PlannedCell) -> tuple[int, ...]:
        """Return the numbers of prompts, from the first on, that this cell may have images of,
        rising."""
        most = len(self.get_prompts(planned))
        return (
            tuple(dict.fromkeys(min(analysis, most) for analysis in self.interim_analyses))
            if self.interim_analyses
            else (most,)
        )

    def get_latent(self, planned: PlannedCell) -> Latent | None:
        """Return what the images of this cell start from, if it is the same for all."""
        return None if planned.role == "other-seed" else self.latent

    def get_seeds(self, planned: PlannedCell) -> tuple[int, ...]:
        """Return the seeds of this cell's images."""
        shift = OTHER_SEED_OFFSET if planned.role == "other-seed" else 0
        return tuple(seed + shift for seed in self.matrix.seeds)
