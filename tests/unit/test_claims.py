"""Claims against runs whose machine, model, settings and samples are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.claims import Claim, Finding, compare_claims, parse_ledger, shipped_claims, write_claimed, write_measured
from harness.core.axis import Cell, Setting
from harness.core.machine import Gpu, Machine
from harness.core.matrix import Matrix, Model
from harness.core.model import ModelInfo
from harness.core.outcome import NO_MEMORY, Applied, ColdStart, Completed, Failed, Outcome
from harness.core.plan import Plan, PlannedCell
from harness.core.quality import Definition, Evaluation, Interval, Score, Uncertainty
from harness.core.timing import Repeat
from harness.core.units import Absent
from harness.stats.speedup import between, speedup, unpaired
from harness.store import begin_cell, create_run, write_evaluation, write_outcome
from tests.builders.timed_pairs import alone, interleaved

NONE = Absent(absent="not measured in a test")
SETTINGS = {
    "steps": "28", "scheduler": "default", "guidance": "3.5", "distillation": "none", "precision": "bf16",
    "compiler": "eager", "attention": "sdpa", "caching": "none", "resolution": "1024x1024", "batch": "1",
}  # fmt: skip
FUSED = (("fullgraph", True), ("mode", "max-autotune"))
EAGER_S, COMPILED_S = (6.57, 6.58, 6.56), (4.21, 4.2, 4.22)


def cell(name: str, options: tuple[tuple[str, Any], ...] = (), **changed: str) -> Cell:
    settings = {**SETTINGS, **changed}
    made = tuple(
        Setting(axis=axis, name=value, options=options if axis == "compiler" else ())
        for axis, value in settings.items()
    )
    return Cell(id=name, settings=made, build_key=name, call_key=name)


EAGER, COMPILED = cell("eager"), cell("compiled", FUSED, compiler="inductor")


def completed(seconds: tuple[float, ...], peak: int | Absent = NONE, **changed: Any) -> Completed:
    repeats = tuple(Repeat(latency_s=second, steps_s=(second / 28,) * 28) for second in seconds)
    fields = {
        "cold_start": ColdStart(start_s=0, load_s=0, apply_s=0, compile_s=0, first_call_s=0), "warmup_s": (),
        "pairing": alone(repeats), "batch": 1, "images": (), "denoiser_calls": 28, "weights_bytes": {},
        "memory": NO_MEMORY.model_copy(update={"allocated_bytes": peak}), "threads": 1, "phases_s": {},
    }  # fmt: skip
    return Completed(**{**fields, **changed})


def made_run(
    folder: Path, cells: dict[Cell, Outcome], gpu: str = "NVIDIA H100 80GB HBM3", model: str = "FLUX.1-dev"
) -> Path:
    card = Gpu(name=gpu, capability=(9, 0), memory_bytes=2**36, driver="1", cuda="1", power_limit_w=NONE)
    machine = Machine(
        name="test", gpus=(card,) if gpu else (), cpu="test", cpu_cores=1, memory_bytes=2**30, os="test", python="3",
        packages={}, git_commit=NONE, git_dirty=NONE,
    )  # fmt: skip
    info = ModelInfo(title=model, family="flux", width=64, height=64, guidance=1.0, size_multiple=8, digest="0")
    planned = tuple(
        PlannedCell(
            cell=made, role="candidate" if order else "baseline", order=order, estimate_s=1, content_key=made.id
        )
        for order, made in enumerate(cells)
    )
    matrix = Matrix(name="test", axes={"steps": (28,)}, model=Model(source="hub", options={"id": f"owner/{model}"}))
    plan = Plan(
        run_id="test", matrix=matrix, matrix_sha256="", model=info, machine=machine, prompts=(), cells=planned,
        baseline_id=planned[0].id,
    )  # fmt: skip
    run = create_run(folder, plan, "")
    for made, outcome in cells.items():
        begin_cell(run, made.id)
        write_outcome(run, made.id, outcome)
    return run


def both(baseline: Outcome, candidate: Outcome) -> dict[Cell, Outcome]:
    return {EAGER: baseline, COMPILED: candidate}


def shipped(name: str) -> Claim:
    return next(claim for claim in shipped_claims() if claim.id == name)


def own(body: str) -> Claim:
    (claim,) = parse_ledger(f'[source]\ntitle = "test"\n[[claim]]\nid = "own"\nwhat = "test"\n{body}')
    return claim


def side_by_side(theirs: tuple[float, ...], mine: tuple[float, ...]) -> Interval | Absent:
    """The speedup of two cells that were timed each by itself."""
    return unpaired(completed(theirs).pairing, completed(mine).pairing).interval


def find(run: Path, claim: Claim) -> Finding:
    (finding,) = compare_claims(run, (claim,))
    return finding


def test_claim_is_decided_by_the_interval(tmp_path: Path) -> None:
    claim = shipped("flux-h100-compile")  # 1.562 ± 10 %: 1.406 to 1.718
    agreed = find(made_run(tmp_path / "a", both(completed(EAGER_S), completed(COMPILED_S))), claim)
    assert agreed.verdict == "confirmed"
    assert (agreed.candidate, agreed.baseline, agreed.reasons) == ("compiled", "eager", ())
    assert agreed.here == side_by_side(EAGER_S, COMPILED_S)  # the figure and interval of every other page
    apart = find(made_run(tmp_path / "b", both(completed(EAGER_S), completed((5.9, 5.8, 5.85)))), claim)
    assert apart.verdict == "refuted"
    wide = find(made_run(tmp_path / "c", both(completed(EAGER_S), completed((5.9, 4.6, 5.85)))), claim)
    assert isinstance(wide.here, Interval)
    assert wide.here.estimate < claim.window[0] < wide.here.high  # missed, but not surely
    assert wide.verdict == "confirmed"


def test_speedups_are_per_image(tmp_path: Path) -> None:
    claim = own('quantity = "speedup"\nvalue = 4\ncandidate = { batch = 4 }\nbaseline = { batch = 1 }')
    cells = {EAGER: completed((2.0, 2.0)), cell("four", batch="4"): completed((2.0, 2.0), batch=4)}
    assert find(made_run(tmp_path, cells), claim).here == side_by_side((2.0, 2.0), (0.5, 0.5))


def test_paired_cells_are_compared_by_their_baseline(tmp_path: Path) -> None:
    """The claim's baseline is not the run's: the ratio of both paired speedups, free of what drifted in between."""
    dice = np.random.default_rng(2)
    twice, thrice = (interleaved("quiet", dice, 10, 2, speedup=by) for by in (2.0, 3.0))
    other = cell("other", caching="deepcache")
    cells: dict[Cell, Outcome] = {
        EAGER: completed((9.0, 9.1)),
        other: completed((), pairing=twice),
        cell("fast", compiler="inductor", caching="deepcache"): completed((), pairing=thrice),
    }
    claim = own('quantity = "speedup"\nvalue = 1.5\ncandidate = { compiler = "inductor" }\n'
                'baseline = { compiler = "eager", caching = "deepcache" }')  # fmt: skip
    found = find(made_run(tmp_path, cells), claim)
    assert (found.baseline, found.candidate) == ("other", "fast")
    assert found.here == between(speedup(twice), speedup(thrice)).interval
    assert isinstance(found.here, Interval)
    assert found.here.low < 1.5 < found.here.high


@pytest.mark.parametrize(
    ("gpu", "model", "reasons"),
    [
        ("NVIDIA H200", "FLUX.1-dev", ("hardware: NVIDIA H200, claimed on H100",)),
        ("", "flux.1-DEV", ("hardware: no GPU, claimed on H100",)),
        ("NVIDIA H100 PCIe", "SDXL", ("model: SDXL, claimed for FLUX.1-dev",)),
    ],
)
def test_other_machine_or_model_is_not_comparable(
    gpu: str, model: str, reasons: tuple[str, ...], tmp_path: Path
) -> None:
    run = made_run(tmp_path, both(completed(EAGER_S), completed(COMPILED_S)), gpu, model)
    finding = find(run, shipped("flux-h100-compile"))
    assert (finding.verdict, finding.reasons) == ("not comparable", reasons)
    assert finding.here == side_by_side(EAGER_S, COMPILED_S)


def test_any_gpu_is_not_no_gpu(tmp_path: Path) -> None:
    cells = both(completed(EAGER_S), completed(COMPILED_S))
    assert find(made_run(tmp_path / "a", cells, "NVIDIA L4"), shipped("compile-folk")).verdict == "confirmed"
    without = find(made_run(tmp_path / "b", cells, ""), shipped("compile-folk"))
    assert (without.verdict, without.reasons) == ("not comparable", ("hardware: no GPU, claimed on any GPU",))


def test_seconds_of_another_model_are_not_shown(tmp_path: Path) -> None:
    cells = both(completed(EAGER_S), completed(COMPILED_S))
    other = find(made_run(tmp_path / "a", cells, model="SDXL"), shipped("flux-h100-eager-latency"))
    assert isinstance(other.here, Absent)
    assert other.reasons == ("model: SDXL, claimed for FLUX.1-dev",)
    same = find(made_run(tmp_path / "b", cells), shipped("flux-h100-eager-latency"))
    assert (same.verdict, same.candidate, same.baseline) == ("confirmed", "eager", "")


def test_differing_settings_are_named_of_nearest_pair(tmp_path: Path) -> None:
    far = {cell("far-eager", steps="4", batch="8"): completed((1.0,)),
           cell("far", FUSED, compiler="inductor", steps="4", batch="8"): completed((1.0,))}  # fmt: skip
    near = {cell("near-eager", steps="30"): completed(EAGER_S),
            cell("near", FUSED, compiler="inductor", steps="30"): completed(COMPILED_S)}  # fmt: skip
    finding = find(made_run(tmp_path, {**far, **near}), shipped("flux-h100-compile"))
    assert (finding.verdict, finding.reasons) == ("not comparable", ("steps 30, claimed with 28",))
    assert (finding.candidate, finding.baseline) == ("near", "near-eager")


def test_unnamed_settings_are_taken_as_unused(tmp_path: Path) -> None:
    cached = {cell("one", caching="magcache"): completed(EAGER_S),
              cell("two", FUSED, compiler="inductor", caching="magcache"): completed(COMPILED_S)}  # fmt: skip
    run = made_run(tmp_path, cached)
    finding = find(run, shipped("flux-h100-compile"))
    assert (finding.verdict, finding.reasons) == ("not comparable", ("caching magcache, claimed with none",))
    assert find(run, shipped("compile-folk")).verdict == "confirmed"


def test_a_pair_is_alike_but_for_what_is_compared(tmp_path: Path) -> None:
    other = cell("other", FUSED, compiler="inductor", caching="magcache")
    cells = {EAGER: completed(EAGER_S), other: completed(COMPILED_S)}
    finding = find(made_run(tmp_path, cells), shipped("flux-h100-compile"))
    assert isinstance(finding.here, Absent)
    assert finding.reasons[-1].startswith("no two completed cells that differ in compiler only")


def test_cells_that_are_not_there_are_named(tmp_path: Path) -> None:
    failed = Failed(kind="out-of-memory", phase="load", message="too large")
    absent_files = find(made_run(tmp_path / "a", both(completed(EAGER_S), failed)), shipped("flux-h100-compile"))
    assert absent_files.reasons == ("no completed cell with compiler inductor*mode=max-autotune*",)
    alone = find(made_run(tmp_path / "b", both(failed, completed(COMPILED_S))), shipped("flux-h100-compile"))
    assert alone.reasons == ("no completed cell with compiler eager to compare with",)
    untimed = find(made_run(tmp_path / "c", both(completed(()), completed(COMPILED_S))), shipped("flux-h100-compile"))
    assert untimed.reasons == ("no timed calls",)
    assert {absent_files.verdict, alone.verdict, untimed.verdict} == {"not comparable"}


def test_memory_claims_use_resident_and_peak(tmp_path: Path) -> None:
    gib = 2**30
    whole = {"transformer": 22 * gib, "text_encoder_2": 9 * gib}
    small = {"transformer": 11 * gib, "text_encoder_2": 9 * gib}
    cells = {
        EAGER: completed((1.0,), weights_bytes=whole, peak=34 * gib),
        cell("fp8", precision="fp8-torchao"): completed((1.0,), weights_bytes=small, peak=32 * gib),
    }
    run = made_run(tmp_path, cells)
    seen = {name: find(run, shipped(name)) for name in
            ("flux-bf16-weights", "flux-fp8-weights", "fp8-denoiser-folk", "flux-h100-fp8-peak")}  # fmt: skip
    figures = {name: finding.here.estimate for name, finding in seen.items() if isinstance(finding.here, Interval)}
    assert figures == pytest.approx({"flux-bf16-weights": 31, "flux-fp8-weights": 20, "fp8-denoiser-folk": 0.5,
                                     "flux-h100-fp8-peak": 32 / 34})  # fmt: skip
    assert {finding.verdict for finding in seen.values()} == {"confirmed"}
    assert write_measured(seen["flux-bf16-weights"].claim, seen["flux-bf16-weights"].here) == "31 GiB"  # type: ignore[arg-type]


def test_peak_is_that_of_the_timed_calls(tmp_path: Path) -> None:
    made = completed((1.0,), peak=33 * 2**30)
    made = made.model_copy(update={"memory": made.memory.model_copy(update={"device_used_bytes": 60 * 2**30})})
    finding = find(made_run(tmp_path, {EAGER: made}), shipped("flux-h100-bf16-peak"))
    assert isinstance(finding.here, Interval)
    assert (finding.here.estimate, finding.verdict) == (33, "confirmed")


def test_a_step_is_the_median_of_denoiser_calls(tmp_path: Path) -> None:
    finding = find(
        made_run(tmp_path, both(completed((5.6,)), completed((4.3,))), "NVIDIA H200"), shipped("flux-h200-step")
    )
    assert isinstance(finding.here, Interval)
    assert finding.here.estimate == pytest.approx(0.2)
    assert finding.verdict == "confirmed"


@pytest.mark.parametrize(("calls", "verdict"), [(0.0, "confirmed"), (0.5, "refuted")])
def test_cached_prompts_leave_no_encoder_calls(calls: float, verdict: str, tmp_path: Path) -> None:
    done = Applied(axis="caching", value="prompt-embeddings", summary="", figures={"encoder_calls": calls})
    cached = cell("cached", caching="prompt-embeddings")
    cells = {EAGER: completed((1.0,)), cached: completed((1.0,), applied=(done,))}
    assert find(made_run(tmp_path, cells, ""), shipped("prompt-cache-folk")).verdict == verdict


@pytest.mark.parametrize(
    ("images", "score", "expected"),
    [
        (5000, 23.5, "confirmed"),
        (5000, 25.0, "refuted"),
        (512, 23.5, "fid:mlperf was scored on 512 images, claimed on 5,000"),
    ],
)
def test_score_claims_need_their_number_of_images(images: int, score: float, expected: str, tmp_path: Path) -> None:
    reference = cell("reference", steps="20", guidance="8")
    run = made_run(tmp_path, {reference: completed((1.0,))}, model="stable-diffusion-xl-base-1.0")
    unscored = find(run, shipped("mlperf-sdxl-fid"))
    assert unscored.reasons == ("the run was not evaluated: harness evaluate",)
    definition = Definition(
        metric="fid:mlperf", kind="distribution", question="variety", extractor="", weights_sha256="", resize="",
        value_range="",
        reference="", library="", better="lower",
    )  # fmt: skip
    value = Interval(estimate=score, low=score - 0.1, high=score + 0.1, method="test")
    scored = Score(cell_id="reference", definition=definition, value=value, n=images, prompts=images,
                   uncertainty=Uncertainty(levels=(), quantiles=()))  # fmt: skip
    write_evaluation(run, Evaluation(run_id="test", scores=(scored,), deltas=(), ladder=(), tails=(), blind={},
                                     missing={}, seconds=0))  # fmt: skip
    finding = find(run, shipped("mlperf-sdxl-fid"))
    assert expected in (finding.verdict, *finding.reasons)


def test_figures_are_written_as_people_write_them() -> None:
    assert write_claimed(shipped("flux-h100-compile")) == "1.56× ± 10 %"
    assert write_claimed(shipped("compile-folk")) == "1.4× to 2×"
    assert write_claimed(shipped("progressive-folk")) == "at least 1×"
    assert write_claimed(shipped("prompt-cache-folk")) == "at most 0 encoder calls"
    here = Interval(estimate=1.494, low=1.461, high=1.523, method="")
    assert write_measured(shipped("compile-folk"), here) == "1.49× [1.46, 1.52]"
    seconds = Interval(estimate=1.0, low=0.9, high=1.1, method="")
    assert write_measured(shipped("sdxl-a100-lcm-lora-latency"), seconds) == "1 s [900 ms, 1.1 s]"
