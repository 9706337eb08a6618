"""`autosurgeon policy`: the rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import JsonOption, SetOption
from autosurgeon.cli.policy_diff import diff_policies
from autosurgeon.cli.policy_explain import explain_decision
from autosurgeon.cli.policy_judge import judge_evidence, test_policies
from autosurgeon.cli.policy_replay import replay_decisions, simulate_threshold

if TYPE_CHECKING:
    from autosurgeon.policy.schema import Policy

app = typer.Typer(no_args_is_help=True, help="The rules that judge every pass.")


@app.command("check")
def check_policy(
    file: Annotated[Path | None, typer.Argument(help="Policy file; bd62.yaml when empty.")] = None,
    params: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a policy before a run; exit code 2 and one line if it is invalid.

    Doubtful rules, such as those that never apply or are implied by others, give warnings or notes.
    """
    from autosurgeon.cli.render import print_json, print_table, say
    from autosurgeon.config import shipped
    from autosurgeon.policy.load import load_policy
    from autosurgeon.policy.params import parse_assignments
    from autosurgeon.policy.rehearsal import rehearse
    from autosurgeon.proposer.bounds import clip
    from autosurgeon.sections import SearchSettings

    path = file or shipped("policies", "bd62.yaml")
    policy = load_policy(path, parse_assignments(params or ()))
    rehearse(policy)
    findings = _placed_findings(policy, path)
    clip(SearchSettings(), policy)
    if as_json:
        content = {"digest": policy.digest, "policy": policy.model_dump(mode="json", by_alias=True)}
        print_json(content | {"findings": findings})
        return
    rows = [
        (
            rule.phase,
            rule.id,
            rule.expr or f"{rule.fact} {rule.bound}",
            rule.otherwise,
            rule.mode,
            rule.severity,
            rule.lesson,
        )
        for rule in policy.rules
    ]
    print_table(f"policy {policy.name}", ("phase", "rule", "wants", "otherwise", "mode", "severity", "lesson"), rows)
    for finding in findings:
        say(f"{finding['level']}: {finding['rule']} ({finding['kind']}): {finding['message']} ({finding['where']})")
    say(f"{policy.name} is sound: {len(policy.rules)} rules, digest {policy.digest[:12]}")


def _placed_findings(policy: Policy, path: Path) -> list[dict[str, str]]:
    """List the findings with file and line; PolicyError for the first error."""
    from autosurgeon.errors import PolicyError
    from autosurgeon.policy.findings import find
    from autosurgeon.policy.policy_files import join

    joined = join(path)
    places = {rule.id: joined.where(("rules", index)) for index, rule in enumerate(policy.rules)}
    findings = find(policy)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise PolicyError(
            f"rule {errors[0].rule_id!r} is {errors[0].kind}: {errors[0].message}{more}",
            where=places[errors[0].rule_id],
        )
    return [
        {
            "level": finding.level,
            "kind": finding.kind,
            "rule": finding.rule_id,
            "message": finding.message,
            "where": places[finding.rule_id],
        }
        for finding in findings
    ]


@app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of a policy file, for editors."""
    from autosurgeon.cli.render import print_json
    from autosurgeon.policy.policy_schema import policy_schema

    print_json(policy_schema())


app.command("judge")(judge_evidence)
app.command("test")(test_policies)
app.command("replay")(replay_decisions)
app.command("simulate")(simulate_threshold)
app.command("diff")(diff_policies)
app.command("explain")(explain_decision)
