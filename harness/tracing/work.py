"""Work of the device, kernels and copies on a GPU, operators on a CPU, and its family."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from harness.core.errors import ResultsError
from harness.core.trace import Family
from harness.tracing.chrome_trace import Event
from harness.tracing.intervals import innermost

_OPERATOR = re.compile(r"\w::\w|^## Call CompiledFxGraph|cpp_fused")
"""Host events that compute: operators of torch and its libraries, and code compiled by inductor."""

_LAUNCH = re.compile(r"Launch|Memcpy|Memset")


class Work(NamedTuple):
    """An interval of device work.

    `launched_s` is when the host launched it, None if not in the trace. `calls` is 1 for a kernel
    and for the first piece of an operator, 0 for its other pieces.
    """

    name: str
    begin_s: float
    end_s: float
    launched_s: float | None
    calls: int = 1
    size_bytes: int = 0

    @property
    def is_copy(self) -> bool:
        """Whether it only copies or sets memory, which may run concurrently with kernels."""
        return self.name.startswith(("Memcpy", "Memset"))

    @property
    def asked_s(self) -> float:
        """When the host launched it, or when it ran if that is unknown."""
        return self.begin_s if self.launched_s is None else self.launched_s


class TraceWork(NamedTuple):
    """The events of a trace, by what they are."""

    device: Literal["cpu", "cuda"]
    work: tuple[Work, ...]
    operators: tuple[Event, ...]
    runtime: tuple[Event, ...]
    ranges: tuple[Event, ...]
    device_ranges: tuple[Event, ...]
    overhead_s: float

    @property
    def host(self) -> tuple[Event, ...]:
        """All events of the host."""
        return (*self.operators, *self.runtime, *self.ranges)

    def within(self, begin_s: float, end_s: float) -> "TraceWork":
        """Return the host's events between two moments, and the work launched then."""

        def inside(events: tuple[Event, ...]) -> tuple[Event, ...]:
            return tuple(event for event in events if begin_s <= event.begin_s < end_s)

        return self._replace(
            work=tuple(work for work in self.work if begin_s <= work.asked_s < end_s),
            operators=inside(self.operators),
            runtime=inside(self.runtime),
            ranges=inside(self.ranges),
        )


def sort_events(events: Iterable[Event]) -> TraceWork:
    """Return the events of a trace by what they are.

    Raises ResultsError where kernels were launched but the profiler had no access to them.
    """
    of: dict[str, list[Event]] = {}
    for event in events:
        of.setdefault(event.kind, []).append(event)
    runtime, device = tuple(of.get("runtime", ())), of.get("device", [])
    launched = {event.correlation: event.begin_s for event in runtime if event.correlation}
    if not device and any(is_launch(event) and "Kernel" in event.name for event in runtime):
        what = "kernels were launched, but the profiler has no access to the GPU's events"
        raise ResultsError(
            what,
            "trace",
            "Allow GPU performance counters for this user (NVreg_RestrictProfiling…=0).",
        )
    operators = tuple(of.get("operator", ()))
    work = (
        [_kernel(event, launched.get(event.correlation)) for event in device]
        if device
        else _computed(operators)
    )
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
    """Return whether a runtime call launches work on the device."""
    return _LAUNCH.search(event.name) is not None


def _kernel(event: Event, launched_s: float | None) -> Work:
    return Work(event.name, event.begin_s, event.end_s, launched_s, 1, event.size_bytes)


def _computed(operators: Iterable[Event]) -> list[Work]:
    pieces = innermost(event for event in operators if _OPERATOR.search(event.name))
    return [
        Work(
            _compiled(piece.event.name), piece.begin_s, piece.end_s, piece.begin_s, int(piece.first)
        )
        for piece in pieces
    ]


def _compiled(name: str) -> str:
    """Return the name of a compiled graph without its hash, which differs from run to run."""
    return "compiled graph (inductor)" if name.startswith("## Call Compiled") else name


