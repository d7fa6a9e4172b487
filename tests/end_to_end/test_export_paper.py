"""The paper of the committed sample compiles; trackers' local stores hold what was exported. Skipped where absent."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness import api
from harness.results import Run
from tests.readme import ROOT

SAMPLE = next((ROOT / "results" / "sample").glob("*_quickstart_*"))
PACKAGES = ("siunitx.sty", "booktabs.sty", "lmodern.sty", "adjustbox.sty", "fvextra.sty")
CELL = "8-steps_fp32"
pytestmark = pytest.mark.filterwarnings("ignore")  # clients and their dependencies warn of each other


def why_no_latex() -> str:
    """Return why papers cannot be compiled here; empty if they can."""
    if shutil.which("tectonic"):
        return ""
    if not shutil.which("pdflatex") or not shutil.which("bibtex"):
        return "no LaTeX here: apt-get install texlive-latex-extra texlive-science lmodern"
    found = subprocess.run(["kpsewhich", *PACKAGES], capture_output=True, text=True, check=False).stdout
    missing = [name for name in PACKAGES if name not in found]
    return f"LaTeX lacks {', '.join(missing)}" if missing else ""


def compile_paper(folder: Path) -> str:
    """Compile main.tex and return the log."""
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main"]
    steps = [latex, ["bibtex", "main"], latex, latex]
    if shutil.which("tectonic"):
        steps = [["tectonic", "--keep-logs", "main.tex"]]
    for step in steps:
        done = subprocess.run(step, cwd=folder, capture_output=True, text=True, check=False, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
    return (folder / "main.log").read_text(errors="replace")


def test_paper_of_the_sample_compiles(tmp_path: Path) -> None:
    if why := why_no_latex():
        pytest.skip(why)
    main = api.export(SAMPLE, out=tmp_path / "paper")
    log = compile_paper(main.parent)
    assert not re.findall(r"undefined|multiply defined|Float too large", log)
    assert max((float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)), default=0) < 10
    assert (main.parent / "main.pdf").stat().st_size > 50_000
    assert (main.parent / "figures" / "pareto.pgf").exists() == bool(shutil.which("pdflatex"))


def stored(client: str, tmp_path: Path) -> Path:
    if find_spec(client) is None:
        pytest.skip(f"{client} is not installed")
    return api.export(SAMPLE, out=tmp_path / client, kind=client)


def test_mlflow_store_holds_every_cell(tmp_path: Path) -> None:
    path = stored("mlflow", tmp_path)
    import mlflow

    client: Any = mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}")
    run = Run.load(SAMPLE)
    experiment = client.get_experiment_by_name(run.plan.run_id)
    runs = {found.info.run_name: found for found in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {cell.id for cell in run.cells}
    assert runs[CELL].data.metrics["speedup"] == pytest.approx(5.62, abs=0.01)
    assert runs[CELL].data.params["steps"] == "8" and runs[CELL].data.tags["harness.verdict"] == "pass"
    history = client.get_metric_history(runs[CELL].info.run_id, "call_latency_s")
    samples = run.cell(CELL).samples
    assert samples and [point.value for point in history] == [call.latency_s for call in samples.repeats]


def test_wandb_store_holds_every_cell(tmp_path: Path) -> None:
    folder = stored("wandb", tmp_path)
    found = list(folder.glob("offline-run-*/*.wandb"))
    assert len(found) == len(Run.load(SAMPLE).cells)
    assert any(CELL.encode() in path.read_bytes() for path in found)


def test_trackio_store_holds_every_cell(tmp_path: Path) -> None:
    folder = stored("trackio", tmp_path)
    import sqlite3

    (database,) = folder.glob("*.db")
    with sqlite3.connect(database) as opened:
        names = {name for (name,) in opened.execute("select distinct run_name from metrics")}
    run = Run.load(SAMPLE)
    assert names == {f"{run.plan.run_id} {cell.id}" for cell in run.cells}
