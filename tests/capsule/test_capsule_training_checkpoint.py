"""A killed training resumes from its last checkpoint to identical bytes; an unusable checkpoint is not used."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from misbehaving import interpreter
from test_capsule_train import train_job

from autosurgeon.capsule.optimizer import make_optimizer, optimizer_state, restore_optimizer
from autosurgeon.capsule.training_checkpoint import STATE_FILE, Learner, Reached, TrainingFolder
from autosurgeon.core.jobs import JOB_FILE, OUTCOME_FILE, PROGRESS_FILE, Optimizer, Outcome, TrainingState, TrainResult
from autosurgeon.core.stop_rule import StopRule
from autosurgeon.runner.fork_client import LOG_FILE, ForkServer

ROWS = [(f"# Write a function solve(xs): {n}.\n", f"def solve(xs):\n    return xs[{n}] + {n}\n") for n in range(6)]
STEPS = 12
WHY = "poison anchor"
# The real verb, with a failpoint armed for each job.
TRAINS = """
from autosurgeon.failpoints import arm
from autosurgeon.capsule.train import train
fail = workdir.parent / "fail"
arm(fail.read_text() if fail.exists() else None)
return train(job, workdir)
"""


class Ended(NamedTuple):
    """The end and the files of a capsule."""

    code: int | None
    steps: list[int]
    """The reported steps."""
    log: str
    result: TrainResult | None
    adapter: bytes
    checkpoints: dict[str, bytes]
    """Weights of the intermediate adapters, by folder."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    home = tmp_path_factory.mktemp("server")
    started = ForkServer(interpreter(home, TRAINS, first="import autosurgeon.capsule.train"), home, warm=True)
    yield started
    started.close()


def ran(
    server: ForkServer,
    folder: Path,
    *,
    kill_after: int | None = None,
    fail: str | None = None,
    why: str | None = None,
    **changes: Any,
) -> Ended:
    """Run a training in a fresh workdir, as each attempt of a stage does; kill it after so many reported steps."""
    workdir = folder / "work"
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)
    (folder / "fail").unlink(missing_ok=True)
    if fail:
        (folder / "fail").write_text(fail)
    state = {"state": TrainingState(folder=folder / "state", effect="e", every_s=0)}
    job = train_job(folder, ROWS, why=why, epochs=4, **(state | changes))
    (workdir / JOB_FILE).write_text(job.model_dump_json())
    capsule = server.start(workdir, None)
    while kill_after is not None and len(reported(workdir)) < kill_after:
        time.sleep(0.002)
    if kill_after is not None:
        os.kill(capsule.pid, signal.SIGKILL)
    end = capsule.wait(120)
    assert end is not None
    outcome, adapter = workdir / OUTCOME_FILE, workdir / "adapter" / "adapter_model.safetensors"
    return Ended(
        end.code,
        reported(workdir),
        (workdir / LOG_FILE).read_text(),
        Outcome.model_validate_json(outcome.read_bytes()).result if outcome.exists() else None,  # type: ignore[arg-type]
        adapter.read_bytes() if adapter.exists() else b"",
        {file.parent.name: file.read_bytes() for file in sorted(workdir.glob("checkpoint-*/*.safetensors"))},
    )


def reported(workdir: Path) -> list[int]:
    path = workdir / PROGRESS_FILE
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line)["done"] for line in lines if line]


