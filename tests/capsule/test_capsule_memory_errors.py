"""Errors that mean that memory ran out, with the messages of the libraries."""

from __future__ import annotations

import errno

import pytest
import torch

from autosurgeon.capsule.memory_errors import is_out_of_memory


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ExceptionGroup("workers", [ValueError("x"), ExceptionGroup("inner", [MemoryError()])]),
        raised(ValueError("no batch"), MemoryError()),
        raised(ExceptionGroup("g", [raised(KeyError("k"), MemoryError())])),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_is_recognized_by_type_message_cause_or_group(error: BaseException) -> None:
    assert is_out_of_memory(error)


def test_a_real_allocation_failure_of_torch_is_recognized() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [ValueError("memory_gib"), OSError(errno.ENOSPC, "No space left on device"), ExceptionGroup("g", [KeyError("k")])],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_are_not_out_of_memory(error: BaseException) -> None:
    assert not is_out_of_memory(error)


def test_a_suppressed_context_does_not_count() -> None:
    def deal() -> None:
        try:
            raise MemoryError
        except MemoryError:
            raise ValueError("another matter") from None

    with pytest.raises(ValueError, match="another matter") as caught:
        deal()
    assert not is_out_of_memory(caught.value)


def test_a_cycle_of_causes_terminates() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert not is_out_of_memory(first)
