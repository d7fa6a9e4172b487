"""Exports: what is refused, LaTeX text and tables, the data set's cards, trackers without their packages."""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness import api
from harness.cli.commands import app
from harness.core.errors import HarnessError, MachineError, ResultsError, UsageError
from harness.exporting.checks import MANIFEST
from harness.exporting.data_set import TABLES
from harness.exporting.files import write_export
from harness.exporting.latex import Number, TexColumn, Writer, escape, round_figures, tabular, verbatim
from harness.exporting.methods import write_methods
from harness.exporting.paper import write_paper
from harness.exporting.paper_tables import find_best, write_loss_table, write_main_table
from harness.exporting.references import FAMILIES, METRICS, PACKAGES, VALUES, write_bibliography
from harness.exporting.trackers import clean_name, track_cell
from harness.metrics import list_metrics
from harness.reporting.compared_runs import compare_all
from harness.results import Run
from harness.results.columns import write_csv
from harness.store import read_evaluation, write_evaluation
from harness.store.layout import RunFolder
from tests.builders.reporting_cells import CELLS
from tests.builders.reporting_example import make_run
from tests.readme import ROOT

FEW = tuple(made for made in CELLS if made.id in ("50-steps", "20-steps", "50-steps_bf16", "8-steps", "4-steps"))
SAMPLE = next((ROOT / "results" / "sample").glob("*_quickstart_*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made"), FEW)


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs" / made.name))


@pytest.fixture(scope="module")
def sample() -> Run:
    return Run.load(SAMPLE)


def redefine(run: Path) -> None:
    found = read_evaluation(run)
    assert found is not None

    def other(record: Any) -> Any:
        return record.model_copy(update={"definition": record.definition.model_copy(update={"resize": "another"})})

    deltas, scores = (tuple(map(other, records)) for records in (found.deltas, found.scores))
    write_evaluation(run, found.model_copy(update={"deltas": deltas, "scores": scores}))


def test_runs_of_two_definitions_are_refused(made: Path, run: Path, tmp_path: Path) -> None:
    redefine(run)
    with pytest.raises(ResultsError, match=r"resize: .* ≠ 'another'") as caught:
        api.export(made, run, out=tmp_path / "paper")
    assert caught.value.exit_code == 7 and caught.value.where == str(run)
    assert not (tmp_path / "paper").exists()


UNFINISHED: dict[str, Callable[[Path], Path]] = {
    "harness evaluate": lambda run: RunFolder(run).deltas,
    "harness gate": lambda run: RunFolder(run).verdicts,
}


@pytest.mark.parametrize("command", UNFINISHED)
def test_unfinished_runs_are_refused(run: Path, tmp_path: Path, command: str) -> None:
    UNFINISHED[command](run).unlink()
    with pytest.raises(ResultsError) as caught:
        api.export(run, out=tmp_path / "paper")
    assert command in caught.value.fix


