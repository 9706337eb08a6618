"""Forward and backward pass of a packed sequence as one CUDA graph, recorded once per size and replayed.

A model of half a billion parameters has some ten thousand kernels in a step, and the host takes longer to launch them
one by one than the GPU to run them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import torch

from autosurgeon.capsule.packing import Bounds, Pack

MAX_ROWS = 1 << 9
EIGHTHS = 8
"""Learned tokens of a graph are a multiple of an eighth of the pack: predicting a token costs more than reading it."""

Loss = Callable[[torch.Tensor, torch.Tensor, Bounds, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


class _Buffers(NamedTuple):
    """The inputs and outputs of a graph, at fixed addresses."""

    ids: torch.Tensor
    positions: torch.Tensor
    bounds: Bounds
    predicting: torch.Tensor
    targets: torch.Tensor
    scales: torch.Tensor
    share: torch.Tensor
    loss: torch.Tensor


class GraphedPass:
    """Adds a pack's gradient to the weights' `grad`, eagerly the first time and by a graph from the second time on.

    Args:
        loss: computes the sum of losses from (ids, positions, bounds, predicting, targets, scales).
        device: a GPU.

    """

    def __init__(self, loss: Loss, device: torch.device) -> None:
        self._loss, self._device = loss, device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._buffers: dict[tuple[int, int, int], _Buffers] = {}
        self._graphs: dict[tuple[int, int, int], torch.cuda.CUDAGraph] = {}
        self._records = True

    def takes(self, pack: Pack, tokens: int, longest: int) -> bool:
        """Whether a pack has at most `tokens` tokens and few enough rows."""
        rest = tokens - len(pack.ids)
        return rest >= 0 and len(pack.rows) + -(-rest // longest) <= MAX_ROWS

    def forget(self) -> None:
        """Free the memory of the graphs."""
        self._graphs.clear()
        self._buffers.clear()

    def run(self, pack: Pack, tokens: int, longest: int, share: float) -> torch.Tensor:
        """Return the sum of the pack's losses times `share`, and add its gradient.

        Args:
            pack: has at most `tokens` tokens; rows without learned tokens fill the rest.
            tokens: the tokens of every pack of this size.
            longest: tokens of the longest row of all.
            share: one over the step's learned tokens.

        """
        eighth = -(-tokens // EIGHTHS)
        learned = min(tokens, max(1, -(-len(pack.targets) // eighth)) * eighth)
        key = (tokens, learned, longest)
        is_new = key not in self._buffers
        buffers = self._buffers.setdefault(key, self._make(*key)) if is_new else self._buffers[key]
        self._fill(buffers, pack, share)
        if key in self._graphs:
            self._graphs[key].replay()
        elif is_new or not self._records:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                self._pass(buffers)
            torch.cuda.current_stream().wait_stream(self._stream)
        else:
            self._record(key, buffers)
        return buffers.loss

    def _make(self, tokens: int, learned: int, longest: int) -> _Buffers:
        def zeros(*shape: int, dtype: torch.dtype = torch.long) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=self._device)

        bounds = Bounds(zeros(MAX_ROWS + 1, dtype=torch.int32), longest)
        real = torch.float32
        return _Buffers(
            zeros(1, tokens),
            zeros(1, tokens),
            bounds,
            zeros(learned),
            zeros(learned),
            zeros(learned, dtype=real),
            zeros(dtype=real),
            zeros(dtype=real),
        )

    def _fill(self, buffers: _Buffers, pack: Pack, share: float) -> None:
        tokens, learned = buffers.ids.shape[1], len(buffers.targets)
        ends, end = [0], 0
        for row in pack.rows:
            ends.append(end := end + len(row.ids))
        while end < tokens:
            ends.append(end := min(tokens, end + buffers.bounds.longest))
        ends += [tokens] * (MAX_ROWS + 1 - len(ends))
        rest, unlearned = tokens - len(pack.ids), learned - len(pack.targets)

        def put(buffer: torch.Tensor, numbers: list[int] | list[float]) -> None:
            # Pinned, so that the copy is queued on the GPU and the host does not wait for it.
            buffer.copy_(torch.tensor(numbers, dtype=buffer.dtype).view(buffer.shape).pin_memory(), non_blocking=True)

        put(buffers.ids, pack.ids + [0] * rest)
        put(buffers.positions, pack.positions + [0] * rest)
        put(buffers.bounds.ends, ends[: MAX_ROWS + 1])
        # Distinct places, because additions of their zero gradients to the same place would be serialized.
        put(buffers.predicting, pack.predicting + list(range(unlearned)))
        put(buffers.targets, pack.targets + [-1] * unlearned)
        put(buffers.scales, pack.scales + [0.0] * unlearned)
        buffers.share.fill_(share)

    def _pass(self, buffers: _Buffers) -> None:
        ids, positions, bounds, predicting, targets, scales, share, loss = buffers
        found = self._loss(ids, positions, bounds, predicting, targets, scales) * share
        found.backward()  # type: ignore[no-untyped-call]
        loss.copy_(found.detach())

    def _record(self, key: tuple[int, int, int], buffers: _Buffers) -> None:
        """Record the pass and run it; if it cannot be recorded, run all later passes eagerly."""
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        # In distributed training NCCL's own thread queries events meanwhile, which the mode must allow.
        mode = "thread_local" if torch.distributed.is_initialized() else "global"
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode=mode):
                self._pass(buffers)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            sys.stderr.write(f"not recorded, so training is slower: {str(error).splitlines()[0]}\n")
            self._records = False
            self._pass(buffers)
            return
        self._graphs[key] = graph
        graph.replay()
