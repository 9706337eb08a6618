"""A check of `doctor`: it runs within a deadline and gives a row, never a traceback."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from autosurgeon.errors import AutosurgeonError

USUAL_S = 60.0


class Check(NamedTuple):
    """A check with its deadline."""

    name: str
    look: Callable[[], str]
    """Returns what was found; raises if the check fails."""
    deadline_s: float = USUAL_S


class Finding(NamedTuple):
    """The result of a check."""

    check: str
    ok: bool
    found: str


def try_check(check: Check) -> Finding:
    """Run a check; one past its deadline is left in a daemon thread, which does not keep the program alive."""
    ended: list[Finding] = []

    def look() -> None:
        try:
            ended.append(Finding(check.name, True, _line(check.look())))
        except (AutosurgeonError, OSError, ValueError) as error:
            ended.append(Finding(check.name, False, _line(str(error)) or type(error).__name__))
        except Exception as error:  # the other checks still run
            ended.append(Finding(check.name, False, _line(f"the check itself failed: {type(error).__name__}: {error}")))

    thread = threading.Thread(target=look, daemon=True, name=f"autosurgeon-check-{check.name}")
    thread.start()
    thread.join(check.deadline_s)
    return ended[0] if ended else Finding(check.name, False, f"no answer within {check.deadline_s:g} s")


def _line(text: str) -> str:
    return " ".join(text.split())
