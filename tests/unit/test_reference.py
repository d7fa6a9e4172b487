"""Reference sets: identified by content, read once, refused in one sentence when they are none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.core.errors import UsageError
from harness.evaluation.cache import FeatureCache
from harness.evaluation.contrast import contrast_reader
from harness.evaluation.reference import ImageSet, Statistics, open_reference, why_not_readable


def write(folder: Path, sizes: list[tuple[int, int]], seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number, (height, width) in enumerate(sizes):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def statistics(path: Path, features: int = 8, **changed: np.ndarray) -> Path:
    np.savez(path, **{"mu": np.zeros(features), "sigma": np.eye(features), **changed})
    return path


def test_a_folder_may_hold_pictures_of_any_size(tmp_path: Path) -> None:
    found = open_reference(str(write(tmp_path / "real", [(8, 8), (5, 9), (8, 8)])))
    assert isinstance(found, ImageSet)
    features = found.read(contrast_reader(), FeatureCache(tmp_path / "cache"))
    assert features.shape == (3, 1)
    own = [float(np.asarray(Image.open(p.path)).std(axis=(0, 1)).max()) for p in found.pictures]
    assert features[:, 0] == pytest.approx(own, rel=1e-5)


def test_no_picture_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    network = contrast_reader().scorer.network
    look = network.look
    monkeypatch.setattr(network, "look", lambda pixels: looks.append(len(pixels)) or look(pixels))
    found = open_reference(str(write(tmp_path / "real", [(8, 8), (5, 9), (8, 8)])))
    assert found is not None
    for _ in range(2):
        found.read(contrast_reader(), FeatureCache(tmp_path / "cache"))
    assert sum(looks) == 3


def test_its_id_is_its_content_wherever_it_lies(tmp_path: Path) -> None:
    sizes = [(8, 8), (8, 8)]
    ids = [open_reference(str(write(tmp_path / name, sizes, seed))) for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    first, second, other = (found.id for found in ids if found)
    assert first == second != other
    assert first.startswith("2 images, sha256 ")
    files = [open_reference(str(statistics(tmp_path / f"{n}.npz", mu=np.full(8, float(n))))) for n in (1, 2)]
    assert len({found.id for found in files if found}) == 2


def test_statistics_serve_frechet_distances_of_their_features_only(tmp_path: Path) -> None:
    found = open_reference(str(statistics(tmp_path / "val2014.npz")))
    assert isinstance(found, Statistics)
    assert why_not_readable(found, "frechet", 8) == ""
    assert "of 8 features, this metric reads 2048" in why_not_readable(found, "frechet", 2048)
    assert "needs the real images" in why_not_readable(found, "mmd", 8)
    assert why_not_readable(None, "mmd", 8) == ""


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


def test_no_reference_is_none() -> None:
    assert open_reference(None) is None
