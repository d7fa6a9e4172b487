"""What the device did: kernels and copies on a GPU, operators by their own time on a CPU.

Which family a kernel or an operator belongs to, by its name.

Names of kernels as people read them: without the templates and arguments that fill a page."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from harness.core.errors import ResultsError
from harness.core.trace import Family
from harness.tracing.chrome_trace import Event
from harness.tracing.intervals import innermost

_OPERATOR = re.compile(r"\w::\w|^## Call CompiledFxGraph|cpp_fused")
"""What computes among the host's events: operators of torch and its libraries, and code that inductor compiled."""

_LAUNCH = re.compile(r"Launch|Memcpy|Memset")


class Work(NamedTuple):
    """A stretch of the device's time; `launched_s` is when the host asked for it, None where the trace lacks that.

    `calls` is 1 for a kernel and for the first piece of an operator, 0 for its other pieces.
    """

    name: str
    begin_s: float
    end_s: float
    launched_s: float | None
    calls: int = 1
    size_bytes: int = 0

    @property
    def is_copy(self) -> bool:
        """Whether it only moves or sets memory, which the GPU's copy engines do beside kernels."""
        return self.name.startswith(("Memcpy", "Memset"))

    @property
    def asked_s(self) -> float:
        """When the host asked for it, or when it ran where that is not known."""
        return self.begin_s if self.launched_s is None else self.launched_s


class TraceWork(NamedTuple):
    """The events of a trace, sorted by what they are."""

    device: Literal["cpu", "cuda"]
    work: tuple[Work, ...]
    operators: tuple[Event, ...]
    runtime: tuple[Event, ...]
    ranges: tuple[Event, ...]
    device_ranges: tuple[Event, ...]
    overhead_s: float

    @property
    def host(self) -> tuple[Event, ...]:
        """Everything that the host did."""
        return (*self.operators, *self.runtime, *self.ranges)

    def within(self, begin_s: float, end_s: float) -> "TraceWork":
        """Return what the host began between two moments, and the work that it launched then."""

        def inside(events: tuple[Event, ...]) -> tuple[Event, ...]:
            return tuple(event for event in events if begin_s <= event.begin_s < end_s)

        return self._replace(
            work=tuple(work for work in self.work if begin_s <= work.asked_s < end_s),
            operators=inside(self.operators),
            runtime=inside(self.runtime),
            ranges=inside(self.ranges),
        )


def sort_events(events: Iterable[Event]) -> TraceWork:
    """Return what a trace holds; ResultsError where kernels were launched but the profiler was not shown them."""
    of: dict[str, list[Event]] = {}
    for event in events:
        of.setdefault(event.kind, []).append(event)
    runtime, device = tuple(of.get("runtime", ())), of.get("device", [])
    launched = {event.correlation: event.begin_s for event in runtime if event.correlation}
    if not device and any(is_launch(event) and "Kernel" in event.name for event in runtime):
        what = "kernels were launched, but the profiler was not let see them on the GPU"
        raise ResultsError(what, "trace", "Allow GPU performance counters for this user (NVreg_RestrictProfiling…=0).")
    operators = tuple(of.get("operator", ()))
    work = [_kernel(event, launched.get(event.correlation)) for event in device] if device else _computed(operators)
    return TraceWork(
        "cuda" if device else "cpu",
        tuple(sorted(work, key=lambda piece: piece.begin_s)),
        operators,
        runtime,
        tuple(of.get("range", ())),
        tuple(of.get("device-range", ())),
        sum(event.end_s - event.begin_s for event in of.get("overhead", ())),
    )


def is_launch(event: Event) -> bool:
    """Return whether a call of the runtime hands the device something to do."""
    return _LAUNCH.search(event.name) is not None


def _kernel(event: Event, launched_s: float | None) -> Work:
    return Work(event.name, event.begin_s, event.end_s, launched_s, 1, event.size_bytes)


def _computed(operators: Iterable[Event]) -> list[Work]:
    pieces = innermost(event for event in operators if _OPERATOR.search(event.name))
    return [
        Work(_compiled(piece.event.name), piece.begin_s, piece.end_s, piece.begin_s, int(piece.first))
        for piece in pieces
    ]


def _compiled(name: str) -> str:
    """The hash in the name of a compiled graph says nothing, and differs from run to run."""
    return "compiled graph (inductor)" if name.startswith("## Call Compiled") else name


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
def classify_kernel(name: str) -> Family:
    """Return the family of a kernel (its full name, templates included) or of an operator (`aten::addmm`)."""
    return next((family for family, pattern in _PATTERNS if pattern.search(name)), "other")


_HEAD = re.compile(r"^(?:void\s+)?(?:(?:\w+|\(anonymous namespace\)|<unnamed>)::)*(\w+)(?=[<(])")
_PLAIN = {"kernel", "kernel2", "device_kernel", "elementwise_kernel", "vectorized_elementwise_kernel",
          "unrolled_elementwise_kernel", "index_elementwise_kernel", "reduce_kernel"}  # fmt: skip
"""Kernels that do whatever their template says."""
_SIGNIFICANT = re.compile(
    r"\b(?!gpu_kernel|AUnary|BUnary|Binary|Reduce)"
    r"(cutlass\w*\d\w*|Flash[A-Z]\w+|\w+_kernel(?:_cuda|_impl)?|CUDAFunctor_\w+|\w+Functor|\w+KernelImpl|\w+Ops)\b"
)
_LONGEST = 100


@lru_cache(maxsize=4096)
def short_name(name: str) -> str:
    """Return a kernel's name with no more of its template than says what it does.

    `void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::Half>, …>(…)` is
    `vectorized_elementwise_kernel<CUDAFunctor_add>`; a name that is no C++ stays as it is, up to 100 characters.
    """
    head = _HEAD.match(name)
    if head is None:
        return _cut(name)
    base = head.group(1)
    found = _SIGNIFICANT.search(name, head.end()) if base.lower() in _PLAIN else None
    if found is None:
        return _cut(base)
    what = found.group(1)
    return _cut(what if what.startswith(("cutlass", "Flash")) else f"{base}<{what}>")


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
