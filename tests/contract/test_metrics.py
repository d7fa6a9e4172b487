"""What every metric file must hold to: one contract, run over the folder."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import MachineError, UsageError
from harness.metrics import Metric, Weights, check_metric, get_metric, list_metrics
from harness.metrics._geneval import OBJECTS, add_article
from harness.metrics._weights import WeightFile
from harness.shapes_world import draw_scenes, render
from tests.builders.stand_ins import make

METRICS = [get_metric(name) for name in list_metrics()]
SIDE = 64
SCENES = draw_scenes(np.random.default_rng(0), 20)


def images(seed: int, count: int = 6, side: int = SIDE) -> np.ndarray:
    """Coarse colour patches, uint8 (count, side, side, 3)."""
    patches = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3))
    return patches.repeat(side // 8, axis=1).repeat(side // 8, axis=2).astype(np.uint8)


def side_for(metric: Metric) -> int:
    """The side of images that a metric can score: 64, or more where it needs more."""
    return SIDE if metric.least_pixels <= SIDE else 304


def texts_for(metric: Metric) -> list[str]:
    """Captions of the shapes world and prompts of GenEval, those that a correctness metric can check."""
    texts = [*(scene.caption for scene in SCENES), *(f"a photo of {add_article(name)}" for name in OBJECTS)]
    return [text for text in texts if not metric.refusal(text)]


@pytest.fixture(scope="module")
def made() -> dict[str, Path]:
    """Weights that were made up, by key."""
    return {}


@pytest.fixture
def found(made: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that this machine lacks are replaced by random ones of the real architecture, made once."""
    find = Weights.find

    def find_or_make(weights: Weights, wanted: WeightFile) -> Path:
        try:
            return find(weights, wanted)
        except MachineError:
            if wanted.key not in made:
                path = tmp_path_factory.mktemp("random") / wanted.file
                if not make(path, wanted.key):
                    pytest.skip(f"no {wanted.file} on this machine, and it is too large to make up")
                made[wanted.key] = path
            return made[wanted.key]

    monkeypatch.setattr(Weights, "find", find_or_make)


def scorer_of(metric: Metric) -> object:
    """The loaded scorer."""
    return metric.load(Weights())


