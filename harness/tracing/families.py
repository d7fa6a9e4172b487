"""Which family a kernel or an operator belongs to, by its name."""

import re
from functools import lru_cache

from harness.core.trace import Family

_FAMILIES: tuple[tuple[Family, str], ...] = (
    ("copy", r"^mem(cpy|set)|nchw_?to_?nhwc|nhwc_?to_?nchw|convert_?tensor|bulk_?transpose"),
    # what inductor fused is named after all that it had a part in, a matrix product too whose result it only takes
    ("copy", r"^triton_poi_fused_(_?(to_copy|clone|cat|copy|stack|transpose|permute|view|slice))+_\d+"),
    ("norm", r"^triton_(red|per)_.*(_norm|rsqrt|var_mean)"),
    ("attention", r"^triton_(red|per)_.*softmax"),
    ("elementwise", r"^triton_(poi|red|per)_|cpp_fused|^compiled graph"),
    ("norm", r"(layer|group|rms|batch|instance)_?norm|rowwise_?moments|compute_?fused_?params|normalization|bn_fw"),
    ("attention", r"flash|fmha|mha_|sdpa|scaled_dot_product|attention|attn|sage|xformers|mem_?eff|softmax"),
    # an implicit GEMM is how a convolution is computed, so these come before GEMM
    ("convolution", r"conv(?!ert)|implicit_?(precomp_?)?gemm|winograd|fprop|im2col|vol2col|fft2d|cudnn"),
    ("gemm", r"gemm|gemv|nvjet|cutlass|cublas|matmul|marlin|xmma|split_?k|(?<![a-z])q?linear|__myl_\w*fc"),
    ("gemm", r"(?<![a-z])(mm|bmm|addmm|addbmm|baddbmm|addmv|mv|dot|einsum)(?![a-z])"),
    ("copy", r"copy|cat_?array|::cat$|concat|clone|contiguous|::stack$|(?<!aten::)(transpose|permute)"),
    ("elementwise", r"elementwise|pointwise|silu|gelu|relu|sigmoid|tanh|rotary|rope|upsample|quant"),
    ("elementwise", r"^aten::_?(add|r?sub|mul|div|pow|exp|log|r?sqrt|sin|cos|neg|abs|clamp|fill|zero|where|lerp)"),
)
"""The first that fits holds. Softmax is there because diffusion models take it nowhere but in attention."""

_PATTERNS = tuple((family, re.compile(pattern, re.IGNORECASE)) for family, pattern in _FAMILIES)


@lru_cache(maxsize=4096)
def family_of(name: str) -> Family:
    """Return the family of a kernel (its full name, templates included) or of an operator (`aten::addmm`)."""
    return next((family for family, pattern in _PATTERNS if pattern.search(name)), "other")
