"""`autosurgeon policy`: the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autosurgeon.cli.options import JsonOption, SetOption
from autosurgeon.cli.policy_judge import judge_evidence, test_policies
from autosurgeon.cli.policy_replay import replay_decisions, simulate_threshold

app = typer.Typer(no_args_is_help=True, help="The rules that judge every pass.")


@app.command("check")
def check_policy(
    file: Annotated[Path | None, typer.Argument(help="The policy; bd62.yaml when empty.")] = None,
    params: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a policy before a night run; exit code 2 and one line when it cannot be trusted."""
    from autosurgeon.cli.render import print_json, print_table, say
    from autosurgeon.config import SearchSettings, shipped
    from autosurgeon.policy.load import load_policy
    from autosurgeon.policy.params import parse_assignments
    from autosurgeon.proposer.bounds import clip

    policy = load_policy(file or shipped("policies", "bd62.yaml"), parse_assignments(params or ()))
    clip(SearchSettings(), policy)
    if as_json:
        print_json({"digest": policy.digest, "policy": policy.model_dump(mode="json", by_alias=True)})
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
    say(f"{policy.name} is sound: {len(policy.rules)} rules, digest {policy.digest[:12]}")


@app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of a policy file, for editors that check while one types."""
    from autosurgeon.cli.render import print_json
    from autosurgeon.policy.jsonschema import policy_schema

    print_json(policy_schema())


app.command("judge")(judge_evidence)
app.command("test")(test_policies)
app.command("replay")(replay_decisions)
app.command("simulate")(simulate_threshold)
