"""What every metric file must hold to: one contract, run over the folder."""

import subprocess
import sys

import numpy as np
import pytest

from harness.core.errors import MachineError, UsageError
from harness.metrics import Metric, Weights, check_metric, get_metric, known_metrics

METRICS = [get_metric(name) for name in known_metrics()]
SIDE = 64


def pictures(seed: int, count: int = 6) -> np.ndarray:
    """Coarse colour patches, uint8 (count, 64, 64, 3)."""
    patches = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3))
    return patches.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


def scorer_of(metric: Metric) -> object:
    """The loaded scorer; the test is skipped where this machine has no weights."""
    try:
        return metric.load(Weights())
    except MachineError as error:
        pytest.skip(error.what)


@pytest.fixture(params=METRICS, ids=lambda metric: metric.name)
def metric(request: pytest.FixtureRequest) -> Metric:
    found: Metric = request.param
    return found


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys, harness.metrics as m; m.known_metrics(); m.check_metric('psnr'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_metric_is_told_what_was_meant() -> None:
    with pytest.raises(UsageError, match=r'unknown metric "fid:bundle".*Did you mean "fid:bundled"\?'):
        check_metric("fid:bundle")


def test_its_name_is_its_file_and_profile(metric: Metric) -> None:
    assert get_metric(metric.name) == metric
    assert metric.name.split(":")[0] == type(metric).__module__.rsplit(".", 1)[-1]


def test_its_definition_says_everything(metric: Metric) -> None:
    try:
        definition = metric.define(Weights())
    except MachineError as error:
        pytest.skip(error.what)
    assert definition.metric == metric.name
    assert definition.kind == metric.kind
    assert definition.extractor
    assert definition.resize
    assert definition.library
    assert len(definition.weights_sha256) in (0, 64)
    assert bool(definition.weights_sha256) == bool(metric.profile)


def test_missing_weights_are_an_error_that_says_which_and_where(metric: Metric, tmp_path: object) -> None:
    if not metric.needs():
        pytest.skip("needs no weights beyond the package's")
    wanted = metric.needs()[0]
    nowhere = Weights(paths={wanted.key: f"{tmp_path}/absent.pth"})
    with pytest.raises(MachineError) as caught:
        metric.load(nowhere)
    text = str(caught.value)
    assert wanted.file in text
    assert "absent.pth" in text
    assert wanted.sha256 is None or wanted.sha256 in text


def test_a_wrong_weights_file_is_refused(metric: Metric, tmp_path: object) -> None:
    if not metric.needs() or metric.needs()[0].sha256 is None:
        pytest.skip("accepts any file of the architecture")
    wrong = f"{tmp_path}/wrong.pth"
    with open(wrong, "wb") as file:
        file.write(b"not these weights")
    with pytest.raises(MachineError, match="this is not"):
        metric.load(Weights(paths={metric.needs()[0].key: wrong}))


def test_it_scores_pictures_the_same_whatever_the_batch(metric: Metric) -> None:
    scorer = scorer_of(metric)
    first, second = pictures(0), pictures(1)
    read = scorer.distances if metric.kind == "paired" else lambda a, _: scorer.features(a)  # type: ignore[attr-defined]
    look = scorer.network.look  # type: ignore[attr-defined]
    whole = read(look(first), look(second))
    parts = np.concatenate([read(look(first[i : i + 2]), look(second[i : i + 2])) for i in range(0, 6, 2)])
    assert len(whole) == 6
    assert np.isfinite(whole).all()
    assert np.allclose(whole, parts, atol=1e-4, rtol=1e-4)


def test_identical_pictures_are_at_distance_zero(metric: Metric) -> None:
    if metric.kind != "paired":
        pytest.skip("not a paired metric")
    scorer = scorer_of(metric)
    same = scorer.network.look(pictures(0))  # type: ignore[attr-defined]
    distances = scorer.distances(same, same)  # type: ignore[attr-defined]
    assert distances == pytest.approx(0, abs=1e-6)
    assert np.isfinite(metric.to_score(distances)).all()


def test_more_damage_is_more_distance(metric: Metric) -> None:
    if metric.kind != "paired":
        pytest.skip("not a paired metric")
    scorer = scorer_of(metric)
    clean = pictures(0)
    noise = np.random.default_rng(2).normal(0, 1, clean.shape)
    slight, strong = (np.clip(clean + noise * size, 0, 255).astype(np.uint8) for size in (4, 40))
    look = scorer.network.look  # type: ignore[attr-defined]
    a, b = (scorer.distances(look(clean), look(damaged)).mean() for damaged in (slight, strong))  # type: ignore[attr-defined]
    assert 0 < a < b
    shown = [metric.to_score(np.array([value]))[0] for value in (a, b)]
    definition = metric.define(Weights())
    assert (shown[0] > shown[1]) == (definition.better == "higher")


def test_embeddings_of_an_alignment_metric_have_unit_length(metric: Metric) -> None:
    if metric.kind != "alignment":
        pytest.skip("not an alignment metric")
    scorer = scorer_of(metric)
    seen = scorer.features(scorer.network.look(pictures(0)))  # type: ignore[attr-defined]
    read = scorer.texts(["a small red circle on a white background", "something else entirely"])  # type: ignore[attr-defined]
    assert np.linalg.norm(seen, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(read, axis=1) == pytest.approx(1, abs=1e-5)
    assert seen.shape[1] == read.shape[1]
