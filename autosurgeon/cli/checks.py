"""One check of `doctor`: tried within a deadline, with a row of its own, and never a traceback."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from autosurgeon.errors import AutosurgeonError

USUAL_S = 60.0


class Check(NamedTuple):
    """Something to try."""

    name: str
    look: Callable[[], str]
    """Returns what was found; raises where that is not good."""
    deadline_s: float = USUAL_S


class Finding(NamedTuple):
    """What a check came to."""

    check: str
    ok: bool
    found: str


def try_check(check: Check) -> Finding:
    """Try a check; one that is late is left behind, in a thread that does not keep the program from ending."""
    ended: list[Finding] = []

    def look() -> None:
        try:
            ended.append(Finding(check.name, True, _line(check.look())))
        except (AutosurgeonError, OSError, ValueError) as error:
            ended.append(Finding(check.name, False, _line(str(error)) or type(error).__name__))
        except Exception as error:  # the other rows matter too
            ended.append(Finding(check.name, False, _line(f"the check itself failed: {type(error).__name__}: {error}")))

    thread = threading.Thread(target=look, daemon=True, name=f"autosurgeon-check-{check.name}")
    thread.start()
    thread.join(check.deadline_s)
    return ended[0] if ended else Finding(check.name, False, f"no answer within {check.deadline_s:g} s")


def _line(text: str) -> str:
    return " ".join(text.split())
