"""One pass, from proposal to verdict. Committed stages and decisions are reused."""

from __future__ import annotations

from pathlib import Path

from autosurgeon.core.decision import Evidence, Phase, Verdict
from autosurgeon.core.jobs import TrainJob, TrainResult
from autosurgeon.core.pack import ADAPTER_FILE
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.ports import OnProgress
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.records import PassRecord
from autosurgeon.core.stage_results import AnchorsResult, SmokeResult, Tokens, TrainStageResult
from autosurgeon.core.stop_rule import StopRule
from autosurgeon.core.training_data import Dataset
from autosurgeon.errors import PackError, WorldError
from autosurgeon.failpoints import reach
from autosurgeon.loop.baseline.baseline import Baseline, pass_scope, verified_folder
from autosurgeon.loop.decide.alpha_budget import budget_evidence
from autosurgeon.loop.decide.decision_context import decision_context
from autosurgeon.loop.decide.live import carry_out, make_live
from autosurgeon.loop.decide.overrides import standing_override
from autosurgeon.loop.decide.settle import settle
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.stage import Done, once
from autosurgeon.loop.search.dev_climb import dev_climb
from autosurgeon.loop.stages.bench_pack import bench_pack, empty_comparison
from autosurgeon.loop.stages.choose_rows import plan_rows, rows_file
from autosurgeon.loop.stages.generate_answers import Model
from autosurgeon.loop.stages.job_rows import chat_of, reference_rows, rows_in_form
from autosurgeon.loop.stages.merge_adapter import compare_with_adapter, merge
from autosurgeon.loop.stages.salvage import salvage
from autosurgeon.loop.stages.smoke import smoke
from autosurgeon.loop.stages.training_state import forget_training_state, training_state
from autosurgeon.loop.stages.watch_live import watch
from autosurgeon.packs.files import hash_file
from autosurgeon.policy.early import most_lost
from autosurgeon.policy.evidence import (
    merge_facts,
    recipe_facts,
    selftest_facts,
    target_facts,
    training_facts,
)
from autosurgeon.policy.gate_selftest import self_test
from autosurgeon.policy.judge import judge
from autosurgeon.policy.promotion import Comparison, promotion_facts
from autosurgeon.policy.rehearsal import rehearse
from autosurgeon.policy.rules import check
from autosurgeon.policy.schema import Policy


class _OverError(Exception):
    """A gate ended the pass."""


