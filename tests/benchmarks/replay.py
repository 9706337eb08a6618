"""Replaying many stored decisions, in time and memory; and one judgement of 60 rules.

    python tests/benchmarks/replay.py [--counts 1000,10000] [--seed 7]

The decisions are promotions of 60 facts and more, made by the functions that a run uses, judged under bd62.yaml and
written by the journal. Each count is replayed by the command in a process of its own, beside the naive way, which
reads the whole log and judges with every expression compiled anew. Goals: 10,000 in under 10 s, memory that does not
grow with their number, a judgement of 60 rules, 4 of them expressions, in under 1 ms.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import peak_bytes

from autosurgeon.config import shipped
from autosurgeon.core.decision import Decision, Evidence
from autosurgeon.core.digest import canonical_json
from autosurgeon.core.envelope import ORGAN, Condition, Envelope, Mode, Poison
from autosurgeon.core.workspace import Workspace
from autosurgeon.policy import expression
from autosurgeon.policy.facts import FACTS
from autosurgeon.policy.judge import judge
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.policy_tests import evidence_of, read_cases
from autosurgeon.policy.promotion import Comparison, promotion_facts
from autosurgeon.policy.schema import Policy

BATCH = 500
CASES = shipped("policies", "bd62_test.yaml")
EARLIER = evidence_of(read_cases(CASES)[1]["good"], CASES)
SPLITS = ("surgery", "dev", "gate")
EXPRESSIONS = (
    "gate.e_regression * budget.alpha < 1.0",
    "total.p_gain <= budget.alpha",
    "gate.gained - gate.lost >= 1",
    "size(anchors.lost_names) == 0",
)


def results(rng: random.Random, share: float) -> dict[str, Envelope]:
    """Envelopes of benches of 100 and 164 tasks, the share of them passed."""
    cond = Condition(mode=Mode.ORGAN_ALONE, pack="p", handler=ORGAN, fallback=False, fingerprint="greedy")
    made = {}
    for bench, size in (("mbpp", 100), ("humaneval", 164)):
        for number in range(size):
            won, split = rng.random() < share, SPLITS[number % 3]
            content = {"task_id": f"{bench}/{number}", "bench": bench, "split": split, "food": int(won), "cond": cond}
            envelope = Envelope.model_validate(content | {"poison": None if won else Poison.WRONG})
            made[envelope.task_id] = envelope
    return made


def promotions(count: int, seed: int) -> list[Evidence]:
    """Evidence of so many promotions: some good, most of them not."""
    rng = random.Random(seed)
    live, base = results(rng, 0.1), results(rng, 0.05)
    expected = {task: str(envelope.split) for task, envelope in live.items()}
    anchors = [task for task, envelope in live.items() if envelope.passed][:10]
    found = []
    for _ in range(count):
        pack = results(rng, rng.choice((0.08, 0.12, 0.2)))
        comparison = Comparison(expected, list(expected), pack, live, base, anchors, impossible=(20, ()), alpha=0.03)
        # What a promotion sees of the phases before it.
        found.append(
            {k: v for k, v in EARLIER.items() if not k.startswith(("watch", "baseline"))} | promotion_facts(comparison)
        )
    return found


def write_log(root: Path, count: int, seed: int) -> tuple[int, float]:
    """The decisions, in the journal's own words; facts of each, and bytes of a line."""
    policy, some = load_policy(shipped("policies", "bd62.yaml")), promotions(min(count, 100), seed)
    log = Workspace(root).decisions
    for begin in range(0, count, BATCH):
        decisions = []
        for number in range(begin, min(begin + BATCH, count)):
            judgement = judge(policy, "promotion", some[number % len(some)])
            content = {"decision_id": f"pass-{number:05d}-promotion", "pass_number": number, "reason": judgement.reason}
            at = "2030-01-01T12:00:00.000000+00:00"
            decisions.append(Decision(judgement=judgement, action="stop", at=at, **content))
        with log.open("a", encoding="utf-8") as file:
            file.writelines(canonical_json(decision.record()) + "\n" for decision in decisions)
    return len(some[0]), log.stat().st_size / count


def replay_here(root: Path, naive: bool) -> dict[str, float]:
    """Replay in this process, by the command's own code or the naive way."""
    began = time.perf_counter()
    if naive:
        policy = load_policy(shipped("policies", "bd62.yaml"))
        whole = [Decision.model_validate(json.loads(line)) for line in Workspace(root).decisions.open(encoding="utf-8")]
        flips = 0
        for decision in whole:
            expression.clauses_of.cache_clear()
            expression._compiled.cache_clear()
            judgement = decision.judgement
            assert judgement is not None
            flips += judge(policy, judgement.phase, judgement.evidence).verdict != judgement.verdict
        assert flips == 0
    else:
        from autosurgeon.cli.main import app

        with (root / "out").open("w", encoding="utf-8") as out:
            sys.stdout, before = out, sys.stdout
            code = 0
            try:
                app(["policy", "replay", str(root)])
            except SystemExit as stop:
                code = int(stop.code or 0)
            finally:
                sys.stdout = before
        assert code == 0, code
    return {"seconds": time.perf_counter() - began, "peak": peak_bytes()}


def sixty_rules() -> Policy:
    """A policy of 60 rules for a promotion, 4 of them expressions."""
    numbers = [fact.name for fact in FACTS if fact.type == "number" and fact.phase not in ("baseline", "watch")]
    content: dict[str, object] = {"phase": "promotion", "otherwise": "hold", "lesson": "because"}
    rules = [content | {"id": f"r-{n}", "fact": numbers[n % len(numbers)], "at_least": 0} for n in range(56)]
    rules += [content | {"id": f"e-{n}", "expr": source} for n, source in enumerate(EXPRESSIONS)]
    return Policy.model_validate({"schema": "autosurgeon.policy/1", "name": "sixty", "rules": rules})


def one_judgement(evidence: Evidence, *, fresh: bool) -> float:
    """Milliseconds of a judgement, the median of many; fresh: with no expression remembered."""
    policy, taken = sixty_rules(), []
    for _ in range(500):
        if fresh:
            expression.clauses_of.cache_clear()
            expression._compiled.cache_clear()
        began = time.perf_counter()
        judge(policy, "promotion", evidence)
        taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 2] * 1e3


def main() -> None:
    """Write the logs, replay each in a process of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="1000,10000")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--here", type=Path, metavar="WORKSPACE", help="replay this one in this process")
    parser.add_argument("--naive", action="store_true")
    options = parser.parse_args()
    if options.here:
        print(json.dumps(replay_here(options.here, options.naive)))
        return
    print(f"{'decisions':>9} {'facts':>6} {'kB each':>8} {'way':>8} {'seconds':>8} {'each ms':>8} {'peak MB':>8}")
    for count in map(int, options.counts.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            Workspace(Path(folder)).decisions.parent.mkdir()
            facts, size = write_log(Path(folder), count, options.seed)
            for way in ("replay", "naive"):
                command = [sys.executable, __file__, "--here", folder, *(["--naive"] if way == "naive" else [])]
                found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
                speed = f"{found['seconds']:8.2f} {found['seconds'] / count * 1e3:8.3f}"
                print(f"{count:9} {facts:6} {size / 1e3:8.1f} {way:>8} {speed} {found['peak'] / 1e6:8.1f}", flush=True)
    evidence = promotions(1, options.seed)[0]
    once, fresh = one_judgement(evidence, fresh=False), one_judgement(evidence, fresh=True)
    print(f"one judgement of 60 rules: {once:.3f} ms; with every expression compiled anew: {fresh:.3f} ms")


if __name__ == "__main__":
    main()
