"""Evidence from files, and case files: the verdicts that a policy must give, beside the policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from autosurgeon.core.decision import Evidence, Judgement, Phase, Scalar, Verdict
from autosurgeon.core.strictjson import parse
from autosurgeon.core.value import Value
from autosurgeon.errors import PolicyError, UserError, nearest
from autosurgeon.policy.domains import possible_values
from autosurgeon.policy.facts import BY_NAME, fact_of
from autosurgeon.policy.judge import VALIDITY, judge, verdict_of
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.policy_files import Place, read_yaml
from autosurgeon.policy.rules import is_no_number
from autosurgeon.policy.schema import Policy

MAX_EVIDENCE_BYTES = 1 << 20
MOST_FLAWS = 5
SUFFIX = "_test.yaml"


class Want(Value):
    """The verdict, and the rules that decide it; for an acceptance the rules that fail without deciding."""

    verdict: Verdict
    rules: tuple[str, ...] = ()


class Case(Value):
    """Evidence and its expected judgement."""

    name: str = Field(min_length=1)
    phase: Phase
    base: str | None = None
    evidence: dict[str, Any] = Field(default_factory=dict)
    params: dict[str, Scalar] = Field(default_factory=dict)
    want: Want


class CaseFile(Value):
    """The cases of one policy. `bases_from` names case files whose bases may be used here too."""

    schema_: Literal["autosurgeon.policy-test/1"] = Field(alias="schema")
    policy: str
    bases_from: tuple[str, ...] = ()
    bases: dict[str, dict[str, Any]] = Field(default_factory=dict)
    cases: tuple[Case, ...] = Field(min_length=1)


class Outcome(NamedTuple):
    """A case with its judgement; `message` is empty where it is as expected."""

    case: Case
    judgement: Judgement
    message: str


class Report(NamedTuple):
    """The outcomes of a file, and for each rule the number of cases in which it decided or failed."""

    path: Path
    policy: Policy
    outcomes: tuple[Outcome, ...]
    decided: dict[str, int]


def evidence_of(content: Mapping[Any, Any], where: Path | str) -> Evidence:
    """The evidence of a YAML mapping; UserError for a value of a type that no fact has."""
    found: Evidence = {}
    for name, value in content.items():
        plain = tuple(value) if isinstance(value, list) else value
        if not isinstance(name, str) or not _is_fact_value(plain):
            wanted = "a number, truth, text, list of texts or null by fact"
            raise UserError(
                "this is no evidence", got=f"{type(value).__name__} for {name!r}", wanted=wanted, where=where
            )
        found[name] = plain
    return found


class Given(NamedTuple):
    """The content of a JSON file: the phase, if named, the evidence, and its invalid parts in words."""

    phase: str | None
    evidence: Evidence
    flaws: tuple[str, ...] = ()


def read_evidence(path: Path) -> Given:
    """Read an object of facts, an object with `phase` and `evidence`, or a decision of the log.

    Raises:
        UserError: the file cannot be read, is too large, is not JSON, or holds no object.

    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_EVIDENCE_BYTES + 1)
        if len(raw) > MAX_EVIDENCE_BYTES:
            raise UserError("the evidence is too large", wanted=f"at most {MAX_EVIDENCE_BYTES} bytes", where=path)
        content, twice, _ = parse(raw)
    except OSError as error:
        raise UserError("the evidence cannot be read", got=error.strerror, where=path) from error
    except (ValueError, RecursionError) as error:
        raise UserError("the evidence is not JSON", got=error, where=path) from error
    if not isinstance(content, dict):
        raise UserError("evidence is an object of facts", got=type(content).__name__, where=path)
    phase, named = None, content
    found = content.get("judgement", content)
    if isinstance(found, dict) and isinstance(found.get("evidence"), dict):
        phase, named = str(found["phase"]) if "phase" in found else None, found["evidence"]
    evidence: Evidence = {}
    flaws = [f"{name!r} stands twice" for name in twice]
    for name, value in named.items():
        plain = tuple(value) if isinstance(value, list) else value
        if _is_fact_value(plain):
            evidence[name] = plain
        else:
            evidence[name] = None
            kind = "a list of other things than texts" if isinstance(value, list) else "an object"
            wanted = possible_values(name) if fact_of(name) is not None else "no such fact"
            flaws.append(f"{name} is {kind}, wanted {wanted}")
    return Given(phase, evidence, tuple(flaws))


