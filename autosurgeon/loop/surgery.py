"""One pass, from proposal to verdict. Every stage and every decision is adopted if it was committed before."""

from __future__ import annotations

from pathlib import Path

from autosurgeon.core.decision import Evidence, Phase
from autosurgeon.core.jobs import MergeJob, MergeResult, StopRule, TrainJob, TrainResult
from autosurgeon.core.pack import Lineage
from autosurgeon.core.passes import PassState
from autosurgeon.core.ports import OnProgress
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.core.task import Split
from autosurgeon.dataset.rows import Dataset
from autosurgeon.errors import CapsuleError, PackError, WorldError
from autosurgeon.loop.complete import Model
from autosurgeon.loop.instruments import Instruments
from autosurgeon.loop.measure import measure, pass_the_impossible
from autosurgeon.loop.plan import plan_rows, rows_file
from autosurgeon.loop.settle import settle
from autosurgeon.loop.stage import Done, once
from autosurgeon.loop.standing import Standing, pass_scope, tasks_of, verified_folder
from autosurgeon.loop.watch import watch
from autosurgeon.policy.evidence import (
    promotion_facts,
    recipe_facts,
    smoke_facts,
    target_facts,
    training_facts,
)
from autosurgeon.policy.judge import judge
from autosurgeon.policy.schema import Policy
from autosurgeon.stats.paired import flips


class _OverError(Exception):
    """A gate ended the pass."""


