"""Answers that tell their own grade, and the grader that believes them: no program is run."""

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


class Told(Value):
    """What an answer says of itself, as JSON."""

    poison: Poison | None = None
    """Why it fails; None where it passes."""
    food: int = 1
    tier: Tier = "split"
    cheats: bool = False
    """Whether it passes an impossible twin of its task too."""

    @property
    def text(self) -> str:
        """The answer."""
        return self.model_dump_json(exclude_defaults=True)


PASSES, FAILS = Told(), Told(poison=Poison.WRONG, food=0)


class TrustingGrader(Grader):
    """A grader without jails, for answers of this kind and for references, which pass."""

    def __init__(self, settings: GradingSettings) -> None:
        """Limits are not used: nothing runs."""
        super().__init__(settings.model_copy(update={"jail": "plain", "workers": 1}))

    def stream(self, submissions: Iterable[Submission | tuple[Task, str]], *, afresh: bool = False) -> Iterator[Grade]:
        """Grades in the order of the submissions."""
        for submission in submissions:
            task, text = submission[0], submission[1]
            yield _graded(text, is_reference=text == task.reference, is_impossible=task.task_id.endswith(MARK))


@functools.lru_cache(maxsize=1 << 12)
def _graded(text: str, *, is_reference: bool, is_impossible: bool) -> Grade:
    if is_reference and not is_impossible:
        return Grade("pass", None, "", 1, "split", "plain", 0.0)
    try:
        told = Told.model_validate_json(text)
    except ValidationError:  # another handler's answer
        return Grade("fail", Poison.SYNTAX, "", 0, "split", "plain", 0.0)
    if is_impossible and not told.cheats:
        return Grade("fail", Poison.WRONG, "", 0, told.tier, "plain", 0.0)
    verdict = "pass" if told.poison is None or is_impossible else "fail"
    cause = None if verdict == "pass" else told.poison
    return Grade("pass" if verdict == "pass" else "fail", cause, "", told.food, told.tier, "plain", 0.0)
