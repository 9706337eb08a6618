"""Graders that last: to start a jail takes longer than what a scripted pass has to have graded."""

from __future__ import annotations

from autosurgeon.bench.grade import Grader
from autosurgeon.sections import GradingSettings

_lasting: dict[GradingSettings, LastingGrader] = {}


class LastingGrader(Grader):
    """A grader whose jails last from one run of the loop to the next, until it is closed."""

    def __exit__(self, *_: object) -> None:
        """Keep them."""


def lasting_grader(settings: GradingSettings) -> LastingGrader:
    """The grader of these settings, which remembers what it has graded; `close_graders` ends it."""
    if settings not in _lasting:
        _lasting[settings] = LastingGrader(settings)
    return _lasting[settings]


def close_graders() -> None:
    """End every jail that is left."""
    while _lasting:
        _lasting.popitem()[1].close()