class PassSpine:
    """One running pass. The policy is an argument, since a scenario runs with its rules in audit."""

    def __init__(self, ins: Instruments, record: PassRecord, baseline: Baseline, policy: Policy) -> None:
        self._ins = ins
        self._record = record
        self._number = record.number
        self._scope = pass_scope(record.number)
        self._baseline = baseline
        self._policy = policy
        self._facts: Evidence = {}

    def operate(self) -> None:
        """Finish the pass; repeated failures of the world make it FAILED, StoppedError leaves it open."""
        try:
            self._baseline = self._as_it_began()
            # A live pass only needs its watch, and its parent may be damaged or gone.
            if not self._reached(PassState.LIVE):
                self._until_live()
        except _OverError:
            return
        except (WorldError, PackError) as error:  # a damaged or missing pack is a failure of the world too
            if not self._reached(PassState.LIVE):
                self._ins.store.advance(self._number, PassState.FAILED, reason=str(error))
                return
            raise
        watch(self._ins, self._number, self._baseline, self._policy)

    def _as_it_began(self) -> Baseline:
        """The baseline with the anchors from the begin of the pass: a retry or a person may have changed the ledger."""
        baseline = self._baseline

        def note(_: Path) -> Done[AnchorsResult]:
            return Done(AnchorsResult(anchors=baseline.anchors, hidden=tuple(sorted(baseline.hidden))))

        noted = once(self._ins, self._scope, AnchorsResult, note)
        return baseline._replace(anchors=noted.anchors, hidden=frozenset(noted.hidden))

    @property
    def _state(self) -> PassState:
        return self._ins.store.get_pass(self._number).state

    def _reached(self, state: PassState) -> bool:
        """Whether the pass has reached a state."""
        order = list(PassState)
        return order.index(self._state) >= order.index(state)

    def _until_live(self) -> None:
        dataset = self._plan()
        adapter = self._smoke(dataset, self._train(dataset))
        pack = self._merge(dataset, adapter)
        self._bench(pack)

    def _gate(
        self, phase: Phase, evidence: Evidence, *, pack: str | None = None, comparison: Comparison | None = None
    ) -> None:
        """Judge a phase once, on all known facts; _OverError unless the verdict is ACCEPT or overridden."""
        ins = self._ins
        self._facts |= budget_evidence(ins, self._number) | evidence
        decided = [d for d in ins.store.decisions(self._number) if d.judgement and d.judgement.phase == phase]
        if decided:
            self._pass_again(phase, decided[0].judgement.verdict if decided[0].judgement else None, pack)
            return
        judgement = judge(self._policy, phase, self._facts)
        reach("judged")
        ins.store.keep_policy(self._policy.digest, self._policy.model_dump_json(by_alias=True))
        climb = dev_climb(ins, self._baseline, self._number) if phase == "promotion" else None
        context = decision_context(ins, self._record, self._baseline, judgement, pack=pack, comparison=comparison)
        state = settle(ins, self._number, judgement, pack=pack, climb=climb, story=context)
        if state.is_finished:
            raise _OverError

    def _pass_again(self, phase: Phase, verdict: Verdict | None, pack: str | None) -> None:
        """Pass a gate that was judged: by its verdict or by a person's override."""
        if verdict == Verdict.ACCEPT:
            return
        override = standing_override(self._ins, self._number, phase)
        if override is None:
            raise _OverError
        if phase == "promotion" and pack is not None:
            carry_out(self._ins, self._number, override, pack)

    def _advance(self, state: PassState) -> None:
        if not self._reached(state):
            self._ins.store.advance(self._number, state)
            reach("pass-moved")

    def _plan(self) -> Dataset:
        """Choose the rows, and judge recipe and rows before any compute is spent."""
        ins, recipe, baseline = self._ins, self._record.recipe, self._baseline
        dataset, of_rows = plan_rows(ins, self._record, baseline)
        evidence = {
            **recipe_facts(recipe, ins.settings.organ.reference_lr),
            **target_facts(baseline.counted, baseline.foreign),
            **of_rows,
        }
        # The policy of the run, not one that a scenario runs in audit: a gate is tested as it will be used.
        rehearse(ins.policy)
        live = empty_comparison(ins, baseline)
        itself = live._replace(pack=live.live, confirmed=(), p_luck=1.0)
        evidence |= selftest_facts(self_test(ins.policy, evidence, itself))
        self._gate("proposal", evidence)
        self._advance(PassState.READY)
        return dataset

    def _held_out(self, dataset: Dataset) -> list[str]:
        return [task_id for task_id in self._baseline.anchors if task_id not in dataset.anchor_ids]

    def _train(self, dataset: Dataset) -> Path:
        """Train the adapter, and commit it before any evaluation."""
        ins, recipe = self._ins, self._record.recipe
        folder = ins.workspace.stage(self._scope, "train")
        probe = ins.workspace.stage(self._scope, "dataset") / "probe.jsonl"

        def train(workdir: Path) -> Done[TrainStageResult]:
            # An anchor may be poison too, where the parent is older than live: it is tried in the smoke all the same,
            # and is no probe of what training does to what it never saw.
            taught = {row.task_id for row in dataset.rows}
            wins = [ins.tasks[task_id] for task_id in self._held_out(dataset) if task_id not in taught]
            chat, rows = chat_of(ins.settings.organ), rows_file(ins, self._scope)
            probe.write_text(reference_rows(wins, chat), encoding="utf-8")
            if chat is not None:
                asked = rows.with_name("chat_rows.jsonl")
                asked.write_text(rows_in_form(rows.read_text(encoding="utf-8"), ins.tasks, chat), encoding="utf-8")
                rows = asked
            job = train_job(ins, self._record.parent, recipe, rows, _stop_rules(self._policy, self._facts))
            here = {"probe": probe.resolve(), "state": training_state(ins, self._scope, dataset.digest)}
            result = ins.capsules.run(job.model_copy(update=here), workdir, show_training(ins))
            assert isinstance(result, TrainResult)
            return Done(TrainStageResult(result=result, tokens=Tokens(trained=result.tokens)))

        def still_there(trained: TrainStageResult) -> bool:
            return (folder / trained.result.adapter / ADAPTER_FILE).is_file()

        result = once(ins, self._scope, TrainStageResult, train, still_there, inputs=dataset.digest).result
        forget_training_state(ins)
        self._gate("training", training_facts(result))
        return folder / result.adapter

    def _smoke(self, dataset: Dataset, adapter: Path) -> Path:
        """Smoke the held-out anchors before the merge; return the adapter or a salvaged variant."""
        ins, anchors, limit = self._ins, self._held_out(dataset), most_lost(self._policy)

        def try_anchors(name: str, adapter: Path, folder: Path) -> Done[SmokeResult]:
            model = Model(f"{self._scope}-{name}", verified_folder(ins, self._record.parent), adapter)
            return smoke(ins, model, anchors, folder, seed=self._record.recipe.seed, limit=limit)

        def first(folder: Path) -> Done[SmokeResult]:
            return try_anchors("adapter", adapter, folder)

        inputs = {"adapter": hash_file(adapter / ADAPTER_FILE), "anchors": anchors}
        smoked = once(ins, self._scope, SmokeResult, first, inputs=inputs)
        candidate = salvage(ins, self._record, adapter, smoked, anchors, limit, try_anchors)
        self._gate("smoke", candidate.facts)
        return candidate.adapter

    def _merge(self, dataset: Dataset, adapter: Path) -> str:
        """Merge the pack and judge its fidelity before any bench; return its name."""
        pack = merge(self._ins, self._record, dataset, adapter)
        compared = compare_with_adapter(self._ins, self._record, adapter, pack)
        whole = bool(self._ins.packs.verify(pack))
        self._gate("merge", merge_facts(*compared, verified=whole), pack=pack)
        return pack

    def _bench(self, pack: str) -> None:
        """Bench the pack on all but the canary, and judge it against live and base."""
        comparison = bench_pack(self._ins, self._record, self._baseline, pack, self._policy, self._facts)
        self._gate("promotion", promotion_facts(comparison), pack=pack, comparison=comparison)
        if self._state == PassState.ACCEPTED:
            reason = "accepted by the policy, and the deployed runtime serves it"
            make_live(self._ins, self._number, pack, f"pass-{self._number:04d}-deployed", reason)
        if self._state.is_finished:
            raise _OverError


