"""Answers that contain their own grade, and the grader that reads it: no program is run."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from autosurgeon.bench.grade import Grade, Grader, Submission, Tier
from autosurgeon.bench.impossible import MARK
from autosurgeon.core.envelope import Poison
from autosurgeon.core.task import Task
from autosurgeon.core.value import Value
from autosurgeon.sections import GradingSettings


class Answer(Value):
    """The grade of a simulated answer, as JSON."""

    poison: Poison | None = None
    """The cause of its failure; None where it passes."""
    food: int = 1
    tier: Tier = "split"
    cheats: bool = False
    """Whether it also passes an impossible twin of its task."""

    @property
    def text(self) -> str:
        """The text of the answer."""
        return self.model_dump_json(exclude_defaults=True)


PASSES, FAILS = Answer(), Answer(poison=Poison.WRONG, food=0)


class TrustingGrader(Grader):
    """A grader without jails, for simulated answers and for references, which pass."""

    def __init__(self, settings: GradingSettings) -> None:
        """Accept the settings, whose limits are not used."""
        super().__init__(settings.model_copy(update={"jail": "plain", "workers": 1}))

    def stream(self, submissions: Iterable[Submission | tuple[Task, str]], *, afresh: bool = False) -> Iterator[Grade]:
        """The grades, in the order of the submissions."""
        for submission in submissions:
            task, text = submission[0], submission[1]
            yield _graded(text, is_reference=text == task.reference, is_impossible=task.task_id.endswith(MARK))


@functools.lru_cache(maxsize=1 << 12)
def _graded(text: str, *, is_reference: bool, is_impossible: bool) -> Grade:
    if is_reference and not is_impossible:
        return Grade("pass", None, "", 1, "split", "plain", 0.0)
    try:
        answer = Answer.model_validate_json(text)
    except ValidationError:  # another handler's answer
        return Grade("fail", Poison.SYNTAX, "", 0, "split", "plain", 0.0)
    if is_impossible and not answer.cheats:
        return Grade("fail", Poison.WRONG, "", 0, answer.tier, "plain", 0.0)
    verdict = "pass" if answer.poison is None or is_impossible else "fail"
    cause = None if verdict == "pass" else answer.poison
    return Grade("pass" if verdict == "pass" else "fail", cause, "", answer.food, answer.tier, "plain", 0.0)
