"""Two traces compared: what came, went, got slower or faster, per call of each stage."""

from pathlib import Path

import pytest

from harness.core.trace import BETWEEN, TraceFacts
from harness.tracing import compare, read_trace
from harness.tracing.diff import strip_variant
from tests.builders.trace_maker import ADD, CONVOLUTION, GEMM, NORM, TraceMaker, pipeline

RECORDED = Path(__file__).parent / "traces" / "bundled_cpu.json.gz"


def eager(maker: TraceMaker) -> None:
    maker.kernel(GEMM, 100, 20)
    maker.kernel(ADD, 20, 50)
    maker.kernel(NORM, 30, 10)


def compiled(maker: TraceMaker) -> None:
    maker.kernel(GEMM.replace("128x128x64", "256x128x64"), 90, 20)
    maker.kernel("triton_poi_fused_add_silu_3", 25, 10)
    maker.kernel("triton_poi_fused_add_silu_7", 25, 10)
    maker.kernel(NORM, 45, 10)


def facts(folder: Path, denoise: object, steps: int = 2, decode_us: float = 500) -> TraceFacts:
    return read_trace(pipeline(TraceMaker(), denoise, steps, decode_us).write(folder / "trace.json"))


def test_kernels_came_went_and_changed(tmp_path: Path) -> None:
    diff = compare(facts(tmp_path, eager), facts(tmp_path, compiled, decode_us=900))
    turns = {(kernel.change_kind, kernel.name.split("<")[0], kernel.stage) for kernel in diff.kernels}
    assert turns == {
        ("went", "vectorized_elementwise_kernel", "denoiser"),
        ("came", "triton_poi_fused_add_silu", "denoiser"),
        ("faster", "sm90_xmma_gemm_f16f16_f16f32_f32_tn_n", "denoiser"),
        ("slower", "RowwiseMomentsCUDAKernel", "denoiser"),
        ("slower", "sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc", "vae"),
    }
    gone = diff.kernels[0]
    assert (gone.before_calls, gone.after_calls, gone.after_s) == (50, 0, 0)
    assert gone.change_s == pytest.approx(-1e-3)
    came = next(kernel for kernel in diff.kernels if kernel.change_kind == "came")
    assert (came.after_calls, came.after_s) == (20, pytest.approx(0.5e-3))  # two fused kernels that are alike
    described = " ".join(diff.sentences)
    assert described.startswith("One denoiser call under the profiler: 3.3 ms → 2.75 ms (−17 %): −500 µs elementwise, ")
    assert (
        "Gone from one denoiser call: vectorized_elementwise_kernel<CUDAFunctor_add> (50 times, 1000 µs)." in described
    )
    assert "New in one denoiser call: triton_poi_fused_add_silu (20 times, 500 µs)." in described
    assert "Slower in one denoiser call: RowwiseMomentsCUDAKernel (300 µs → 450 µs)." in described
    assert "Vae: 500 µs → 900 µs (+80 %)." in described


def test_traces_of_other_steps_compare_per_step(tmp_path: Path) -> None:
    diff = compare(facts(tmp_path, eager, steps=2), facts(tmp_path, eager, steps=5))
    assert diff.kernels == ()
    assert diff.sentences == ("One denoiser call under the profiler: 3.3 ms → 3.3 ms (0 %).",)
    between = next(change for change in diff.stages if change.stage == BETWEEN)
    assert between.after_s > between.before_s  # five scheduler steps: shown, but not told as a change


def test_a_trace_against_itself_has_nothing_to_tell() -> None:
    recorded = read_trace(RECORDED)
    diff = compare(recorded, recorded)
    assert diff.kernels == ()
    assert all(change.before_s == change.after_s for change in (*diff.stages, *diff.families))


def test_fewer_pauses_are_named_as_such(tmp_path: Path) -> None:
    before = facts(tmp_path, lambda maker: maker.kernel(GEMM, 2, 400))
    after = facts(tmp_path, lambda maker: maker.graph(GEMM, 2, 400))
    (first, *_) = compare(before, after).sentences
    assert first == "One denoiser call under the profiler: 1.96 ms → 800 µs (−59 %): −1.16 ms pauses."


@pytest.mark.parametrize(
    ("count", "us", "change_kind", "words"),
    [
        (20, 30, "more often", "(10 → 20 times, 300 µs → 600 µs)"),
        (5, 30, "less often", "(10 → 5 times, 300 µs → 150 µs)"),
        (11, 60, "slower", "(10 → 11 times, 300 µs → 660 µs)"),
        (20, 10, "faster", "(10 → 20 times, 300 µs → 200 µs)"),
        (30, 15, "more often", "(10 → 30 times, 300 µs → 450 µs)"),
    ],
)
def test_a_kernel_that_runs_more_often_is_not_slower(
    count: int, us: float, change_kind: str, words: str, tmp_path: Path
) -> None:
    before = facts(tmp_path, lambda maker: maker.kernel(NORM, 30, 10))
    diff = compare(before, facts(tmp_path, lambda maker: maker.kernel(NORM, us, count)))
    assert [kernel.change_kind for kernel in diff.kernels] == [change_kind]
    assert f"{change_kind.capitalize()} in one denoiser call: RowwiseMomentsCUDAKernel {words}." in diff.sentences


def test_small_changes_without_a_denoiser(tmp_path: Path) -> None:
    def decoding(us: float) -> TraceFacts:
        maker = TraceMaker()
        with maker.range("harness.stage:vae"):
            maker.kernel(CONVOLUTION, us)
        return read_trace(maker.write(tmp_path / "trace.json"))

    assert compare(decoding(500), decoding(515)).sentences == ("No stage changed by more than 5 %.",)


def test_a_stage_that_went(tmp_path: Path) -> None:
    before = facts(tmp_path, eager)
    stages = tuple(stage for stage in before.stages if stage.stage != "text_encoder")
    kernels = tuple(kernel for kernel in before.kernels if kernel.stage != "text_encoder")
    after = before.model_copy(update={"stages": stages, "kernels": kernels})
    assert any(sentence.startswith("Text encoder went (") for sentence in compare(before, after).sentences)


def test_a_gpu_and_a_cpu_have_no_kernels_in_common(tmp_path: Path) -> None:
    (only,) = compare(read_trace(RECORDED), facts(tmp_path, eager)).sentences
    assert only == "The traces cannot be compared kernel by kernel: one is of a cpu, one of cuda."


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("triton_poi_fused_add_silu_12", "triton_poi_fused_add_silu"),
        ("triton_tem_fused_addmm_4", "triton_tem_fused_addmm"),
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_TNT", "nvjet_hsh"),
        ("ampere_fp16_s16816gemm_fp16_128x64_ldg8_f2f_stages_64x4_tn", "ampere_fp16_s16816gemm_fp16"),
        ("cutlass_80_tensorop_s16816gemm_f16_256x128_32x3_tn_align8", "cutlass_80_tensorop_s16816gemm_f16"),
        ("fmha_cutlassF_f16_aligned_64x128_rf_sm80", "fmha_cutlassF_f16_aligned"),
        (CONVOLUTION, "sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc"),
        ("flash_fwd_kernel", "flash_fwd_kernel"),
        ("aten::mkldnn_convolution", "aten::mkldnn_convolution"),
    ],
)  # fmt: skip
def test_kernel_names_match_despite_tiles_and_numbers(name: str, same: str) -> None:
    assert strip_variant(name) == same
