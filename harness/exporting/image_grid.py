"""The image grid of a paper: the same prompts and noise in every configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.exporting.latex import Float, escape
from harness.exporting.paper_tables import VERDICTS, order_cells
from harness.reporting.compared_runs import ComparedCell, ComparedRuns
from harness.reporting.images import Key, choose_keys, index_images, shorten
from harness.results import CellResult, Run
from harness.store import image_path

COLUMNS, MOST_ROWS = 6, 8
BREAK = r"\\"
_CANDIDATES = 24
"""Keys among which the first that every shown cell still has as a file are taken."""


class ImageGrid(NamedTuple):
    """The files of a grid by their path in the paper's folder, and its LaTeX."""

    files: dict[str, bytes]
    figure: Float


def build_grid(found: ComparedRuns, runs: Sequence[Run]) -> tuple[ImageGrid, ...]:
    """Return one grid per run that has images of at least one prompt in every shown cell."""
    grids = []
    for item, run in zip(found.runs, runs, strict=True):
        rows = [row for row in order_cells(found.cells) if row.run == item.letter]
        shown = _choose_rows([row for row in rows if run.cell(row.cell).image_count])
        keys = _choose_images(run, [run.cell(row.cell) for row in shown])
        if keys:
            title = f" Run {item.letter}." if len(runs) > 1 else ""
            grids.append(_lay_out(run, shown, keys, (item.letter, title)))
    return tuple(grids)


def _choose_rows(rows: Sequence[ComparedCell]) -> list[ComparedCell]:
    """Return the baseline and the first rows; non-inferior ones and the Pareto front come before
    the others."""
    if len(rows) <= MOST_ROWS:
        return list(rows)
    ranks = {"baseline": 0, "pass": 1}
    ranked = sorted(rows, key=lambda row: (ranks.get(row.standing, 2), not row.on_front))
    chosen = {row.cell for row in ranked[:MOST_ROWS]}
    return [row for row in rows if row.cell in chosen]


def _choose_images(run: Run, cells: Sequence[CellResult]) -> list[Key]:
    """Return the keys whose image file every cell has: a committed sample keeps only a few."""
    images = [(cell, index_images(cell)) for cell in cells]
    keys = dict.fromkeys(
        key for count in (COLUMNS, 8, _CANDIDATES) for key in choose_keys(run, count)
    )
    return [
        key
        for key in keys
        if images
        and all(
            key in own and image_path(run.folder, cell.id, own[key]).exists()
            for cell, own in images
        )
    ][:COLUMNS]


def _lay_out(
    run: Run, rows: Sequence[ComparedCell], keys: Sequence[Key], naming: tuple[str, str]
) -> ImageGrid:
    letter, title = naming
    files: dict[str, bytes] = {}
    width = 0.78 / len(keys)
    lines = []
    for number, row in enumerate(rows):
        cell, fields = run.cell(row.cell), []
        own = index_images(cell)
        for column, key in enumerate(keys):
            source: Path = image_path(run.folder, cell.id, own[key])
            path = f"images/{letter.lower()}-{number:02}-{column}{source.suffix}"
            files[path] = source.read_bytes()
            fields.append(rf"\includegraphics[width={width:.3f}\textwidth]{{{path}}}")
        words = dict.fromkeys((escape(row.technique), f"{row.steps} steps", VERDICTS[row.standing]))
        name = rf"\shortstack[r]{{{BREAK.join(words)}}}"
        fields = [rf"\scriptsize {name}", *fields]
        lines.append(" & ".join(rf"\raisebox{{-0.5\height}}{{{f}}}" for f in fields) + r" \\[1pt]")
    texts = [shorten(run.prompt_texts.get(prompt, prompt), 90) for prompt, _ in keys]
    heads = [
        rf"\parbox[b]{{{width:.3f}\textwidth}}{{\tiny\centering {escape(text)}}}" for text in texts
    ]
    columns = "r" + "c" * len(keys)
    body = "\n".join(
        (
            r"\setlength{\tabcolsep}{1.5pt}",
            rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
            " & ".join(("", *heads)) + r" \\[2pt]",
            *lines,
            r"\end{tabular}",
        )
    )
    caption = f"The same prompts and noise in every configuration.{title}"
    return ImageGrid(files, Float(body, caption, f"fig:images-{letter.lower()}", wide=True))
