"""Names of kernels as people read them: without the templates and arguments that fill a page."""

import re
from functools import lru_cache

_HEAD = re.compile(r"^(?:void\s+)?(?:(?:\w+|\(anonymous namespace\)|<unnamed>)::)*(\w+)(?=[<(])")
_PLAIN = {"kernel", "kernel2", "device_kernel", "elementwise_kernel", "vectorized_elementwise_kernel",
          "unrolled_elementwise_kernel", "index_elementwise_kernel", "reduce_kernel"}  # fmt: skip
"""Kernels that do whatever their template says."""
_TELLING = re.compile(
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
    telling = _TELLING.search(name, head.end()) if base.lower() in _PLAIN else None
    if telling is None:
        return _cut(base)
    what = telling.group(1)
    return _cut(what if what.startswith(("cutlass", "Flash")) else f"{base}<{what}>")


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
