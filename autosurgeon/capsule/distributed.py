"""Distributed training of one adapter: each process (rank) takes a part of a step's rows, and gradients are summed.

The ranks are forked from the capsule before it uses a GPU, so nothing is imported twice, and each uses its own GPU if
there are GPUs. All hold the same weights and take the same steps. The capsule itself only waits: if a rank fails or is
killed, the capsule kills the others and reports which one failed. All ranks stay in the capsule's process group.

Each rank imports peft itself, after the fork: bitsandbytes, which peft imports, initializes the GPU driver, and a
process that is forked afterwards cannot use the GPU.
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
from autosurgeon.capsule.gpu_usage import Gauge, write_rank_usage
from autosurgeon.capsule.memory_errors import is_out_of_memory
from autosurgeon.capsule.workdir import write_whole
from autosurgeon.core.jobs import TrainJob, TrainResult
from autosurgeon.core.value import Value
from autosurgeon.errors import UserError

T = TypeVar("T", bound=Value)
EXIT_CRASH, EXIT_USER, EXIT_MEMORY = 1, 2, 4


class Ranks(NamedTuple):
    """The number of this process among the processes of a training, and their number."""

    rank: int = 0
    size: int = 1

    def share(self, rows: Sequence[TokenRow]) -> Sequence[TokenRow]:
        """Return this rank's part of a step's rows, with about as many tokens as that of each other rank."""
        return rows if self.size == 1 else shares_of(rows, self.size)[self.rank]

    def broadcast_weights(self, weights: Sequence[torch.nn.Parameter]) -> None:
        """Give every rank the weights of the first one."""
        if self.size > 1:
            for weight in weights:
                dist.broadcast(weight.data, 0)

    def check_same_step(self, step: int) -> None:
        """Raise RuntimeError unless all ranks resume from the same step, as when one could not read its checkpoint."""
        if self.size > 1:
            steps = torch.tensor([step, -step], device="cuda" if torch.cuda.is_available() else "cpu")
            dist.all_reduce(steps, dist.ReduceOp.MAX)
            if int(steps[0]) != -int(steps[1]):
                raise RuntimeError("the processes of a training do not resume from the same step")

    def sum_gradients(self, weights: Sequence[torch.nn.Parameter], loss: torch.Tensor) -> torch.Tensor:
        """Sum the gradients over all ranks, in place, and return the sum of the losses; each is a part of one mean."""
        if self.size == 1:
            return loss
        for weight in weights:
            if weight.grad is None:  # this rank had no row for it
                weight.grad = torch.zeros_like(weight)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), loss.reshape(1).to(gradients[0].dtype)])
        dist.all_reduce(flat)
        parts = torch.split(flat[:-1], [gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)])
        return flat[-1]

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums over all ranks, identical to the last bit in each."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device="cuda" if torch.cuda.is_available() else "cpu")
        dist.all_reduce(sums)
        summed: list[float] = sums.tolist()
        return summed


SINGLE = Ranks()


def train(job: TrainJob, workdir: Path) -> TrainResult:
    """Train as `capsule.train` does, in as many processes as the job asks for.

    Raises:
        UserError: as `capsule.train`, or there are fewer GPUs than processes.
        PackError: as `capsule.train`.
        MemoryError: memory ran out in one of several processes.
        RuntimeError: one of several processes failed otherwise, or was killed.

    """
    if job.processes == 1:
        from autosurgeon.capsule import train as single

        return single.train(job, workdir)

    def work(ranks: Ranks) -> TrainResult | None:
        from autosurgeon.capsule.train import train_rank

        return train_rank(job, workdir, ranks)

    return run_ranks(job.processes, workdir, work, TrainResult)


def run_ranks(count: int, workdir: Path, work: Callable[[Ranks], T | None], result: type[T]) -> T:
    """Call `work` in `count` processes and return the result of the first one.

    Raises:
        UserError: one found an error of the user, such as too few GPUs.
        MemoryError: memory ran out in one.
        RuntimeError: one failed otherwise; none is left running.

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
        for descriptor, (_, pid) in waiting.items():  # not reaped yet, so their ids are not reused
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(descriptor)
    return result.model_validate_json(_rank_file(0, workdir).read_bytes())


def _fork(count: int, workdir: Path, work: Callable[[Ranks], T | None]) -> list[tuple[int, int]]:
    capsule, pids = os.getpid(), []
    for rank in range(count):
        pid = os.fork()
        if pid == 0:
            code = EXIT_CRASH
            try:
                die_with_parent(capsule)
                code = _run_rank(Ranks(rank, count), workdir, work)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)  # never return into the capsule's own stack
        pids.append((rank, pid))
    return pids


def _run_rank(ranks: Ranks, workdir: Path, work: Callable[[Ranks], T | None]) -> int:
    """Join the other ranks, do the work, write its result or error to a file, and return the exit code."""
    file, gauge = _rank_file(ranks.rank, workdir), Gauge()
    try:
        _join(ranks, workdir)
        result = work(ranks)
        if result is not None:
            write_whole(file, result.model_dump_json())
        return 0
    except Exception as error:
        traceback.print_exc()
        with contextlib.suppress(OSError):
            write_whole(file, " ".join(str(error).split()) if isinstance(error, UserError) else _line(error))
        return EXIT_MEMORY if is_out_of_memory(error) else EXIT_USER if isinstance(error, UserError) else EXIT_CRASH
    finally:
        with contextlib.suppress(OSError):
            write_rank_usage(gauge, ranks.rank, workdir)


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
        os.environ.setdefault(name, "lo")  # all ranks are on this host, whatever its name resolves to
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    rendezvous = f"file://{workdir.resolve()}/ranks"
    dist.init_process_group(backend, init_method=rendezvous, rank=ranks.rank, world_size=ranks.size)


def _rank_file(rank: int, workdir: Path) -> Path:
    return workdir / f"rank-{rank}.txt"


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _failure(rank: int, code: int, workdir: Path) -> Exception:
    """Return the exception for a failed rank, with the message that it wrote, if any."""
    if code < 0:
        return RuntimeError(f"rank {rank} was killed by signal {-code}")
    try:
        line = _rank_file(rank, workdir).read_text(encoding="utf-8")
    except OSError:
        line = f"exit code {code}"
    if code == EXIT_USER:
        return UserError(line)
    return (MemoryError if code == EXIT_MEMORY else RuntimeError)(f"rank {rank}: {line}")
