"""File names in results/; no other module knows them."""

from dataclasses import dataclass
from pathlib import Path

SCHEMA_VERSION = 1
"""Version of the results format; a folder with a newer one is refused."""

IMAGES, LOG, TRACE, TRACE_FACTS = "images", "worker.log", "trace.json.gz", "trace-facts.json"
"""What a worker writes into its cell's folder."""

_RECORDS = {".json", ".jsonl", ".toml", ".txt"}


@dataclass(frozen=True)
class RunFolder:
    """The paths inside one run's folder."""

    path: Path

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def matrix_toml(self) -> Path:
        return self.path / "matrix.toml"

    @property
    def cells(self) -> Path:
        return self.path / "cells"

    @property
    def deltas(self) -> Path:
        return self.path / "deltas.json"

    @property
    def verdicts(self) -> Path:
        return self.path / "verdicts.json"

    @property
    def times(self) -> Path:
        return self.path / "times.jsonl"

    @property
    def packages(self) -> Path:
        """The versions of all packages that were installed when the run began."""
        return self.path / "packages.txt"

    @property
    def signed(self) -> Path:
        """One line for each sign-off bundle that was made of the run: it must not be pruned."""
        return self.path / "signed.jsonl"

    @property
    def readings(self) -> Path:
        """The run's figures as one night of a history, made from the other records."""
        return self.path / "readings.json"

    @property
    def nightly(self) -> Path:
        """What `harness nightly` recorded besides the plan."""
        return self.path / "nightly.json"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @property
    def reviews(self) -> Path:
        return self.path / "reviews"

    def review_key(self, page: str) -> Path:
        return self.reviews / page / "key.json"

    def review_answers(self, page: str) -> Path:
        return self.reviews / page / "answers"

    def cell(self, cell_id: str) -> Path:
        return self.cells / cell_id

    def outcome(self, cell_id: str) -> Path:
        return self.cell(cell_id) / "outcome.json"

    def rounds(self, cell_id: str) -> Path:
        return self.cell(cell_id) / "rounds.json"

    def images(self, cell_id: str) -> Path:
        return self.cell(cell_id) / IMAGES

    def trace_facts(self, cell_id: str) -> Path:
        return self.cell(cell_id) / TRACE_FACTS

    def list_records(self) -> list[Path]:
        """Return the files that verdicts and reports are read from, besides images; paths are
        relative to the folder and sorted."""
        found = (path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file())
        return sorted(
            path
            for path in found
            if path.suffix in _RECORDS
            and path.name not in (self.signed.name, self.readings.name)
            and IMAGES not in path.parts[:-1]
            and not any(part.startswith(".") for part in path.parts)
        )

    def scores(self, metric: str) -> Path:
        return self.path / "scores" / f"{metric.replace(':', '_')}.jsonl"


def image_name(prompt_id: str, seed: int) -> str:
    """Return the path of one image in its cell's folder."""
    return f"{IMAGES}/{prompt_id}_{seed}.png"


def review_page_name(page: str) -> str:
    """Return the file name of a review page, which names neither run nor cell."""
    return f"review-{page}.html"


def history_file(root: Path, lineage: str) -> Path:
    """Return the file of a matrix's history under a results folder."""
    return root / "history" / f"{lineage}.parquet"


def nightly_lock(root: Path) -> Path:
    """Return the lock that one night at a time holds in a results folder."""
    return root / "history" / ".nightly.lock"


def trend_folder(root: Path, lineage: str) -> Path:
    """Return the folder of a matrix's trend page: reports/<matrix>/trend, next to results/."""
    return report_folder(root / lineage) / "trend"


def report_folder(run: Path) -> Path:
    """Return the report folder of a run: reports/<same name>, next to results/."""
    return _next_to_results(run, "reports") / run.resolve().name


def bundle_path(run: Path, policy: str) -> Path:
    """Return the sign-off bundle of a run: bundles/<run>_<policy>.zip, next to results/."""
    return _next_to_results(run, "bundles") / f"{run.resolve().name}_{policy}.zip"


def _next_to_results(run: Path, name: str) -> Path:
    run = run.resolve()  # `.` has no name
    return (run.parent.parent if run.parent.name == "results" else run.parent) / name
