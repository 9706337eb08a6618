"""Errors that say that memory ran out, as the libraries word them."""

from __future__ import annotations

import errno

import pytest
import torch

from autosurgeon.capsule.oom import is_out_of_memory


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
def test_memory_that_ran_out_is_known_by_type_words_cause_or_group(error: BaseException) -> None:
    assert is_out_of_memory(error)


def test_a_real_refusal_of_torch_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [ValueError("memory_gib"), OSError(errno.ENOSPC, "No space left on device"), ExceptionGroup("g", [KeyError("k")])],
    ids=lambda error: type(error).__name__,
)
def test_other_errors_are_not(error: BaseException) -> None:
    assert not is_out_of_memory(error)


def test_an_error_that_was_dealt_with_and_left_out_does_not_count() -> None:
    def deal() -> None:
        try:
            raise MemoryError
        except MemoryError:
            raise ValueError("another matter") from None

    with pytest.raises(ValueError, match="another matter") as caught:
        deal()
    assert not is_out_of_memory(caught.value)


def test_errors_that_lead_to_each_other_in_a_circle_come_to_an_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert not is_out_of_memory(first)
