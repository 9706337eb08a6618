"""A night of a small world as a program of its own, so that tests can really kill it.

    python tests/support/night.py WORKSPACE --passes N [--store URL] [--scenario NAME]
    python tests/support/night.py --serve        (see kills.py)

It is the product's own program, from its command line to its exit codes; only the benches are small, and the capsules
scripted: what a model knows follows from the number of the pass that trained it, so nothing is remembered in memory.
`--passes` are the workspace's, not the run's: a second start finishes what the first one did not.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from builders import make_task, weights_file
from fakes import ScriptedCapsules

import autosurgeon.cli.main as program
from autosurgeon import failpoints, wiring
from autosurgeon.audit import render_reports as render
from autosurgeon.bench import machine_sanity
from autosurgeon.core.jobs import MergeJob, Result, TrainJob
from autosurgeon.core.pass_states import pass_scope
from autosurgeon.core.ports import OnProgress
from autosurgeon.core.task import Split, Task
from autosurgeon.core.value import Value
from autosurgeon.errors import CapsuleError
from autosurgeon.loop.engine.instruments import Instruments

SIZES = {Split.SURGERY: 4, Split.DEV: 1, Split.GATE: 4, Split.CANARY: 2}
SCENARIOS = ("story", "damaged", "gc", "full", "deploy")
RETRY_S = 0.05
real_theatre = wiring.open_loop


def story_tasks(sizes: Mapping[Split, int] = SIZES) -> dict[str, Task]:
    """A bench of a few tasks in every split; no two programs are alike, which would be contamination."""
    tasks: dict[str, Task] = {}
    for split, size in sizes.items():
        for number in range(size):
            task_id, shift = f"b/{split.value}-{number}", len(tasks)
            reference = f"def solve(x):\n    return x + {shift} - {shift}\n"
            tasks[task_id] = make_task(task_id, split=split, prompt=f"# {split.value} {number}\n", reference=reference)
    return tasks


def knows(generation: int, task_id: str) -> bool:
    """The base knows the even tasks; the first four passes end as REJECTED, HELD, REVERTED and CONFIRMED."""
    half = int(task_id[-1]) % 2 == 0
    if generation == 1:
        return half and task_id != "b/gate-2"
    if generation == 3:
        return "canary" not in task_id
    return half or generation == 4


class NightCapsules(ScriptedCapsules):
    """Scripted capsules that stand in a fresh folder, and whose memory is the workspace."""

    ins: Instruments
    scenario: str

    def run(self, job: Value, workdir: Path, on_progress: OnProgress | None = None) -> Result:
        shutil.rmtree(workdir, ignore_errors=True)
        scope = workdir.parent.name
        if isinstance(job, TrainJob):
            self.trained = int(scope.removeprefix("pass-")) - 1
            if scope == pass_scope(3) and not self.ins.store.failed_attempts(scope, "train"):
                raise CapsuleError("killed", "by the story, the first time")
        if isinstance(job, MergeJob) and self.scenario == "damaged":
            # The damage to the pack comes between this run and the next one.
            self.ins.brakes.stop_requested = True
        if isinstance(job, TrainJob) and self.scenario == "full" and self.ins.workspace.ballast.exists():
            mark = self.ins.workspace.root / "disk-was-full"
            if not mark.exists():
                mark.touch()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "by the story, the first time")
        return super().run(job, workdir, on_progress)


def lay_out(root: Path, store: str | None, scenario: str) -> None:
    """The organ and the settings, unless they are there; all settings of a night are made here."""
    config, organ = root / "autosurgeon.toml", root / "organ"
    if config.exists():
        return
    organ.mkdir(parents=True)
    (organ / "model.safetensors").write_bytes(weights_file({"generation": ("BF16", (1,), b"\0\0")}))
    for name in ("config.json", "tokenizer.json"):
        (organ / name).write_text("{}")
    loop: dict[str, Any] = {
        "min_free_mib": 0,
        "ballast_mib": int(scenario == "full"),
        "full_disk_retry_s": RETRY_S,
        "recoveries": 10_000,
    }
    sections: dict[str, dict[str, Any]] = {
        "organ": {"model": f'"{organ}"'},
        "grading": {"workers": 1, "jail": '"plain"', "allow_plain_jail": "true"},
        "loop": loop,
        # What a full disk makes a loop remove is tested in test_loop_disk_space.py; here files are compared.
        "retention": {"when_full": "false"},
    }
    if store is not None:
        sections["store"] = {"url": f'"{store}"'}
    lines = [f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in content.items()) for name, content in sections.items()]
    config.write_text("\n".join(lines))


@contextlib.contextmanager
def small_theatre(passes: int, scenario: str, *arguments: Any) -> Iterator[Instruments]:
    """The wiring's own theatre, with scripted capsules and as many passes as the workspace lacks."""
    with real_theatre(*arguments) as real:
        capsules = NightCapsules(dict(real.tasks), knows)
        ins = dataclasses.replace(real, capsules=capsules)
        capsules.ins, capsules.scenario = ins, scenario
        ended = sum(record.state.is_finished for record in ins.store.passes())
        ins.brakes.passes, ins.brakes.poll_s = max(0, passes - ended), RETRY_S / 5
        yield ins


def main(arguments: list[str]) -> None:
    """Run a night; exits as the product's program does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--store")
    parser.add_argument("--scenario", choices=SCENARIOS, default="story")
    parser.add_argument("--hung", type=Path, help="a file that appears when a failpoint hangs")
    asked = parser.parse_args(arguments)
    root, passes, scenario = asked.workspace.resolve(), asked.passes, asked.scenario
    lay_out(root, asked.store, scenario)
    wiring.lab_tasks = story_tasks
    wiring.open_loop = lambda *arguments: small_theatre(passes, scenario, *arguments)
    # Half of a pass's time, and no part of what is tested: pictures, and references graded eight at a time.
    replaced: list[tuple[Any, str, Any]] = [(render, name, lambda *_, **__: b"") for name in ("plot_loss", "plot_wins")]
    replaced.append((machine_sanity, "MOST", 1))
    if asked.hung is not None:
        replaced.append((failpoints, "time", _Marking(asked.hung)))
    for module, name, value in replaced:
        setattr(module, name, value)
    command = ["pack", "gc"] if scenario == "gc" else ["run", "--passes", "1"]
    sys.argv = ["autosurgeon", *command, "--workspace", str(root)]
    program.main()


class _Marking:
    """The clock of the failpoints: a test that waits for a hang sees that it has come."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def sleep(self, seconds: float) -> None:
        import time

        self._mark.touch()
        time.sleep(seconds)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        from nightserver import serve

        serve()
    else:
        main(sys.argv[1:])
