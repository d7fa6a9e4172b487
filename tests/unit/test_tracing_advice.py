"""Each rule speaks of the cell it is for and is silent about the others; no rule names what is on already."""

from pathlib import Path
from typing import NamedTuple

import pytest

from harness.axes import read_entry
from harness.axes.compatibility import make_fit_check
from harness.core.axis import Cell, Setting
from harness.core.machine import Machine
from harness.core.model import ModelInfo
from harness.core.outcome import ColdStart, Completed, Roofline
from harness.core.timing import Repeat
from harness.core.units import Absent
from harness.tracing import Advice, TracedCell, advise, find_bound, read_trace, summarize_trace
from harness.tracing.advice import RULES
from tests.builders.timed_pairs import alone
from tests.builders.trace_maker import ADD, CAST, FLASH, GEMM, NORM, TO_DEVICE, TraceMaker, pipeline

RECORDED = Path(__file__).parent / "traces" / "bundled_cpu.json.gz"
MODEL = ModelInfo(title="tiny", family="sdxl", width=64, height=64, guidance=5, size_multiple=8, digest="")
PLAIN = {"steps": "30", "guidance": "1", "precision": "fp16", "compiler": "eager", "attention": "sdpa",
         "caching": "none", "memory": "none", "distillation": "none", "batch": "1"}  # fmt: skip
STEPS = 30


class Case(NamedTuple):
    """A traced cell: its trace, its settings, and what was timed without the profiler."""

    trace: Path
    settings: dict[str, str]
    outcome: Completed


def completed(denoiser_s: float, call_s: float, roofline: Roofline | None = None, **stages: float) -> Completed:
    """A cell whose call of 30 steps takes `call_s`, of it each call of the denoiser `denoiser_s`."""
    times = {"denoiser": denoiser_s * STEPS, "text_encoder": 0.002, "vae": 0.02, **stages}
    repeat = Repeat(latency_s=call_s, stages_s=times, steps_s=(denoiser_s,) * STEPS)
    return Completed(
        cold_start=ColdStart(start_s=0, load_s=0, apply_s=0, compile_s=0, first_call_s=1),
        warmup_s=(),
        pairing=alone((repeat,) * 3),
        batch=1,
        images=(),
        denoiser_calls=STEPS,
        weights_bytes={"unet": 5 * 2**30},
        roofline=roofline or Absent(absent="not measured"),
        threads=1,
        phases_s={},
    )


def roofline(arithmetic_s: float, bytes_per_s: float = 4e12) -> Roofline:
    """A floor of so many seconds for one call of the denoiser."""
    return Roofline(flops=arithmetic_s * STEPS * 8e14, flops_per_s=8e14, dtype="float16", bytes_per_s=bytes_per_s)


def eager(maker: TraceMaker) -> None:
    """Like SDXL at a small size on a fast card: 1,200 kernels of 4 µs, 10 µs to launch each."""
    maker.kernel(GEMM, 6, 500)
    maker.kernel(ADD, 2, 500)
    maker.kernel(NORM, 3, 200)


def large(maker: TraceMaker) -> None:
    """Like FLUX: few large matrix products and attention."""
    maker.kernel(GEMM, 700, 100)
    maker.kernel(FLASH, 900, 20)
    maker.kernel(ADD, 20, 100)


def waiting(maker: TraceMaker) -> None:
    """Values taken to the host in each step, tensors made there, and casts."""
    maker.copy(TO_DEVICE, 600, 1 << 20)
    maker.kernel(GEMM, 200, 20)
    maker.kernel(CAST, 50, 20)
    maker.synchronize("aten::item")
    maker.python(400)
    maker.kernel(GEMM, 200, 2)


def attending(maker: TraceMaker) -> None:
    maker.kernel(GEMM, 200, 60)
    maker.kernel(FLASH, 900, 20)


def unfused(maker: TraceMaker) -> None:
    maker.kernel(GEMM, 100, 60)
    maker.kernel(ADD, 60, 100)


def replayed(maker: TraceMaker) -> None:
    """CUDA graphs, with a pause before each."""
    with maker.range("aten::nonzero", "cpu_op"):
        maker.python(9000)
    maker.graph(GEMM, 20, 300)


