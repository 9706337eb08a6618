"""`autosurgeon policy diff`: the evidence that two policies judge differently."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autosurgeon.cli.options import JsonOption, SetOption
from autosurgeon.errors import ExitCode

if TYPE_CHECKING:
    from autosurgeon.policy.difference import Answer, PhaseDifference
    from autosurgeon.policy.schema import Policy


def diff_policies(
    a: Annotated[Path, typer.Argument(help="A policy.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="The policy to compare with it.", metavar="B")],
    params: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show per phase whether B is tighter or looser than A, with evidence; exit code 15 if they differ.

    `--set` applies to each policy that has the parameter. The facts are treated as independent of each other.
    """
    from autosurgeon.cli.render import print_json, print_table, say
    from autosurgeon.policy.difference import diff
    from autosurgeon.policy.params import parse_assignments

    first, second = _load_both(a, b, parse_assignments(params or ()))
    phases = diff(first, second)
    same = all(phase.same for phase in phases)
    if as_json:
        named = {key: {"name": p.name, "digest": p.digest} for key, p in (("a", first), ("b", second))}
        print_json(named | {"same": same, "phases": [_plain(phase) for phase in phases]})
        raise typer.Exit(ExitCode.DONE if same else ExitCode.FINDING)
    columns = ("phase", "B against A", "only A accepts", "only B accepts", "remedy differs")
    rows = [
        (
            phase.phase,
            phase.relation,
            _reasons(phase.a_only, "b"),
            _reasons(phase.b_only, "a"),
            _reasons(phase.remedy, "ab"),
        )
        for phase in phases
    ]
    print_table(f"A: {first.name}, B: {second.name}", columns, rows)
    differing = [phase.phase for phase in phases if not phase.same]
    result = "no evidence distinguishes them"
    if not same:
        result = f"they differ in {', '.join(differing)}; --json has the evidence"
    say(f"A: {first.name} {first.digest[:12]}; B: {second.name} {second.digest[:12]}: {result}")
    raise typer.Exit(ExitCode.DONE if same else ExitCode.FINDING)


def _load_both(a: Path, b: Path, assignments: Mapping[str, str]) -> tuple[Policy, Policy]:
    """Load both policies, each with the parameters that it has; the second refuses a name that neither has."""
    from autosurgeon.policy.load import load_policy
    from autosurgeon.policy.policy_files import join

    known = [join(path).content.get("params") or {} for path in (a, b)]
    given = [{name: value for name, value in assignments.items() if name in names} for names in known]
    unknown = {name: value for name, value in assignments.items() if not any(name in names for names in known)}
    return load_policy(a, given[0]), load_policy(b, given[1] | unknown)


def _reasons(answer: Answer, refusing: str) -> str:
    """Describe the verdicts of the refusing policies on the evidence, or why the answer is undecided."""
    if answer.witness is None:
        return f"undecided because of {', '.join(answer.undecided)}" if answer.undecided else ""
    judgements = [(key.upper(), getattr(answer.witness, key)) for key in refusing]
    return "; ".join(f"{key} {judgement.verdict.value}: {judgement.reason}" for key, judgement in judgements)


def _plain(phase: PhaseDifference) -> dict[str, Any]:
    return {
        "phase": phase.phase,
        "relation": phase.relation,
        "undecided_because_of": list(phase.undecided),
        "only_a_accepts": _witness(phase.a_only),
        "only_b_accepts": _witness(phase.b_only),
        "remedy_differs": _witness(phase.remedy),
    }


def _witness(answer: Answer) -> dict[str, Any] | None:
    if answer.witness is None:
        return None
    a, b = answer.witness.a, answer.witness.b
    return {
        "evidence": a.model_dump(mode="json")["evidence"],
        "a": {"verdict": a.verdict.value, "reason": a.reason},
        "b": {"verdict": b.verdict.value, "reason": b.reason},
    }
