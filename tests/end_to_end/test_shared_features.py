"""Evaluation with the bundled networks: no image is looked at twice by a network, and references of every form."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import UsageError
from harness.core.plan import OTHER_SEED_ID
from harness.core.quality import Evaluation
from harness.evaluation import evaluate
from harness.metrics import Weights, get_metric
from harness.metrics._bundled import AttributeNetwork
from harness.metrics._open_clip import ClipNetwork
from harness.stats.frechet import moments
from harness.store.layout import RunFolder
from tests.builders.scored_run import CANDIDATES, make_scored_run

pytest.importorskip("torch")

PROMPTS = 24
ONE = {"faint": CANDIDATES["faint"]}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, bytes]]:
    """How often each network looked at each image."""
    seen: Counter[tuple[str, bytes]] = Counter()

    def counting(kind: type[Any]) -> None:
        extract = kind.extract

        def counted(self: Any, images: np.ndarray) -> Any:
            seen.update((kind.__name__, image.tobytes()) for image in images)
            return extract(self, images)

        monkeypatch.setattr(kind, "extract", counted)

    for kind in (AttributeNetwork, ClipNetwork):
        counting(kind)
    return seen


def scored(root: Path, *metrics: str, reference: Path | None = None) -> tuple[Path, Evaluation]:
    run = make_scored_run(root, prompts=PROMPTS, metrics=metrics, candidates=ONE, reference=reference)
    return run, evaluate(run)


def images_of(run: Path) -> set[bytes]:
    """Images of the candidate and the other seed; the baseline's are looked at once more as the identical control."""
    files = [path for cell in ("faint", OTHER_SEED_ID) for path in RunFolder(run).images(cell).glob("*.png")]
    return {np.asarray(Image.open(path)).tobytes() for path in files}


def test_metrics_of_one_network_share_each_look(tmp_path: Path, calls: Counter[tuple[str, bytes]]) -> None:
    """Self-tests look at images of their own and are not counted here."""
    run, evaluation = scored(tmp_path, "fid:bundled", "kid:bundled", "clip:bundled", "cmmd:bundled")
    assert not evaluation.missing
    own = images_of(run)
    counts = [(name, count) for (name, image), count in calls.items() if image in own]
    assert {name for name, _ in counts} == {"AttributeNetwork", "ClipNetwork"}
    assert len(counts) >= 3 * PROMPTS, "the candidate by both, the other seed by one at least"
    assert {count for _, count in counts} == {1}
    calls.clear()
    evaluate(run)
    assert not own & {image for _, image in calls}


def test_a_metric_that_is_added_reads_what_was_seen(tmp_path: Path, calls: Counter[tuple[str, bytes]]) -> None:
    scored(tmp_path / "a", "fid:bundled")
    calls.clear()
    run, evaluation = scored(tmp_path / "b", "fid:bundled", "kid:bundled")
    assert not images_of(run) & {image for _, image in calls}
    assert {delta.metric for delta in evaluation.deltas} == {"fid:bundled", "kid:bundled"}


def features(images: np.ndarray) -> np.ndarray:
    scorer = get_metric("fid:bundled").load(Weights())
    return np.asarray(scorer.features(scorer.network.extract(images)), dtype=np.float64)


def test_statistics_score_as_the_images_they_are_of(tmp_path: Path) -> None:
    """A folder and its mu and sigma give one FID under two ids; the other metrics say why they are missing."""
    run, _ = scored(tmp_path / "first", "psnr")
    folder = RunFolder(run).images(OTHER_SEED_ID)
    real = features(np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))]))
    found = moments(real)
    np.savez(tmp_path / "real.npz", mu=found.mean, sigma=found.covariance)
    _, by_folder = scored(tmp_path / "folder", "fid:bundled", "kid:bundled", reference=folder)
    _, by_file = scored(tmp_path / "file", "fid:bundled", "kid:bundled", reference=tmp_path / "real.npz")
    assert not by_folder.missing
    assert "needs the real images themselves" in by_file.missing["kid:bundled"]
    one, other = (next(d for d in found.deltas if d.metric == "fid:bundled") for found in (by_folder, by_file))
    assert one.baseline == pytest.approx(other.baseline, rel=1e-6)
    assert one.candidate == pytest.approx(other.candidate, rel=1e-6)
    assert one.definition.reference != other.definition.reference
    assert f"{PROMPTS} images, sha256" in one.definition.reference
    assert "reference" in one.definition.difference(other.definition)
    assert any("cannot fill a covariance" in note for note in one.definition.notes)


def test_invalid_reference_stops_before_scoring(tmp_path: Path, calls: Counter[tuple[str, bytes]]) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        scored(tmp_path, "fid:bundled", reference=tmp_path / "nowhere")
    assert not calls
