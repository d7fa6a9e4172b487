"""Export runs as a data set: Parquet tables with a Croissant and a Hugging Face card."""

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.core.policy import rule_words
from harness.core.quality import Interval
from harness.core.units import Absent
from harness.exporting.data_card import write_card, write_croissant
from harness.exporting.files import write_export
from harness.results import CellResult, Run
from harness.results.columns import make_frame
from harness.store import read_image_scores
from harness.store.layout import RunFolder

if TYPE_CHECKING:
    import pyarrow

Record = dict[str, Any]


class DataField(NamedTuple):
    """A column: its name, its Arrow type by name, and what it holds."""

    name: str
    kind: str
    about: str


class DataTable(NamedTuple):
    """A table of the data set: how its rows are made, and its columns (empty: from the rows)."""

    name: str
    about: str
    make: Callable[[Run], Iterator[Record]]
    fields: tuple[DataField, ...] = ()


def _field(name: str, kind: str, about: str) -> DataField:
    return DataField(name, kind, about)


_RUN = _field("run", "string", "id of the run")
_CELL = _field("cell", "string", "id of the cell: one configuration")
_IMAGE = (
    _field("prompt_id", "string", "id of the prompt"),
    _field("seed", "int64", "seed of the image"),
)


def _list_calls(run: Run) -> Iterator[Record]:
    for cell in run.cells:
        for block in cell.samples.pairing.blocks if cell.samples else ():
            batch = cell.samples.batch if cell.samples else 1
            for number, call in enumerate(block.repeats):
                yield {
                    "cell": cell.id, "side": block.side, "round": block.round_index,
                    "begun_s": block.begun_s, "call": number, "latency_s": call.latency_s,
                    "batch": batch, "superseded": block.superseded,
                }  # fmt: skip


def _ends(name: str, value: Interval | Absent) -> Record:
    if isinstance(value, Absent):
        return {}
    return {name: value.estimate, f"{name}_low": value.low, f"{name}_high": value.high}


def _list_scores(run: Run) -> Iterator[Record]:
    for cell in run.cells:
        for metric in dict.fromkeys((*cell.scores, *cell.deltas)):
            yield _make_score(cell, metric)


def _make_score(cell: CellResult, metric: str) -> Record:
    score, delta = cell.scores.get(metric), cell.deltas.get(metric)
    record: Record = {"cell": cell.id, "metric": metric}
    if score:
        record |= {"kind": score.definition.kind, "better": score.definition.better}
        record |= {"images": score.n, "prompts": score.prompts, "method": score.value.method}
        record |= _ends("score", score.value)
    if delta:
        record |= {"gates": delta.gates, **_ends("loss", delta.loss)}
        record |= _ends("change", delta.literal)
    return record


def _list_image_scores(run: Run) -> Iterator[Record]:
    for metric, definition in run.definitions.items():
        if RunFolder(run.folder).scores(metric).exists():
            found, rows = read_image_scores(run.folder, metric)
            if found.difference(definition):
                continue  # of an earlier evaluation
            for cell, prompt, seed, value in rows:
                yield {"cell": cell, "prompt_id": prompt, "seed": seed, "metric": metric,
                       "value": value}  # fmt: skip


def _list_images(run: Run) -> Iterator[Record]:
    for cell in run.cells:
        for image in cell.samples.images if cell.samples else ():
            yield {"cell": cell.id, "prompt_id": image.prompt_id, "seed": image.seed,
                   "sha256": image.sha256}  # fmt: skip


def _list_prompts(run: Run) -> Iterator[Record]:
    for prompt in run.plan.prompts:
        yield {"prompt_id": prompt.id, "text": prompt.text, "negative": prompt.negative,
               "category": prompt.category}  # fmt: skip


def _list_verdicts(run: Run) -> Iterator[Record]:
    for cell in run.candidates:
        for judged in cell.verdict.rules if cell.verdict else ():
            yield {
                "cell": cell.id, "rule": rule_words(judged.rule), "quantity": judged.rule.quantity,
                "metric": judged.metric, "severity": judged.rule.severity,
                "result": judged.result, "observed": judged.observed, "lower": judged.lower,
                "upper": judged.upper, "p_value": judged.p_value, "sentence": judged.sentence,
            }  # fmt: skip


def _list_cells(run: Run) -> Iterator[Record]:
    for record in make_frame(run).to_dict("records"):
        yield {str(name): _plain(value) for name, value in record.items()}


def _plain(value: Any) -> Any:
    """Return None for what pandas writes as NA, and Python's own numbers."""
    import pandas

    missing = not isinstance(value, list | dict) and pandas.isna(value)
    return None if missing else getattr(value, "item", lambda: value)()


