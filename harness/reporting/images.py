"""Images inside the page: small ones as they are, large ones as thumbnails."""

import base64
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from harness.core.base import Frozen
from harness.core.outcome import Image
from harness.core.quality import WorstImage
from harness.metrics import get_metric
from harness.reporting.text import WORST_TITLES
from harness.results import CellResult, Run
from harness.results.format import format_number
from harness.store import image_path

THUMBNAIL_PX = 256
_AS_IS_PX, _AS_IS_BYTES = 160, 20_000
_IMAGES_PER_PAGE = 512
_FINE = 60
_PNG = b"\x89PNG\r\n\x1a\n"

Key = tuple[str, int]


class ShownImage(Frozen):
    """One image: `src` is a data URI, or empty if the file is unreadable for a `problem`."""

    src: str
    alt: str
    problem: str = ""


class ImagePair(Frozen):
    """The same prompt and seed from the baseline and from the cell."""

    prompt: str
    seed: int
    note: str
    baseline: ShownImage
    candidate: ShownImage


class PageBudget(Frozen):
    """How many images each cell may show, and how detailed its drawings are."""

    pairs: int
    worst: int
    sheet: int
    fine: bool
    """Whether drawings describe every piece and show whole traces: not with many cells."""


def budget_page(cells: int) -> PageBudget:
    """Return what a cell may show on a page of so many: up to 8 pairs, the worst 5, 6 in a row."""
    each = _IMAGES_PER_PAGE // max(cells, 1)
    return PageBudget(
        pairs=min(8, max(1, each // 4)), worst=min(5, max(1, each // 6)),
        sheet=min(6, each // 5) if each >= 15 else 0, fine=cells <= _FINE,
    )  # fmt: skip


def embed_image(path: Path, alt: str) -> ShownImage:
    """Return an image for the page; a damaged or absent file is named instead of shown."""
    try:
        return ShownImage(src=_data_uri(path, path.stat().st_mtime_ns), alt=alt)
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        return ShownImage(src="", alt=alt, problem=f"unreadable: {error.__class__.__name__}")


@lru_cache(maxsize=512)
def _data_uri(path: Path, changed_ns: int) -> str:
    data = path.read_bytes()
    if data.startswith(_PNG) and len(data) <= _AS_IS_BYTES:
        width, height = struct.unpack(">II", data[16:24])
        if max(width, height) <= _AS_IS_PX and data.rstrip().endswith(b"IEND\xaeB`\x82"):
            return "data:image/png;base64," + base64.b64encode(data).decode()
    return "data:image/webp;base64," + base64.b64encode(_thumbnail(data)).decode()


def _thumbnail(data: bytes) -> bytes:
    from PIL import Image as Reader

    with Reader.open(BytesIO(data)) as opened:
        small = opened.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = BytesIO()
    small.save(file, "WEBP", quality=90)
    return file.getvalue()


def evenly(keys: Sequence[Key], count: int) -> list[Key]:
    """Return `count` keys spread evenly over all: the same ones for every cell of a run."""
    if len(keys) <= count:
        return list(keys)
    return [keys[round(index * (len(keys) - 1) / max(count - 1, 1))] for index in range(count)]


def index_images(cell: CellResult) -> dict[Key, Image]:
    """Return a cell's images by (prompt id, seed)."""
    return {image.key: image for image in cell.samples.images} if cell.samples else {}


def choose_keys(run: Run, count: int) -> list[Key]:
    """Return the (prompt id, seed) pairs to show, of prompts that all measured cells have."""
    counts = [cell.samples.prompts for cell in run.cells if cell.samples and cell.samples.images]
    prompts = run.plan.prompts[: min(counts, default=len(run.plan.prompts))]
    return evenly(
        [(prompt.id, seed) for prompt in prompts for seed in run.plan.matrix.seeds], count
    )


def show_image(cell: CellResult, image: Image | None) -> ShownImage:
    """Return one image of a cell; None stands for an image that the cell does not have."""
    if image is None:
        return ShownImage(src="", alt=f"{cell.id}: none", problem="no such image")
    prompt = cell.run.prompt_texts.get(image.prompt_id, image.prompt_id)
    path = image_path(cell.run.folder, cell.id, image)
    return embed_image(path, f"{cell.id}: {shorten(prompt, 120)}")


def shorten(text: str, length: int) -> str:
    """Return a text cut at `length` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def pair_images(cell: CellResult, notes: Mapping[Key, str]) -> tuple[ImagePair, ...]:
    """Return the baseline's and the cell's images of these keys, if the cell has them."""
    baseline = cell.run.baseline
    mine, theirs = index_images(cell), index_images(baseline)
    return tuple(
        ImagePair(
            prompt=cell.run.prompt_texts.get(key[0], key[0]),
            seed=key[1],
            note=note,
            baseline=show_image(baseline, theirs.get(key)),
            candidate=show_image(cell, mine[key]),
        )
        for key, note in notes.items()
        if key in mine
    )


class WorstGroup(Frozen):
    """The worst pairs by one metric, worst first; `note` is the metric's name."""

    title: str
    note: str
    pairs: tuple[ImagePair, ...]


def list_worst(cell: CellResult, most: int = 10) -> tuple[WorstGroup, ...]:
    """Return up to `most` of a cell's worst pairs by each kind of metric, wrong images first."""
    grouped: dict[str, list[WorstImage]] = {}
    for image in cell.tail.worst if cell.tail else ():
        grouped.setdefault(image.metric, []).append(image)
    order = list(WORST_TITLES)
    groups = []
    for metric in sorted(grouped, key=lambda metric: order.index(get_metric(metric).kind)):
        notes = {
            (image.prompt_id, image.seed): f"{metric} {format_number(image.value)}"
            for image in grouped[metric][:most]
        }
        if pairs := pair_images(cell, notes):
            title = WORST_TITLES[get_metric(metric).kind]
            groups.append(WorstGroup(title=title, note=metric, pairs=pairs))
    return tuple(groups)
