"""A trace of the bundled model: whole or not at all, of bounded size, with stages and steps by name."""

import errno
import gzip
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.core.errors import ResultsError
from harness.core.matrix import Model
from harness.core.model import Call, TextToImage
from harness.core.trace import Trace, TraceFacts
from harness.core.units import Absent
from harness.execution import trace as capture
from harness.execution.trace import take_trace
from harness.measure import profiler
from harness.models import resolve_model
from harness.store.layout import TRACE, TRACE_FACTS
from harness.tracing import chrome_trace
from harness.tracing.chrome_trace import TooLarge, pack

CALL = Call(prompts=("a red circle",), keys=(("a", 0),), steps=4, guidance=2.0, width=32, height=32)


class Small:
    """A denoiser of one layer, called once a step: all that a trace asks of a model."""

    pipeline, device = object(), "cpu"

    def __init__(self) -> None:
        self.denoiser = torch.nn.Linear(4, 4)

    def parts(self) -> dict[str, Any]:
        return {"denoiser": self.denoiser}

    def generate(self, call: Call) -> Any:
        return [self.denoiser(torch.ones(1, 4)) for _ in range(call.steps)]


@pytest.fixture
def model() -> TextToImage:
    return Small()  # type: ignore[return-value]


def events(path: Path) -> list[dict[str, Any]]:
    return json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]


def test_trace_names_stages_steps_and_no_machine_path(tmp_path: Path) -> None:
    model = resolve_model(Model()).load("cpu", {})
    trace = take_trace(model, CALL, tmp_path)
    assert isinstance(trace, Trace)
    assert (trace.path, trace.steps, trace.notes) == (TRACE, 4, ())
    names = {event["name"] for event in events(tmp_path / TRACE)}
    assert {"harness.stage:denoiser", "harness.stage:vae", "harness.step:1", "harness.step:4"} <= names
    assert trace.size_bytes == (tmp_path / TRACE).stat().st_size < chrome_trace.MOST_BYTES
    document = json.loads(gzip.decompress((tmp_path / TRACE).read_bytes()))
    facts = TraceFacts.model_validate_json((tmp_path / TRACE_FACTS).read_bytes())
    assert {stage.stage: stage.calls for stage in facts.stages}["denoiser"] == 4
    assert sum(stage.wall_s for stage in facts.stages) == pytest.approx(facts.wall_s, rel=0.02)
    assert not {"host_name", "traceName"} & set(document)
    assert {path.name for path in tmp_path.iterdir()} == {TRACE, TRACE_FACTS}


def test_oversized_call_is_traced_in_its_first_steps(
    model: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiler, "PLAIN_BYTES", 1)
    trace = take_trace(model, CALL, tmp_path)
    assert isinstance(trace, Trace)
    assert trace.steps == 2
    assert "2 steps instead of 4" in trace.notes[0]
    names = {event["name"] for event in events(tmp_path / TRACE)}
    assert "harness.step:2" in names
    assert "harness.step:3" not in names


def test_full_disk_keeps_the_old_trace(model: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / TRACE).write_bytes(b"old")
    (tmp_path / TRACE_FACTS).write_bytes(b"old")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(chrome_trace.gzip, "open", full)
    trace = take_trace(model, CALL, tmp_path)
    assert isinstance(trace, Absent)
    assert "the disk is full" in trace.absent
    assert "harness profile" in trace.absent
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {TRACE: b"old", TRACE_FACTS: b"old"}


def test_leftovers_of_a_killed_writer_are_removed(model: TextToImage, tmp_path: Path) -> None:
    left = tmp_path / f".{TRACE}.writing"
    left.mkdir()
    (left / "plain.json").write_text('{"traceEvents": [', encoding="utf-8")
    assert isinstance(take_trace(model, CALL.model_copy(update={"steps": 1}), tmp_path), Trace)
    assert not left.exists()


