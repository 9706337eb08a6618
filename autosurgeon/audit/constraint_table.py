"""The incident report's table of constraints, computed for any pass from facts and envelopes.

A constraint without a measurement is unknown. The incident's table was green on every line while the model got worse:
the table shows that the bench is valid, not that the pack is good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autosurgeon.audit.pass_report import BenchRun, PassReport
from autosurgeon.core.value import Value


class Tick(Value):
    """A constraint: whether it held (None: not measured), and what was observed."""

    name: str
    holds: bool | None
    seen: str

    @property
    def status(self) -> str:
        """Held, broken or unknown."""
        return "unknown" if self.holds is None else "held" if self.holds else "broken"


UNMEASURED = "no bench ran"


def constraints_of(report: PassReport) -> tuple[Tick, ...]:
    """Check the constraints of a pass, in the order of the incident's table."""
    ran = [bench for bench in report.benches if bench.written]
    counted = [bench for bench in ran if not bench.excluded]
    return (
        _organ(counted),
        _envelopes(report.benches, ran),
        _route(report, ran),
        _whole(report),
        _fallbacks(ran),
        _mode(counted, [bench for bench in report.benches if not bench.excluded]),
    )


def _shares(benches: Sequence[BenchRun], count: Callable[[BenchRun], int], of: Callable[[BenchRun], int]) -> str:
    return ", ".join(f"{bench.bench} {count(bench)} of {of(bench)}" for bench in benches)


def _organ(counted: Sequence[BenchRun]) -> Tick:
    name = "only the organ answered"
    if not counted:
        return Tick(name=name, holds=None, seen=UNMEASURED)
    seen = _shares(counted, lambda bench: bench.written - bench.foreign, lambda bench: bench.written)
    return Tick(name=name, holds=not any(bench.foreign for bench in counted), seen=seen)


def _envelopes(benches: Sequence[BenchRun], ran: Sequence[BenchRun]) -> Tick:
    name = "envelopes written, with food, poison and condition"
    if not ran:
        return Tick(name=name, holds=None, seen=UNMEASURED)
    seen = _shares(benches, lambda bench: bench.written, lambda bench: bench.tasks)
    return Tick(name=name, holds=all(bench.written == bench.tasks for bench in benches), seen=seen)


def _route(report: PassReport, ran: Sequence[BenchRun]) -> Tick:
    """Check the answers where a bench ran, otherwise what the proposal knew of its targets."""
    name = "no route through a wrong handler"
    left_out = "; ".join(f"{bench.bench} is excluded: {bench.excluded}" for bench in report.benches if bench.excluded)
    if ran:
        wrong = sum(bench.foreign for bench in ran if not bench.excluded)
        seen = f"{wrong} answers of another handler on counted benches"
        return Tick(name=name, holds=wrong == 0, seen=f"{seen}; {left_out}" if left_out else seen)
    leaking, targets = report.fact("targets.leaking"), report.fact("targets.benches")
    if leaking is None:
        return Tick(name=name, holds=None, seen=UNMEASURED)
    seen = f"{leaking} of {targets} target benches leak, and {UNMEASURED}"
    return Tick(name=name, holds=leaking == 0, seen=f"{seen}; {left_out}" if left_out else seen)


def _whole(report: PassReport) -> Tick:
    name = "benchmarks whole"
    ran, missing = report.fact("bench.tasks"), report.fact("bench.missing")
    if not isinstance(ran, int):
        return Tick(name=name, holds=None, seen=UNMEASURED)
    if not isinstance(missing, int):
        return Tick(name=name, holds=None, seen=f"{ran} counted tasks ran; the bench was ended early by a rule")
    return Tick(name=name, holds=missing == 0, seen=f"{ran} of {ran + missing} counted tasks ran")


def _fallbacks(ran: Sequence[BenchRun]) -> Tick:
    name = "fallback count visible"
    if not ran:
        return Tick(name=name, holds=None, seen=UNMEASURED)
    seen = ", ".join(f"{bench.bench} {bench.fallbacks}" for bench in ran)
    return Tick(name=name, holds=not any(bench.fallbacks for bench in ran), seen=seen)


def _mode(counted: Sequence[BenchRun], expected: Sequence[BenchRun]) -> Tick:
    name = "mode B not skipped"
    if not counted:
        return Tick(name=name, holds=None, seen=UNMEASURED)
    alone, wanted = sum(bench.organ_alone for bench in counted), sum(bench.tasks for bench in expected)
    return Tick(name=name, holds=alone == wanted, seen=f"ran {alone} of {wanted}")