def _measured(*names: str) -> tuple[DataField, ...]:
    """Return the columns of an estimate with the ends of its 95 % interval."""
    about = {"score": "score of the metric", "loss": "calibrated loss: 0 a rerun, 1 destroyed",
             "change": "relative change of the raw score, positive is worse"}  # fmt: skip
    return tuple(
        _field(f"{name}{end}", "float64", f"{about[name]}{words}")
        for name in names
        for end, words in (("", ""), ("_low", ", lower end"), ("_high", ", upper end"))
    )


TABLES = (
    DataTable("cells", "one row per configuration, with all figures of results.csv", _list_cells),
    DataTable(
        "calls",
        "every timed call of a configuration and of the baseline between",
        _list_calls,
        (
            _RUN,
            _CELL,
            _field("side", "string", "baseline or cell"),
            _field("round", "int64", "measurement round"),
            _field("begun_s", "float64", "begin of the block, seconds after the first"),
            _field("call", "int64", "number of the call in its block"),
            _field("latency_s", "float64", "seconds of the whole pipeline call"),
            _field("batch", "int64", "images per call of the cell"),
            _field("superseded", "string", "why the block does not count; empty if it does"),
        ),
    ),
    DataTable(
        "scores",
        "score, calibrated loss and change of every metric and configuration",
        _list_scores,
        (
            _RUN,
            _CELL,
            _field("metric", "string", "name of the metric"),
            _field("kind", "string", "kind of the metric"),
            _field("better", "string", "which direction is better"),
            *_measured("score", "loss", "change"),
            _field("gates", "bool", "whether the metric decides by default"),
            _field("images", "int64", "number of images"),
            _field("prompts", "int64", "number of prompts"),
            _field("method", "string", "method of the interval"),
        ),
    ),
    DataTable(
        "image_scores",
        "the value of every image by metrics that have one",
        _list_image_scores,
        (
            _RUN,
            _CELL,
            *_IMAGE,
            _field("metric", "string", "name of the metric"),
            _field("value", "float64", "value of the image"),
        ),
    ),
    DataTable(
        "images",
        "the digest of every image",
        _list_images,
        (
            _RUN,
            _CELL,
            *_IMAGE,
            _field("sha256", "string", "SHA-256 of the PNG file"),
        ),
    ),
    DataTable(
        "prompts",
        "the prompts",
        _list_prompts,
        (
            _RUN,
            _IMAGE[0],
            _field("text", "string", "the prompt"),
            _field("negative", "string", "the negative prompt"),
            _field("category", "string", "category of the prompt"),
        ),
    ),
    DataTable(
        "verdicts",
        "the verdict of every rule on every configuration",
        _list_verdicts,
        (
            _RUN,
            _CELL,
            _field("rule", "string", "the rule"),
            _field("quantity", "string", "what it limits"),
            _field("metric", "string", "metric that was judged"),
            _field("severity", "string", "error or warning"),
            _field("result", "string", "pass, fail, inconclusive or missing"),
            _field("observed", "float64", "observed value"),
            _field("lower", "float64", "lower bound"),
            _field("upper", "float64", "upper bound"),
            _field("p_value", "float64", "p-value"),
            _field("sentence", "string", "the verdict in words"),
        ),
    ),
)


def write_data_set(runs: Sequence[Run], out: Path, force: bool) -> Path:
    """Write data/*.parquet, croissant.json and README.md of runs; return README.md.

    Raises UsageError if the folder is in use, MachineError if it cannot be written.
    """
    tables = {table.name: build_table(table, runs) for table in TABLES}
    content = {f"data/{name}.parquet": _encode(table) for name, table in tables.items()}
    content["croissant.json"] = write_croissant(runs, tables, content).encode()
    content["README.md"] = write_card(runs, tables).encode()
    return write_export(out, content, "README.md", force)


def build_table(table: DataTable, runs: Sequence[Run]) -> "pyarrow.Table":
    """Return one table of all runs; descriptions stand in the metadata of its fields."""
    import pyarrow

    records = [{"run": run.plan.run_id, **row} for run in runs for row in table.make(run)]
    if table.fields:
        schema = pyarrow.schema(
            pyarrow.field(name, getattr(pyarrow, _ARROW[kind])(), metadata={"about": about})
            for name, kind, about in table.fields
        )
        built = pyarrow.Table.from_pylist(records, schema)
    else:
        names = dict.fromkeys(name for record in records for name in record)
        built = pyarrow.Table.from_pylist([{n: record.get(n) for n in names} for record in records])
    return built.replace_schema_metadata({"about": table.about})


_ARROW = {"string": "string", "int64": "int64", "float64": "float64", "bool": "bool_"}


def _encode(table: "pyarrow.Table") -> bytes:
    import pyarrow.parquet

    file = BytesIO()
    pyarrow.parquet.write_table(table, file, compression="zstd")
    return file.getvalue()