def case(name: str, folder: Path) -> Case:
    """Make the cell of this name."""
    made = {
        "launch-bound": (eager, {}, completed(0.0125, 0.41)),
        "compute-bound": (large, {"compiler": "inductor", "guidance": "3.5"}, completed(0.09, 2.75, roofline(0.06))),
        "waits": (waiting, {"compiler": "inductor"}, completed(0.0062, 0.22)),
        "attention": (attending, {"compiler": "inductor"}, completed(0.03, 0.93)),
        "unfused": (unfused, {}, completed(0.012, 0.4)),
        "graphs": (replayed, {"compiler": "inductor+mode=reduce-overhead"}, completed(0.009, 0.3)),
        "weights": (unfused, {"compiler": "inductor"}, completed(0.012, 0.4, roofline(0.001, bytes_per_s=1e12))),
        "few steps": (unfused, {"compiler": "inductor"}, completed(0.012, 0.56, vae=0.12, text_encoder=0.06)),
        "slow scheduler": (unfused, {"compiler": "inductor"}, completed(0.012, 0.6)),
    }[name]
    denoise, settings, outcome = made
    maker = pipeline(TraceMaker(launch_us=10), denoise)
    return Case(maker.write(folder / "trace.json"), settings, outcome)


FIRE = {
    "launch-bound": {"launches"},
    "compute-bound": {"arithmetic", "guidance"},
    "waits": {"synchronisations", "casts", "transfers"},
    "attention": {"attention"},
    "unfused": {"fusion"},
    "graphs": {"pauses"},
    "weights": {"weights"},
    "few steps": {"decoding", "encoding"},
    "slow scheduler": {"between"},
}
"""Which rules speak of which cell."""


def traced(made: Case) -> TracedCell:
    settings = tuple(Setting(axis=axis, name=name) for axis, name in {**PLAIN, **made.settings}.items())
    cell = Cell(id="cell", settings=settings, build_key="", call_key="")
    return TracedCell(read_trace(made.trace), made.outcome, cell, MODEL)


def said(seen: TracedCell, monkeypatch: pytest.MonkeyPatch) -> dict[str, Advice]:
    """Everything that any rule says, not only the first three."""
    monkeypatch.setattr("harness.tracing.advice.SENTENCES", 99)
    return {advice.rule: advice for advice in advise(seen)}