WRONG: dict[str, tuple[Callable[[Path, Path], object], type[HarnessError], str]] = {
    "a kind": (lambda run, out: api.export(run, out=out, kind="word"), UsageError, "paper, parquet"),
    "twice": (lambda run, out: api.export(run, run, out=out), UsageError, "once"),
    "a file": (lambda run, out: (out.write_text(""), api.export(run, out=out)), UsageError, "--to"),
    "in use": (
        lambda run, out: (out.mkdir(), (out / "thesis.tex").write_text(""), api.export(run, out=out)),
        UsageError,
        "--force",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_refused(run: Path, tmp_path: Path, what: str) -> None:
    call, kind, advice = WRONG[what]
    with pytest.raises(kind) as caught:
        call(run, tmp_path / "out")
    assert advice in caught.value.fix


def test_force_replaces_only_exported_files(tmp_path: Path) -> None:
    write_export(tmp_path, {"a.tex": b"1", "b/c.tex": b"2"}, "a.tex", force=False)
    (tmp_path / "mine.tex").write_text("mine")
    with pytest.raises(UsageError, match="earlier export"):
        write_export(tmp_path, {"a.tex": b"3"}, "a.tex", force=False)
    write_export(tmp_path, {"a.tex": b"3"}, "a.tex", force=True)
    assert (tmp_path / "a.tex").read_bytes() == b"3" and not (tmp_path / "b" / "c.tex").exists()
    with pytest.raises(UsageError, match=r"not from an export: mine\.tex"):
        write_export(tmp_path, {"mine.tex": b"4"}, "mine.tex", force=True)
    assert (tmp_path / "mine.tex").read_text() == "mine"
    digest = json.loads((tmp_path / MANIFEST).read_text())["files"]["a.tex"]
    assert digest == hashlib.sha256(b"3").hexdigest()


def test_every_text_can_be_typeset() -> None:
    assert escape("a_b & 5 % of $x {y}") == r"a\_\allowbreak{}b \& 5 \% of \$x \{y\}"
    assert escape("−0.5 ± 2 × µ") == r"$-$0.5 $\pm$ 2 $\times$ $\mu$"
    assert escape("猫 🐈 ﬁ é") == "[U+732B] [U+1F408] fi é"
    assert escape("\\input{/etc/passwd}") == r"\textbackslash{}input\{/etc/passwd\}"
    assert r"\end{Verbatim}" not in verbatim("\\end{Verbatim} evil").removesuffix(r"\end{Verbatim}")


def test_numbers_keep_their_figures() -> None:
    assert [round_figures(value) for value in (1234.5, 12.345, 0.0012345, 0, -0.5)] == [
        "1234", "12.3", "0.00123", "0", "-0.500",
    ]  # fmt: skip
    assert Writer(scale=100, places=1)(-0.0001) == "0.0"


def test_number_columns_fit_their_numbers() -> None:
    rows = [["a", Number("-1.25", best=True, dagger=True)], ["b", Number("100.5")], ["c", "{--}"]]
    table = tabular([TexColumn("Cell"), TexColumn("Loss", "S")], [("", rows)])
    assert r"S[table-format=-3.2,table-space-text-post={$^\dagger$}]" in table
    assert r"a & \bfseries -1.25{$^\dagger$} \\" in table
    assert table.count(r"\midrule") == 1 and r"\toprule" in table and r"\bottomrule" in table


def test_best_is_the_fastest_non_inferior_cell(sample: Run) -> None:
    found = compare_all((sample,))
    best = find_best(found.cells)
    assert best is not None and best.cell == "8-steps_fp32"
    table = write_main_table(found).body
    assert table.count(r"\textbf{") == 1 and r"\textbf{fewer steps$^\dagger$} & 8" in table
    losses = write_loss_table(found, (sample,)).body
    passing = sum(
        rule.result == "pass" and rule.rule.quantity == "loss"
        for cell in sample.candidates
        for rule in (cell.verdict.rules if cell.verdict else ())
    )
    assert losses.count("{$^\\dagger$}") - losses.count("text-post={$^\\dagger$}") == passing


def test_methods_follow_from_the_records(sample: Run) -> None:
    text = write_methods(compare_all((sample,)), (sample,))
    for fact in (
        "3,000",
        "42 to 1,531",
        "five-percent",
        "df9d31fc7942",
        "2.14.1",
        "seed 0",
        "non-inferior, 6 inferior",
    ):
        assert fact in text, fact
    assert r"\texttt{lpips:bundled}~\cite{zhang2018unreasonable}" in text


def test_policies_chosen_later_are_named(run: Path) -> None:
    loaded = Run.load(run)
    assert "fixed before measuring" in write_methods(compare_all((loaded,)), (loaded,))
    assert loaded.judgement is not None
    later = loaded.judgement.model_copy(update={"policy": loaded.policy.model_copy(update={"name": "strict"})})
    rejudged = replace(loaded, judgement=later)
    text = write_methods(compare_all((rejudged,)), (rejudged,))
    assert r"\texttt{strict}, chosen after measuring (before it: \texttt{five-percent})" in text


def test_what_runs_share_is_written_once(run: Path, made: Path) -> None:
    runs = Run.load(made), Run.load(run)
    text = write_methods(compare_all(runs), runs)
    assert text.count("We compared") == 1 and text.count(r"\subsection{Run ") == 2


def test_every_reference_has_an_entry() -> None:
    keys = {key for group in (METRICS, VALUES, FAMILIES, PACKAGES) for keys in group.values() for key in keys}
    text = write_bibliography([f"\\cite{{{','.join(sorted(keys))}}}"], ())
    assert all(f"{{{key}," in text for key in keys)
    published = {"fid", "kid", "cmmd", "clip", "lpips", "ssim", "geneval", "vqa"}
    assert published <= {name.partition(":")[0] for name in list_metrics()} & set(METRICS)


def test_paper_includes_what_it_writes(run: Path, tmp_path: Path) -> None:
    main = write_paper((Run.load(run),), tmp_path / "paper", force=False)
    text = main.read_text()
    for part in ("methods.tex", "reproducibility.tex", "tables/main.tex", "tables/losses.tex", "figures/pareto.tex"):
        assert f"\\input{{{part}}}" in text
        assert (main.parent / part).exists()
    assert (main.parent / "figures" / "pareto.pdf").read_bytes().startswith(b"%PDF")
    images = (main.parent / "figures" / "images.tex").read_text()
    assert images.count(r"\includegraphics") == len(list((main.parent / "images").iterdir())) > 0
    appendix = (main.parent / "reproducibility.tex").read_text()
    assert hashlib.sha256(RunFolder(run).verdicts.read_bytes()).hexdigest() in appendix


def test_data_set_holds_the_results(run: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    answer = CliRunner().invoke(app, ["export", str(run), "--to", str(tmp_path / "data"), "--as", "parquet"])
    assert answer.exit_code == 0, answer.output
    tables = {table.name: parquet.read_table(tmp_path / "data" / "data" / f"{table.name}.parquet") for table in TABLES}
    loaded = Run.load(run)
    rows = list(csv.DictReader(io.StringIO(write_csv(loaded))))
    assert [row["cell"] for row in tables["cells"].to_pylist()] == [row["cell"] for row in rows]
    speedups = [row["speedup"] for row in tables["cells"].to_pylist()]
    assert [f"{value}" for value in speedups] == [row["speedup"] for row in rows]
    calls = sum(len(cell.samples.pairing.blocks) > 0 for cell in loaded.cells if cell.samples)
    assert len(set(tables["calls"].column("cell").to_pylist())) == calls
    assert tables["scores"].num_rows == sum(len({**cell.scores, **cell.deltas}) for cell in loaded.cells)


def test_croissant_describes_every_column(run: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    api.export(run, out=tmp_path / "data", kind="parquet")
    card = json.loads((tmp_path / "data" / "croissant.json").read_text())
    assert card["conformsTo"].endswith("croissant/1.0")
    for file in card["distribution"]:
        data = (tmp_path / "data" / file["contentUrl"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
    for records in card["recordSet"]:
        table = parquet.read_table(tmp_path / "data" / "data" / f"{records['name']}.parquet")
        assert [field["source"]["extract"]["column"] for field in records["field"]] == table.column_names
    readme = (tmp_path / "data" / "README.md").read_text()
    assert readme.startswith("---\n") and all(f"config_name: {table.name}" in readme for table in TABLES)


def test_tracked_figures_are_numbers_with_legal_names(sample: Run) -> None:
    cell = track_cell(sample.cell("8-steps_fp32"))
    assert cell.figures["speedup"] == pytest.approx(5.62, abs=0.01)
    assert cell.tags["harness.verdict"] == "pass" and cell.params["steps"] == "8"
    assert "fid.bundled/loss" in cell.figures and clean_name("a:b/c") == "a.b/c"
    assert len(cell.latencies_s) == len(sample.cell("8-steps_fp32").samples.repeats)  # type: ignore[union-attr]


@pytest.mark.parametrize("client", ["mlflow", "wandb", "trackio"])
def test_a_missing_client_is_named(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str) -> None:
    monkeypatch.setattr("harness.exporting.trackers.find_spec", lambda _: None)
    with pytest.raises(MachineError, match=client) as caught:
        api.export(made, out=tmp_path / "out", kind=client)
    assert "pip install" in caught.value.fix and caught.value.exit_code == 4
    assert not (tmp_path / "out").exists()
