"""Hand-made traces as torch.profiler writes them: a host that launches kernels, and a GPU that runs them in order."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Event = dict[str, Any]

GEMM = (
    "sm90_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize128x128x64_warpgroupsize2x1x1_execute_segment_k_off_kernel__5x_"
    "cublas"
)
FLASH = (
    "void pytorch_flash::flash_fwd_kernel<pytorch_flash::Flash_fwd_kernel_traits<64, 128, 128, 4, false, false, "
    "cutlass::half_t>, false, false, false, false, true, true, false>(pytorch_flash::Flash_fwd_params)"
)
CONVOLUTION = (
    "sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc_tilesize128x128x64_warpgroupsize1x1x1_g1_execute_"
    "segment_k_off_kernel__5x_cudnn"
)
NORM = "void at::native::(anonymous namespace)::RowwiseMomentsCUDAKernel<c10::Half>(long, c10::Half, c10::Half const*)"
ADD = (
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::Half>, std::array<char*, 3ul> >"
    "(int, at::native::CUDAFunctor_add<c10::Half>, std::array<char*, 3ul>)"
)
CAST = (
    "void at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)::{lambda"
    "()#3}::operator()() const::{lambda()#7}::operator()() const::{lambda(float)#1}, std::array<char*, 2ul>, 4, "
    "TrivialOffsetCalculator<1, unsigned int>, at::native::memory::LoadWithCast<1>, at::native::memory::StoreWithCast"
)
TO_DEVICE, TO_HOST = "Memcpy HtoD (Pageable -> Device)", "Memcpy DtoH (Device -> Pageable)"


class TraceMaker:
    """Writes events while a host's clock and a GPU's go on, in microseconds; the GPU does what it is given in order."""

    def __init__(self, launch_us: float = 5.0) -> None:
        self.events: list[Event] = [
            {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "ts": 0, "args": {"name": "python"}}
        ]
        self.host_us, self.device_us, self._launch_us, self._launches = 1e6, 1e6, launch_us, 0

    def add(self, category: str, name: str, begin_us: float, us: float, **args: Any) -> None:
        host = category in ("cpu_op", "cuda_runtime", "user_annotation", "overhead")
        pid, tid = (1, 1) if host else (0, 7)
        event = {"ph": "X", "cat": category, "name": name, "pid": pid, "tid": tid, "ts": begin_us, "dur": us}
        self.events.append({**event, "args": args})

    @contextmanager
    def range(self, name: str, category: str = "user_annotation") -> Iterator[None]:
        """What the host does inside the block lies within a range or an operator."""
        begin = self.host_us
        self.host_us += 0.5
        yield
        self.host_us += 0.5
        self.add(category, name, begin, self.host_us - begin)
        self.host_us += 0.5

    def python(self, us: float) -> None:
        """The host does something that no event tells of."""
        self.host_us += us

    def kernel(self, name: str, us: float, count: int = 1) -> None:
        """Launch a kernel, `count` times one after the other."""
        for _ in range(count):
            self._launched("kernel", name, us, "cudaLaunchKernel")

    def copy(self, name: str, us: float, size_bytes: int) -> None:
        self._launched("gpu_memcpy", name, us, "cudaMemcpyAsync", bytes=size_bytes)

    def graph(self, name: str, us: float, count: int) -> None:
        """Launch `count` kernels at once, as a CUDA graph: they have the correlation of its one launch."""
        self._launches += 1
        self.add("cuda_runtime", "cudaGraphLaunch", self.host_us, self._launch_us, correlation=self._launches)
        self.host_us += self._launch_us
        for _ in range(count):
            self._run("kernel", name, us)

    def synchronize(self, operator: str = "aten::item") -> None:
        """The host waits until the GPU is done, as `.item()` does."""
        begin = self.host_us
        end = max(self.device_us, self.host_us) + 2
        self.add("cpu_op", operator, begin, end - begin + 1)
        self.add("cuda_runtime", "cudaStreamSynchronize", begin + 0.5, end - begin)
        self.host_us = end + 1

    def _launched(self, category: str, name: str, us: float, runtime: str, **args: Any) -> None:
        self._launches += 1
        self.add("cuda_runtime", runtime, self.host_us, self._launch_us, correlation=self._launches)
        self.host_us += self._launch_us
        self._run(category, name, us, **args)

    def _run(self, category: str, name: str, us: float, **args: Any) -> None:
        self.device_us = max(self.device_us, self.host_us)
        self.add(category, name, self.device_us, us, correlation=self._launches, device=0, stream=7, **args)
        self.device_us += us

    def write(self, path: Path) -> Path:
        """Write the trace, gzipped where the name says so."""
        text = json.dumps({"schemaVersion": 1, "deviceProperties": [], "traceEvents": self.events}, indent=1)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        return path


def pipeline(maker: TraceMaker, denoise: Any, steps: int = 2, decode_us: float = 500.0) -> TraceMaker:
    """Put a text encoder, `steps` calls of a denoiser, whose work `denoise(maker)` launches, and a VAE into a trace."""
    with maker.range("harness.stage:text_encoder"):
        maker.kernel(GEMM, 20, 5)
    for step in range(1, steps + 1):
        with maker.range("harness.stage:denoiser"), maker.range(f"harness.step:{step}"):
            denoise(maker)
        maker.kernel(ADD, 2, 2)  # the scheduler's
    with maker.range("harness.stage:vae"):
        maker.kernel(CONVOLUTION, decode_us / 4, 4)
    maker.synchronize("aten::to")
    return maker
