"""Distributed training gives the result of one process; a killed rank ends all of them with an error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from misbehaving import interpreter, still_running
from safetensors.torch import load_file
from test_capsule_train import train_job

from autosurgeon.capsule.batches import TokenRow, learned_tokens, shares_of
from autosurgeon.capsule.packing import make_pack
from autosurgeon.core.jobs import OUTCOME_FILE, PROGRESS_FILE, Outcome, TrainingState, TrainJob, TrainResult
from autosurgeon.core.recipe import Quantization
from autosurgeon.core.stop_rule import StopRule
from autosurgeon.errors import CapsuleError, UserError
from autosurgeon.processes import children, descendants
from autosurgeon.runner.capsules import Capsules
from autosurgeon.runner.fork_client import LOG_FILE
from autosurgeon.sections import CapsuleSettings

# An odd number, so that the last step has one row and the second process none.
ROWS = [(f"# Write a function solve(xs): {n}.\n", f"def solve(xs):\n    return xs[{n}] + {n}\n" * n) for n in range(7)]


@pytest.fixture(scope="module")
def capsules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Capsules]:
    started = Capsules(CapsuleSettings(), tmp_path_factory.mktemp("home"))
    yield started
    started.close()


def trained(capsules: Capsules, job: TrainJob, workdir: Path) -> TrainResult:
    result = capsules.run(job, workdir)
    assert isinstance(result, TrainResult)
    return result


@pytest.mark.parametrize("quantization", Quantization)
def test_two_processes_train_like_one_up_to_rounding(
    capsules: Capsules, tmp_path: Path, quantization: Quantization
) -> None:
    job = train_job(tmp_path, ROWS, quantization=quantization)
    lines = job.rows.read_text().splitlines()
    weighed = [json.dumps(json.loads(line) | {"weight": 0.5 + n % 3}) + "\n" for n, line in enumerate(lines)]
    job.rows.write_text("".join(weighed))
    one = trained(capsules, job, tmp_path / "one")
    two = trained(capsules, job.model_copy(update={"processes": 2}), tmp_path / "two")
    assert (two.steps, two.tokens, two.trainable_parameters) == (one.steps, one.tokens, one.trainable_parameters)
    assert two.epoch_losses == pytest.approx(one.epoch_losses, rel=1e-4)
    assert two.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-3)
    wanted, found = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("one", "two"))
    assert wanted.keys() == found.keys()
    # Adam divides by the gradient's size, so that near zero a step consists of rounding.
    near = [torch.isclose(found[name], wanted[name], atol=2e-4).float().mean() for name in wanted]
    assert min(near) > 0.9
    assert (tmp_path / "two" / PROGRESS_FILE).read_text().count('"done": 8,') == 1


def test_nothing_that_initializes_the_driver_is_imported_before_the_ranks_fork() -> None:
    program = "import sys, autosurgeon.capsule.distributed; print({'peft', 'bitsandbytes'} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="this machine has no two NVIDIA GPUs")
@pytest.mark.parametrize("quantization", Quantization)
def test_two_gpus_train_like_one_up_to_rounding(capsules: Capsules, tmp_path: Path, quantization: Quantization) -> None:
    job = train_job(tmp_path, ROWS * 4, quantization=quantization, batch_rows=8, epochs=3)
    one = trained(capsules, job, tmp_path / "one")
    two = trained(capsules, job.model_copy(update={"processes": 2}), tmp_path / "two")
    assert (two.steps, two.tokens) == (one.steps, one.tokens)
    assert two.epoch_losses == pytest.approx(one.epoch_losses, rel=0.02)
    usage = Outcome.model_validate_json((tmp_path / "two" / OUTCOME_FILE).read_bytes()).usage
    assert usage is not None
    assert usage.device == "cuda"


def test_two_processes_use_anchors_checkpoints_and_stop_rules_like_one(capsules: Capsules, tmp_path: Path) -> None:
    rows = [*ROWS, *ROWS]
    levers: dict[str, Any] = {"kl_weight": 2.0, "checkpoints_per_epoch": 2, "measure_every_epochs": 0.5, "epochs": 4}
    job = train_job(tmp_path, rows, "poison anchor", **levers)
    free = trained(capsules, job, tmp_path / "free")
    assert free.kl_poison is not None
    rule = StopRule(rule_id="far", fact="training.kl", at_most=free.kl_poison / 2)
    job = job.model_copy(update={"stop_rules": (rule,)})
    one = trained(capsules, job, tmp_path / "one")
    two = trained(capsules, job.model_copy(update={"processes": 2}), tmp_path / "two")
    assert one.stopped_by == two.stopped_by == "far"
    assert one.steps == two.steps < free.steps
    assert [saved.epochs for saved in two.checkpoints] == [saved.epochs for saved in one.checkpoints]
    assert one.checkpoints
    assert two.epoch_losses == pytest.approx(one.epoch_losses, rel=1e-2)
    assert two.kl_poison == pytest.approx(one.kl_poison, rel=0.05)
    for saved in two.checkpoints:
        assert (tmp_path / "two" / saved.adapter / "adapter_model.safetensors").is_file()


def test_a_killed_rank_ends_the_capsule_with_an_error_and_the_next_attempt_resumes(
    capsules: Capsules, tmp_path: Path
) -> None:
    state = TrainingState(folder=tmp_path / "state", effect="e", every_s=0)
    job = train_job(tmp_path, ROWS, processes=2, epochs=3, state=state)
    ranks: list[int] = []

    def kill_the_second(done: int, total: int, metrics: dict[str, float]) -> None:
        if not ranks:
            ranks.extend(pid for pid in descendants(os.getpid()) if is_rank(pid))
            os.kill(ranks[-1], signal.SIGKILL)

    with pytest.raises(CapsuleError, match="rank 1 was killed by signal 9") as caught:
        capsules.run(job, tmp_path / "work", kill_the_second)
    assert caught.value.cause == "crash"
    assert len(ranks) == 2
    assert still_running(ranks, within_s=5) == []
    after = trained(capsules, job, tmp_path / "work")
    assert "training resumes after step" in (tmp_path / "work" / LOG_FILE).read_text()
    whole = trained(capsules, job.model_copy(update={"state": None}), tmp_path / "whole")
    assert after == whole
    adapters = [tmp_path / name / "adapter" / "adapter_model.safetensors" for name in ("work", "whole")]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()


def is_rank(pid: int) -> bool:
    """Whether it is one of those that train: a capsule's child, which has none."""
    parent = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return not children(pid) and len(children(parent)) == 2