_FAMILIES: tuple[tuple[Family, str], ...] = (
    ("copy", r"^mem(cpy|set)|nchw_?to_?nhwc|nhwc_?to_?nchw|convert_?tensor|bulk_?transpose"),
    # inductor names a fused kernel after all its inputs, also a matrix product that it only reads
    (
        "copy",
        r"^triton_poi_fused_(_?(to_copy|clone|cat|copy|stack|transpose|permute|view|slice))+_\d+",
    ),
    ("norm", r"^triton_(red|per)_.*(_norm|rsqrt|var_mean)"),
    ("attention", r"^triton_(red|per)_.*softmax"),
    ("elementwise", r"^triton_(poi|red|per)_|cpp_fused|^compiled graph"),
    (
        "norm",
        r"(layer|group|rms|batch|instance)_?norm|rowwise_?moments|compute_?fused_?params|normalization|bn_fw",
    ),
    (
        "attention",
        r"flash|fmha|mha_|sdpa|scaled_dot_product|attention|attn|sage|xformers|mem_?eff|softmax",
    ),
    # an implicit GEMM is how a convolution is computed, so these come before GEMM
    (
        "convolution",
        r"conv(?!ert)|implicit_?(precomp_?)?gemm|winograd|fprop|im2col|vol2col|fft2d|cudnn",
    ),
    (
        "gemm",
        r"gemm|gemv|nvjet|cutlass|cublas|matmul|marlin|xmma|split_?k|(?<![a-z])q?linear|__myl_\w*fc",
    ),
    ("gemm", r"(?<![a-z])(mm|bmm|addmm|addbmm|baddbmm|addmv|mv|dot|einsum)(?![a-z])"),
    (
        "copy",
        r"copy|cat_?array|::cat$|concat|clone|contiguous|::stack$|(?<!aten::)(transpose|permute)",
    ),
    (
        "elementwise",
        r"elementwise|pointwise|silu|gelu|relu|sigmoid|tanh|rotary|rope|upsample|quant",
    ),
    (
        "elementwise",
        r"^aten::_?(add|r?sub|mul|div|pow|exp|log|r?sqrt|sin|cos|neg|abs|clamp|fill|zero|where|lerp)",
    ),
)
"""The first match wins. Softmax counts as attention because diffusion models use it nowhere
else."""

_PATTERNS = tuple((family, re.compile(pattern, re.IGNORECASE)) for family, pattern in _FAMILIES)


@lru_cache(maxsize=4096)
def classify_kernel(name: str) -> Family:
    """Return the family of a kernel (its full name) or of an operator (`aten::addmm`)."""
    return next((family for family, pattern in _PATTERNS if pattern.search(name)), "other")


_HEAD = re.compile(
    r"^(?:void\s+|std::enable_if<.+?>::type\s+)?"
    r"(?:(\w+|\(anonymous namespace\)|<unnamed>)::)*(\w+)(?=[<(])"
)
"""Return type, the last namespace, and the name of a C++ kernel."""
_BARE = frozenset({"kernel", "kernel2", "device_kernel"})
"""Names that only their namespace tells apart."""
_PLAIN = frozenset((
    "kernel", "kernel2", "device_kernel", "elementwise_kernel", "vectorized_elementwise_kernel",
    "unrolled_elementwise_kernel", "index_elementwise_kernel", "reduce_kernel",
))  # fmt: skip
"""Kernels that do whatever their template says."""
_SIGNIFICANT = re.compile(
    r"\b(?!gpu_kernel|AUnary|BUnary|Binary|Reduce)"
    r"(cutlass\w*\d\w*|Flash[A-Z]\w+|\w+_kernel(?:_cuda|_impl)?|CUDAFunctor_\w+|\w+Functor|\w+KernelImpl|\w+Ops)\b"
)
_LONGEST = 100


@lru_cache(maxsize=4096)
def shorten_name(name: str) -> str:
    """Return a kernel's name with only the informative part of its template.

    `void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::Half>,
    …>(…)` is `vectorized_elementwise_kernel<CUDAFunctor_add>`; names that are not C++ are kept, up
    to 100 characters.
    """
    head = _HEAD.match(name)
    if head is None:
        return _cut(name)
    namespace, base = head.groups()
    found = _SIGNIFICANT.search(name, head.end()) if base.lower() in _PLAIN else None
    if found is None:
        return _cut(f"{namespace}::{base}" if namespace and base in _BARE else base)
    what = found.group(1)
    return _cut(what if what.startswith(("cutlass", "Flash")) else f"{base}<{what}>")


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
