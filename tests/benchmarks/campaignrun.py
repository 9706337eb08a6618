"""One campaign of the benchmark: the loop on the lab until its tokens are spent, and its memory at the end."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from campaignarms import ARMS, Arm

from autosurgeon.bench.grade import Grade, Grader, Submission
from autosurgeon.cli.logs import logging_to
from autosurgeon.core.envelope import Poison
from autosurgeon.core.pass_states import PassState, pass_scope
from autosurgeon.core.records import PassRecord
from autosurgeon.core.stage_results import AnchorsResult, BenchResult
from autosurgeon.core.task import Split, Task
from autosurgeon.core.value import Value
from autosurgeon.loop.baseline.baseline import read_baseline
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.limits import Limits
from autosurgeon.loop.run_passes import prepare_run, run
from autosurgeon.sections import GradingSettings, LoopSettings
from autosurgeon.simulator.setup import QuietReporter
from autosurgeon.wiring import open_loop


class Point(Value):
    """How things stood after a pass."""

    number: int
    state: str
    reason: str
    tokens: int
    """Spent until then, of this arm's budget."""
    seconds: float
    """Of its stages, until then."""
    recipe: str
    gate: int
    """Gate wins of the live pack, coins left out."""
    wins: int
    """All its wins, coins left out."""
    lost: int
    """Confirmed wins of any moment that it lacks."""
    false: bool
    """Whether the pass went live, wherever it ended, with fewer canary wins than the pack before, coins left out."""


class Campaign(Value):
    """One campaign."""

    arm: str
    seed: int
    flaky: float
    gate: int
    """Gate wins of the base."""
    wins: int
    points: tuple[Point, ...]
    ever_lost: int
    """Confirmed wins that some live pack failed, at any moment."""

    def at(self, tokens: int) -> Point | None:
        """The last pass that ended within a budget."""
        return next((point for point in reversed(self.points) if point.tokens <= tokens), None)


@dataclass
class TokenBrakes(Limits):
    """Limits that end a run once its arm's tokens are spent."""

    spent: Callable[[], int] = lambda: 0
    tokens: int = 0
    most: int = 1 << 30
    counted: int = field(default=0)

    def end_reason(self, passes_done: int, loop: LoopSettings) -> str | None:
        """`passes` once the tokens are gone."""
        done = self.spent() >= self.tokens or passes_done >= self.most
        return "passes" if done else super().end_reason(passes_done, loop)


class CoinGrader(Grader):
    """A grader for which some tasks are coins, whatever a model's program does; references are no models'."""

    def __init__(self, settings: GradingSettings, coins: frozenset[str], seed: int) -> None:
        super().__init__(settings)
        self._coins, self._dice = coins, random.Random(f"coins:{seed}")

    def stream(self, submissions: Iterable[Submission | tuple[Task, str]], *, afresh: bool = False) -> Iterator[Grade]:
        """Grades, those of coins thrown."""
        todo = [Submission(*one) for one in submissions]
        for submission, grade in zip(todo, super().stream(todo, afresh=afresh), strict=True):
            if afresh or submission.task.task_id not in self._coins:
                yield grade
            elif self._dice.random() < 0.5:
                yield grade._replace(verdict="pass", cause=None, detail="")
            else:
                yield grade._replace(verdict="fail", cause=Poison.WRONG, detail="a coin", food=0)


def coins_of(tasks: Iterable[str], seed: int, flaky: float) -> frozenset[str]:
    """The tasks that are coins."""
    known = sorted(tasks)
    return frozenset(random.Random(f"coins:{seed}").sample(known, round(flaky * len(known))))


def campaign_file(home: Path, arm: Arm, seed: int) -> Path:
    """Where a campaign's result is kept, so that a benchmark that was cut goes on."""
    return home / f"{arm.name.replace(' ', '-')}-{seed}.json"


