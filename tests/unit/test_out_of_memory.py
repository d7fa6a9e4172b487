"""Every library's words for a lack of memory are recognised; others are not."""

import pytest

from harness.process_memory import is_out_of_memory


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)"),
        RuntimeError("Error Code 2: OutOfMemory (Requested size was 5368709120 bytes.)"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_lack_of_memory_is_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "words", ["CUDNN_STATUS_NOT_SUPPORTED", "memory format is not channels_last", "CUBLAS_STATUS_EXECUTION_FAILED"]
)
def test_other_errors_are_no_lack_of_memory(words: str) -> None:
    assert not is_out_of_memory(RuntimeError(words))
