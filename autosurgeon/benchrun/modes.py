"""The three modes: who answers in each, its report, and whether a run in mode B is valid.

All functions are pure. It is unknown when the incident's dispatcher asked its fallback; here the fallback is asked if
the organ's answer is unusable by its text (`bench/usable.py`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from autosurgeon.bench.results import ResultRow
from autosurgeon.bench.score import BenchScore, Score
from autosurgeon.bench.usable import is_usable
from autosurgeon.core.answers import Answers, Reply
from autosurgeon.core.decision import Evidence
from autosurgeon.core.digest import digest_text
from autosurgeon.core.envelope import FALLBACK, ORGAN, Mode
from autosurgeon.core.task import Task
from autosurgeon.core.value import Value
from autosurgeon.policy.judge import explain, invalidities
from autosurgeon.stats.paired import flips


class BenchOfMode(BenchScore):
    """One bench in one mode."""

    won: int
    """Tasks whose first sample passed."""
    organs_used: tuple[str, ...]
    """Names of the models that answered as the organ; a pack's name is its digest."""
    organ_answers: int
    fallbacks: int
    """Answers of a fallback model."""
    fallback_wins: tuple[str, ...]
    """Tasks won by such an answer, which are not the organ's wins."""
    foreign: Mapping[str, int]
    """Number of answers of other handlers, by name."""
    reported: tuple[str, ...]
    """Names that came with the answers, such as a pack's digest from a server; several if the name changed."""
    tokens: int | None
    """Tokens of its answers; None if a server did not report them."""
    unanswered: Mapping[str, str]
    """By task, the server's failure to answer it. Such a task has no score, and the next run asks it again."""
    invalid: tuple[str, ...]
    """Why a run in mode B is invalid, since not only the organ answered; empty for other modes."""


class ModeRun(Value):
    """One mode over all benches."""

    mode: Mode
    results: str
    """The name of its result file."""
    verdict: Literal["VALID", "INVALID"] | None
    """The validity of mode B; None for other modes."""
    fingerprint: str
    generated_s: float | None
    """Seconds of generation; None if the answers are from an earlier run or from modes A and B."""
    graded_s: float
    benches: tuple[BenchOfMode, ...]


class ModeFlips(Value):
    """Tasks whose first sample differs between two modes."""

    before: Mode
    after: Mode
    tasks: int
    """Number of tasks with a score in both."""
    lost: tuple[str, ...]
    gained: tuple[str, ...]


class ModeReport(Value):
    """The report of `bench run`."""

    format: Literal["autosurgeon.modes/1"] = "autosurgeon.modes/1"
    runs: tuple[ModeRun, ...]
    flips: tuple[ModeFlips, ...]

    @property
    def is_invalid(self) -> bool:
        """Whether a run in mode B is invalid."""
        return any(run.verdict == "INVALID" for run in self.runs)

    @property
    def infra(self) -> int:
        """Number of tasks that could not be answered or graded in full."""
        return sum(len(bench.infra) + len(bench.unanswered) for run in self.runs for bench in run.benches)


def unusable(tasks: Iterable[Task], organ: Answers) -> list[Task]:
    """Find the tasks with an unusable answer, for which the fallback is asked."""
    return [task for task in tasks if not all(is_usable(task, reply.text) for reply in organ.replies[task.task_id])]


def as_fallback(answers: Answers) -> Answers:
    """Mark answers as the fallback's."""
    replies = {
        task_id: [
            reply.model_copy(
                update={"handler": FALLBACK if reply.handler == ORGAN else reply.handler, "fallback": True}
            )
            for reply in found
        ]
        for task_id, found in answers.replies.items()
    }
    return answers._replace(replies=replies)