def run_campaign(arm: Arm, seed: int, tokens: int, flaky: float, home: Path, most: int = 1 << 30) -> Campaign:
    """Run one campaign in a folder of its own below `home`; the base's results are measured once a seed and kept."""
    kept = campaign_file(home, arm, seed)
    if kept.is_file():
        return Campaign.model_validate_json(kept.read_bytes())
    root = kept.with_suffix("")
    base = home / f"base-{seed}"
    if not (base / "ready").exists():
        shutil.rmtree(base, ignore_errors=True)
        _work(ARMS[-1], seed, 0, flaky, base, 0)
        (base / "ready").touch()
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(base, root)
    found = _work(arm, seed, tokens, flaky, root, most)
    kept.write_text(found.model_dump_json(indent=1), encoding="utf-8")
    shutil.rmtree(root)
    return found


def _work(arm: Arm, seed: int, tokens: int, flaky: float, root: Path, most: int) -> Campaign:
    brakes = TokenBrakes(tokens=tokens, most=most)
    settings = arm.settings(seed)
    with (
        logging_to(root / "log"),
        open_loop(root, settings, QuietReporter(), brakes) as ins,
    ):
        coins = coins_of(ins.tasks, seed, flaky)
        if coins:
            ins = replace(ins, grader=CoinGrader(settings.grading, coins, seed))
        ins = arm.armed(replace(ins, reports=False))
        brakes.spent = lambda: sum(spent_on_pass(ins, arm, record) for record in ins.store.passes())
        if most:
            run(ins)
        else:
            prepare_run(ins)
            read_baseline(ins)
        return read_campaign(ins, arm, seed, flaky, coins)


def spent_on_pass(ins: Instruments, arm: Arm, record: PassRecord) -> int:
    """Tokens of a pass that the arm is charged with, the confirmation of what it made live among them."""
    scopes = [pass_scope(record.number)] + ([f"pack-{record.pack[:12]}"] if record.pack else [])
    return sum(
        sum(stage.output.get("tokens", {}).values())
        for scope in scopes
        for stage in ins.store.stage_outputs(scope)
        if arm.is_charged(stage.name)
    )


def read_campaign(ins: Instruments, arm: Arm, seed: int, flaky: float, coins: frozenset[str]) -> Campaign:
    """The content of the memory after a campaign."""
    base = ins.store.base_pack()
    assert base is not None  # the loop has begun
    counted = {t: task for t, task in ins.tasks.items() if task.bench != "lab-lcb" and t not in coins}
    gate = {t for t, task in counted.items() if task.split == Split.GATE}
    canary = {t for t, task in counted.items() if task.split == Split.CANARY}

    def won(pack: str) -> set[str]:
        return {task for task, passed in ins.store.passed(pack).items() if passed and task in counted}

    live, points = won(base), []
    before = len(live & gate), len(live)
    confirmed, ever_lost, tokens, seconds = set[str](), set[str](), 0, 0.0
    lost = set[str]()
    for record in ins.store.passes():
        scope = pass_scope(record.number)
        noted = ins.store.stage_result(scope, AnchorsResult)
        confirmed |= set(noted.anchors if noted else ()) & counted.keys()
        tokens += spent_on_pass(ins, arm, record)
        seconds += sum(stage.seconds for stage in ins.store.stages(scope) if arm.is_charged(stage.name))
        went_live = record.state in (PassState.CONFIRMED, PassState.REVERTED) and record.pack is not None
        worse = False
        if went_live and record.pack is not None:
            after = won(record.pack)
            worse = len(after & canary) < len(live & canary)
            benched = ins.store.stage_result(scope, BenchResult)
            missing = confirmed - after - set(benched.recovered if benched else ())
            ever_lost |= missing
            if record.state == PassState.CONFIRMED:
                live, lost = after, missing
        points.append(
            Point(
                number=record.number,
                state=record.state.value,
                reason=record.reason,
                tokens=tokens,
                seconds=round(seconds, 2),
                recipe=record.recipe.model_dump_json(),
                gate=len(live & gate),
                wins=len(live),
                lost=len(lost),
                false=worse,
            )
        )
    return Campaign(
        arm=arm.name,
        seed=seed,
        flaky=flaky,
        gate=before[0],
        wins=before[1],
        points=tuple(points),
        ever_lost=len(ever_lost),
    )
