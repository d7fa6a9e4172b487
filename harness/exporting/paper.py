"""Write a paper's folder: main.tex and the tables, figures, methods and appendix it includes."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from harness.exporting.appendix import write_appendix
from harness.exporting.files import write_export
from harness.exporting.image_grid import build_grid
from harness.exporting.latex import Float, escape
from harness.exporting.methods import write_methods
from harness.exporting.paper_figures import draw_paper_figures
from harness.exporting.paper_tables import (
    write_definition_table,
    write_loss_table,
    write_main_table,
    write_published_table,
    write_score_table,
)
from harness.exporting.published import list_published
from harness.exporting.references import write_bibliography
from harness.reporting.compared_runs import ComparedRuns, compare_all
from harness.results import Run

_FIGURE = r"""\IfFileExists{{figures/{name}.pgf}}
  {{\input{{figures/{name}.pgf}}}}
  {{\includegraphics[width={width}]{{figures/{name}.pdf}}}}"""
_CAPTIONS = {
    "pareto": (
        "Seconds per image against the loss that uses most of its margin, with 95\\,\\% intervals. "
        "The colour is the technique, the number the denoising steps{shapes}; filled marks are "
        "non-inferior to the baseline. Dotted lines join the steps of a technique, the stepped "
        "line is the Pareto front.{notes}"
    ),
    "intervals": (
        "Speedup and worst loss of every configuration with 95\\,\\% intervals; green is "
        "non-inferior, red inferior, ochre inconclusive. The dashed line is the margin."
    ),
}


def write_paper(runs: Sequence[Run], out: Path, force: bool) -> Path:
    """Write the folder of a paper and return its main.tex.

    Raises UsageError if the folder is in use, MachineError if it cannot be written.
    """
    found = compare_all(runs)
    published, _ = list_published(runs)
    figures = draw_paper_figures(found, runs)
    texts = _write_texts(found, runs, [name for name in figures if name.endswith(".pdf")])
    grids = build_grid(found, runs)
    texts["figures/images.tex"] = "\n".join(grid.figure.write("figure") for grid in grids)
    if published:
        table = write_published_table(published, len(runs) > 1)
        texts["tables/published.tex"] = table.write("table")
    texts["main.tex"] = _write_main(found, tuple(texts))
    texts["references.bib"] = write_bibliography(texts.values(), published)
    content = {name: text.encode() for name, text in texts.items()}
    content |= {f"figures/{name}": data for name, data in figures.items()}
    content |= {name: data for grid in grids for name, data in grid.files.items()}
    return write_export(out, content, "main.tex", force)


def _write_texts(found: ComparedRuns, runs: Sequence[Run], drawn: Sequence[str]) -> dict[str, str]:
    notes = "".join(f" {escape(note)}" for note in found.chart_notes)
    shapes = ", the shape the run" if len(runs) > 1 else ""
    texts = {
        "tables/main.tex": write_main_table(found).write("table"),
        "tables/losses.tex": write_loss_table(found, runs).write("table"),
        "tables/scores.tex": write_score_table(found, runs),
        "tables/definitions.tex": write_definition_table(runs),
        "methods.tex": write_methods(found, runs),
        "reproducibility.tex": write_appendix(found, runs),
    }
    for name in (file.removesuffix(".pdf") for file in drawn):
        wide = name == "intervals"
        width = r"\textwidth" if wide else r"\columnwidth"
        caption = _CAPTIONS[name].format(shapes=shapes, notes=notes)
        figure = Float(_FIGURE.format(name=name, width=width), caption, f"fig:{name}", wide)
        texts[f"figures/{name}.tex"] = figure.write("figure")
    return texts


def _write_main(found: ComparedRuns, written: Sequence[str]) -> str:
    """Return main.tex, which includes every part that was written."""
    template = (files("harness.exporting") / "main.tex").read_text(encoding="utf-8")
    results = [name for name in written if name.startswith(("tables/", "figures/"))]
    later = ("tables/scores.tex", "tables/definitions.tex")
    order = ("tables/main.tex", "figures/pareto.tex", "figures/intervals.tex")
    first = [name for name in order if name in results]
    rest = [name for name in results if name not in (*order, *later)]
    included = "\n".join(rf"\input{{{name}}}" for name in (*first, *rest))
    title = " and ".join(dict.fromkeys(escape(run.model) for run in found.runs))
    return (
        template.replace("@TITLE@", f"Optimizations of {title}")
        .replace("@SUMMARY@", _summarize(found, written))
        .replace("@RESULTS@", included)
    )


def _summarize(found: ComparedRuns, written: Sequence[str]) -> str:
    """Return what stands in which table and figure."""
    passing = sum(row.standing == "pass" for row in found.cells)
    candidates = sum(row.standing != "baseline" for row in found.cells)
    parts = [
        (name, words)
        for name, words in (
            ("tables/main.tex", "Table~\\ref{tab:main} lists latency and worst loss"),
            ("figures/pareto.tex", "Figure~\\ref{fig:pareto} shows both"),
            ("figures/intervals.tex", "Figure~\\ref{fig:intervals} their intervals"),
            ("tables/losses.tex", "Table~\\ref{tab:losses} the loss by each metric"),
            ("tables/published.tex", "Table~\\ref{tab:published} published figures"),
        )
        if name in written
    ]
    listed = ", ".join(words for _, words in parts)
    return f"{listed}. Of {candidates} configurations {passing} are non-inferior to the baseline."