def with_fallback(tasks: Iterable[Task], organ: Answers, fallback: Answers) -> Answers:
    """Combine answers for mode C: the organ's answer if usable, otherwise the fallback's to the same sample."""
    replies: dict[str, list[Reply]] = {}
    unanswered: dict[str, str] = {}
    for task in tasks:
        ours = organ.replies[task.task_id]
        is_whole = all(is_usable(task, reply.text) for reply in ours)
        theirs = ours if is_whole else fallback.replies[task.task_id]
        missing = None if ours and theirs else (fallback if ours else organ).unanswered.get(task.task_id)
        if missing is not None:
            unanswered[task.task_id] = missing
            replies[task.task_id] = []
            continue
        pairs = zip(ours, theirs, strict=True)
        replies[task.task_id] = [reply if is_usable(task, reply.text) else other for reply, other in pairs]
    return Answers(replies, digest_text(f"{organ.fingerprint} {fallback.fingerprint}")[:16], unanswered)


def benches_of(
    mode: Mode, tasks: Mapping[str, Task], answers: Answers, score: Score, won: Mapping[str, bool]
) -> tuple[BenchOfMode, ...]:
    """Return each bench's score and who answered; `won` holds the first sample of each task with a score."""
    found = []
    for bench in score.benches:
        ids = [task_id for task_id, task in tasks.items() if task.bench == bench.bench]
        replies = [reply for task_id in ids for reply in answers.replies[task_id]]
        organs = [reply for reply in replies if reply.handler == ORGAN and not reply.fallback]
        tokens = [reply.tokens for reply in replies]
        by_fallback = (task_id for task_id in ids if any(reply.fallback for reply in answers.replies[task_id][:1]))
        found.append(
            BenchOfMode(
                **bench.model_dump(),
                won=sum(won.get(task_id, False) for task_id in ids),
                organs_used=_names(organs),
                organ_answers=len(organs),
                fallbacks=sum(reply.fallback for reply in replies),
                fallback_wins=tuple(task_id for task_id in by_fallback if won.get(task_id)),
                foreign=_foreign(replies),
                reported=_names(replies),
                tokens=sum(count for count in tokens if count is not None) if None not in tokens else None,
                unanswered={name: why for name, why in answers.unanswered.items() if name in ids},
                invalid=_why_invalid(replies) if mode == Mode.ORGAN_ALONE else (),
            )
        )
    return tuple(found)


def verdict_of(mode: Mode, benches: Iterable[BenchOfMode]) -> Literal["VALID", "INVALID"] | None:
    """Return INVALID for a run in mode B with answers that are not the organ's."""
    if mode != Mode.ORGAN_ALONE:
        return None
    return "INVALID" if any(bench.invalid for bench in benches) else "VALID"


def flips_between(won: Mapping[Mode, Mapping[str, bool]]) -> tuple[ModeFlips, ...]:
    """Find the flips from each mode to each later one."""
    pairs = ((a, b, flips(won[a], won[b])) for a, b in itertools.combinations(sorted(won), 2))
    return tuple(ModeFlips(before=a, after=b, tasks=f.tasks, lost=f.lost, gained=f.gained) for a, b, f in pairs)


def first_samples(rows: Iterable[ResultRow]) -> dict[str, bool]:
    """Return whether the first sample of each task passed, without tasks that could not be graded."""
    return {row.task_id: row.verdict == "pass" for row in rows if row.sample == 0 and row.verdict != "infra"}


def _why_invalid(replies: Sequence[Reply]) -> tuple[str, ...]:
    """Apply the judge's rules of valid evidence, so that all policies agree."""
    facts: Evidence = {
        "bench.tasks": len(replies),
        "bench.fallbacks": sum(reply.fallback for reply in replies),
        "bench.foreign": sum(reply.handler != ORGAN for reply in replies),
    }
    return tuple(f"{explain(result, facts)}; {result.lesson}" for result in invalidities("promotion", facts))


def _foreign(replies: Iterable[Reply]) -> dict[str, int]:
    return dict(Counter(r.handler for r in replies if r.handler not in (ORGAN, FALLBACK)).most_common())


def _names(replies: Iterable[Reply]) -> tuple[str, ...]:
    return tuple(sorted({reply.model for reply in replies if reply.model is not None}))