@pytest.fixture(params=METRICS, ids=lambda metric: metric.name)
def metric(request: pytest.FixtureRequest) -> Metric:
    chosen: Metric = request.param
    return chosen


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys, harness.metrics as m; m.list_metrics(); m.check_metric('psnr'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_metric_is_told_what_was_meant() -> None:
    with pytest.raises(UsageError, match=r'unknown metric "fid:bundle".*Did you mean "fid:bundled"\?'):
        check_metric("fid:bundle")


def test_its_name_is_its_file_and_profile(metric: Metric) -> None:
    assert get_metric(metric.name) == metric
    assert metric.name.split(":")[0] == type(metric).__module__.rsplit(".", 1)[-1].replace("_", "-")


@pytest.mark.usefixtures("found")
def test_its_definition_says_everything(metric: Metric) -> None:
    definition = metric.define(Weights())
    assert definition.metric == metric.name
    assert definition.kind == metric.kind
    assert definition.extractor
    assert definition.resize
    assert definition.library
    assert len(definition.weights_sha256) in (0, 64)
    assert bool(definition.weights_sha256) == bool(metric.needs() or metric.ships())


def test_missing_weights_name_the_file_and_place(metric: Metric, tmp_path: object) -> None:
    if not metric.needs():
        pytest.skip("needs no weights beyond the package's")
    wanted = metric.needs()[0]
    nowhere = Weights(paths={wanted.key: f"{tmp_path}/absent.pth"})
    with pytest.raises(MachineError) as caught:
        metric.load(nowhere)
    text = str(caught.value)
    assert wanted.file in text
    assert "absent.pth" in text
    assert wanted.sha256 in text


def test_a_wrong_weights_file_is_refused(metric: Metric, tmp_path: object) -> None:
    if not metric.needs():
        pytest.skip("needs no weights beyond the package's")
    wrong = f"{tmp_path}/wrong.pth"
    with open(wrong, "wb") as file:
        file.write(b"not these weights")
    with pytest.raises(MachineError, match="this is not"):
        metric.load(Weights(paths={metric.needs()[0].key: wrong}))


@pytest.mark.usefixtures("found")
def test_scores_do_not_depend_on_the_batch(metric: Metric) -> None:
    scorer = scorer_of(metric)
    first, second = (images(seed, side=side_for(metric)) for seed in (0, 1))
    extract = scorer.network.extract  # type: ignore[attr-defined]

    def read(part: slice) -> np.ndarray:
        seen = extract(first[part])
        if metric.kind == "correctness":
            return scorer.found(seen, texts_for(metric)[:6][part])  # type: ignore[attr-defined]
        if metric.kind == "paired":
            return scorer.distances(seen, extract(second[part]))  # type: ignore[attr-defined]
        return scorer.features(seen)  # type: ignore[attr-defined]

    whole = read(slice(6))
    parts = np.concatenate([read(slice(i, i + 2)) for i in range(0, 6, 2)])
    assert len(whole) == 6
    assert np.isfinite(whole).all()
    assert np.allclose(whole, parts, atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("found")
def test_identical_images_are_at_distance_zero(metric: Metric) -> None:
    if metric.kind != "paired":
        pytest.skip("not a paired metric")
    scorer = scorer_of(metric)
    same = scorer.network.extract(images(0))  # type: ignore[attr-defined]
    distances = scorer.distances(same, same)  # type: ignore[attr-defined]
    assert distances == pytest.approx(0, abs=1e-6)
    assert np.isfinite(metric.to_score(distances)).all()


@pytest.mark.usefixtures("found")
def test_more_damage_is_more_distance(metric: Metric) -> None:
    if metric.kind != "paired":
        pytest.skip("not a paired metric")
    scorer = scorer_of(metric)
    clean = images(0)
    noise = np.random.default_rng(2).normal(0, 1, clean.shape)
    slight, strong = (np.clip(clean + noise * size, 0, 255).astype(np.uint8) for size in (4, 40))
    extract = scorer.network.extract  # type: ignore[attr-defined]
    a, b = (scorer.distances(extract(clean), extract(damaged)).mean() for damaged in (slight, strong))  # type: ignore[attr-defined]
    assert 0 < a < b
    shown = [metric.to_score(np.array([value]))[0] for value in (a, b)]
    definition = metric.define(Weights())
    assert (shown[0] > shown[1]) == (definition.better == "higher")


@pytest.mark.usefixtures("found")
def test_alignment_embeddings_have_unit_length(metric: Metric) -> None:
    if metric.kind != "alignment":
        pytest.skip("not an alignment metric")
    scorer = scorer_of(metric)
    seen = scorer.features(scorer.network.extract(images(0)))  # type: ignore[attr-defined]
    read = scorer.texts(["a small red circle on a white background", "something else entirely"])  # type: ignore[attr-defined]
    assert np.linalg.norm(seen, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(read, axis=1) == pytest.approx(1, abs=1e-5)
    assert seen.shape[1] == read.shape[1]


def test_distribution_metric_declares_its_statistic(metric: Metric) -> None:
    if metric.kind != "distribution":
        pytest.skip("not a distribution metric")
    by_name_only = metric.statistic != "frechet" or metric.name == "fid:patch"  # it needs thousands of images
    assert metric.gates_by_default != by_name_only
    assert metric.kernel == ("gaussian" if metric.name.startswith("cmmd") else "cubic")
    assert metric.dimensions > 0


@pytest.mark.usefixtures("found")
def test_its_features_are_as_many_as_it_says(metric: Metric) -> None:
    if metric.kind != "distribution":
        pytest.skip("not a distribution metric")
    scorer = scorer_of(metric)
    assert scorer.features(scorer.network.extract(images(0, 2, side_for(metric)))).shape == (2, metric.dimensions)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("found")
def test_correctness_is_a_share_that_depends_on_text(metric: Metric) -> None:
    if metric.kind != "correctness":
        pytest.skip("not a correctness metric")
    scorer = scorer_of(metric)
    seen = scorer.network.extract(render(SCENES[:3], np.random.default_rng(1)))  # type: ignore[attr-defined]
    shares = [scorer.found(seen, [text] * 3) for text in texts_for(metric)]  # type: ignore[attr-defined]
    assert all(share.shape == (3,) and share.dtype == np.float64 for share in shares)
    assert 0 <= np.min(shares) < np.max(shares) <= 1
    again = [scorer.found(seen, [text] * 3) for text in texts_for(metric)]  # type: ignore[attr-defined]
    assert np.allclose(shares, again, atol=1e-6)
    assert len({tuple(share) for share in shares}) > 1


@pytest.mark.usefixtures("found")
def test_each_image_is_held_against_its_own_text(metric: Metric) -> None:
    if metric.kind != "correctness":
        pytest.skip("not a correctness metric")
    scorer = scorer_of(metric)
    seen = scorer.network.extract(images(0))  # type: ignore[attr-defined]
    texts = texts_for(metric)[:6]
    together = scorer.found(seen, texts)  # type: ignore[attr-defined]
    alone = [scorer.found(seen, [text] * 6)[i] for i, text in enumerate(texts)]  # type: ignore[attr-defined]
    assert together == pytest.approx(alone, abs=1e-6)


def test_correctness_names_prompts_it_cannot_check(metric: Metric) -> None:
    if metric.kind != "correctness":
        assert not metric.refusal("")
        return
    assert metric.refusal("")
    assert texts_for(metric)