def test_missing_profiler_is_a_reason_not_an_error(
    model: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("torch.profiler.profile")
    trace = take_trace(model, CALL, tmp_path)
    assert isinstance(trace, Absent)
    assert "the profiler failed" in trace.absent
    assert not list(tmp_path.iterdir())


def test_gpu_without_kernels_is_named_with_advice(
    model: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where CUPTI is refused: no reading is made of half of the truth, and an earlier trace stays."""
    for name in (TRACE, TRACE_FACTS):
        (tmp_path / name).write_bytes(b"old")
    monkeypatch.setattr(profiler, "synchronize", lambda device: None)
    monkeypatch.setattr(capture, "time_stages", lambda parts, device: nullcontext())
    monkeypatch.setattr(model, "device", "cuda")
    trace = take_trace(model, CALL, tmp_path)
    assert isinstance(trace, Absent)
    assert "the trace has no GPU kernel" in trace.absent
    assert "NVreg_RestrictProfilingToAdminUsers=0" in trace.absent
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {TRACE: b"old", TRACE_FACTS: b"old"}


def test_unreadable_facts_keep_the_old_trace(
    model: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (TRACE, TRACE_FACTS):
        (tmp_path / name).write_bytes(b"old")

    def damaged(path: Path) -> TraceFacts:
        raise ResultsError("the trace cannot be read", str(path), "Take it again.")

    monkeypatch.setattr(capture, "read_trace", damaged)
    trace = take_trace(model, CALL, tmp_path)
    assert isinstance(trace, Absent)
    assert "the trace cannot be read" in trace.absent
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {TRACE: b"old", TRACE_FACTS: b"old"}


def test_facts_cover_the_whole_trace_despite_packing(
    model: TextToImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(take_trace(model, CALL, tmp_path), Trace)
    whole = TraceFacts.model_validate_json((tmp_path / TRACE_FACTS).read_bytes())
    monkeypatch.setattr(
        chrome_trace, "LEVELS", (((lambda event: "harness" in event.get("name", "")), "little is left"),)
    )
    trace = take_trace(model, CALL, tmp_path)
    assert isinstance(trace, Trace)
    assert trace.notes == ("little is left",)
    facts = TraceFacts.model_validate_json((tmp_path / TRACE_FACTS).read_bytes())
    assert {kernel.name for kernel in facts.kernels} == {kernel.name for kernel in whole.kernels} != set()


def test_a_model_without_torch_has_no_trace(tmp_path: Path) -> None:
    fake = resolve_model(Model(source="fake")).load("cpu", {})
    assert "does not run in torch" in str(take_trace(fake, CALL, tmp_path))


def plain(path: Path, made: list[dict[str, Any]], end: str = "]}") -> Path:
    path.write_text(
        '{"schemaVersion": 1,\n"host_name": "vm",\n"traceEvents": [\n' + ",\n".join(map(json.dumps, made)) + end,
        encoding="utf-8",
    )
    return path


def test_packing_reads_events_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [{"cat": "cpu_op", "name": f'a "name" ] {number} é', "dur": number} for number in range(50)]
    monkeypatch.setattr(chrome_trace, "CHUNK", 64)
    packed = pack(plain(tmp_path / "plain.json", made), tmp_path / "packed.gz")
    assert (packed.categories["cpu_op"], packed.note) == (50, "")
    assert events(tmp_path / "packed.gz") == made


def test_packing_drops_the_least_important_first(tmp_path: Path) -> None:
    noise = [{"cat": "ac2g", "name": str(hash((number, "x"))), "ph": "s"} for number in range(3000)]
    small = [{"cat": "cpu_op", "name": str(hash((number, "y"))), "dur": 1} for number in range(3000)]
    kept = [{"cat": "kernel", "name": "gemm", "dur": 1}, {"cat": "cpu_op", "name": "long", "dur": 500}]
    source, target = plain(tmp_path / "plain.json", noise + small + kept), tmp_path / "packed.gz"
    assert "arrows" in pack(source, target, 60_000).note
    assert {event["cat"] for event in events(target)} == {"cpu_op", "kernel"}
    assert "operators of less than 20 µs" in pack(source, target, 2_000).note
    assert events(target) == kept
    with pytest.raises(TooLarge, match="even without"):
        pack(source, target, 10)


@pytest.mark.parametrize("end", ["", ', {"cat": "cpu_'])
def test_a_file_that_is_cut_short_is_no_trace(tmp_path: Path, end: str) -> None:
    source = plain(tmp_path / "plain.json", [{"cat": "cpu_op", "name": "a"}], end)
    with pytest.raises(ValueError, match="in the middle"):
        pack(source, tmp_path / "packed.gz")
