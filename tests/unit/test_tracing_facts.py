"""What is read from a trace, on traces made by hand, one recorded on a CPU, and damaged files."""

import gzip
import json
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from harness.core.errors import ResultsError
from harness.core.trace import BETWEEN, StageTime, TraceFacts
from harness.core.units import Absent
from harness.reporting.parts import build_flame
from harness.tracing import read_trace
from tests.builders.trace_maker import ADD, CAST, CONVOLUTION, FLASH, GEMM, TO_DEVICE, TO_HOST, TraceMaker, pipeline

RECORDED = Path(__file__).parent / "traces" / "bundled_cpu.json.gz"
"""One step of the bundled model on a CPU, as torch.profiler 2.14 wrote it, without the arguments of its events."""


def stage(facts: TraceFacts, name: str) -> StageTime:
    return next(found for found in facts.stages if found.stage == name)


def test_gpu_work_belongs_to_its_launching_stage(tmp_path: Path) -> None:
    def denoise(maker: TraceMaker) -> None:
        maker.kernel(GEMM, 100, 8)
        maker.kernel(FLASH, 50, 4)

    maker = pipeline(TraceMaker(launch_us=5), denoise, steps=3)
    facts = read_trace(maker.write(tmp_path / "trace.json.gz"))
    denoiser = stage(facts, "denoiser")
    assert facts.device == "cuda"
    assert (denoiser.calls, denoiser.kernels, denoiser.launches, denoiser.graph_launches) == (3, 36, 36, 0)
    assert denoiser.busy_s == pytest.approx(3e-3)  # the host is done with all launches long before
    assert denoiser.families_s == pytest.approx({"gemm": 2.4e-3, "attention": 0.6e-3})
    assert denoiser.launch_s == pytest.approx(36 * 5e-6)
    assert stage(facts, "vae").families_s == pytest.approx({"convolution": 0.5e-3})
    assert stage(facts, BETWEEN).families_s == pytest.approx({"elementwise": 12e-6})


@pytest.mark.parametrize("kernel_us", [1, 3, 20, 200])
def test_the_stages_add_up_to_the_whole(tmp_path: Path, kernel_us: float) -> None:
    maker = pipeline(TraceMaker(), lambda maker: maker.kernel(GEMM, kernel_us, 100))
    facts = read_trace(maker.write(tmp_path / "trace.json"))
    assert sum(found.wall_s for found in facts.stages) == pytest.approx(facts.wall_s)
    assert sum(found.busy_s for found in facts.stages) == pytest.approx(facts.busy_s)
    for found in facts.stages:
        assert sum(found.families_s.values()) == pytest.approx(found.busy_s)


def test_short_kernels_leave_gaps_of_their_stage(tmp_path: Path) -> None:
    maker = pipeline(TraceMaker(launch_us=8), lambda maker: maker.kernel(ADD, 2, 100))
    denoiser = stage(read_trace(maker.write(tmp_path / "trace.json")), "denoiser")
    assert denoiser.gap_s / denoiser.wall_s == pytest.approx(0.75, abs=0.02)


def test_the_longest_gap_says_what_the_host_did(tmp_path: Path) -> None:
    def denoise(maker: TraceMaker) -> None:
        maker.kernel(GEMM, 20, 3)
        with maker.range("aten::nonzero", "cpu_op"):
            maker.python(900)
        maker.python(300)
        maker.kernel(FLASH, 20)

    gap = read_trace(pipeline(TraceMaker(), denoise, steps=1).write(tmp_path / "trace.json")).gaps[0]
    assert 1.0e-3 < gap.seconds < 1.2e-3  # the GPU begins it still busy
    assert (gap.stage, gap.before) == ("denoiser", "flash_fwd_kernel")
    assert gap.after.startswith("sm90_xmma_gemm")
    assert gap.host.startswith("aten::nonzero 7")
    assert "Python 2" in gap.host


def test_a_graph_is_one_launch_of_many_kernels(tmp_path: Path) -> None:
    maker = pipeline(TraceMaker(), lambda maker: maker.graph(GEMM, 5, 300))
    facts = read_trace(maker.write(tmp_path / "trace.json"))
    denoiser = stage(facts, "denoiser")
    assert (denoiser.kernels, denoiser.launches, denoiser.graph_launches) == (600, 2, 2)
    assert denoiser.gap_s < 0.02 * denoiser.wall_s


def test_waits_copies_and_casts_are_counted(tmp_path: Path) -> None:
    def denoise(maker: TraceMaker) -> None:
        maker.copy(TO_DEVICE, 10, 4096)
        with maker.range("aten::_to_copy", "cpu_op"):
            maker.kernel(ADD, 7)  # a cast by who launched it
        maker.kernel(CAST, 5)
        maker.kernel(GEMM, 200)
        maker.synchronize("aten::item")
        maker.python(50)

    maker = pipeline(TraceMaker(), denoise, steps=3)
    maker.copy(TO_HOST, 20, 1 << 20)
    facts = read_trace(maker.write(tmp_path / "trace.json"))
    waits = facts.synchronisations
    assert (waits.count, waits.in_loop, waits.callers) == (4, 3, {"aten::item": 3})
    assert 2 * 50e-6 < waits.idle_s < 3 * 70e-6
    assert sum(waits.lost_s.values()) == pytest.approx(waits.idle_s)
    assert (facts.host_to_device.count, facts.host_to_device.size_bytes) == (3, 3 * 4096)
    assert facts.host_to_device.total_s == pytest.approx(30e-6)
    assert (facts.device_to_host.count, facts.device_to_host.size_bytes) == (1, 1 << 20)
    assert facts.casts.count == 6
    assert facts.casts.total_s == pytest.approx(36e-6)
    assert facts.casts.lost_s == {"denoiser": pytest.approx(36e-6)}


