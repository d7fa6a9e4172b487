"""Export runs to the local stores of experiment trackers: one tracked run per cell."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from harness.core.errors import MachineError
from harness.reporting.compared_runs import name_technique
from harness.results import CellResult, Run
from harness.results.columns import make_rows
from harness.store.write import writing_failed

Figures = dict[str, float]


class TrackedCell(NamedTuple):
    """A cell as trackers record it: parameters, tags, figures, and the latency of each call."""

    name: str
    group: str
    params: dict[str, str]
    tags: dict[str, str]
    figures: Figures
    latencies_s: tuple[float, ...]


_HOW = {
    "mlflow": "pip install mlflow, in an environment without constraints.txt: its releases exclude "
    "pandas 3 or pyarrow 26",
    "wandb": 'pip install "diffusion-harness[wandb]"',
    "trackio": "pip install trackio, in an environment without constraints.txt: its releases "
    "exclude pandas 3 or pillow 13",
}
"""How to install each client."""


def write_tracked(runs: Sequence[Run], out: Path, client: str) -> Path:
    """Write every measured cell of the runs into a client's store in this folder; return it.

    Nothing is uploaded. Raises MachineError if the client's package is missing.
    """
    if find_spec(client) is None:
        what = f"{client} is not installed"
        raise MachineError(what, f"--as {client}", f"Install it: {_HOW[client]}.")
    for name in _ELSEWHERE:
        os.environ.pop(name, None)
    os.environ.update(_SETTINGS[client](out))  # read when the client is imported
    cells = [track_cell(cell) for run in runs for cell in run.cells if cell.samples]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_failed(out, error, "--to") from error
    with redirect_stdout(sys.stderr):  # clients print their progress; stdout is for the path
        return _WRITERS[client](cells, out)


def track_cell(cell: CellResult) -> TrackedCell:
    """Return a cell's record; figures are the numeric columns of results.csv."""
    plan = cell.run.plan
    row = next(row for row in make_rows(cell.run) if row["cell"] == cell.id)
    figures = {
        clean_name(name): float(value)
        for name, value in row.items()
        if isinstance(value, int | float)
    }
    worst = cell.worst_loss
    metric = getattr(worst, "metric", "")
    samples = cell.samples
    return TrackedCell(
        name=cell.id,
        group=plan.run_id,
        params={
            **cell.planned.cell.by_axis,
            "model": plan.model.title, "model_digest": plan.model.digest,
            "machine": plan.machine.title, "prompts": str(len(plan.prompts)),
            "seeds": ", ".join(map(str, plan.matrix.seeds)), "policy": cell.run.policy.name,
        },
        tags={
            "harness.run": plan.run_id, "harness.verdict": cell.standing,
            "harness.technique": name_technique(cell), "harness.worst_metric": metric,
        },
        figures=figures,
        latencies_s=tuple(call.latency_s for call in samples.repeats) if samples else (),
    )  # fmt: skip


def clean_name(name: str) -> str:
    """Return a figure's name without signs that trackers refuse: `fid:bundled/loss` →
    `fid.bundled/loss`."""
    return re.sub(r"[^A-Za-z0-9_./ -]", ".", name)


def _write_mlflow(cells: Sequence[TrackedCell], out: Path) -> Path:
    import mlflow
    from mlflow.entities import Metric, Param, RunTag

    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{out.resolve() / 'mlflow.db'}")
    for cell in cells:
        known = client.get_experiment_by_name(cell.group)
        place = (out.resolve() / "artifacts" / cell.group).as_uri()
        experiment = known.experiment_id if known else client.create_experiment(cell.group, place)
        run = client.create_run(experiment, run_name=cell.name)
        key = run.info.run_id
        metrics = [Metric(name, value, 0, 0) for name, value in cell.figures.items()]
        metrics += [
            Metric("call_latency_s", value, 0, step) for step, value in enumerate(cell.latencies_s)
        ]
        for start in range(0, len(metrics), 1000):  # the most that one batch may hold
            client.log_batch(key, metrics=metrics[start : start + 1000])
        tags = [RunTag(name, value) for name, value in cell.tags.items()]
        client.log_batch(key, params=[Param(*pair) for pair in cell.params.items()], tags=tags)
        client.set_terminated(key)
    return out / "mlflow.db"


def _write_wandb(cells: Sequence[TrackedCell], out: Path) -> Path:
    import wandb

    for cell in cells:
        run = wandb.init(
            project="diffusion-harness", name=cell.name, group=cell.group, dir=str(out),
            mode="offline", config={**cell.params, **cell.tags},
            tags=[cell.tags["harness.verdict"]], settings=wandb.Settings(silent=True),
        )  # fmt: skip
        for value in cell.latencies_s:
            run.log({"call_latency_s": value})
        run.summary.update(cell.figures)
        run.finish()
    return out / "wandb"


def _write_trackio(cells: Sequence[TrackedCell], out: Path) -> Path:
    import trackio

    for cell in cells:
        config = {**cell.params, **cell.tags, "group": cell.group}
        trackio.init(project="diffusion-harness", name=f"{cell.group} {cell.name}", config=config)
        for value in cell.latencies_s:
            trackio.log({"call_latency_s": value})
        trackio.log(cell.figures)
        trackio.finish()
    return out


_ELSEWHERE = ("MLFLOW_RUN_ID", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")
"""Settings of the environment that would send figures to another place."""
_SETTINGS: dict[str, Callable[[Path], dict[str, str]]] = {
    "mlflow": lambda _: {"MLFLOW_ENABLE_ASYNC_LOGGING": "false", "DO_NOT_TRACK": "true"},
    "wandb": lambda out: {"WANDB_MODE": "offline", "WANDB_DIR": str(out), "WANDB_SILENT": "true"},
    "trackio": lambda out: {"TRACKIO_DIR": str(out.resolve())},
}
_WRITERS: dict[str, Callable[[Sequence[TrackedCell], Path], Path]] = {
    "mlflow": _write_mlflow,
    "wandb": _write_wandb,
    "trackio": _write_trackio,
}
