"""References of a paper: keys by metric, technique, model and method, and the BibTeX they need."""

import re
from collections.abc import Iterable, Sequence
from importlib.resources import files

from harness.reporting.compared_runs import PublishedFigure
from harness.results import Run

METRICS: dict[str, tuple[str, ...]] = {
    "fid": ("heusel2017gans",), "kid": ("binkowski2018demystifying",),
    "cmmd": ("jayasumana2024rethinking",), "clip": ("radford2021learning", "hessel2021clipscore"),
    "lpips": ("zhang2018unreasonable",), "ssim": ("wang2004image",),
    "geneval": ("ghosh2023geneval",), "vqa": ("lin2024evaluating",),
    "fid:patch": ("heusel2017gans", "lin2024sdxllightning"),
}  # fmt: skip
VALUES: dict[str, tuple[str, ...]] = {
    "lcm-lora": ("luo2023lcmlora",), "sdxl-lightning": ("lin2024sdxllightning",),
    "hyper-sd": ("ren2024hypersd",), "dmd2": ("yin2024improved",),
    "turbo": ("sauer2024adversarial",), "deepcache": ("ma2024deepcache",),
    "ddim": ("song2021denoising",), "dpmpp-2m": ("lu2022dpmpp",), "dpmpp-2s": ("lu2022dpmpp",),
    "unipc": ("zhao2023unipc",),
}  # fmt: skip
FAMILIES: dict[str, tuple[str, ...]] = {
    "sd": ("rombach2022high",), "sdxl": ("podell2024sdxl",), "sd3": ("esser2024scaling",),
    "flux": ("blackforest2024flux",), "pixart": ("chen2024pixart",),
    "sana": ("xie2025sana",),
}  # fmt: skip
PACKAGES = {"torch": ("ansel2024pytorch",), "diffusers": ("vonplaten2022diffusers",)}
_ENTRY = re.compile(r"@\w+\{([^,]+),")
_CITED = re.compile(r"\\cite\{([^}]+)\}")


def cite(*keys: str) -> str:
    """Return the citation of these keys, with the space before it; empty without any."""
    return rf"~\cite{{{','.join(keys)}}}" if keys else ""


def cite_metric(metric: str) -> str:
    """Return the citation of a metric, by its profile or its name."""
    return cite(*METRICS.get(metric, METRICS.get(metric.partition(":")[0], ())))


def name_source(row: PublishedFigure) -> str:
    """Return the key of a published figure's source."""
    slug = re.sub(r"[^a-z0-9]+", "-", row.url.removeprefix("https://").lower()).strip("-")
    return f"claim-{slug}"


def list_values(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the names of all settings of the runs' cells, without options."""
    settings = (
        value.partition("+")[0]
        for run in runs
        for cell in run.cells
        for value in cell.planned.cell.by_axis.values()
    )
    return tuple(dict.fromkeys(settings))


def write_bibliography(texts: Iterable[str], published: Sequence[PublishedFigure]) -> str:
    """Return the BibTeX entries of every key that is cited in the texts.

    KeyError for a key without an entry: a mistake of this package.
    """
    cited = dict.fromkeys(
        key for text in texts for keys in _CITED.findall(text) for key in keys.split(",")
    )
    source = (files("harness.exporting") / "references.bib").read_text(encoding="utf-8")
    entries = {_ENTRY.match(line)[1]: line for line in source.splitlines() if line}  # type: ignore[index]
    entries |= {name_source(row): _make_entry(row) for row in published if row.url}
    return "\n".join(_break(entries[key]) for key in cited) + "\n"


def _make_entry(row: PublishedFigure) -> str:
    from harness.exporting.latex import escape

    year = f", year = {{{row.date[:4]}}}" if row.date else ""
    title = f"title = {{{{{escape(row.source)}}}}}"
    return f"@misc{{{name_source(row)}, {title}, howpublished = {{\\url{{{row.url}}}}}{year}}}"


def _break(entry: str) -> str:
    """Return an entry with one field per line."""
    return re.sub(r", (\w+ = \{)", r",\n  \1", entry)
