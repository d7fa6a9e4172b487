"""Pictures inside the page: small ones as they are, large ones as thumbnails."""

import base64
import struct
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from harness.core.base import Frozen
from harness.core.outcome import Image
from harness.reporting.loaded import LoadedRun
from harness.store import image_path

THUMBNAIL_PX = 256
_AS_IS_PX, _AS_IS_BYTES = 160, 20_000
_PICTURES_PER_PAGE = 512
_FINE = 60
_PNG = b"\x89PNG\r\n\x1a\n"

Key = tuple[str, int]


class Picture(Frozen):
    """One picture: `src` is a data URI, empty where the file could not be read (then `problem` says why)."""

    src: str
    alt: str
    problem: str = ""


class ImagePair(Frozen):
    """The same prompt and seed from the baseline and from the cell."""

    prompt: str
    seed: int
    note: str
    baseline: Picture
    candidate: Picture


class PageBudget(Frozen):
    """How much each cell may show so that the whole page stays small: pictures, and how fine its drawings are."""

    pairs: int
    worst: int
    sheet: int
    fine: bool
    """Drawings say every piece in words, traces are drawn whole; otherwise there are too many cells for that."""


def budget_page(cells: int) -> PageBudget:
    """Return the pictures a cell may show on a page of this many cells: up to 8 pairs, the worst 5, a strip of 6."""
    each = _PICTURES_PER_PAGE // max(cells, 1)
    return PageBudget(
        pairs=min(8, max(1, each // 4)), worst=min(5, max(1, each // 6)),
        sheet=min(6, each // 5) if each >= 15 else 0, fine=cells <= _FINE,
    )  # fmt: skip


def picture(path: Path, alt: str) -> Picture:
    """Return a picture for the page; a damaged or absent file is named instead of shown."""
    try:
        return Picture(src=_data_uri(path, path.stat().st_mtime_ns), alt=alt)
    except (OSError, ValueError, SyntaxError, struct.error) as error:
        return Picture(src="", alt=alt, problem=f"unreadable: {error.__class__.__name__}")


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
    """Return `count` keys spread evenly over all of them: the same ones for every cell of a run."""
    if len(keys) <= count:
        return list(keys)
    return [keys[round(index * (len(keys) - 1) / max(count - 1, 1))] for index in range(count)]


def images_by_key(loaded: LoadedRun, cell_id: str) -> dict[Key, Image]:
    """Return a cell's pictures by (prompt id, seed)."""
    cell = loaded.completed(cell_id)
    return {image.key: image for image in cell.images} if cell else {}


def shown_keys(loaded: LoadedRun, count: int) -> list[Key]:
    """Return the (prompt id, seed) pairs a page shows of every cell: of the prompts that all measured cells have."""
    cells = (loaded.completed(planned.id) for planned in loaded.plan.compared)
    least = min((cell.prompts for cell in cells if cell and cell.images), default=len(loaded.plan.prompts))
    keys = [(prompt.id, seed) for prompt in loaded.plan.prompts[:least] for seed in loaded.plan.matrix.seeds]
    return evenly(keys, count)


def show(loaded: LoadedRun, cell_id: str, image: Image | None) -> Picture:
    """Return one picture of a cell; None stands for a picture the cell does not have."""
    if image is None:
        return Picture(src="", alt=f"{cell_id}: none", problem="no such picture")
    prompt = loaded.prompt_texts.get(image.prompt_id, image.prompt_id)
    return picture(image_path(loaded.run, cell_id, image), f"{cell_id}: {shorten(prompt, 120)}")


def shorten(text: str, length: int) -> str:
    """Return a text cut at `length` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def list_pairs(loaded: LoadedRun, cell_id: str, keys: Sequence[Key], notes: dict[Key, str]) -> tuple[ImagePair, ...]:
    """Return pairs of the baseline's and the cell's pictures for these keys, as far as the cell has them."""
    mine, theirs = images_by_key(loaded, cell_id), images_by_key(loaded, loaded.plan.baseline_id)
    return tuple(
        ImagePair(
            prompt=loaded.prompt_texts.get(key[0], key[0]),
            seed=key[1],
            note=notes.get(key, ""),
            baseline=show(loaded, loaded.plan.baseline_id, theirs.get(key)),
            candidate=show(loaded, cell_id, mine[key]),
        )
        for key in keys
        if key in mine
    )
