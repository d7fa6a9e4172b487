"""Stores on disk stay within their size: what was used least recently goes, and processes do not disturb each other."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch

from harness.axes.caching import _store
from harness.axes.caching._store import ABANDONED_S, TensorStore

SIZE = 1024
LIMIT = 20 * SIZE


def write(store: TensorStore, key: str) -> None:
    store.write(key, {"x": torch.full((SIZE,), len(key), dtype=torch.uint8)})


def age(store: TensorStore, key: str, seconds: float) -> None:
    """Let an entry be last used so many seconds ago."""
    then = time.time() - seconds
    os.utime(store.path(key), (then, then))


def held(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.*"))


def fill(folder: Path, name: str) -> None:
    """Write and read as a process does that shares the folder; fails if what is there is not what was written."""
    store = TensorStore(folder, LIMIT)
    for number in range(60):
        write(store, f"{name}{number:04}")
        found = store.read(f"{name}{number:04}")
        assert found is None or found["x"].tolist() == [len(name) + 4] * SIZE
        store.read(f"{'b' if name == 'a' else 'a'}{number:04}")


def test_a_store_holds_no_more_than_its_limit(tmp_path: Path) -> None:
    store = TensorStore(tmp_path, LIMIT)
    for number in range(50):
        write(store, f"{number:04}")
        age(store, f"{number:04}", 1000 - number)
        assert held(tmp_path) <= LIMIT
    assert held(tmp_path) > LIMIT / 2
    assert store.read("0049") is not None
    assert store.read("0000") is None


def test_what_was_read_last_stays(tmp_path: Path) -> None:
    store = TensorStore(tmp_path, LIMIT)
    for number in range(10):
        write(store, f"{number:04}")
        age(store, f"{number:04}", 1000 - number)
    assert store.read("0000") is not None  # the oldest, but used just now
    for number in range(10, 22):
        write(store, f"{number:04}")
    assert store.path("0000").exists()
    assert not store.path("0001").exists()


def test_a_new_process_counts_what_earlier_ones_left(tmp_path: Path) -> None:
    for number in range(40):
        write(TensorStore(tmp_path, LIMIT), f"{number:04}")  # each of them writes far less than the limit
        assert held(tmp_path) <= LIMIT


def test_half_files_of_dead_processes_go_first(tmp_path: Path) -> None:
    store = TensorStore(tmp_path, LIMIT)
    write(store, "0000")
    dead, living = (store.path("0000").with_name(f"{name}.new") for name in ("dead", "living"))
    for path in (dead, living):
        path.write_bytes(bytes(LIMIT))
    then = time.time() - 2 * ABANDONED_S
    os.utime(dead, (then, then))
    write(TensorStore(tmp_path, LIMIT), "0001")
    assert not dead.exists()
    assert living.exists()
    assert store.read("0000") is not None


def test_two_processes_share_a_store_that_is_full(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fill, args=(tmp_path, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0, 0]
    assert held(tmp_path) <= LIMIT + 2 * LIMIT // 16
    assert not list(tmp_path.rglob("*.new"))
    store = TensorStore(tmp_path, LIMIT)
    assert all(store.read(path.stem) is not None for path in tmp_path.rglob("*.safetensors"))


def test_a_store_may_be_told_to_hold_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "LIMIT_BYTES", 0)
    store = TensorStore(tmp_path)
    write(store, "0000")
    assert store.read("0000") is None
