"""`harness nightly --demo`: the trend page of simulated nights."""

from pathlib import Path

from harness.core.matrix import NightlySettings
from harness.core.parsing import expand_user
from harness.history.acceptance import FILE_NAME
from harness.nightly.following import Followed, Lineage, list_changes, write_page
from harness.nightly.simulated_images import write_image_nights
from harness.nightly.simulated_nights import LINEAGE, simulate_nights
from harness.store.layout import history_file

FOLDER = Path("nightly-demo")


def write_demo(folder: Path = FOLDER) -> tuple[Followed, Path]:
    """Write 120 simulated nights with known changes; return their changes and the page."""
    folder = expand_user(folder)
    results = folder / "results"
    write_image_nights(results)
    history = simulate_nights()
    history.save(history_file(results, LINEAGE))
    lineage = Lineage(LINEAGE, NightlySettings(), folder / FILE_NAME)
    followed = list_changes(history, lineage, results)
    return followed, write_page(followed, results)