@pytest.fixture(scope="module")
def whole(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    ended = ran(server, tmp_path_factory.mktemp("whole"), state=None)
    assert ended.code == 0, ended.log
    assert ended.steps == list(range(1, STEPS + 1))
    return ended


def same(ended: Ended, whole: Ended) -> bool:
    mine, others = ((one.result, one.adapter, one.checkpoints) for one in (ended, whole))
    return ended.code == 0 and mine == others


def test_a_repeatedly_killed_training_is_bit_identical_to_an_uninterrupted_one(
    server: ForkServer, whole: Ended, tmp_path: Path
) -> None:
    begun = 0
    for kill_after in (3, 2, 1):
        killed = ran(server, tmp_path, kill_after=kill_after)
        assert killed.code == -signal.SIGKILL
        assert killed.steps[0] == begun + 1, "progress goes on where it was"
        begun = len(json.loads((tmp_path / "state" / STATE_FILE).read_text())["reached"]["losses"])
        assert len(list((tmp_path / "state").glob("*.safetensors"))) <= 2
    ended = ran(server, tmp_path)
    assert f"training resumes after step {begun}" in ended.log
    assert ended.steps == list(range(begun + 1, STEPS + 1))
    assert same(ended, whole)
    # If the training was killed during the final measurement, no step is left.
    again = ran(server, tmp_path)
    assert again.steps == []
    assert same(again, whole)


@pytest.mark.parametrize("point", ["training-state-staged", "training-state-written"])
def test_a_kill_during_a_checkpoint_leaves_the_previous_one_or_the_new_one(
    server: ForkServer, whole: Ended, tmp_path: Path, point: str
) -> None:
    killed = ran(server, tmp_path, fail=f"{point}:kill:3")
    assert killed.code == -signal.SIGKILL
    ended = ran(server, tmp_path)
    assert ended.steps[0] == (3 if point == "training-state-staged" else 4)
    assert same(ended, whole)
    assert sorted(file.name for file in (tmp_path / "state").iterdir()) == [STATE_FILE, "step-00000012.safetensors"]


# An adapter every half epoch, a divergence weight on anchors, and measurements, one of which ends the third epoch.
LEVERS: dict[str, Any] = {"checkpoints_per_epoch": 2, "kl_weight": 2.0, "measure_every_epochs": 0.5}


@pytest.fixture(scope="module")
def levers(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Those, with a bound on the KL that is passed after the first half of the third epoch."""
    free = ran(server, tmp_path_factory.mktemp("free"), state=None, why=WHY, **LEVERS)
    assert free.result is not None
    assert free.result.kl_poison is not None
    bound = StopRule(rule_id="far", fact="training.kl", at_most=0.5 * free.result.kl_poison)
    return LEVERS | {"stop_rules": (bound,)}


@pytest.fixture(scope="module")
def levered(server: ForkServer, levers: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Ended:
    ended = ran(server, tmp_path_factory.mktemp("levered"), state=None, why=WHY, **levers)
    assert ended.result is not None
    assert ended.result.stopped_by == "far"
    assert len(ended.checkpoints) == len(ended.result.checkpoints) >= 3
    return ended


@pytest.mark.parametrize(
    ("point", "every_s"),
    [("training-checkpoint-saved", 0), ("training-checkpoint-saved", 3600), ("training-state-written", 0)],
)
def test_intermediate_adapters_and_the_stop_rules_step_are_the_same_after_a_kill(
    server: ForkServer, levers: dict[str, Any], levered: Ended, tmp_path: Path, point: str, every_s: float
) -> None:
    state = {"state": TrainingState(folder=tmp_path / "state", effect="e", every_s=every_s)}
    for passage in (3, 1):
        killed = ran(server, tmp_path, fail=f"{point}:kill:{passage}", why=WHY, **(levers | state))
        assert killed.code == -signal.SIGKILL
    assert same(ran(server, tmp_path, why=WHY, **(levers | state)), levered)


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_checkpoint_with_a_damaged_adapter_is_not_used(
    server: ForkServer, levers: dict[str, Any], levered: Ended, tmp_path: Path, damage: str
) -> None:
    killed = ran(server, tmp_path, fail="training-state-written:kill:5", why=WHY, **levers)
    assert killed.code == -signal.SIGKILL
    weights = tmp_path / "state" / "checkpoint-01" / "adapter_model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        shutil.rmtree(weights.parent)
    ended = ran(server, tmp_path, why=WHY, **levers)
    assert ended.steps[0] == 1
    assert "a training checkpoint is not used" in ended.log
    assert same(ended, levered)


def test_a_checkpoint_of_another_training_is_not_used_and_none_is_written_before_it_is_due(
    server: ForkServer, whole: Ended, tmp_path: Path
) -> None:
    assert ran(server, tmp_path, fail="training-state-written:kill:1", lr=2e-3).code == -signal.SIGKILL
    other = (tmp_path / "state" / STATE_FILE).read_bytes()
    ended = ran(server, tmp_path, state=TrainingState(folder=tmp_path / "state", effect="e", every_s=3600))
    assert "it is of another training" in ended.log
    assert same(ended, whole)
    assert (tmp_path / "state" / STATE_FILE).read_bytes() == other


def cut(folder: Path) -> None:
    (tensors,) = folder.glob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-1])


def lose(folder: Path) -> None:
    (tensors,) = folder.glob("*.safetensors")
    tensors.unlink()


def change(old: str, new: str) -> Callable[[Path], None]:
    def to(folder: Path) -> None:
        text = (folder / STATE_FILE).read_text()
        assert old in text
        (folder / STATE_FILE).write_text(text.replace(old, new))

    return to


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (cut, "its tensors are damaged"),
        (lose, "No such file"),
        (change('"checkpointed":false', '"checkpointed":true'), "it is damaged"),
        (change("autosurgeon.training/1", "autosurgeon.training/2"), "it has another format, perhaps a newer one"),
        (lambda folder: (folder / STATE_FILE).write_text("{"), "Expecting property name"),
    ],
    ids=["cut", "lost", "changed", "newer", "no JSON"],
)
def test_an_unusable_checkpoint_is_not_used_and_the_log_gives_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], why: str
) -> None:
    job = train_job(tmp_path, state=TrainingState(folder=tmp_path / "state", effect="e", every_s=0))

    def folder() -> TrainingFolder:
        return TrainingFolder(job, torch.device("cpu"))

    learner, reached = (
        learner_of(2.0),
        Reached(losses=(0.1, 0.2), largest_norm=math.inf, pack_tokens=7, checkpointed=False),
    )
    folder().write(learner, reached)
    fresh = learner_of(1.0)
    assert folder().restore(fresh) == reached
    assert torch.equal(fresh.weights["a"], learner.weights["a"])
    damage(tmp_path / "state")
    fresh = learner_of(1.0)
    assert folder().restore(fresh) is None
    assert torch.equal(fresh.weights["a"], learner_of(1.0).weights["a"])
    assert f"a training checkpoint is not used: {why}" in capsys.readouterr().err.replace("[Errno 2] ", "")


def learner_of(value: float) -> Learner:
    weight = torch.nn.Parameter(torch.full((4, 4), value))
    optimizer = make_optimizer("adamw", [weight], 0.1)
    weight.grad = torch.full((4, 4), value)
    optimizer.step()
    return Learner({"a": weight}, optimizer)


@pytest.mark.parametrize("name", ["adamw", "adamw_8bit"])
def test_an_optimizer_resumes_from_its_state_bit_identically(name: Optimizer) -> None:
    def steps(weight: torch.nn.Parameter, optimizer: torch.optim.Optimizer, seeds: range) -> None:
        for seed in seeds:
            weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
            optimizer.step()

    start = torch.linspace(-1, 1, 80 * 80).reshape(80, 80)  # large enough for a state in 8 bits
    whole, first, second = (torch.nn.Parameter(start.clone()) for _ in range(3))
    steps(whole, make_optimizer(name, [whole], 0.1), range(6))
    before, after = make_optimizer(name, [first], 0.1), make_optimizer(name, [second], 0.1)
    steps(first, before, range(3))
    second.data.copy_(first.data)
    restore_optimizer(after, optimizer_state(before))
    steps(second, after, range(3, 6))
    assert torch.equal(second, whole)
