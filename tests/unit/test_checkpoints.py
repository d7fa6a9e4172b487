"""Weight files without torch: headers, Git LFS pointers, files that are cut off, digests that follow every byte."""

import json
import os
from pathlib import Path

import pytest

from harness.checkpoints import digest
from harness.checkpoints.digest import digest_file, digest_files
from harness.checkpoints.header import Tensor, read_header, read_shapes, refuse_pointers
from harness.core.errors import UsageError

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 3438167540\n"


def write(path: Path, tensors: dict[str, list[int]], data: int) -> Path:
    """Write a safetensors file of float32 tensors with `data` bytes behind its header."""
    header, begin = {}, 0
    for name, shape in tensors.items():
        size = 4 * shape[0]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, begin + size]}
        begin += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    return path


def test_a_header_lists_names_formats_and_shapes(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", {"a": [2], "b": [3]}, 20)
    assert read_header(path) == {"a": Tensor("F32", (2,)), "b": Tensor("F32", (3,))}
    assert read_shapes(path) == {"a": (2,), "b": (3,)}


def test_lfs_pointer_is_refused_with_its_size(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_text(POINTER)
    for read in (read_header, lambda place: refuse_pointers((place,))):
        with pytest.raises(UsageError, match=r"Git LFS pointer instead of the file \(3.2 GiB\)") as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "git lfs pull" in caught.value.fix
    refuse_pointers((write(tmp_path / "y.safetensors", {"a": [2]}, 8), tmp_path / "absent"))


def test_truncated_file_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", {"a": [2**18]}, 2**19)
    with pytest.raises(UsageError, match=r"truncated: it has .* of 1"):
        read_header(path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\xff" * 4000, b"\x02\0\0\0\0\0\0\0[]", b"version 1 of a text"])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a safetensors file"):
        read_header(path)


def test_a_digest_follows_bytes_between_any_blocks(tmp_path: Path) -> None:
    """70 MiB of nothing, then one byte in a place that sampling 64 blocks of 1 MiB passes over."""
    path = tmp_path / "big.safetensors"
    with path.open("wb") as file:
        file.truncate(70 * 2**20)
    before = digest_file(path)
    with path.open("r+b") as file:
        file.seek(2**20 + 2**14)
        file.write(b"\x01")
    assert digest_file(path) != before


@pytest.fixture
def stable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose digest is kept at once, in a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digest, "_STABLE_NS", -(10**12))
    path = tmp_path / "x.safetensors"
    path.write_bytes(bytes(2**20))
    return path


def test_a_kept_digest_is_not_computed_again(stable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest_file(stable)
    monkeypatch.setattr(digest, "_read", lambda _: pytest.fail("read again"))
    assert digest_file(stable) == before


def test_change_is_seen_despite_an_old_timestamp(stable: Path) -> None:
    """As rsync and cp -p leave it: the same size, the same time of its last change, the same place on the disk."""
    before, times = digest_file(stable), stable.stat()
    with stable.open("r+b") as file:
        file.write(b"\x01")
    os.utime(stable, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = stable.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (times.st_size, times.st_mtime_ns, times.st_ino)
    assert digest_file(stable) != before


def test_fresh_file_is_read_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may change again within the same tick of the file system's clock."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "x.safetensors"
    path.write_bytes(bytes(2**20))
    digest_file(path)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": []}'])
def test_a_damaged_cache_is_begun_anew(stable: Path, tmp_path: Path, content: str) -> None:
    before = digest_file(stable)
    (kept,) = (tmp_path / "cache").rglob("*.json")
    kept.write_text(content)
    assert digest_file(stable) == before


def test_unwritable_digest_cache_is_skipped(stable: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert len(digest_file(stable)) == 64


def test_files_have_one_digest_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_bytes(b"1")
    first, second = (digest_files({"unet/x": tmp_path / name / "x"}) for name in ("a", "b"))
    assert first == second
    assert digest_files({"vae/x": tmp_path / "a" / "x"}) != first
