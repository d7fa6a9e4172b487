"""A score is locked to its definition: nothing is compared, judged or drawn across two of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from harness import api
from harness.cli import console
from harness.cli.commands import app
from harness.core.errors import MachineError, ResultsError
from harness.core.quality import Definition, Delta, Evaluation
from harness.evaluation import evaluate
from harness.gating import judge
from harness.metrics import _selftest as selftest
from harness.metrics import get_metric
from harness.reporting import compare_runs, write_report
from harness.store import read_evaluation, write_evaluation, write_image_scores
from tests.builders.scored_run import CANDIDATES, make_scored_run

FEW = {name: CANDIDATES[name] for name in ("same", "faint")}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two evaluated runs of the same images."""
    made = [make_scored_run(tmp_path / name, prompts=12, metrics=("psnr",), candidates=FEW) for name in ("a", "b")]
    for run in made:
        evaluate(run)
    return made[0], made[1]


def redefine(run: Path, **changes: str) -> None:
    """Store the run's evaluation as if it had been made under another definition."""

    def other(definition: Definition) -> Definition:
        return definition.model_copy(update=changes)

    found = read_evaluation(run)
    assert found is not None
    scores = tuple(s.model_copy(update={"definition": other(s.definition)}) for s in found.scores)
    deltas = tuple(d.model_copy(update={"definition": other(d.definition)}) for d in found.deltas)
    write_evaluation(run, found.model_copy(update={"scores": scores, "deltas": deltas}))


def test_scores_of_one_definition_are_lined_up(runs: tuple[Path, Path]) -> None:
    found = compare_runs(*runs)
    pairs = found.cells
    assert [pair.cell for pair in pairs] == ["baseline", "same", "faint"]
    for pair in pairs:
        assert pair.speedup == pytest.approx(1)
        assert [score.metric for score in pair.quality] == ["psnr"]
        assert pair.quality[0].score_a == pair.quality[0].score_b is not None
        assert not pair.quality[0].refused
    assert pairs[2].quality[0].loss_a == pytest.approx(pairs[2].quality[0].loss_b)
    assert console.show_comparison(api.compare(*runs), json=False) == 0


def test_scores_of_two_definitions_are_not_compared(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    redefine(runs[1], weights_sha256="b" * 64, resize="another")
    found = api.compare(*runs)
    for pair in found.pairs[0].cells:
        score = pair.quality[0]
        assert (score.score_a, score.score_b, score.loss_a, score.loss_b) == (None, None, None, None)
        assert score.refused == f"weights_sha256: '' ≠ '{'b' * 64}'; resize: 'none' ≠ 'another'"
        assert pair.speedup == pytest.approx(1)
    answer = CliRunner().invoke(app, ["compare", *map(str, runs), "--json"])
    assert answer.exit_code == 7
    assert console.show_comparison(found, json=True) == 7
    assert "psnr: not comparable: weights_sha256: '' ≠ 'bbb" in capsys.readouterr().err


def test_scores_of_other_prompts_are_refused(runs: tuple[Path, Path], tmp_path: Path) -> None:
    more = make_scored_run(tmp_path / "more", prompts=14, metrics=("psnr",), candidates=FEW)
    evaluate(more)
    refused = {score.refused for pair in compare_runs(runs[0], more).cells for score in pair.quality}
    assert refused == {"prompts: the runs have other prompts"}


def test_metric_scored_by_one_run_only_is_left_out(runs: tuple[Path, Path]) -> None:
    found = read_evaluation(runs[1])
    assert found is not None
    write_evaluation(runs[1], found.model_copy(update={"scores": (), "deltas": ()}))
    assert all(pair.quality == () for pair in compare_runs(*runs).cells)


def test_delta_has_one_definition_for_both_cells(runs: tuple[Path, Path]) -> None:
    assert [name for name, field in Delta.model_fields.items() if field.annotation is Definition] == ["definition"]
    found = read_evaluation(runs[0])
    assert found is not None
    scored = {(score.cell_id, score.definition.metric): score.definition for score in found.scores}
    for delta in found.deltas:
        assert not delta.definition.difference(scored[(delta.cell_id, delta.metric)])
        assert not delta.definition.difference(scored[("baseline", delta.metric)])


MIXED: dict[str, Callable[[Path], object]] = {
    "gate": judge,
    "report": lambda run: write_report(run, run / "report"),
    "frame": api.frame,
    "compare": lambda run: compare_runs(run, run),
}


@pytest.mark.parametrize("stage", MIXED)
def test_mixed_definitions_are_refused_by_each_stage(runs: tuple[Path, Path], stage: str) -> None:
    first, second = (read_evaluation(run) for run in runs)
    assert first is not None
    assert second is not None
    other = second.deltas[-1].definition.model_copy(update={"library": "another 1.0"})
    mixed = (*first.deltas[:-1], first.deltas[-1].model_copy(update={"definition": other}))
    with pytest.raises(ResultsError, match="the definitions of psnr in faint"):
        Evaluation.model_validate({**first.model_dump(), "deltas": [delta.model_dump() for delta in mixed]})
    write_evaluation(runs[0], first.model_copy(update={"deltas": mixed}))
    with pytest.raises(ResultsError, match=r"library: .* ≠ 'another 1\.0'"):
        MIXED[stage](runs[0])


def test_rescoring_replaces_scores_of_old_definitions(runs: tuple[Path, Path]) -> None:
    redefine(runs[0], library="another 1.0")
    evaluate(runs[0])
    assert not {score.refused for pair in compare_runs(*runs).cells for score in pair.quality} - {""}


def test_report_omits_image_scores_of_old_definitions(runs: tuple[Path, Path], tmp_path: Path) -> None:
    found = read_evaluation(runs[0])
    assert found is not None
    other = found.scores[0].definition.model_copy(update={"resize": "another"})
    write_image_scores(runs[0], "psnr", other, [("faint", "p000", 0, 1.0)])
    with pytest.raises(ResultsError, match="resize: 'another' ≠ 'none'"):
        write_report(runs[0], tmp_path / "report")


def test_failed_self_test_stops_before_the_first_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_scored_run(tmp_path, prompts=12, metrics=("psnr",), candidates=FEW)
    psnr = type(get_metric("psnr"))
    monkeypatch.setattr(selftest, "_PASSED", type(selftest._PASSED)())
    to_score = psnr.to_score
    monkeypatch.setattr(psnr, "to_score", lambda self, distances: np.asarray(to_score(self, distances) * 1.001))
    with pytest.raises(MachineError, match=r"psnr computes a wrong number(.|\n)*score: found"):
        evaluate(run)
    assert read_evaluation(run) is None


def test_cached_images_need_no_self_test(runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(metric: object, scorer: object) -> None:
        raise AssertionError("nothing is to be loaded")

    monkeypatch.setattr("harness.evaluation.prepared_metric.self_test", refuse)
    evaluate(runs[1])
