"""Bench a pack batch by batch, while the outcome is open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autosurgeon.core.decision import Evidence, RuleResult
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.records import AnchorRun
from autosurgeon.core.stage_results import BenchResult, Tokens
from autosurgeon.core.task import Split, Task
from autosurgeon.loop.baseline.baseline import bench_batches, tasks_of, verified_folder
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done
from autosurgeon.loop.stages.generate_answers import Model
from autosurgeon.loop.stages.measure import Retried, measure, pass_the_impossible, retry, retry_enough
from autosurgeon.loop.stages.smoke import runs_of
from autosurgeon.policy.early import most_lost, refuses_early
from autosurgeon.policy.promotion import Comparison, promotion_facts
from autosurgeon.policy.reach import ANYTIME, reach_of
from autosurgeon.policy.schema import Policy

SPLITS = (Split.SURGERY, Split.DEV, Split.GATE)


class BatchedBench:
    """One running bench.

    Without `levers.racing` only the anytime-valid fact can end it early. With it, the anchors of each batch are retried
    at once, and the policy judges the facts that are certain. A rejected pack ends the bench. For a held pack dev runs
    first: the search learns from dev wins alone, and dev is the smallest part.
    """

    def __init__(
        self, ins: Instruments, occasion: str, comparison: Comparison, policy: Policy, known: Evidence
    ) -> None:
        """Prepare the bench; `known` is the evidence from before it."""
        self._ins, self._occasion, self._policy, self._known = ins, occasion, policy, known
        self._racing = ins.settings.levers.racing
        self._comparison = comparison
        self._envelopes: list[Envelope] = []
        self._runs: list[AnchorRun] = []
        self._tokens = 0
        self._refused: RuleResult | None = None

    def run(self, pack: str, folder: Path) -> Done[BenchResult]:
        """Run batch after batch, until a rule is decided."""
        ins = self._ins
        benches = sorted({task.bench for task in ins.tasks.values()})
        batches = bench_batches(ins, tasks_of(ins, benches, SPLITS))
        self._comparison = self._comparison._replace(order=[task.task_id for batch in batches for task in batch])
        model = Model(pack, verified_folder(ins, pack))
        skipped = False
        for number, batch in enumerate(batches):
            if not self._wants(batch):
                skipped = True
                continue
            self._measure(model, batch, folder / f"batch-{number}")
            if number < len(batches) - 1:
                self._look()
        stopped = self._refused if skipped else None
        if not self._racing:
            self._retry_all(model, folder, stopped is not None)
        if stopped is not None:
            ins.reporter.say(f"the bench ends early: {stopped.rule_id}: {stopped.lesson}")
        return Done(self._result(stopped), envelopes=(pack, self._occasion, self._envelopes), anchor_runs=self._runs)

    def _wants(self, batch: Sequence[Task]) -> bool:
        """Whether a batch still has to run."""
        if self._refused is None:
            return True
        return self._racing and self._refused.otherwise == "hold" and all(task.split == Split.DEV for task in batch)

    def _measure(self, model: Model, batch: Sequence[Task], folder: Path) -> None:
        lost = len(self._comparison.anchors_lost)
        measured = measure(self._ins, model, batch, folder)
        self._envelopes += measured.envelopes
        self._tokens += measured.tokens
        self._comparison = self._comparison._replace(pack={e.task_id: e for e in self._envelopes})
        if self._racing:
            anchors = {task: e for task, e in measured.results.items() if task in self._comparison.anchors}
            most = most_lost(self._policy, "anchors.lost")
            left = None if most is None else most - lost
            failed = [task for task, envelope in anchors.items() if not envelope.passed]
            self._take(anchors, retry_enough(self._ins, model, failed, folder, left))

    def _retry_all(self, model: Model, folder: Path, stopped: bool) -> None:
        results = self._comparison.pack
        anchors = {task: results[task] for task in self._comparison.anchors if task in results}
        failed = [task for task, envelope in anchors.items() if not envelope.passed]
        if stopped:
            self._comparison = self._comparison._replace(undecided=failed)
        else:
            self._take(anchors, retry(self._ins, model, failed, folder))

    def _take(self, anchors: dict[str, Envelope], retried: Retried) -> None:
        self._tokens += retried.tokens
        self._runs += runs_of(self._occasion, anchors, retried)
        self._comparison = self._comparison._replace(
            recovered=[*self._comparison.recovered, *sorted(retried.recovered)],
            undecided=[*self._comparison.undecided, *sorted(retried.undecided)],
        )

    def _look(self) -> None:
        """Find a rule that refuses the pack whatever the rest of the bench brings."""
        reach = reach_of(self._comparison)
        if self._racing:
            facts = self._known | promotion_facts(self._comparison._replace(stopped=True))
        else:
            reach = {name: ends for name, ends in reach.items() if name == ANYTIME}
            facts = self._known | {name: ends.least for name, ends in reach.items()}
        found = refuses_early(self._policy, facts, reach)
        if self._refused is None or (found is not None and found.otherwise == "reject"):
            self._refused = found

    def _result(self, stopped: RuleResult | None) -> BenchResult:
        comparison = self._comparison
        dev = [task for task, split in comparison.expected.items() if split == Split.DEV]
        is_whole = stopped is None or (self._racing and all(task in comparison.pack for task in dev))
        return BenchResult(
            tasks=len(self._envelopes),
            impossible=pass_the_impossible(self._ins, self._envelopes),
            order=tuple(comparison.order),
            stopped=None if stopped is None else stopped.rule_id,
            recovered=tuple(sorted(comparison.recovered)),
            undecided=tuple(sorted(comparison.undecided)),
            dev=sum(comparison.pack[task].passed for task in dev if task in comparison.pack) if is_whole else None,
            counted=tuple(sorted({self._ins.tasks[task].bench for task in comparison.expected})),
            tokens=Tokens(generated=self._tokens),
        )
