"""The report: its page as a typed model, and the files that templates make of it."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.base import Frozen
from harness.core.errors import NothingToDo, ResultsError
from harness.core.quality import Definition
from harness.core.trace import BETWEEN
from harness.core.units import Absent, format_bytes, plural
from harness.deployment import Recommendation, recommend
from harness.reporting.answer import Answer, build_answer, list_terms, list_unprofiled
from harness.reporting.cell import CellSection, Showing, build_section
from harness.reporting.figures import draw_figures
from harness.reporting.images import (
    Key,
    WorstGroup,
    budget_page,
    choose_keys,
    list_worst,
)
from harness.reporting.ladder import LadderView, build_ladder, list_alarms
from harness.reporting.layout import PATHS
from harness.reporting.pareto_chart import bundle_vega, make_pareto_spec
from harness.reporting.parts import NamedValue
from harness.reporting.quality import ForestPanel, build_forest
from harness.reporting.rendering import embed_json, make_environment, read_assets
from harness.reporting.table import Table, build_table
from harness.reporting.text import KERNEL_FAMILIES, name_loss_axis
from harness.reporting.timing import TimingMethod, describe_method, list_notes
from harness.reporting.verdicts import (
    Judged,
    Sampling,
    build_judged,
    build_sampling,
    list_waiver_alarms,
)
from harness.reporting.wall_time import WallTime, build_wall_time
from harness.results import CellResult, Run
from harness.results.columns import write_csv
from harness.results.format import format_number
from harness.results.junit import write_junit
from harness.results.pareto import LossAxis
from harness.store import read_image_scores
from harness.store.layout import RunFolder, report_folder
from harness.store.write import write_atomically

_ASSETS = ("style.css", "drawings.css", "page.js", "drawings.js")


class Page(Frozen):
    """Everything the page shows, in its order."""

    title: str
    about: str
    run_id: str
    answer: Answer
    terms: tuple[str, ...]
    alarms: tuple[NamedValue, ...]
    notes: tuple[str, ...]
    judged: Judged
    sampling: Sampling | None
    axis: LossAxis
    has_points: bool
    not_drawn: tuple[str, ...]
    forest: tuple[ForestPanel, ...]
    recommendation: Recommendation | None
    table: Table
    sheet_prompts: tuple[str, ...]
    judge: tuple[WorstGroup, ...]
    """The worst images of the recommended cell, by each kind of metric."""
    cells: tuple[CellSection, ...]
    images_note: str
    definitions: tuple[Definition, ...]
    missing: tuple[NamedValue, ...]
    timed: TimingMethod | None
    ladder: LadderView | None
    machine: tuple[NamedValue, ...]
    packages: tuple[NamedValue, ...]
    matrix_text: str
    wall_time: WallTime
    anchors: dict[str, str]
    unprofiled: frozenset[str]
    """Cells that are recommended without a trace."""

    @property
    def verdicts(self) -> tuple[CellSection, ...]:
        """The cells with a verdict."""
        return tuple(cell for cell in self.cells if cell.deciding)

    @property
    def reviewed(self) -> tuple[CellSection, ...]:
        """The cells with a page for human review."""
        return tuple(cell for cell in self.cells if cell.review)

    @property
    def sheet(self) -> tuple[CellSection, ...]:
        """The cells with images, the baseline first."""
        shown = (cell for cell in self.cells if cell.sheet)
        return tuple(sorted(shown, key=lambda cell: cell.standing != "baseline"))

    @property
    def effects(self) -> tuple[NamedValue, ...]:
        """Each effect of a setting once: its sentence, and the cells that have it."""
        cells: dict[tuple[str, str], list[str]] = {}
        for cell in self.cells:
            for effect in cell.effects:
                key = (f"{effect.axis} {effect.value}", effect.summary)
                cells.setdefault(key, []).append(cell.id)
        return tuple(
            NamedValue(
                name=name,
                value=summary,
                note=ids[0] if len(ids) == 1 else plural(len(ids), "cell"),
            )
            for (name, summary), ids in cells.items()
        )

    @property
    def findings(self) -> tuple[NamedValue, ...]:
        """The first sentence of every cell's trace."""
        found = ((cell.id, cell.trace.finding) for cell in self.cells if cell.trace)
        return tuple(
            NamedValue(
                name=cell_id, value=finding.advice[0].sentence if finding.advice else finding.bound
            )
            for cell_id, finding in found
            if finding
        )


