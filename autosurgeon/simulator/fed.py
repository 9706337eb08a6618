"""A mind that replays a recorded loop: each stage finds what that loop's memory recorded.

A state is the digest of a recorded pack. Counts are replayed in the only order that the stage allows: a task that was
tried three times and passed once failed twice first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from autosurgeon.bench.grade import Tier
from autosurgeon.bench.impossible import MARK
from autosurgeon.core.envelope import Envelope
from autosurgeon.core.jobs import CompareResult, GenerateJob, ReshapeJob, TrainJob
from autosurgeon.core.pass_states import number_of
from autosurgeon.core.records import AnchorRun
from autosurgeon.core.stage_results import (
    BenchResult,
    ConfirmResult,
    DistanceResult,
    FidelityResult,
    MergeStageResult,
    SalvageResult,
    StageResult,
    TrainStageResult,
)
from autosurgeon.core.value import Value
from autosurgeon.errors import UserError, WorldError
from autosurgeon.simulator.graded_answers import FAILS, PASSES, Answer
from autosurgeon.simulator.simulated_capsules import ADAPTER, Place
from autosurgeon.simulator.weights import read_checkpoint
from autosurgeon.store.sqlstore import SqlStore

Result = TypeVar("Result", bound=StageResult)
OLD_RUNS = 1 << 30


class UnrecordedError(UserError):
    """The loop asks for what the recorded loop never did, so that the two differ."""


class Fed:
    """The mind of a recorded loop."""

    def __init__(self, store: SqlStore, tasks: Iterable[str]) -> None:
        """Read a memory, which stays open while the mind is in use."""
        self._store = store
        base = store.base_pack()
        if base is None:
            raise UserError("this workspace has measured nothing yet", wanted="one on which `autosurgeon run` was run")
        self._base = base
        self._runs: dict[tuple[str, str], AnchorRun] = {
            (run.occasion, run.task_id): run
            for runs in store.last_anchor_runs(tasks, OLD_RUNS).values()
            for run in runs
        }
        self._failed = Counter[tuple[str, str]]()
        self._counted = set[tuple[str, str]]()

    @property
    def base(self) -> bytes:
        """The state of the organ."""
        return self._base.encode()

    def begin(self, place: Place, job: Value) -> None:
        """Fail as often as the recorded stage, with its errors."""
        scope = place.scope
        if isinstance(job, GenerateJob):
            scope = _scope(place, _pack(read_checkpoint(job.model)[0]))
        errors = [record.error for record in self._store.stages(scope) if record.name == place.stage and record.error]
        count = self._failed[scope, place.stage]
        if count < len(errors):
            self._failed[scope, place.stage] += 1
            raise WorldError(errors[count])
        if errors and not self._store.is_committed(scope, place.stage):
            raise WorldError(errors[-1])

    def train(self, place: Place, job: TrainJob, state: bytes, rows: Sequence[dict[str, Any]]) -> tuple[bytes, Value]:
        """The recorded result; the state is the pack that was made of it, or one of its own if none was."""
        result = self._result(place.scope, TrainStageResult).result
        merged = self._store.stage_result(place.scope, MergeStageResult)
        pack = merged.pack if merged else f"{place.scope}-adapter"
        return pack.encode().ljust(len(self.base)), result.model_copy(update={"adapter": ADAPTER})

    def reshape(self, place: Place, job: ReshapeJob, parent: bytes, states: Sequence[bytes]) -> tuple[bytes, bool]:
        """The same state, since a pass makes one pack; changed unless the recorded rung was skipped as unchanged."""
        if place.stage == TrainStageResult.stage:  # a training that keeps its states
            return states[0], True
        return states[0], not self._result(place.scope, SalvageResult, place.stage).tried.skipped

    def _result(self, scope: str, kind: type[Result], stage: str | None = None) -> Result:
        result = self._store.stage_result(scope, kind, stage)
        if result is None:
            raise UnrecordedError("the recorded loop has no such stage", got=f"stage {stage or kind.stage} of {scope}")
        return result

    def compare(self, place: Place, a: bytes, b: bytes) -> CompareResult:
        """The recorded comparison of the stage, or of the base that the folder names."""
        if place.stage == FidelityResult.stage:
            return self._result(place.scope, FidelityResult).results[place.below[0].removeprefix("compare-")]
        return self._result(place.scope, DistanceResult).result

    def fingerprint(self, place: Place, state: bytes) -> str:
        """The fingerprint of the recorded answers, or else of the base's."""
        for pack in (_pack(state), self._base):
            for envelope in self._store.envelopes(pack, self._occasion(place, pack)).values():
                return envelope.cond.fingerprint
        return next(iter(self._store.envelopes(self._base).values())).cond.fingerprint

    def _occasion(self, place: Place, pack: str) -> str:
        return f"{_scope(place, pack)}/{place.stage}"

    def tokens(self, place: Place, state: bytes, answers: int) -> int:
        """The tokens of the recorded stage, all counted with its first answers since only their sum is stored."""
        scope = _scope(place, _pack(state))
        if (scope, place.stage) in self._counted:
            return 0
        self._counted.add((scope, place.stage))
        result = self._store.stage_result(scope, StageResult, place.stage)
        return result.tokens.generated if result else 0

    def answer(self, place: Place, job: GenerateJob, state: bytes, tasks: Sequence[str]) -> dict[str, list[Answer]]:
        """The answers of the recorded pack on that occasion."""
        pack = _pack(state)
        if place.stage.partition("-")[0] == "confirm":
            return self._samples(place, job, pack, tasks)
        tries = [int(part.removeprefix("retry-")) for part in place.below if part.startswith("retry-")]
        if tries:
            return {task_id: [self._retried(place, task_id, tries[0])] for task_id in tasks}
        if _is_smoke(place):
            return {task_id: [self._retried(place, task_id, 0)] for task_id in tasks}
        known = self._store.envelopes(pack, self._occasion(place, pack))
        benched = self._store.stage_result(place.scope, BenchResult) if place.stage == BenchResult.stage else None
        cheated = benched.impossible.passed if benched else ()
        missing = [task_id for task_id in tasks if task_id not in known]
        if missing:
            raise UnrecordedError(
                "the recorded pack never ran a task", got=missing[0], where=self._occasion(place, pack)
            )
        return {task_id: [_simulated(known[task_id], cheats=task_id + MARK in cheated)] for task_id in tasks}

    def _retried(self, place: Place, task_id: str, attempt: int) -> Answer:
        """The result of a try, 0 for the first."""
        smoked = f"{place.scope}-{'adapter' if place.stage == 'smoke' else place.stage}"
        occasion = smoked if _is_smoke(place) else f"{place.scope}/{place.stage}"
        run = self._runs.get((occasion, task_id))
        if run is None:
            raise UnrecordedError("the recorded loop never tried an anchor", got=task_id, where=occasion)
        return PASSES if run.passed and run.tries == attempt + 1 else FAILS

    def _samples(self, place: Place, job: GenerateJob, pack: str, tasks: Sequence[str]) -> dict[str, list[Answer]]:
        """The samples as recorded: one by one in a pass, and by their number for a new live pack."""
        if number_of(place.scope) is not None:
            drawn = self._result(place.scope, ConfirmResult).drawn
            ours = pack == self._result(place.scope, MergeStageResult).pack
            start = int(place.below[0].rpartition("-from-")[2])
            passed = {task: drawn[task][not ours][start : start + job.samples] for task in tasks if task in drawn}
        else:
            counts = self._store.confirmations(pack)
            passed = {task: ("1" * counts[task][1]).ljust(job.samples, "0") for task in tasks if task in counts}
        for task in tasks:
            if len(passed.get(task, "")) != job.samples:
                raise UnrecordedError("the recorded loop never sampled a task", got=task, where=pack[:12])
        return {task: [PASSES if bit == "1" else FAILS for bit in bits] for task, bits in passed.items()}


def _scope(place: Place, pack: str) -> str:
    """The recorded loop's scope, where packs have other digests."""
    return place.scope if number_of(place.scope) is not None else f"pack-{pack[:12]}"


def _is_smoke(place: Place) -> bool:
    """Whether the stage smokes an adapter: as trained, or a variant of the salvage ladder."""
    return place.stage.partition("-")[0] in ("smoke", "salvage")


def _pack(state: bytes) -> str:
    return state.decode().strip()


def _simulated(envelope: Envelope, *, cheats: bool) -> Answer:
    tier: Tier = "shared" if envelope.tier == "shared" else "split"
    return Answer(poison=envelope.poison, food=envelope.food, tier=tier, cheats=cheats)
