"""Keep one run and its report in the repository: `python -m tests.sample results/RUN`.

Of the images only those that the report shows are kept; scores, deltas and verdicts are whole.
"""

import shutil
import sys
from pathlib import Path

from harness import api
from harness.reporting import images
from harness.store.layout import LOG

ROOT = Path(__file__).parents[1]


def keep(run: Path) -> None:
    """Copy a run to results/sample and its report to reports/sample, replacing what was there."""
    shown: set[Path] = set()
    read = images.embed_image

    def noting(path: Path, alt: str) -> images.Image:
        shown.add(path.resolve())
        return read(path, alt)

    for folder in (ROOT / "results" / "sample", ROOT / "reports" / "sample"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    images.embed_image = noting
    report = api.report(run, ROOT / "reports" / "sample" / run.name).parent
    images.embed_image = read
    target = ROOT / "results" / "sample" / run.name

    def ignored(folder: str, names: list[str]) -> list[str]:
        place = Path(folder).resolve()
        return [
            name for name in names if name in (".lock", LOG) or (name.endswith(".png") and place / name not in shown)
        ]

    shutil.copytree(run, target, ignore=ignored)
    api.report(target, report)  # once more: it links the traces that are kept
    (target / "README.md").write_text(
        "Of the images only those that the report shows are kept here.\n", encoding="utf-8"
    )


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