def write_report(folder: Path, out: Path, timed: bool = True) -> Path:
    """Write index.html, report.md, results.csv, junit.xml and figures/ of a run; return the index.

    An unfinished, unevaluated or unjudged run gets the page of what is known. With `timed` it
    shows how long drawing took, so that two reports of a run differ. Raises ResultsError if the
    results cannot be read and MachineError if `out` cannot be written.
    """
    started = time.perf_counter()
    run = Run.load(folder)
    page = build_page(run, report_s=0.0, out=out)
    for name, data in draw_figures(run, page.unprofiled).items():
        _write(out / "figures" / name, data)
    _write(out / "results.csv", write_csv(run).encode())
    write_junit(run, out / "junit.xml", "--out")
    chart = make_pareto_spec(run, page.anchors, page.unprofiled) if run.pareto_points else None
    runtime = bundle_vega() if chart else ""
    drawing_s = time.perf_counter() - started if timed else 0.0
    wall_time = build_wall_time(run, report_s=drawing_s)
    page = page.model_copy(update={"wall_time": wall_time})
    _write(out / "report.md", render_text("report.md.j2", page).encode())
    index = out / "index.html"
    _write(index, render_page(page, chart, runtime).encode())
    return index


def _write(path: Path, data: bytes) -> None:
    write_atomically(path, data, "--out")


def build_page(run: Run, report_s: float, out: Path | None = None) -> Page:
    """Return the page of a run in whatever state it is; `report_s` is what it took so far.

    `out` is the page's folder, from where traces are linked: by default a report's usual one.
    """
    plan, anchors = run.plan, make_anchors(run.cells)
    answer = build_answer(run)
    unprofiled = list_unprofiled(run, answer)
    table = build_table(run, anchors, unprofiled)
    return Page(
        title=plan.matrix.name,
        about=plan.matrix.about,
        run_id=plan.run_id,
        answer=answer,
        terms=list_terms(run),
        alarms=(*list_waiver_alarms(run), *list_alarms(run)),
        notes=list_notes(run),
        judged=build_judged(run),
        sampling=build_sampling(run),
        axis=run.loss_axis,
        has_points=bool(run.pareto_points),
        not_drawn=list_not_drawn(run),
        forest=build_forest(run),
        recommendation=_recommend(run),
        table=table,
        sheet_prompts=_list_sheet_prompts(run),
        judge=list_worst(run.cell(answer.best)) if answer.recommends else (),
        cells=_build_sections(run, table, anchors, unprofiled, out or report_folder(run.folder)),
        images_note=_count_shown(run),
        definitions=tuple(run.definitions.values()),
        missing=_to_values(run.evaluation.missing if run.evaluation else {}),
        timed=describe_method(run),
        ladder=build_ladder(run),
        machine=describe_machine(run),
        packages=_to_values(dict(sorted(plan.machine.packages.items()))),
        matrix_text=run.matrix_text,
        wall_time=build_wall_time(run, report_s),
        anchors=anchors,
        unprofiled=unprofiled,
    )


def _recommend(run: Run) -> Recommendation | None:
    try:
        return recommend(run)
    except (NothingToDo, ResultsError):  # no verdicts
        return None


def _count_shown(run: Run) -> str:
    images = len(run.plan.prompts) * len(run.plan.matrix.seeds)
    shown = min(budget_page(len(run.cells)).pairs, images)
    return f"{shown} of {plural(images, 'image')} shown"


def _list_sheet_prompts(run: Run) -> tuple[str, ...]:
    keys = choose_keys(run, budget_page(len(run.cells)).sheet)
    return tuple(run.prompt_texts[prompt] for prompt, _ in keys)


def make_anchors(cells: Sequence[CellResult]) -> dict[str, str]:
    """Return cell id → a unique name that is safe in an address."""
    anchors: dict[str, str] = {}
    for cell in cells:
        slug = "cell-" + re.sub(r"[^A-Za-z0-9._-]+", "-", cell.id).strip("-")
        is_taken = slug in anchors.values()
        anchors[cell.id] = f"{slug}-{cell.planned.order}" if is_taken else slug
    return anchors