def _is_fact_value(value: object) -> bool:
    texts = isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    return texts or value is None or isinstance(value, bool | int | float | str)


def judge_strictly(policy: Policy, phase: Phase, evidence: Evidence, flaws: Sequence[str] = ()) -> Judgement:
    """Judge as `judge` does, but INVALID for mistakes that only a person makes.

    These are unknown facts, which may be mistyped; numbers that no double holds; and the flaws of the file.
    """
    judgement = judge(policy, phase, evidence)
    found = [
        *flaws,
        *(f"unknown fact {name!r}; {nearest(name, BY_NAME)}" for name in sorted(evidence) if fact_of(name) is None),
        *(
            f"{name} is {value if isinstance(value, float) else 'past every double'}, wanted {possible_values(name)}"
            for name, value in evidence.items()
            if is_no_number(value) and fact_of(name) is not None
        ),
    ]
    if not found:
        return judgement
    reason = "; ".join([*found[:MOST_FLAWS], *([judgement.reason] if judgement.verdict == Verdict.INVALID else [])])
    return judgement.model_copy(update={"verdict": Verdict.INVALID, "reason": reason})


def deciding(judgement: Judgement) -> tuple[str, ...]:
    """The rules that decided the verdict, or failed without preventing an acceptance; a clause counts as its rule."""
    spoke = judgement.broken()
    if judgement.verdict != Verdict.ACCEPT:
        spoke = [result for result in spoke if verdict_of(result) == judgement.verdict]
    return tuple(dict.fromkeys(result.rule_id.partition("#")[0] for result in spoke))


def read_cases(path: Path, *, depth: int = 0) -> tuple[CaseFile, dict[str, dict[str, Any]]]:
    """The case file, and all bases that its cases may name."""
    content, root = read_yaml(path, "a case file")
    try:
        cases = CaseFile.model_validate(content)
    except ValidationError as error:
        raise _explain(error, root) from error
    if depth > 1:
        raise PolicyError("bases_from is followed to one more file and no further", where=root.at(("bases_from",)))
    bases: dict[str, dict[str, Any]] = {}
    for name in cases.bases_from:
        bases |= read_cases(path.parent / name, depth=depth + 1)[1]
    return cases, bases | cases.bases


def _explain(error: ValidationError, root: Place) -> PolicyError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    return PolicyError(f"{key}: {first['msg']}", where=root.at(first["loc"]))


def run_cases(path: Path) -> Report:
    """Run every case of a file against its policy."""
    cases, bases = read_cases(path)
    file = path.parent / cases.policy
    policy = load_policy(file)
    decided = {rule.id: 0 for rule in policy.rules}
    outcomes = []
    for case in cases.cases:
        if case.base is not None and case.base not in bases:
            wanted = nearest(case.base, bases) if bases else "a base of the file"
            raise PolicyError(f"unknown base {case.base!r} of case {case.name!r}", wanted=wanted, where=path)
        evidence = evidence_of(bases.get(case.base or "", {}) | case.evidence, path)
        judgement = judge_strictly(load_policy(file, case.params) if case.params else policy, case.phase, evidence)
        for rule_id in decided.keys() & deciding(judgement):
            decided[rule_id] += 1
        outcomes.append(Outcome(case, judgement, _difference(case, judgement, decided)))
    return Report(path, policy, tuple(outcomes), decided)


def _difference(case: Case, judgement: Judgement, known: Mapping[str, int]) -> str:
    built_in = {validity.rule_id for validity in VALIDITY}
    unknown = [rule for rule in case.want.rules if rule not in known.keys() | built_in]
    if unknown:
        return f"the case names a rule that the policy lacks: {unknown[0]!r}; {nearest(unknown[0], known)}"
    if judgement.verdict != case.want.verdict:
        return f"{judgement.verdict.value}, wanted {case.want.verdict.value}: {judgement.reason}"
    found = deciding(judgement)
    if set(found) != set(case.want.rules):
        return f"decided by {', '.join(found) or 'no rule'}, wanted {', '.join(case.want.rules) or 'no rule'}"
    return ""


def cases_path(path: Path) -> Path:
    """The case file of a policy; a case file itself is returned as it is."""
    return path if path.name.endswith(SUFFIX) else path.with_name(f"{path.stem}{SUFFIX}")