class Surgery:
    """One pass at work. The policy is an argument, since a scenario runs with its rules in audit."""

    def __init__(self, ins: Instruments, record: PassRecord, standing: Standing, policy: Policy) -> None:
        self._ins = ins
        self._record = record
        self._number = record.number
        self._scope = pass_scope(record.number)
        self._standing = standing
        self._policy = policy
        self._facts: Evidence = {}

    def operate(self) -> None:
        """Take the pass to a final state; a world that fails too often makes it FAILED, StoppedError leaves it open."""
        try:
            self._until_live()
        except _OverError:
            return
        except WorldError as error:
            if not self._reached(PassState.LIVE):
                self._ins.store.advance(self._number, PassState.FAILED, reason=str(error))
                return
            raise
        watch(self._ins, self._number, self._standing, self._policy)

    def _reached(self, state: PassState) -> bool:
        """Whether the pass is that far, or further."""
        order = list(PassState)
        return order.index(self._ins.store.get_pass(self._number).state) >= order.index(state)

    def _until_live(self) -> None:
        dataset = self._plan()
        adapter = self._train(dataset)
        self._smoke(dataset, adapter)
        pack = self._merge(dataset, adapter)
        self._bench(pack)

    def _gate(self, phase: Phase, evidence: Evidence, *, pack: str | None = None, dev_gain: int | None = None) -> None:
        """Judge a phase on all that is known by then, once; _OverError unless the verdict is ACCEPT."""
        self._facts |= evidence
        decided = [d for d in self._ins.store.decisions(self._number) if d.judgement and d.judgement.phase == phase]
        if decided:
            return  # an open pass got past every gate that it has been through
        state = settle(self._ins, self._number, judge(self._policy, phase, self._facts), pack=pack, dev_gain=dev_gain)
        if state.is_finished:
            raise _OverError

    def _advance(self, state: PassState) -> None:
        if not self._reached(state):
            self._ins.store.advance(self._number, state)

    def _plan(self) -> Dataset:
        """Choose the rows and judge recipe and rows before any compute is spent."""
        ins, recipe, standing = self._ins, self._record.recipe, self._standing
        dataset, of_rows = plan_rows(ins, self._record, standing)
        evidence = {
            **recipe_facts(recipe, ins.settings.organ.reference_lr),
            **target_facts(standing.counted, standing.foreign),
            **of_rows,
        }
        self._gate("proposal", evidence)
        self._advance(PassState.READY)
        return dataset

    def _train(self, dataset: Dataset) -> Path:
        """Train the adapter, committed before anything is evaluated."""
        ins, recipe = self._ins, self._record.recipe
        folder = ins.workspace.stage(self._scope, "train")

        def train(workdir: Path) -> Done:
            job = train_job(ins, self._record.parent, recipe, rows_file(ins, self._scope), _stop_rules(self._policy))
            result = ins.capsules.run(job, workdir, show_training(ins))
            return Done({"result": result.model_dump(mode="json")})

        def still_there(output: dict[str, dict[str, str]]) -> bool:
            return (folder / output["result"]["adapter"] / "adapter_model.safetensors").is_file()

        result = TrainResult.model_validate(once(ins, self._scope, "train", train, still_there)["result"])
        self._gate("training", training_facts(result))
        return folder / result.adapter

    def _smoke(self, dataset: Dataset, adapter: Path) -> None:
        """Run every anchor that was not trained on with the adapter, before the merge."""
        ins, standing = self._ins, self._standing
        held_out = [task_id for task_id in standing.anchors if task_id not in dataset.anchor_ids]

        def smoke(folder: Path) -> Done:
            model = Model(f"{self._scope}-adapter", verified_folder(ins, self._record.parent), adapter)
            envelopes = measure(ins, model, [ins.tasks[task_id] for task_id in held_out], folder)
            results = {envelope.task_id: envelope for envelope in envelopes}
            lost = [task_id for task_id in held_out if task_id in results and not results[task_id].passed]
            return Done({"facts": smoke_facts(held_out, results), "lost": lost})

        self._gate("smoke", once(ins, self._scope, "smoke", smoke)["facts"])

    def _merge(self, dataset: Dataset, adapter: Path) -> str:
        """Fold the adapter in and commit the result as a pack; its name."""
        ins = self._ins

        def merge(workdir: Path) -> Done:
            job = MergeJob(base=verified_folder(ins, self._record.parent).resolve(), adapter=adapter.resolve())
            result = ins.capsules.run(job, workdir)
            assert isinstance(result, MergeResult)
            lineage = Lineage(parent=self._record.parent, recipe=self._record.recipe, dataset=dataset.digest)
            try:
                manifest = ins.packs.commit(workdir / result.model, lineage)
            except PackError as error:
                raise CapsuleError("bad_outcome", str(error)) from error
            return Done({"pack": manifest.digest}, pack=(manifest, self._number))

        def still_there(output: dict[str, str]) -> bool:
            try:
                ins.packs.verify(output["pack"])
            except PackError:
                return False
            return True

        pack: str = once(ins, self._scope, "merge", merge, still_there)["pack"]
        self._advance(PassState.PACKED)
        return pack

    def _bench(self, pack: str) -> None:
        """Bench the packed file on all but the canary, and judge it against live and base."""
        ins, standing = self._ins, self._standing
        benches = sorted({task.bench for task in ins.tasks.values()})
        occasion = f"{self._scope}/bench"

        def bench(folder: Path) -> Done:
            tasks = tasks_of(ins, benches, (Split.SURGERY, Split.DEV, Split.GATE))
            envelopes = measure(ins, Model(pack, verified_folder(ins, pack)), tasks, folder)
            found = {"tasks": len(envelopes), "impossible": pass_the_impossible(ins, envelopes)}
            return Done(found, envelopes=(pack, occasion, envelopes))

        impossible = once(ins, self._scope, "bench", bench)["impossible"]
        expected = [t.task_id for t in tasks_of(ins, standing.counted, (Split.SURGERY, Split.DEV, Split.GATE))]
        results, live = ins.store.envelopes(pack, occasion), ins.store.envelopes(standing.live)
        evidence = promotion_facts(
            expected=expected,
            pack=results,
            live=live,
            base=ins.store.envelopes(standing.base),
            anchors=standing.anchors,
            verified=bool(ins.packs.verify(pack)),
            impossible=(impossible["tried"], impossible["passed"]),
        )
        dev = [task.task_id for task in tasks_of(ins, standing.counted, (Split.DEV,))]
        gain = flips({t: live[t].passed for t in dev if t in live}, {t: results[t].passed for t in dev if t in results})
        self._gate("promotion", evidence, pack=pack, dev_gain=gain.net)


def _stop_rules(policy: Policy) -> tuple[StopRule, ...]:
    """The policy's training bounds that the capsule obeys while it runs; rules in audit only watch."""
    return tuple(
        StopRule(rule_id=rule.id, fact=rule.fact, at_least=rule.at_least)
        for rule in policy.rules
        if rule.otherwise == "stop" and rule.mode == "enforce"
    )


def train_job(ins: Instruments, parent: str, recipe: Recipe, rows: Path, stop_rules: tuple[StopRule, ...]) -> TrainJob:
    """The capsule's job for a recipe on a parent whose every byte was just read back."""
    organ = ins.settings.organ
    return TrainJob(
        base=verified_folder(ins, parent).resolve(),
        rows=rows.resolve(),
        epochs=recipe.epochs,
        lr=recipe.lr,
        rank=recipe.rank,
        alpha_ratio=recipe.alpha_ratio,
        quantization=recipe.quantization,
        batch_rows=organ.train_batch_rows,
        max_tokens=organ.max_tokens,
        seed=recipe.seed,
        stop_rules=stop_rules,
    )


def show_training(ins: Instruments) -> OnProgress:
    """Progress of a training capsule, for the reporter."""

    def show(done: int, total: int, metrics: dict[str, float]) -> None:
        ins.reporter.progress(done, total, f"steps, loss {metrics.get('loss', float('nan')):.2f}")

    return show
