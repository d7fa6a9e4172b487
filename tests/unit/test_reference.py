"""Reference sets: identified by content, read once, refused in one sentence when they are none."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness import api
from harness.core.errors import UsageError
from harness.core.matrix import Quality
from harness.evaluation.feature_store import FeatureCache
from harness.evaluation.reading import UndecodableError, check_decodable, decode
from harness.evaluation.reference import ImageSet, Statistics, explain_unreadable, list_reference_notes, open_reference
from harness.evaluation.tails import get_contrast_reader
from tests.builders.fake_run import MATRIX, write_matrix


def write(folder: Path, sizes: list[tuple[int, int]], seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number, (height, width) in enumerate(sizes):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def statistics(path: Path, features: int = 8, **changed: np.ndarray) -> Path:
    np.savez(path, **{"mu": np.zeros(features), "sigma": np.eye(features), **changed})
    return path


def test_a_folder_may_hold_images_of_any_size(tmp_path: Path) -> None:
    found = open_reference(str(write(tmp_path / "real", [(8, 8), (5, 9), (8, 8)])))
    assert isinstance(found, ImageSet)
    features = found.read(get_contrast_reader(), FeatureCache(tmp_path / "cache"))
    assert features.shape == (3, 1)
    own = [float(np.asarray(Image.open(p.path)).std(axis=(0, 1)).max()) for p in found.images]
    assert features[:, 0] == pytest.approx(own, rel=1e-5)


def test_no_image_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    network = get_contrast_reader().scorer.network
    extract = network.extract
    monkeypatch.setattr(network, "extract", lambda pixels: calls.append(len(pixels)) or extract(pixels))
    found = open_reference(str(write(tmp_path / "real", [(8, 8), (5, 9), (8, 8)])))
    assert found is not None
    for _ in range(2):
        found.read(get_contrast_reader(), FeatureCache(tmp_path / "cache"))
    assert sum(calls) == 3


def test_its_id_is_its_content_wherever_it_lies(tmp_path: Path) -> None:
    sizes = [(8, 8), (8, 8)]
    ids = [open_reference(str(write(tmp_path / name, sizes, seed))) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    first, second, other = (found.id for found in ids if found)
    assert first == second != other
    assert first.startswith("2 images, sha256 ")
    files = [open_reference(str(statistics(tmp_path / f"{n}.npz", mu=np.full(8, float(n))))) for n in (1, 2)]
    assert len({found.id for found in files if found}) == 2


def test_statistics_serve_only_their_frechet_distances(tmp_path: Path) -> None:
    found = open_reference(str(statistics(tmp_path / "val2014.npz")))
    assert isinstance(found, Statistics)
    assert explain_unreadable(found, "frechet", 8) == ""
    assert "of 8 features, this metric reads 2048" in explain_unreadable(found, "frechet", 2048)
    assert "needs the real images" in explain_unreadable(found, "mmd", 8)
    assert explain_unreadable(None, "mmd", 8) == ""


def test_what_is_no_reference_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.npz").write_text("no archive", encoding="utf-8")
    np.savez(tmp_path / "other.npz", features=np.zeros(3))
    statistics(tmp_path / "shape.npz", sigma=np.eye(7))
    statistics(tmp_path / "nan.npz", mu=np.full(8, np.nan))
    np.save(tmp_path / "array.npy", np.zeros(3))
    cases = {
        "absent": "no such file or folder",
        "empty": "too few images .*: 0",
        "text.npz": "holds no arrays mu and sigma",
        "other.npz": "holds no arrays mu and sigma",
        "array.npy": "holds no arrays mu and sigma",
        "shape.npz": r"mu \(8,\) and sigma \(7, 7\)",
        "nan.npz": "not finite",
    }
    for name, message in cases.items():
        with pytest.raises(UsageError, match=message) as caught:
            open_reference(str(tmp_path / name))
        assert caught.value.where == "quality.reference"
        assert caught.value.fix


@pytest.mark.parametrize("name", ["set/000.png", "moments.npz"])
def test_a_pointer_in_place_of_a_file_is_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4000000\n")
    with pytest.raises(UsageError, match="Git LFS pointer") as caught:
        open_reference(str(file.parent if file.suffix == ".png" else file))
    assert caught.value.where == str(file)


def test_a_home_that_is_not_known_is_a_plain_error() -> None:
    with pytest.raises(UsageError, match="home folder for ~ is unknown"):
        open_reference("~no-such-user-here/set")


def test_no_reference_is_none() -> None:
    assert open_reference(None) is None


GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOUR = np.stack([GREY, GREY[::-1], GREY.T], axis=-1)
GREY_TWIN, COLOUR_TWIN = np.stack([GREY] * 3, axis=-1), COLOUR
HIGH = GREY.astype(np.uint16) * 257
BLACK_AND_WHITE = np.where(GREY > 127, 255, 0).astype(np.uint8)
ALPHA = Image.fromarray(GREY.T.copy())

MODES = {
    "1": (Image.fromarray(BLACK_AND_WHITE).convert("1"), "png", np.stack([BLACK_AND_WHITE] * 3, axis=-1)),
    "L": (Image.fromarray(GREY), "png", GREY_TWIN),
    "LA": (Image.merge("LA", (Image.fromarray(GREY), ALPHA)), "png", GREY_TWIN),
    "P": (Image.fromarray(GREY).convert("P"), "png", GREY_TWIN),
    "RGB": (Image.fromarray(COLOUR), "png", COLOUR_TWIN),
    "RGBA": (Image.merge("RGBA", (*Image.fromarray(COLOUR).split(), ALPHA)), "png", COLOUR_TWIN),
    "CMYK": (Image.fromarray(COLOUR).convert("CMYK"), "tiff", COLOUR_TWIN),
    "I;16": (Image.fromarray(HIGH), "png", GREY_TWIN),
    "I;16B": (Image.frombytes("I;16B", (16, 16), HIGH.astype(">u2").tobytes()), "tiff", GREY_TWIN),
}


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", MODES)
def test_a_image_of_any_mode_equals_its_8_bit_twin(mode: str) -> None:
    image, kind, twin = MODES[mode]
    data = encoded(image, kind)
    assert Image.open(io.BytesIO(data)).mode == mode
    assert (np.asarray(decode(data)) == twin).all()
    assert check_decodable(data) == 1


def test_colour_named_transparent_stays_a_colour() -> None:
    data = encoded(Image.fromarray(GREY).convert("P"), "png", transparency=bytes(range(256)))
    assert (np.asarray(decode(data)) == GREY_TWIN).all()


def test_ycbcr_is_converted_as_pillow_does() -> None:
    image = Image.fromarray(COLOUR).convert("YCbCr")
    assert (np.asarray(decode(encoded(image, "tiff"))) == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("numbers", [np.int32, np.float32])
def test_a_mode_without_a_defined_white_is_refused(numbers: type, tmp_path: Path) -> None:
    data = encoded(Image.fromarray(GREY.astype(numbers)), "tiff")
    with pytest.raises(UndecodableError, match=r"mode [IF] has no defined conversion"):
        decode(data)
    (write(tmp_path / "real", [(8, 8)] * 3) / "deep.tif").write_bytes(data)
    with pytest.raises(UsageError, match=r"deep\.tif: mode [IF] has no defined"):
        list_reference_notes(Quality(reference=str(tmp_path / "real")))


def test_16_bit_images_have_the_features_of_8_bit(tmp_path: Path) -> None:
    found = []
    for name, pixels in (("eight", GREY), ("sixteen", HIGH)):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.fromarray(np.roll(pixels, number, axis=0)).save(tmp_path / name / f"{number}.png")
        opened = open_reference(str(tmp_path / name))
        assert opened is not None
        found.append(opened.read(get_contrast_reader(), FeatureCache(tmp_path / "cache")))
    assert np.array_equal(found[0], found[1])


def test_tiff_files_are_used_and_others_are_counted(tmp_path: Path) -> None:
    folder = write(tmp_path / "real", [(8, 8)] * 2)
    for ending in ("tif", "TIFF", "webp", "bmp"):
        Image.fromarray(COLOUR).save(folder / f"more.{ending}")
    (folder / "notes.txt").write_text("x")
    (folder / ".DS_Store").write_bytes(b"Bud1")
    (folder / "inner").mkdir()
    (folder / "inner" / "a.gif").write_bytes(b"GIF89a")
    (folder / "linked").symlink_to(tmp_path)
    opened = open_reference(str(folder))
    assert isinstance(opened, ImageSet)
    assert len(opened.images) == 6
    count, ignored = list_reference_notes(Quality(reference=str(folder)))
    assert count == "quality.reference: 6 images"
    assert ignored.startswith("quality.reference: 4 other files ignored: ")
    for kind in (".txt (1)", ".DS_Store (1)", ".gif (1)", "linked, a link to a folder (1)"):
        assert kind in ignored


def test_files_of_several_images_are_counted(tmp_path: Path) -> None:
    folder = write(tmp_path / "real", [(8, 8)] * 2)
    Image.fromarray(COLOUR).save(folder / "pages.tif", save_all=True, append_images=[Image.fromarray(COLOUR)])
    assert "the first image is read of 1 files that hold several" in " ".join(
        list_reference_notes(Quality(reference=str(folder)))
    )


def test_images_are_checked_again_only_once_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("harness.checkpoints.digest._STABLE_NS", 0)
    quality = Quality(reference=str(write(tmp_path / "real", [(8, 8)] * 2)))
    notes = list_reference_notes(quality)
    reads: list[bytes] = []

    def count(data: bytes) -> int:
        reads.append(data)
        return 1

    monkeypatch.setattr("harness.evaluation.reference.check_decodable", count)
    assert list_reference_notes(quality) == notes
    assert not reads
    (tmp_path / "real" / "0.png").write_bytes(b"other")
    list_reference_notes(quality)
    assert len(reads) == 2


def truncated(kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    return data[: len(data) // 2]


DAMAGED = {
    "._0.png": b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + b"\0" * 4000,
    "empty.png": b"",
    "page.jpg": b"<html>not found</html>",
    "half.png": truncated("png"),
    "half.jpg": truncated("jpeg"),
    "half.webp": truncated("webp"),
    "half.tif": truncated("tiff"),
    "half.bmp": truncated("bmp"),
    "folder.png": None,
    "gone.png": "a link to nothing",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_reference_is_named_in_the_plan(tmp_path: Path, name: str) -> None:
    folder, content = write(tmp_path / "real", [(8, 8)] * 3), DAMAGED[name]
    if content is None:
        (folder / name).mkdir()
    elif isinstance(content, str):
        (folder / name).symlink_to(tmp_path / "nowhere")
    else:
        (folder / name).write_bytes(content)
    matrix = write_matrix(tmp_path, MATRIX + f'reference = "{folder}"\n')
    with pytest.raises(UsageError) as caught:
        api.plan(api.load(matrix), results=tmp_path / "results")
    assert caught.value.exit_code == 2
    assert caught.value.where == "quality.reference"
    assert f"{folder / name}: " in caught.value.what
    assert not (tmp_path / "results").exists()


def test_changed_reference_is_named_with_advice(tmp_path: Path) -> None:
    folder = write(tmp_path / "real", [(8, 8)] * 3)
    found = open_reference(str(folder))
    assert found is not None
    (folder / "1.png").write_bytes(b"other")
    with pytest.raises(UsageError, match=r"1\.png: damaged image") as caught:
        found.read(get_contrast_reader(), FeatureCache(tmp_path / "cache"))
    assert "cell" not in caught.value.fix
    (folder / "1.png").write_bytes(b"text")
    found = open_reference(str(folder))
    assert found is not None
    with pytest.raises(UsageError, match=r"1\.png: cannot decode image"):
        found.read(get_contrast_reader(), FeatureCache(tmp_path / "other"))


def test_plan_names_metrics_statistics_cannot_serve(tmp_path: Path) -> None:
    quality = Quality(reference=str(statistics(tmp_path / "val2014.npz")), metrics=("fid:bundled", "psnr"))
    assert list_reference_notes(quality)[1].startswith(
        "fid:bundled will have no score: quality.reference is of 8 features"
    )