def test_recompiles_count_only_where_compiled(tmp_path: Path) -> None:
    def denoise(maker: TraceMaker) -> None:
        with maker.range("Torch-Compiled Region: 0/0", "cpu_op"):
            maker.kernel("triton_poi_fused_add_0", 50, 3)

    maker = pipeline(TraceMaker(), denoise)
    assert read_trace(maker.write(tmp_path / "steady.json")).recompiles == 0
    with maker.range("harness.stage:denoiser"), maker.range("_compile.compile_inner (dynamo_timed)", "cpu_op"):
        maker.python(1000)
    again = read_trace(maker.write(tmp_path / "again.json"))
    assert again.recompiles == 1
    assert again.compiling_s == {"denoiser": pytest.approx(1001e-6)}
    eager = pipeline(TraceMaker(), lambda maker: maker.kernel(GEMM, 50))
    assert isinstance(read_trace(eager.write(tmp_path / "eager.json")).recompiles, Absent)


def test_the_timeline_lies_on_the_devices_time(tmp_path: Path) -> None:
    def denoise(maker: TraceMaker) -> None:
        with maker.range("harness.region:cascade 32x32"):
            maker.kernel(GEMM, 100, 10)
        with maker.range("harness.region:look-up"):
            maker.python(3)

    spans = read_trace(pipeline(TraceMaker(), denoise).write(tmp_path / "trace.json")).timeline
    named = {(span.kind, span.name, span.depth) for span in spans}
    assert {("stage", "denoiser", 0), ("step", "step 2", 1), ("region", "cascade 32x32", 2)} <= named
    assert all(span.seconds == pytest.approx(1e-3) for span in spans if span.name == "cascade 32x32")
    stages = [span for span in spans if span.depth == 0]
    assert all(one.begin_s + one.seconds <= two.begin_s + 1e-9 for one, two in pairwise(stages))


def test_too_many_ranges_drop_the_shortest(tmp_path: Path) -> None:
    def denoise(maker: TraceMaker) -> None:
        for block in range(200):
            with maker.range(f"harness.region:block {block}"):
                maker.kernel(GEMM, 10 + block)

    facts = read_trace(pipeline(TraceMaker(), denoise, steps=3).write(tmp_path / "trace.json"))
    assert (len(facts.timeline), facts.ranges_left_out) == (400, 608 - 400)
    assert {span.name for span in facts.timeline} >= {"vae", "step 1", "step 3", "block 199"}
    assert [sum(span.name == f"block {n}" for span in facts.timeline) for n in (0, 199)] == [0, 3]
    drawn = build_flame(facts, 300)
    assert drawn and len(drawn.bars) + drawn.left_out == 608


def test_kernels_without_launch_use_device_ranges(tmp_path: Path) -> None:
    maker = pipeline(TraceMaker(), lambda maker: maker.kernel(GEMM, 100, 2), steps=1)
    begin = maker.device_us
    maker.add("gpu_user_annotation", "harness.stage:denoiser", begin, 400)
    maker.add("kernel", FLASH, begin + 5, 300, correlation=999999)
    maker.python(400)
    maker.synchronize()
    facts = read_trace(maker.write(tmp_path / "trace.json"))
    assert stage(facts, "denoiser").families_s["attention"] == pytest.approx(300e-6)
    assert any("the launches of 1 of" in note for note in facts.notes)


def test_a_recorded_trace_of_a_cpu() -> None:
    facts = read_trace(RECORDED)
    assert facts.device == "cpu"
    assert facts.wall_s == pytest.approx(32.0e-3, rel=1e-3)
    assert sum(found.wall_s for found in facts.stages) == pytest.approx(facts.wall_s)
    denoiser = stage(facts, "denoiser")
    assert denoiser.wall_s == pytest.approx(17.3e-3, rel=1e-3)  # as long as its range
    assert (denoiser.calls, denoiser.kernels, denoiser.launches) == (1, 2608, 0)
    assert next(iter(denoiser.families_s)) == "convolution"
    assert (facts.kernels[0].name, facts.kernels[0].calls) == ("aten::mkldnn_convolution", 20)
    assert (facts.synchronisations.count, facts.casts.count) == (0, 56)
    assert [span.name for span in facts.timeline] == ["text_encoder_2", "denoiser", "step 1", "vae"]
    assert len(facts.model_dump_json()) < 64 * 1024