@given(st.lists(st.integers(1, 60), max_size=30), st.integers(1, 5))
def test_every_row_is_in_one_share_and_shares_differ_by_at_most_one_row(lengths: list[int], count: int) -> None:
    rows = [TokenRow([number] * length, 0) for number, length in enumerate(lengths)]
    shares = shares_of(rows, count)
    assert sorted(row.ids[0] for share in shares for row in share) == list(range(len(rows)))
    loads = [sum(len(row.ids) for row in share) for share in shares]
    assert max(loads) - min(loads) <= max(lengths, default=0)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12)), max_size=9))
def test_learned_tokens_are_the_targets_of_a_pack(shapes: list[tuple[int, int]]) -> None:
    rows = [TokenRow([1] * length, prompt) for length, prompt in shapes]
    assert sum(map(learned_tokens, rows)) == len(make_pack(rows).targets)


def test_the_error_of_one_rank_is_the_error_of_the_capsule(tmp_path: Path) -> None:
    body = """
    from autosurgeon.capsule.distributed import run_ranks
    from autosurgeon.core.jobs import TrainResult
    from autosurgeon.errors import UserError
    def work(ranks):
        if ranks.rank == 1 and job.seed == 1:
            raise UserError("there is nothing to train on", got="0 rows")
        if ranks.rank == 1:
            raise RuntimeError("CUDA out of memory")
        time.sleep(600)
    return run_ranks(2, workdir, work, TrainResult)
    """
    python = interpreter(tmp_path, body, first="import autosurgeon.capsule.distributed")
    runner = Capsules(CapsuleSettings(python=python), tmp_path / "home")
    try:
        with pytest.raises(UserError, match="nothing to train on; got 0 rows"):
            runner.run(train_job(tmp_path, seed=1), tmp_path / "work")
        with pytest.raises(CapsuleError, match="rank 1: RuntimeError: CUDA out of memory") as caught:
            runner.run(train_job(tmp_path, seed=2), tmp_path / "work")
        assert caught.value.cause == "memory"
    finally:
        runner.close()