def _stop_rules(policy: Policy, known: Evidence) -> tuple[StopRule, ...]:
    """The training bounds of the policy that stop the capsule; rules in audit do not.

    A rule whose `when` depends on an unknown fact counts.
    """
    return tuple(
        StopRule(rule_id=rule.id, fact=rule.fact, at_least=rule.at_least, at_most=rule.at_most)
        for rule in policy.rules
        if rule.otherwise == "stop" and rule.mode == "enforce"
        if rule.when is None or check(rule.when, known).holds is not False
    )


def train_job(ins: Instruments, parent: str, recipe: Recipe, rows: Path, stop_rules: tuple[StopRule, ...]) -> TrainJob:
    """The capsule's job for a recipe on a parent that was just verified."""
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
        pack_tokens=organ.train_pack_tokens,
        optimizer=organ.optimizer,
        processes=organ.train_processes,
        rslora=organ.rslora,
        seed=recipe.seed,
        chat=chat_of(organ),
        stop_rules=stop_rules,
        checkpoints_per_epoch=ins.settings.levers.checkpoints_per_epoch,
        kl_weight=ins.settings.levers.kl_weight,
        loss=ins.settings.levers.loss,
        mask_perplexity=ins.settings.levers.mask_perplexity,
        measure_every_epochs=ins.settings.levers.measure_every_epochs,
    )


def show_training(ins: Instruments) -> OnProgress:
    """A reporter of the progress of a training capsule."""

    def show(done: int, total: int, metrics: dict[str, float]) -> None:
        ins.reporter.progress(done, total, f"steps, loss {metrics.get('loss', float('nan')):.2f}")

    return show
