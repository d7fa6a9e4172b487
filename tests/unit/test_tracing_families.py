"""Kernels and operators by family and by short name, on names as profilers gave them on real GPUs and CPUs."""

import pytest

from harness.tracing.work import classify_kernel, shorten_name
from tests.builders.trace_maker import ADD, CAST, CONVOLUTION, FLASH, GEMM, NORM, TO_DEVICE

FAMILIES = {
    "gemm": (
        GEMM,
        "ampere_fp16_s16816gemm_fp16_128x64_ldg8_f2f_stages_64x4_tn",
        "ampere_bf16_s1688gemm_bf16_128x128_ldg8_f2f_stages_32x1_nn",
        "nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_TNT",
        "nvjet_tst_64x24_64x16_4x1_v_bz_splitK_TNT",
        "sm90_xmma_gemm_e4m3bf16_e4m3f32_f32_tn_n_tilesize64x64x128_warpgroupsize1x1x1_execute_segment_k_off_kernel",
        "void cutlass::Kernel2<cutlass_80_tensorop_f16_s16816gemm_relu_f16_256x128_32x3_tn_align8>(cutlass_80_Params)",
        "void cutlass::Kernel2<cutlass_80_simt_sgemm_128x64_8x5_nn_align1>(cutlass_80_simt_sgemm::Params)",
        "void cublasLt::splitKreduce_kernel<32, 16, int, float, __half, float, __half, false, __half>(…)",
        "void gemv2T_kernel_val<int, int, __half, __half, __half, float, 128, 16, 4, 4, false, false>(…)",
        "void magma_sgemmEx_kernel<float, float, float, true, false, 6, 4, 6, 3, 4>(int, int, int, float const*)",
        "_matmul_ogs_NNT_bf16xbf16xmxfp4_16x256x128x1_swiglu",
        "triton_tem_fused_addmm_4",
        "triton_tem_fused_mm_12",
        "void kgemm_4bit_inference_naive<__half, 128, 16>(int, int, int, __half*, unsigned char*, float*)",
        "__myl_Fc_0x1657adf8",
        "aten::addmm",
        "aten::mm",
        "aten::bmm",
        "aten::linear",
        "aten::matmul",
        "aten::_scaled_mm",
        "mkldnn::_linear_pointwise",
    ),
    "attention": (
        FLASH,
        "fmha_cutlassF_f16_aligned_64x128_rf_sm80(PyTorchMemEffAttention::AttentionKernel<cutlass::half_t>::Params)",
        "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_7_64x128x128_4x1x1_kernel0_0",
        "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<flash::Mainloop>>>",
        "void qk_int_sv_f16_attn_kernel<128u, 64u, 32u, 64u, 64u, (DataType)0, (QuantGranularity)2>(signed char*)",
        "_gemm_mha_v2_0x3f2a",
        "void (anonymous namespace)::softmax_warp_forward<float, float, float, 11, false, false>(float*, float const*)",
        "triton_tem_fused_flex_attention_3",
        "triton_per_fused__softmax_baddbmm_2",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_softmax",
    ),
    "convolution": (
        CONVOLUTION,
        "sm80_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize128x128x32_stage3_warpsize2x2x1_g1",
        "void cutlass__5x_cudnn::Kernel<cutlass_tensorop_s1688fprop_optimized_tf32_128x64_16x6_nhwc_align4>(Params)",
        "void cutlass_cudnn_infer::Kernel<cutlass_tensorop_f16_s16816fprop_optimized_f16_128x128_32x4_nhwc_align8>()",
        "implicit_convolve_sgemm<float, float, 128, 5, 5, 3, 3, 3, 1, false, false, true>(int, int, int, float const*)",
        "void precomputed_convolve_sgemm<float, 512, 6, 8, 3, 3, 5, 1, false>(int, int, int, float const*, int)",
        "void cudnn::winograd_nonfused::winogradForwardData4x4<float, float>(WinogradDataParams<float, float>)",
        "volta_scudnn_128x64_relu_interior_nn_v1",
        "void at::native::im2col_kernel<c10::Half>(long, c10::Half const*, long, long)",
        "triton_tem_fused_convolution_9",
        "cutlass3x_sm100_tensorop_s256x256x16implicit_gemm_fprop_bf16",
        "aten::conv2d",
        "aten::mkldnn_convolution",
        "aten::_slow_conv2d_forward",
    ),
    "norm": (
        NORM,
        "void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<c10::Half, float>(int, float)",
        "void at::native::(anonymous namespace)::ComputeFusedParamsCUDAKernel<c10::Half>(long, long, long)",
        "void at::native::elementwise_kernel<128, 4, at::native::(anonymous namespace)::GroupNormKernelImpl<…>>",
        "void vllm::rms_norm_kernel<c10::BFloat16>(c10::BFloat16*, c10::BFloat16 const*)",
        "triton_red_fused_native_group_norm_5",
        "triton_per_fused_add_addmm_native_layer_norm_9",
        "triton_per_fused__to_copy_mean_mul_pow_rsqrt_7",
        "aten::native_layer_norm",
        "aten::native_group_norm",
    ),
    "elementwise": (
        ADD,
        "void at::native::vectorized_elementwise_kernel<4, at::native::(anonymous namespace)::silu_kernel(…)>",
        "void at::native::elementwise_kernel<128, 2, at::native::gpu_kernel_impl_nocast<at::native::BinaryFunctor<…>>>",
        "void at::native::(anonymous namespace)::upsample_nearest2d_nhwc_out_frame<c10::Half, at::native::nearest>(…)",
        "void at::native::(anonymous namespace)::distribution_elementwise_grid_stride_kernel<float, 4, normal>(…)",
        "triton_poi_fused_add_mul_silu_12",
        "triton_poi_fused__scaled_dot_product_flash_attention_clone_3",
        "triton_poi_fused_convolution_5",
        "triton_red_fused_mm_sum_2",
        "void kDequantizeBlockwise<__half, 512, 64, 8, 2>(float*, unsigned char*, float*, __half*, int, int)",
        "aten::silu",
        "aten::gelu",
        "aten::add_",
        "graph_0_cpp_fused_add_mul_3",
        "compiled graph (inductor)",
    ),
    "copy": (
        TO_DEVICE,
        CAST,
        "Memset (Device)",
        "void cudnn::ops::nchwToNhwcKernel<__half, __half, float, false, true, (cudnnKernelDataType_t)0>(…)",
        "void cudnn::engines_precompiled::nhwcToNchwKernel<__half, __half, float, true, false>(…)",
        "void at::native::(anonymous namespace)::CatArrayBatchedCopy_aligned16_contig<OpaqueType<2u>>(…)",
        "void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<direct_copy_kernel_cuda",
        "void at::native::bfloat16tofloat32_copy_kernel_cuda(at::TensorIteratorBase&)",
        "triton_poi_fused__to_copy_1",
        "triton_poi_fused_clone_2",
        "aten::copy_",
        "aten::cat",
        "aten::_to_copy",
    ),
    "other": (
        "aten::view",
        "aten::transpose",
        "aten::as_strided",
        "aten::empty",
        "aten::normal_",
        "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float, float>>>(…)",
    ),
}