def list_not_drawn(run: Run) -> tuple[str, ...]:
    """Return the cells that the chart cannot show, each with the reason."""
    missing = []
    for cell in run.cells:
        if cell.pareto_point is None:
            absent = next((x for x in (cell.timed, cell.worst_loss) if isinstance(x, Absent)), None)
            missing.append(
                f"{cell.id} ({absent.absent if absent else 'nothing to compare it with'})"
            )
    return tuple(missing)


def _build_sections(
    run: Run, table: Table, anchors: dict[str, str], unprofiled: frozenset[str], out: Path
) -> tuple[CellSection, ...]:
    cells = [run.cell(row.id) for row in table.rows]
    budget, notes = budget_page(len(cells)), _note_images(run)
    return tuple(
        build_section(
            cell,
            Showing(anchors[cell.id], budget, notes.get(cell.id, {}), out, cell.id in unprofiled),
        )
        for cell in cells
    )


def _note_images(run: Run) -> dict[str, dict[Key, str]]:
    """Return cell id → image → its score by the first paired metric with scores of images."""
    definitions = {name: d for name, d in run.definitions.items() if d.kind == "paired"}
    for metric in sorted(definitions, key=lambda name: not name.startswith("lpips")):
        file = RunFolder(run.folder).scores(metric)
        if file.exists():
            definition, rows = read_image_scores(run.folder, metric)
            if apart := definition.difference(definitions[metric]):
                what = f"scores of single images have another definition than their mean: {apart}"
                raise ResultsError(what, str(file), f"Run: harness evaluate {run.folder.name}")
            notes: dict[str, dict[Key, str]] = {}
            for cell, prompt, seed, value in rows:
                notes.setdefault(cell, {})[prompt, seed] = f"{metric} {format_number(value)}"
            return notes
    return {}


def _to_values(texts: Mapping[str, str]) -> tuple[NamedValue, ...]:
    return tuple(NamedValue(name=name, value=text) for name, text in texts.items())


def describe_machine(run: Run) -> tuple[NamedValue, ...]:
    """Return what identifies the machine, its software and the model."""
    machine, model = run.plan.machine, run.plan.model
    rows = [NamedValue(name="Name", value=machine.name)]
    for gpu in machine.gpus:
        unknown = isinstance(gpu.power_limit_w, Absent)
        limit = "power limit unknown" if unknown else f"{gpu.power_limit_w:.0f} W"
        capability = ".".join(map(str, gpu.capability))
        note = f"compute capability {capability}, driver {gpu.driver}, CUDA {gpu.cuda}, {limit}"
        value = f"{gpu.name}, {format_bytes(gpu.memory_bytes)}"
        rows.append(NamedValue(name="GPU", value=value, note=note))
    if not machine.gpus:
        rows.append(NamedValue(name="GPU", value="none"))
    commit = machine.git_commit
    dirty = "with local changes" if machine.git_dirty is True else ""
    known = "unknown" if isinstance(commit, Absent) else commit[:12]
    cores = plural(machine.cpu_cores, "core")
    return (
        *rows,
        NamedValue(name="Processor", value=f"{machine.cpu}, {cores}"),
        NamedValue(name="Memory", value=format_bytes(machine.memory_bytes)),
        NamedValue(name="System", value=machine.os),
        NamedValue(name="Python", value=machine.python),
        NamedValue(name="Commit", value=known, note=dirty),
        NamedValue(name="Model", value=model.title, note=f"{model.family}, {model.digest[:12]}"),
    )


def render_page(page: Page, chart: dict[str, Any] | None, runtime: str) -> str:
    """Return the HTML of a page that needs no network.

    `chart` is a Vega-Lite specification, `runtime` the script that draws it.
    """
    from markupsafe import Markup

    environment = make_environment()
    html = environment.get_template("page.html.j2").render(
        page=page,
        axis_title=name_loss_axis(page.axis).capitalize(),
        paths=PATHS,
        families=KERNEL_FAMILIES,
        between=BETWEEN,
        **read_assets(environment, _ASSETS),
        chart=Markup(embed_json(chart)) if chart else None,
        runtime=Markup(runtime),
    )
    return str(html)


def render_text(template: str, page: Page) -> str:
    """Return a text template, such as report.md, without HTML escapes."""
    environment = make_environment()
    environment.autoescape = False
    return str(environment.get_template(template).render(page=page)).rstrip() + "\n"