@pytest.mark.parametrize("name", FIRE)
def test_each_rule_applies_where_it_should_only(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = said(traced(case(name, tmp_path)), monkeypatch)
    assert set(found) == FIRE[name]


@pytest.mark.parametrize("name", FIRE)
def test_advice_names_available_values_not_in_use(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = traced(case(name, tmp_path))
    for advice in said(seen, monkeypatch).values():
        for found in advice.tries:
            assert str(read_entry(found.axis, found.value)) == found.value
            assert seen.setting(found.axis) != found.value
            assert found.value in advice.sentence


@pytest.mark.parametrize("name", FIRE)
def test_what_was_tried_is_not_named_again(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = case(name, tmp_path)
    for advice in said(traced(made), monkeypatch).values():
        for found in advice.tries:
            outcome = made.outcome.model_copy(update={"batch": 4})
            tried = made._replace(settings={**made.settings, found.axis: found.value}, outcome=outcome)
            later = said(traced(tried), monkeypatch).values()
            assert found not in [again for found_again in later for again in found_again.tries]


def test_advice_is_three_sentences_by_importance(tmp_path: Path) -> None:
    found = advise(traced(case("waits", tmp_path)))
    assert len(found) == 3
    assert [advice.concerns for advice in found] == sorted((advice.concerns for advice in found), reverse=True)
    launches = advise(traced(case("launch-bound", tmp_path)))[0]
    assert launches.sentence == (
        "62 % of the denoiser's time is gaps between kernels: the host launches 1,200 of them a call, of 4 µs each; "
        "try compiler inductor+mode=reduce-overhead, or batch 4."
    )
    assert launches.figure == pytest.approx(0.616, abs=0.001)
    assert launches.concerns == pytest.approx(0.616 * 30 * 0.0125 / 0.41, abs=0.001)


def test_gaps_that_only_the_profiler_makes_are_none(tmp_path: Path) -> None:
    """The traced call has gaps of 60 %, but the kernels fill the time that the call takes without the profiler."""
    made = case("launch-bound", tmp_path)
    seen = traced(made._replace(outcome=completed(0.00475, 0.18)))
    assert seen.denoiser
    assert seen.denoiser.gap_s / seen.denoiser.wall_s > 0.55
    assert seen.idle_share < 0.05
    assert "launches" not in {advice.rule for advice in advise(seen)}


def test_where_nothing_is_wrong_the_bound_is_said(tmp_path: Path) -> None:
    made = Case(case("compute-bound", tmp_path).trace, {"compiler": "inductor"}, completed(0.09, 2.75, roofline(0.04)))
    (only,) = advise(traced(made))
    assert only.rule == "bound"
    assert only.sentence == (
        "One denoiser call takes 90 ms; the GPU waits 0 % of that time, the arithmetic alone would need 44 % at the "
        "rate measured here, reading the weights once 1 %."
    )


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("launch-bound", "launch-bound"),
        ("graphs", "host-bound"),
        ("compute-bound", "compute-bound"),
        ("attention", "unknown"),
        ("weights", "mixed"),
    ],
)
def test_the_verdict_of_what_holds_a_cell_back(name: str, verdict: str, tmp_path: Path) -> None:
    assert find_bound(traced(case(name, tmp_path))).verdict == verdict


def test_a_cell_held_back_by_memory(tmp_path: Path) -> None:
    weights = case("weights", tmp_path)
    slow = weights._replace(outcome=completed(0.012, 0.4, roofline(0.001, bytes_per_s=6e11)))
    assert find_bound(traced(slow)).verdict == "memory-bound"


def test_skipped_arithmetic_is_not_counted(tmp_path: Path) -> None:
    made = case("compute-bound", tmp_path)
    bound = find_bound(traced(made._replace(settings={**made.settings, "caching": "first-block"})))
    assert isinstance(bound.compute_share, Absent)
    assert "caching" in bound.compute_share.absent


def test_weights_that_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = case("waits", tmp_path)
    advice = said(traced(made._replace(settings={"memory": "model-offload"})), monkeypatch)["transfers"]
    assert "memory model-offload moves the weights; where they fit into the GPU, use memory none" in advice.sentence


def test_compilation_in_the_call_counts_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warmed up as it was, it would compile anew after more warm-up too; code for all shapes is what can help."""

    def compiling(maker: TraceMaker) -> None:
        with maker.range("Torch-Compiled Region: 0/0", "cpu_op"):
            with maker.range("_compile.compile_inner (dynamo_timed)", "cpu_op"):
                maker.python(30_000)
            maker.kernel(GEMM, 100, 100)
        maker.synchronize()

    trace = pipeline(TraceMaker(), compiling).write(tmp_path / "trace.json")
    found = said(traced(Case(trace, {"compiler": "inductor"}, completed(0.04, 1.222))), monkeypatch)["recompiles"]
    assert found.figure == 2
    assert found.concerns == pytest.approx(30 * 0.03 / 1.222, rel=0.02)
    assert found.sentence == (
        "torch.compile compiled 2 times during the traced call; try compiler inductor+dynamic, whose code serves all "
        "shapes."
    )


def test_shares_are_of_the_whole_call(tmp_path: Path) -> None:
    """30 ms of copies before the first of 30 steps are 1.4 % of 2.2 s, not 17 % of the two steps that were traced."""
    maker = TraceMaker()
    with maker.range("harness.stage:text_encoder"):
        maker.copy(TO_DEVICE, 30_000, 1 << 30)
    for _ in range(2):
        with maker.range("harness.stage:denoiser"):
            maker.kernel(GEMM, 700, 100)
            maker.kernel(CAST, 7, 100)
    outcome = completed(0.0707, 2.2, text_encoder=0.03)
    seen = traced(Case(maker.write(tmp_path / "trace.json"), {}, outcome))
    assert seen.facts.host_to_device.total_s > 0.15 * seen.facts.wall_s
    assert seen.working(seen.facts.host_to_device.lost_s) == pytest.approx(0.03 / 2.2, rel=0.01)
    assert seen.working(seen.facts.casts.lost_s) == pytest.approx(30 * 0.0007 / 2.2, rel=0.01)
    assert not {"transfers", "casts"} & {advice.rule for advice in advise(seen)}


def test_copies_beside_kernels_are_no_lost_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offloaded(maker: TraceMaker) -> None:
        maker.kernel(GEMM, 700, 100)
        maker.add("gpu_memcpy", TO_DEVICE, maker.device_us - 60_000, 50_000, correlation=1, bytes=1 << 30)

    trace = pipeline(TraceMaker(), offloaded).write(tmp_path / "trace.json")
    seen = traced(Case(trace, {"memory": "group-offload"}, completed(0.0705, 2.2)))
    assert seen.facts.host_to_device.total_s == pytest.approx(0.1)
    assert "transfers" not in said(seen, monkeypatch)


@pytest.mark.parametrize(("arithmetic_s", "rest"), [(0.06, "at most 33 % of its time"), (0.088, "next to nothing")])
def test_faster_kernels_save_only_above_the_roofline(
    arithmetic_s: float, rest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = case("compute-bound", tmp_path)._replace(outcome=completed(0.09, 2.75, roofline(arithmetic_s)))
    words = said(traced(made), monkeypatch)["arithmetic"].sentence
    assert f"faster kernels can save {rest}, less or cheaper arithmetic saves more (fewer steps, a smaller" in words
    one = made.outcome.model_copy(update={"denoiser_calls": 1, "pairing": alone(())})
    few = traced(made._replace(outcome=one.model_copy(update={"roofline": roofline(arithmetic_s / STEPS)})))
    assert "fewer steps" not in said(few, monkeypatch)["arithmetic"].sentence


def test_partially_read_weights_have_no_memory_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = case("weights", tmp_path)
    seen = traced(made._replace(outcome=completed(0.012, 0.4, roofline(0.001, bytes_per_s=3e11))))
    assert isinstance(share := find_bound(seen).weights_share, Absent)
    assert "faster than reading all its weights" in share.absent
    assert "weights" not in said(seen, monkeypatch)


def test_many_launches_are_of_one_denoiser_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def few(maker: TraceMaker) -> None:
        maker.python(6000)
        maker.kernel(GEMM, 100, 30)

    trace = pipeline(TraceMaker(), few, steps=10).write(tmp_path / "trace.json")
    seen = traced(Case(trace, {"compiler": "inductor"}, completed(0.006, 0.202)))
    assert find_bound(seen).verdict == "host-bound"
    assert set(said(seen, monkeypatch)) == {"pauses"}


def test_excluded_values_are_not_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache inside the denoiser refuses compilers, offloading conflicts with them; the rest may be tried."""
    machine = Machine(
        name="m", cpu="c", cpu_cores=2, memory_bytes=2**34, os="Linux", python="3.12", packages={},
        git_commit=Absent(absent="none"), git_dirty=Absent(absent="none"),
    )  # fmt: skip
    for settings in ({"caching": "deepcache"}, {"memory": "model-offload"}):
        made = case("launch-bound", tmp_path)
        seen = traced(made._replace(settings=settings))
        found = said(seen._replace(fits=make_fit_check(seen.cell, MODEL, machine)), monkeypatch)
        assert [str(one) for one in found["launches"].tries] == ["batch 4"]
        assert not any("inductor" in advice.sentence for advice in found.values())
    plain = traced(case("launch-bound", tmp_path))
    found = said(plain._replace(fits=make_fit_check(plain.cell, MODEL, machine)), monkeypatch)
    assert len(found["launches"].tries) == 2


def test_python_gaps_on_cpu_advise_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Case(RECORDED, {"precision": "fp32"}, completed(0.0173, 0.53))
    found = said(traced(made), monkeypatch)
    assert set(found) == {"pauses"}
    assert found["pauses"].sentence == (
        "34 % of the denoiser's time is Python between 2,608 operators a call; try compiler inductor or "
        "onnxruntime or openvino."
    )


def test_an_engine_outside_of_torch_says_so_on_a_cpu(tmp_path: Path) -> None:
    maker = TraceMaker()
    with maker.range("harness.stage:denoiser"):
        with maker.range("aten::to", "cpu_op"):
            maker.python(3)
        maker.python(9000)
    trace = maker.write(tmp_path / "trace.json")
    seen = traced(Case(trace, {"compiler": "onnxruntime"}, completed(0.009, 0.292)))
    assert find_bound(seen).verdict == "unknown"
    assert "outside of torch" in advise(seen)[0].sentence


def test_there_is_a_case_for_every_rule() -> None:
    spoken = set().union(*FIRE.values()) | {"recompiles"}
    assert spoken == {rule.__name__ for rule in RULES}


def test_the_summary_explains_itself(tmp_path: Path) -> None:
    seen = traced(case("launch-bound", tmp_path))
    described = summarize_trace(seen.facts, find_bound(seen), advise(seen))
    assert described["denoiser_bound"]["verdict"] == "launch-bound"
    assert described["advice"][0]["tries"][0] == {"axis": "compiler", "value": "inductor+mode=reduce-overhead"}
    assert described["recompiles"] == {"absent": "nothing that torch.compile made ran in this call"}
    assert {stage["stage"] for stage in described["stages"]} == {"text_encoder", "denoiser", "vae", "between stages"}
    assert "Seconds" in described["about"]
