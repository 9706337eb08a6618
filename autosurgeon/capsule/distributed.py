"""Several processes that train one adapter: each takes a part of a step's rows, and all add their gradients up.

Each is forked from the capsule before it touches a GPU, so nothing is imported twice, and takes a GPU of its own where
there are GPUs. All hold the same weights and take the same steps. The capsule itself only waits: when one of them fails
or is killed, it kills the others and says which it was. They stay in the capsule's process group.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
import torch.distributed as dist

from autosurgeon.capsule.batches import TokenRow, shares_of
from autosurgeon.capsule.fork_server import die_with_parent
from autosurgeon.capsule.gpu_usage import Gauge, tell_of_rank
from autosurgeon.capsule.oom import is_out_of_memory
from autosurgeon.capsule.workdir import write_whole
from autosurgeon.core.value import Value
from autosurgeon.errors import UserError

T = TypeVar("T", bound=Value)
EXIT_CRASH, EXIT_USER, EXIT_MEMORY = 1, 2, 4


class Ranks(NamedTuple):
    """Which process one is of those that train together."""

    rank: int = 0
    size: int = 1

    def share(self, rows: Sequence[TokenRow]) -> Sequence[TokenRow]:
        """The part of a step's rows that this process takes, about as many tokens as each other does."""
        return rows if self.size == 1 else shares_of(rows, self.size)[self.rank]

    def start_alike(self, weights: Sequence[torch.nn.Parameter]) -> None:
        """Give every process the first one's weights."""
        if self.size > 1:
            for weight in weights:
                dist.broadcast(weight.data, 0)

    def agree_on(self, step: int) -> None:
        """RuntimeError where the processes do not all go on from the same step: one could not read the state."""
        if self.size > 1:
            steps = torch.tensor([step, -step], device="cuda" if torch.cuda.is_available() else "cpu")
            dist.all_reduce(steps, dist.ReduceOp.MAX)
            if int(steps[0]) != -int(steps[1]):
                raise RuntimeError("the processes of a training do not go on from the same step")

    def add_up(self, weights: Sequence[torch.nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
        """Sum the gradients over all processes, in place, and the loss; each is a part of one mean."""
        if self.size == 1:
            return loss
        for weight in weights:
            if weight.grad is None:  # it has had no row yet
                weight.grad = torch.zeros_like(weight)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        together = torch.cat(
            [*(gradient.reshape(-1) for gradient in gradients), loss.reshape(1).to(gradients[0].dtype)]
        )
        dist.all_reduce(together)
        parts = torch.split(together[:-1], [gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)])
        return together[-1]

    def sum_up(self, numbers: Sequence[float]) -> list[float]:
        """The sums over all processes, the same to the last bit in each."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device="cuda" if torch.cuda.is_available() else "cpu")
        dist.all_reduce(sums)
        summed: list[float] = sums.tolist()
        return summed


ALONE = Ranks()


def together(count: int, workdir: Path, work: Callable[[Ranks], T | None], result: type[T]) -> T:
    """Do the work in `count` processes; what the first of them came back with.

    Raises:
        UserError: one of them found something that is a person's to mend, too few GPUs for instance.
        MemoryError: memory ran out in one.
        RuntimeError: one ended otherwise than it should have; none is left.

    """
    waiting = {os.pidfd_open(pid): (rank, pid) for rank, pid in _fork(count, workdir, work)}
    try:
        poll = select.poll()
        for descriptor in waiting:
            poll.register(descriptor, select.POLLIN)
        while waiting:
            for descriptor, _ in poll.poll():
                rank, pid = waiting[descriptor]
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                poll.unregister(descriptor)
                del waiting[descriptor]
                os.close(descriptor)
                if code != 0:
                    raise _failure(rank, code, workdir)
    finally:
        for descriptor, (_, pid) in waiting.items():  # not reaped yet, so their numbers are their own
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(descriptor)
    return result.model_validate_json(_said(0, workdir).read_bytes())


def _fork(count: int, workdir: Path, work: Callable[[Ranks], T | None]) -> list[tuple[int, int]]:
    capsule, pids = os.getpid(), []
    for rank in range(count):
        pid = os.fork()
        if pid == 0:
            code = EXIT_CRASH
            try:
                die_with_parent(capsule)
                code = _be(Ranks(rank, count), workdir, work)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)  # never back into the capsule's own stack
        pids.append((rank, pid))
    return pids


def _be(ranks: Ranks, workdir: Path, work: Callable[[Ranks], T | None]) -> int:
    """Join the others, do the work, and leave what came of it, or the error, in a file; the exit code."""
    said, gauge = _said(ranks.rank, workdir), Gauge()
    try:
        _join(ranks, workdir)
        result = work(ranks)
        if result is not None:
            write_whole(said, result.model_dump_json())
        return 0
    except Exception as error:
        traceback.print_exc()
        with contextlib.suppress(OSError):
            write_whole(said, " ".join(str(error).split()) if isinstance(error, UserError) else _line(error))
        return EXIT_MEMORY if is_out_of_memory(error) else EXIT_USER if isinstance(error, UserError) else EXIT_CRASH
    finally:
        with contextlib.suppress(OSError):
            tell_of_rank(gauge, ranks.rank, workdir)


def _join(ranks: Ranks, workdir: Path) -> None:
    if torch.cuda.is_available():
        if torch.cuda.device_count() < ranks.size:
            raise UserError(
                "training has more processes than there are GPUs",
                got=f"organ.train_processes = {ranks.size}",
                wanted=f"at most {torch.cuda.device_count()}",
            )
        torch.cuda.set_device(ranks.rank)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // ranks.size))
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(name, "lo")  # all are on this host, whatever its name resolves to
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    meet = f"file://{workdir.resolve()}/ranks"
    dist.init_process_group(backend, init_method=meet, rank=ranks.rank, world_size=ranks.size)


def _said(rank: int, workdir: Path) -> Path:
    return workdir / f"rank-{rank}.txt"


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _failure(rank: int, code: int, workdir: Path) -> Exception:
    """What a process's end means, in its own words where it left some."""
    if code < 0:
        return RuntimeError(f"rank {rank} was killed by signal {-code}")
    try:
        line = _said(rank, workdir).read_text(encoding="utf-8")
    except OSError:
        line = f"exit code {code}"
    if code == EXIT_USER:
        return UserError(line)
    return (MemoryError if code == EXIT_MEMORY else RuntimeError)(f"rank {rank}: {line}")
