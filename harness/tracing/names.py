"""Names of kernels as people read them: without the templates and arguments that fill a page."""

import re
from functools import lru_cache

_HEAD = re.compile(
    r"^(?:void\s+|std::enable_if<.*?>::type\s+)?((?:[\w~]+::|\(anonymous namespace\)::|<unnamed>::)*)([\w:]+)"
)
_PLAIN = {"kernel", "kernel2", "device_kernel", "elementwise_kernel", "vectorized_elementwise_kernel",
          "unrolled_elementwise_kernel", "index_elementwise_kernel", "reduce_kernel", "gemmk1_kernel"}  # fmt: skip
"""Kernels that do whatever their template says."""
_TELLING = re.compile(
    r"\b(cutlass_?\w*\d\w*|flash\w*::\w*Flash\w+|FlashAttn\w+|\w+_kernel_cuda|\w+_kernel_impl|CUDAFunctor\w*_\w+|\w+Functor\w*"
    r"|\w+KernelImpl\w*|\w+Ops?\b)"
)
_LONGEST = 100


@lru_cache(maxsize=4096)
def short_name(name: str) -> str:
    """Return a kernel's name with no more of its template than says what it does.

    `void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::Half>, …>(…)` is
    `vectorized_elementwise_kernel<CUDAFunctor_add>`; a name that is no C++ stays as it is, up to 100 characters.
    """
    head = _HEAD.match(name)
    if head is None or not re.match(r"[<(]", name[head.end() :]):
        return _cut(name)
    base, rest = head.group(2), name[head.end() :]
    if base.lower() not in _PLAIN:
        return _cut(base)
    telling = _TELLING.search(rest)
    if telling is None:
        return _cut(base)
    what = telling.group(1).rsplit("::", 1)[-1]
    return _cut(what if what.startswith(("cutlass", "Flash")) else f"{base}<{what}>")


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