@pytest.mark.parametrize(("family", "name"), [(family, name) for family, names in FAMILIES.items() for name in names])
def test_every_kernel_has_its_family(family: str, name: str) -> None:
    assert classify_kernel(name) == family


@pytest.mark.parametrize(
    ("name", "short"),
    [
        (ADD, "vectorized_elementwise_kernel<CUDAFunctor_add>"),
        (CAST, "unrolled_elementwise_kernel<direct_copy_kernel_cuda>"),
        (FLASH, "flash_fwd_kernel"),
        (NORM, "RowwiseMomentsCUDAKernel"),
        (TO_DEVICE, TO_DEVICE),
        ("aten::addmm", "aten::addmm"),
        (
            "void cutlass::Kernel2<cutlass_80_simt_sgemm_128x64_8x5_nn_align1>(cutlass_80_simt_sgemm::Params)",
            "cutlass_80_simt_sgemm_128x64_8x5_nn_align1",
        ),
        (
            "void cutlass::device_kernel<flash::enable_sm90_or_later<flash::FlashAttnFwdSm90<flash::Mainloop>>>",
            "FlashAttnFwdSm90",
        ),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::AUnaryFunctor<float, float, float, at::"
            "native::binary_internal::MulFunctor<float> >, std::array<char*, 2ul> >(int)",
            "vectorized_elementwise_kernel<MulFunctor>",
        ),
        (
            "void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<at::native::direct_copy_"
            "kernel_cuda(at::TensorIteratorBase&)::{lambda()#3}> >",
            "elementwise_kernel<direct_copy_kernel_cuda>",
        ),
        ("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float> > >()",
         "reduce_kernel<MeanOps>"),
        (
            "std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, __nv_bfloat16, float, "
            "cublasGemvParamsEx<int, cublasGemvTensorStridedBatched<__nv_bfloat16 const>, float> >(int)",
            "gemvx::kernel",
        ),
        (
            "std::enable_if<(((8)>(0)))&&vllm::_typeConvert<c10::BFloat16>::exists, void>::type "
            "vllm::fused_add_rms_norm_kernel<c10::BFloat16, 8>(c10::BFloat16*, long)",
            "fused_add_rms_norm_kernel",
        ),
        ("x" * 300, "x" * 99 + "…"),
    ],
)  # fmt: skip
def test_names_are_short_enough_to_read(name: str, short: str) -> None:
    assert shorten_name(name) == short
