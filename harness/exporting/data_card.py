"""Cards of a data set: Croissant JSON-LD, and a README with Hugging Face's metadata."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.core.policy import rule_words
from harness.core.units import plural
from harness.reporting.compared_runs import name_runs
from harness.reporting.rendering import escape_markdown
from harness.results import Run
from harness.store.read import created_at

if TYPE_CHECKING:
    import pyarrow

Tables = Mapping[str, "pyarrow.Table"]
_PARQUET = "application/vnd.apache.parquet"
_TYPES = {"string": "sc:Text", "int64": "sc:Integer", "double": "sc:Float", "bool": "sc:Boolean"}
_CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty", "samplingRate": "cr:samplingRate",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key",
    "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex",
    "repeated": "cr:repeated", "replace": "cr:replace", "separator": "cr:separator",
    "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
"""The context of Croissant 1.0."""


def _describe(runs: Sequence[Run]) -> str:
    models = ", ".join(dict.fromkeys(run.plan.model.title for run in runs))
    machines = ", ".join(dict.fromkeys(run.plan.machine.title for run in runs))
    cells = sum(len(run.cells) for run in runs)
    return (
        f"Latencies, memory, quality scores and verdicts of {plural(cells, 'configuration')} of "
        f"{models} on {machines}, in {plural(len(runs), 'run')} of diffusion-harness."
    )


def _name(runs: Sequence[Run]) -> str:
    return "-".join(dict.fromkeys(run.plan.matrix.name for run in runs))


def write_croissant(runs: Sequence[Run], tables: Tables, content: Mapping[str, bytes]) -> str:
    """Return croissant.json: every file with its digest, every column with its type and
    meaning."""
    newest = max(created_at(run.folder) for run in runs)
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": _name(runs),
        "description": _describe(runs),
        "version": "1.0.0",
        "datePublished": f"{newest[:4]}-{newest[4:6]}-{newest[6:8]}",
        "distribution": [
            {
                "@type": "cr:FileObject", "@id": f"{name}.parquet", "name": f"{name}.parquet",
                "contentUrl": f"data/{name}.parquet", "encodingFormat": _PARQUET,
                "sha256": hashlib.sha256(content[f"data/{name}.parquet"]).hexdigest(),
            }
            for name in tables
        ],
        "recordSet": [_describe_table(name, table) for name, table in tables.items()],
    }  # fmt: skip
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _describe_table(name: str, table: "pyarrow.Table") -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet", "@id": name, "name": name, "description": _read_about(table),
        "field": [
            {
                "@type": "cr:Field", "@id": f"{name}/{field.name}", "name": field.name,
                "description": _read_about(field) or field.name,
                "dataType": _TYPES.get(str(field.type), "sc:Text"),
                "source": {
                    "fileObject": {"@id": f"{name}.parquet"}, "extract": {"column": field.name},
                },
            }
            for field in table.schema
        ],
    }  # fmt: skip


def _read_about(described: Any) -> str:
    """Return the description in the metadata of a table's schema or of a field."""
    metadata = getattr(described, "schema", described).metadata or {}
    return str(metadata.get(b"about", b"").decode())


def write_card(runs: Sequence[Run], tables: Tables) -> str:
    """Return README.md in Hugging Face's layout: one configuration per table."""
    rows = sum(table.num_rows for table in tables.values())
    metadata = ["---", f"pretty_name: {json.dumps(_name(runs))}", "tags:"]
    metadata += [f"- {tag}" for tag in ("text-to-image", "benchmark", "diffusion", "croissant")]
    metadata += ["size_categories:", f"- {_size(rows)}", "configs:"]
    for name in tables:
        metadata += [f"- config_name: {name}", f"  data_files: data/{name}.parquet"]
        metadata += ["  default: true"] if name == "cells" else []
    body = [
        "---", "", f"# {_name(runs)}", "", _describe(runs), "",
        "Images are not included; `images` has their digests. Losses are relative to the baseline "
        "of the same run.", "", "## Runs", "", *_list_runs(runs), "", "## Tables", "",
        *_list_tables(tables), "", "## Metrics", "", *_list_definitions(runs), "", "## Use", "",
        "```python", "import pandas", "", 'cells = pandas.read_parquet("data/cells.parquet")',
        "```", "",
    ]  # fmt: skip
    return "\n".join((*metadata, *body))


def _size(rows: int) -> str:
    """Return Hugging Face's category of a number of rows."""
    ends = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"),
            (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))  # fmt: skip
    return next((name for end, name in ends if rows < end), "10M<n<100M")


def _list_runs(runs: Sequence[Run]) -> list[str]:
    lines = ["| run | model | machine | baseline | prompts | seeds | rules |"]
    lines.append("|---|---|---|---|---:|---|---|")
    for letter, run in zip(name_runs(len(runs)), runs, strict=True):
        plan = run.plan
        seeds = ", ".join(map(str, plan.matrix.seeds))
        rules = "; ".join(rule_words(rule) for rule in run.policy.gate)
        fields = (f"{letter}: {plan.run_id}", plan.model.title, plan.machine.title,
                  plan.baseline_id, f"{len(plan.prompts):,}", seeds, rules)  # fmt: skip
        lines.append(f"| {' | '.join(map(escape_markdown, fields))} |")
    return lines


def _list_tables(tables: Tables) -> list[str]:
    lines = ["| table | rows | holds |", "|---|---:|---|"]
    lines += [
        f"| `{name}` | {table.num_rows:,} | {escape_markdown(_read_about(table))} |"
        for name, table in tables.items()
    ]
    return lines


def _list_definitions(runs: Sequence[Run]) -> list[str]:
    lines = [
        "| metric | extractor | weights | resize | reference | better |",
        "|---|---|---|---|---|---|",
    ]
    definitions = {name: found for run in runs for name, found in run.definitions.items()}
    for name, one in definitions.items():
        weights = one.weights_sha256[:16] or "none"
        fields = (name, one.extractor, weights, one.resize, one.reference, one.better)
        lines.append(f"| {' | '.join(map(escape_markdown, fields))} |")
    return lines
