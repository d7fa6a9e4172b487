"""The page that raters open: pairs without a hint at the candidate's side, answers, export."""

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.core.catalog import did_you_mean
from harness.core.errors import ResultsError, UsageError
from harness.core.outcome import Image
from harness.core.plan import OTHER_SEED_ID, RERUN_ID
from harness.core.review import REVIEW_VERSION, ReviewKey, ReviewPair
from harness.results import CellResult, Run
from harness.review.images import Encoded, damage, encode_pairs, fit, read_image
from harness.review.sampling import Key, Sample, choose_sample, hide_sides
from harness.store import image_path, lock_run, report_folder, write_review_key
from harness.store.layout import review_page_name
from harness.store.read import timestamp
from harness.store.write import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

PAIRS = 60


class Written(NamedTuple):
    """A written page, its key, and the keys of pairs that have no image files any more."""

    path: Path
    key: ReviewKey
    possible: int
    without_files: int


class Wish(NamedTuple):
    """How many pairs to show, chosen with which seed, in which file."""

    pairs: int = PAIRS
    seed: int = 0
    out: Path | None = None


DEFAULT = Wish()


def write_review(folder: Path, cell_id: str, wish: Wish = DEFAULT) -> Written:
    """Write the review page of one cell and store its key in the run.

    The page goes to the run's report folder, apart from the key. Raises UsageError for a cell that
    cannot be compared, and ResultsError without image files.
    """
    if wish.pairs < 1:
        raise UsageError(f"{wish.pairs} pairs are too few", "--pairs", "Give 1 or more.")
    run = Run.load(folder)
    cell = find_candidate(run, cell_id)
    images = _index(run.baseline), _index(cell)
    keys = [key for key in images[0] if key in images[1]]
    present = [key for key in keys if _has_files(run, cell, key)]
    if not present:
        what = f"none of the {len(keys)} image pairs of {cell.id} has both files"
        fix = "Measure the cell again, or review a run whose images were kept."
        raise ResultsError(what, str(folder), fix)
    sample = choose_sample(present, run.plan.prompts, wish.pairs, wish.seed)
    digests = {
        key: {run.baseline.id: images[0][key].sha256, cell.id: images[1][key].sha256}
        for key in present
    }
    key, html = _build(cell, sample, digests, wish.seed)
    path = wish.out or report_folder(folder) / review_page_name(key.page)
    with lock_run(folder):
        write_review_key(folder, key)
    write_atomically(path, html.encode(), "--out")
    return Written(path, key, len(present), len(keys) - len(present))


def find_candidate(run: Run, cell_id: str) -> CellResult:
    """Return a completed candidate; UsageError for the baseline, an unknown or unfinished cell."""
    known = [cell.id for cell in run.candidates]
    if cell_id in ("baseline", run.plan.baseline_id, RERUN_ID, OTHER_SEED_ID):
        fix = f"Name a candidate: {', '.join(known)}"
        raise UsageError("the baseline is what candidates are compared with", cell_id, fix)
    if cell_id not in known:
        raise UsageError("the run has no such cell", cell_id, did_you_mean(cell_id, known))
    for cell in (run.cell(cell_id), run.baseline):
        if not cell.image_count:
            fix = f"Run it first: harness run {run.folder.name}"
            raise UsageError(f"it has no images ({cell.standing}: {cell.reason})", cell.id, fix)
    return run.cell(cell_id)


def _index(cell: CellResult) -> dict[Key, Image]:
    return {image.key: image for image in cell.samples.images} if cell.samples else {}


def _path(run: Run, cell_id: str, key: Key) -> tuple[Path, Image]:
    image = _index(run.cell(cell_id))[key]
    return image_path(run.folder, cell_id, image), image


def _has_files(run: Run, cell: CellResult, key: Key) -> bool:
    return all(_path(run, side, key)[0].exists() for side in (run.baseline.id, cell.id))


def _build(
    cell: CellResult, sample: Sample, digests: Mapping[Key, Mapping[str, str]], seed: int
) -> tuple[ReviewKey, str]:
    pairs = hide_sides(sample, digests)
    encoded = encode_pairs([_show(cell, pair) for pair in pairs])
    key = ReviewKey(
        page=secrets.token_hex(6),
        run_id=cell.run.plan.run_id,
        cell_id=cell.id,
        seed=seed,
        created=timestamp(datetime.now(timezone.utc)),
        encoding=encoded.encoding,
        pairs=pairs,
    )
    return key, render_page(key, cell.run.prompt_texts, encoded)


def _show(cell: CellResult, pair: ReviewPair) -> tuple["PillowImage", "PillowImage"]:
    """Return the left and the right image of a pair."""
    run, key = cell.run, (pair.prompt_id, pair.seed)

    def read(cell_id: str) -> "PillowImage":
        path, image = _path(run, cell_id, key)
        return read_image(path, image.sha256)

    baseline = read(run.baseline.id)
    if pair.kind == "pair":
        other, marked = baseline, fit(read(cell.id), baseline.size)
    else:
        other = damage(baseline, pair.damage) if pair.kind == "control" else baseline
        marked = baseline
    return (marked, other) if pair.marked == "left" else (other, marked)


def render_page(key: ReviewKey, prompts: Mapping[str, str], encoded: Encoded) -> str:
    """Return the HTML of a page; of the key it contains only tokens and prompts, in order."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("harness.review"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    loader = environment.loader
    assert loader is not None
    style, script = (
        Markup(loader.get_source(environment, name)[0]) for name in ("review.css", "review.js")
    )
    content = {
        "version": REVIEW_VERSION,
        "run": key.run,
        "page": key.page,
        "pairs": [
            {"id": pair.token, "prompt": prompts.get(pair.prompt_id, ""), "images": both}
            for pair, both in zip(key.pairs, map(_to_uris, encoded.pairs), strict=True)
        ],
    }
    template = environment.get_template("review.html.j2")
    return template.render(
        count=len(key.pairs), style=style, script=script, content=Markup(_embed_json(content))
    )


def _to_uris(both: tuple[bytes, bytes]) -> list[str]:
    return ["data:image/webp;base64," + base64.b64encode(data).decode() for data in both]


def _embed_json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