def test_events_that_nobody_knows_are_passed_over(tmp_path: Path) -> None:
    maker = pipeline(TraceMaker(), lambda maker: maker.kernel(GEMM, 100))
    before = read_trace(maker.write(tmp_path / "plain.json"))
    maker.events += [
        {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 1, "pid": 1, "tid": 1, "ts": 1e6},
        {"ph": "X", "cat": "a category of tomorrow", "name": "?", "pid": 1, "tid": 1, "ts": 1e6, "dur": 1e9},
        {"ph": "i", "name": "Iteration Start", "ts": 1e6, "s": "g"},
    ]
    assert read_trace(maker.write(tmp_path / "strange.json")) == before


@pytest.mark.parametrize("end", [0, 100, 5000, -3])
def test_truncated_trace_is_a_clear_error(tmp_path: Path, end: int) -> None:
    path = tmp_path / "trace.json"
    pipeline(TraceMaker(), lambda maker: maker.kernel(GEMM, 100, 50)).write(path)
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(ResultsError, match="cannot be read"):
        read_trace(path)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b'{"traceEvents": [' + b" " * 5000)[:30],
        b"\xff\xfe not a trace",
        b'{"traceEvents": []}',
        b'{"traceEvents": [{"ph": "X", "cat": "cpu_op"}]}',
        b'{"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": "soon"}]}',
        b'{"traceEvents": [7]}',
        b'{"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "aten::mm", "ts": NaN}]}',
    ],
    ids=["half a gzip", "no text", "empty", "no time", "no number", "no event", "nan"],
)
def test_a_damaged_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trace.json"
    path.write_bytes(content)
    with pytest.raises(ResultsError, match="cannot be read") as error:
        read_trace(path)
    assert "harness profile" in str(error.value)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="No such file"):
        read_trace(tmp_path / "none.json.gz")


def test_launches_without_kernels_mean_no_permission(tmp_path: Path) -> None:
    maker = pipeline(TraceMaker(), lambda maker: maker.kernel(GEMM, 100))
    maker.events = [event for event in maker.events if event.get("cat") not in ("kernel", "gpu_memcpy")]
    with pytest.raises(ResultsError, match="no access to the GPU"):
        read_trace(maker.write(tmp_path / "trace.json"))


def test_inductor_code_counts_as_busy_on_a_cpu(tmp_path: Path) -> None:
    maker = TraceMaker()
    with maker.range("harness.stage:denoiser"), maker.range("## Call CompiledFxGraph f3a9 ##", "cpu_op"):
        with maker.range("aten::mm", "cpu_op"):
            maker.python(300)
        maker.python(700)
    facts = read_trace(maker.write(tmp_path / "trace.json"))
    assert facts.busy_s == pytest.approx(1e-3, rel=0.01)
    assert {kernel.name: kernel.calls for kernel in facts.kernels} == {"compiled graph (inductor)": 1, "aten::mm": 1}


def test_reading_is_bounded_by_events_not_by_the_file(tmp_path: Path) -> None:
    """A large head and events across the borders of what is read at a time are no trouble."""
    maker = pipeline(TraceMaker(), lambda maker: maker.kernel(CONVOLUTION, 10, 3000))
    facts = read_trace(maker.write(tmp_path / "trace.json"))
    document = json.loads((tmp_path / "trace.json").read_text(encoding="utf-8"))
    head = {"padding": "x" * (3 << 20), **document}
    (tmp_path / "padded.json").write_text(json.dumps(head), encoding="utf-8")
    assert read_trace(tmp_path / "padded.json") == facts


def test_whatever_byte_is_wrong_it_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    pipeline(TraceMaker(), lambda maker: maker.kernel(GEMM, 100, 3), steps=1).write(path)
    whole, draw = path.read_bytes(), Random(0)
    for _ in range(200):
        broken = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        path.write_bytes(bytes(broken))
        with suppress(ResultsError):
            read_trace(path)


def test_copies_beside_the_arithmetic_cost_nothing(tmp_path: Path) -> None:
    def denoise(maker: TraceMaker) -> None:
        maker.kernel(GEMM, 1000, 3)
        maker.add("gpu_memcpy", TO_DEVICE, maker.device_us - 2500, 2000, correlation=1, bytes=1 << 30)
        maker.add("gpu_memcpy", TO_DEVICE, maker.device_us - 200, 500, correlation=1, bytes=1 << 20)

    facts = read_trace(pipeline(TraceMaker(), denoise, steps=1, decode_us=4).write(tmp_path / "trace.json"))
    times: dict[str, float] = {}
    for found in facts.stages:
        for family, seconds in found.families_s.items():
            times[family] = times.get(family, 0.0) + seconds
    assert times["gemm"] == pytest.approx(3.1e-3)
    assert times["copy"] == pytest.approx(300e-6 - 8e-6)  # what the kernels after it do not cover
    assert facts.host_to_device.total_s == pytest.approx(2.5e-3)
    assert facts.host_to_device.lost_s == {"text_encoder": pytest.approx(300e-6 - 8e-6)}
    assert sum(found.wall_s for found in facts.stages) == pytest.approx(facts.wall_s)
