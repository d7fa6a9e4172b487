"""The files of a trend: index.html, trend.md, trend.json, junit.xml and badge.svg."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.core.history import ChangeState, LevelChange
from harness.core.units import plural
from harness.history.table import History
from harness.reporting.rendering import embed_json, make_environment, read_assets
from harness.reporting.trend import TrendPage, TrendSource, build_trend
from harness.reporting.trend_series import HEIGHT, WIDTH, TrendSeries
from harness.results.junit import JUnitCase, JUnitSuite, render_junit
from harness.store.write import write_atomically

MARKS = {
    "worse": "M0,-1.05L1.1,0.85L-1.1,0.85Z",
    "better": "M0,1.05L1.1,-0.85L-1.1,-0.85Z",
    "suspected": "M0,-1.15L1.15,0L0,1.15L-1.15,0Z",
    "accepted": "M-1.05,0.1L-0.7,-0.3L-0.3,0.1L0.75,-0.95L1.1,-0.6L-0.3,0.85Z",
    "resolved": "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "machine": "M-0.85,-0.85L0.85,-0.85L0.85,0.85L-0.85,0.85Z",
}
"""One shape per kind of change: SVG paths within −1 … 1."""
_ASSETS = ("style.css", "trend.css", "trend.js")
_URGENCY: tuple[ChangeState, ...] = ("new", "suspected", "known", "accepted")
_BADGE_COLOURS = {"pass": "#0b7a5b", "fail": "#c2341d", "inconclusive": "#9a6200"}
_LETTER_PX, _BADGE_AIR_PX = 6.6, 12.0


def write_trend(
    history: History,
    changes: Iterable[LevelChange],
    out: Path,
    results: Path | None = None,
    terms: Iterable[str] = (),
) -> Path:
    """Write the trend of a matrix into a folder; return its index.html.

    Next to the page: trend.md (for a job summary), trend.json, junit.xml and badge.svg. `results`
    is the folder of the runs, from which reports are linked and images shown; `terms` are words
    about the detection, such as its budget. Raises NothingToDo if the history has no nights, and
    MachineError if `out` cannot be written.
    """
    source = TrendSource(history, tuple(changes), out.resolve(), results)
    page = build_trend(source, terms)
    files = {
        "trend.md": _render("trend.md.j2", page=page).encode(),
        "trend.json": to_json(page, history).encode(),
        "junit.xml": render_junit(history.lineage, list_suites(page, history)),
        "badge.svg": render_badge("nightly", *_badge_words(page)).encode(),
        "index.html": render_trend(page).encode(),
    }
    for name, data in files.items():
        write_atomically(out / name, data, "--out")
    return out / "index.html"


def _render(template: str, **values: Any) -> str:
    environment = make_environment()
    environment.autoescape = template.endswith((".html.j2", ".svg.j2"))
    return str(environment.get_template(template).render(**values)).rstrip() + "\n"


def render_trend(page: TrendPage) -> str:
    """Return the HTML of a page that needs no network."""
    from markupsafe import Markup

    nights = [
        [[night.run, night.day, night.href, night.facts, night.notes, night.repeats,
          dict(night.missing)] for night in machine.nights]
        for machine in page.machines
    ]  # fmt: skip
    drawn = [{"machine": series.machine, **series.drawn} for series in page.series]
    return _render(
        "trend.html.j2",
        page=page,
        marks=MARKS,
        size=(WIDTH, HEIGHT),
        **read_assets(make_environment(), _ASSETS),
        data=Markup(embed_json({"nights": nights, "series": drawn})),
    )


def to_json(page: TrendPage, history: History) -> str:
    """Return the answer, every change and the present level of every series as JSON."""
    nights = history.nights
    document = {
        "matrix": page.title,
        "result": page.answer.kind,
        "headline": page.answer.headline,
        "sentences": page.answer.sentences,
        "nights": len(nights),
        "first": nights[0].run,
        "newest": nights[-1].run,
        "changes": [
            change.model_dump(mode="json")
            | {"kind": page.views[change.id].kind, "size": page.views[change.id].size}
            for group in dict(page.groups).values()
            for change in group
        ],
        "levels": [_list_level(page, series) for series in page.series],
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def _list_level(page: TrendPage, series: TrendSeries) -> dict[str, Any]:
    start, _, estimate, low, high, _ = series.drawn["steps"][-1]
    machine = page.machines[series.machine]
    return {
        "machine": machine.name, "cell": series.cell, "quantity": series.quantity,
        "since": machine.nights[start].run, "estimate": estimate, "low": low, "high": high,
    }  # fmt: skip


def list_suites(page: TrendPage, history: History) -> tuple[JUnitSuite, ...]:
    """Return one suite per cell and machine, with one case per quantity.

    A new regression is a failure and a suspected one an error, as in the exit codes; a known one
    is skipped, with its sentence.
    """
    cases: dict[tuple[int, str], list[JUnitCase]] = {}
    groups = page.groups
    for series in page.series:
        machine = page.machines[series.machine].name
        cells = (series.cell, "") if series.cell == history.baseline(machine) else (series.cell,)
        mine = [
            change for change in (*groups.regressions, *groups.machine, *groups.suspected)
            if change.machine == machine and change.cell in cells
            and change.quantity == series.quantity and change.direction == "worse"
        ]  # fmt: skip
        case = _judge_series(page, series, mine)
        cases.setdefault((series.machine, series.cell), []).append(case)
    for number, view in enumerate(page.machines):
        for cell, why in view.nights[-1].missing.items():
            cases.setdefault((number, cell), []).append(_state_missing(why))
    is_alone = len(page.machines) < 2
    group = f"nightly.{history.lineage}"
    return tuple(
        JUnitSuite(
            group=group if is_alone else f"{group}.{page.machines[machine].name}",
            name=cell,
            time=history.nights_on(page.machines[machine].name)[-1].time,
            host=page.machines[machine].name,
            cases=tuple(found),
        )
        for (machine, cell), found in cases.items()
    )


def _judge_series(page: TrendPage, series: TrendSeries, changes: list[LevelChange]) -> JUnitCase:
    if not changes:
        return JUnitCase(name=series.title, output=f"level {series.latest}")
    change = min(changes, key=lambda change: _URGENCY.index(change.state))
    view = page.views[change.id]
    message = f"{view.title}: {view.before} → {view.after} since {view.since.day}"
    status = {"new": "failure", "suspected": "error"}.get(change.state, "skipped")
    return JUnitCase.model_validate(
        {"name": series.title, "status": status, "kind": change.state, "message": message}
    )


def _state_missing(why: str) -> JUnitCase:
    """Return the case of a cell that was not measured in the newest night."""
    standing = why.partition(":")[0]
    status = "skipped" if standing == "skipped" else "error"
    return JUnitCase.model_validate(
        {"name": "measured", "status": status, "kind": standing, "message": why}
    )


def _badge_words(page: TrendPage) -> tuple[str, str]:
    count, kind = len(page.regressions), page.answer.kind
    slower = plural(count, "regression") if count else "slower machine"
    words = {"fail": slower, "inconclusive": "suspected change"}
    return words.get(kind, "no regression"), _BADGE_COLOURS[kind]


def render_badge(label: str, message: str, colour: str) -> str:
    """Return a badge as SVG, in the usual shape: a grey label and a coloured message."""
    widths = [round(_LETTER_PX * len(text) + _BADGE_AIR_PX) for text in (label, message)]
    return _render("badge.svg.j2", label=label, message=message, colour=colour, widths=widths)
