"""`autosurgeon policy judge` and `policy test`: a policy applied to given evidence, and the test cases of policies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import JsonOption, SetOption
from autosurgeon.errors import ExitCode

if TYPE_CHECKING:
    from autosurgeon.core.decision import Judgement
    from autosurgeon.policy.policy_tests import Report

NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]")


def judge_evidence(
    evidence: Annotated[
        Path, typer.Option("--evidence", help="JSON: facts by name, or phase and evidence, or a decision.")
    ],
    phase: Annotated[str | None, typer.Option("--phase", help="Such as smoke; the file's phase when empty.")] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="Policy file; bd62.yaml when empty.")] = None,
    params: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge evidence: exit code 0 accept, 10 with warnings, 11 reject or revert, 12 hold, 13 invalid, 14 error."""
    from autosurgeon.cli.render import RULE_COLUMNS, print_json, print_table, rule_cells, say
    from autosurgeon.config import shipped
    from autosurgeon.core.decision import PHASES
    from autosurgeon.errors import UserError, nearest
    from autosurgeon.policy.load import load_policy
    from autosurgeon.policy.params import parse_assignments
    from autosurgeon.policy.policy_tests import judge_strictly, read_evidence

    given = read_evidence(evidence)
    phase = phase or given.phase
    if phase is None:
        raise UserError(
            "the evidence names no phase", wanted="--phase, or `phase` and `evidence` in the file", where=evidence
        )
    named = next((known for known in PHASES if known == phase), None)
    if named is None:
        raise UserError("there is no such phase", got=repr(phase), wanted=nearest(phase, PHASES))
    rules = load_policy(policy or shipped("policies", "bd62.yaml"), parse_assignments(params or ()))
    judgement = judge_strictly(rules, named, given.evidence, given.flaws)
    if as_json:
        print_json(judgement.model_dump(mode="json") | {"exit_code": exit_code(judgement)})
    else:
        rows = [rule_cells(rule) for rule in judgement.rules]
        print_table(f"policy {rules.name}, phase {phase}", RULE_COLUMNS, rows)
        say(f"{judgement.verdict.value}: {judgement.reason}")
    raise typer.Exit(exit_code(judgement))


VERDICTS = {
    "REJECT": ExitCode.REJECT,
    "INCONCLUSIVE": ExitCode.HOLD,
    "INVALID": ExitCode.INVALID,
    "ERROR": ExitCode.ERROR,
}


def exit_code(judgement: Judgement) -> ExitCode:
    """Return the exit code of a verdict; an acceptance with a broken rule that is not enforced gives WARNINGS."""
    if judgement.verdict == "ACCEPT":
        return ExitCode.WARNINGS if judgement.broken() else ExitCode.DONE
    return VERDICTS[judgement.verdict.value]


def test_policies(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Policies or their _test.yaml files; the shipped ones when empty.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the outcomes as JUnit XML to this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the test cases of policies; exit code 15 if one fails."""
    from autosurgeon.cli.render import print_json, print_table, say
    from autosurgeon.config import shipped
    from autosurgeon.errors import UserError
    from autosurgeon.policy.policy_tests import SUFFIX, cases_path, run_cases

    named = files or sorted(shipped("policies").glob(f"*{SUFFIX}"))
    reports = [run_cases(cases_path(file)) for file in named]
    if junit is not None:
        try:
            junit.write_text(_junit(reports), encoding="utf-8")
        except OSError as error:
            raise UserError("the report cannot be written", got=error.strerror, where=junit) from error
    failed = [(report, outcome) for report in reports for outcome in report.outcomes if outcome.message]
    if as_json:
        print_json([_plain(report) for report in reports])
        raise typer.Exit(ExitCode.FINDING if failed else ExitCode.DONE)
    rows = [
        (report.policy.name, rule.phase, rule.id, report.decided[rule.id], "" if report.decided[rule.id] else "never")
        for report in reports
        for rule in report.policy.rules
    ]
    print_table("rules", ("policy", "phase", "rule", "cases", "decided"), rows)
    for report, outcome in failed:
        say(f"FAILED {report.path.name}: {outcome.case.name}: {outcome.message}")
    total = sum(len(report.outcomes) for report in reports)
    silent = sum(count == 0 for report in reports for count in report.decided.values())
    say(f"{total - len(failed)} of {total} cases passed; {silent} of {len(rows)} rules never decided a case")
    raise typer.Exit(ExitCode.FINDING if failed else ExitCode.DONE)


def _plain(report: Report) -> dict[str, object]:
    return {
        "file": report.path.name,
        "policy": report.policy.name,
        "digest": report.policy.digest,
        "decided": report.decided,
        "cases": [
            {"name": outcome.case.name, "verdict": outcome.judgement.verdict.value, "failed": outcome.message or None}
            for outcome in report.outcomes
        ],
    }


def _junit(reports: list[Report]) -> str:
    from xml.etree import ElementTree

    root = ElementTree.Element("testsuites")
    for report in reports:
        failures = sum(bool(outcome.message) for outcome in report.outcomes)
        counts = {"tests": str(len(report.outcomes)), "failures": str(failures)}
        suite = ElementTree.SubElement(root, "testsuite", {"name": _xml(report.path.name), **counts})
        for outcome in report.outcomes:
            names = {"classname": _xml(report.policy.name), "name": _xml(outcome.case.name)}
            case = ElementTree.SubElement(suite, "testcase", names)
            if outcome.message:
                ElementTree.SubElement(case, "failure", {"message": _xml(outcome.message)})
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _xml(text: str) -> str:
    """Replace the characters that XML forbids."""
    return NO_XML.sub("?", text)
