"""The commands of `autosurgeon bench`, as a person runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from program import autosurgeon

from autosurgeon.errors import ExitCode

RIGHT = "    return x\n"
ROWS = [
    {
        "task_id": f"HumanEval/{n}",
        "prompt": "def same(x):\n",
        "entry_point": "same",
        "canonical_solution": RIGHT if n != 2 else "    return nothing\n",
        "test": "def check(candidate):\n    assert candidate(1) == 1\n    assert candidate('a') == 'a'\n",
    }
    for n in range(3)
]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    path = tmp_path / "samples.jsonl"
    rows = [{"task_id": "HumanEval/0", "completion": RIGHT}, {"task_id": "HumanEval/1", "completion": "    pass\n"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def grade(tasks: Path, samples: Path, *more: object) -> subprocess.CompletedProcess[str]:
    out = samples.with_name("out.jsonl")
    return autosurgeon(
        "bench", "grade", "--format", "humaneval", "--tasks", tasks, "--samples", samples, "--out", out, *more
    )


def test_grading_writes_a_row_a_sample_and_says_what_it_comes_to(tasks: Path, samples: Path) -> None:
    done = grade(tasks, samples, "--jobs", 1)
    assert done.returncode == 0, done.stderr
    assert "humaneval\t3\t2\t1\t1: 33.3%\tsplit 2" in done.stdout
    assert "1 without samples, counted as not passed: HumanEval/2" in done.stdout
    rows = [json.loads(line) for line in samples.with_name("out.jsonl").read_text().splitlines()]
    assert [(row["task_id"], row["verdict"], row["cause"]) for row in rows] == [
        ("HumanEval/0", "pass", None),
        ("HumanEval/1", "fail", "wrong"),
    ]
    again = grade(tasks, samples, "--json")
    assert json.loads(again.stdout)["benches"][0]["passed"] == 1


def test_checking_names_the_broken_reference_and_quarantine_takes_it_out(tasks: Path, samples: Path) -> None:
    shut = tasks.with_name("shut.json")
    done = autosurgeon("bench", "check", "--format", "humaneval", "--tasks", tasks, "--quarantine", shut)
    assert done.returncode == ExitCode.FINDING
    assert "2 of 3 references passed 3 times of 3" in done.stdout
    assert "1 broken: HumanEval/2" in done.stdout
    graded = grade(tasks, samples, "--quarantine", shut)
    assert "humaneval\t2\t2\t1\t1: 50.0%" in graded.stdout
    assert "1 in quarantine, not counted" in graded.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "humanevil"], "did you mean 'humaneval'"),
        (["--jail", "bwarp"], "did you mean 'bwrap'"),
        (["--tasks", "no-such-file"], "no-such-file"),
        (["--samples", "no-such-file"], "no-such-file"),
        (["--quarantine", "no-such-file"], "no-such-file"),
    ],
)
def test_a_slip_of_the_hand_is_one_line_and_exit_code_2(
    tasks: Path, samples: Path, options: list[str], said: str
) -> None:
    done = grade(tasks, samples, *options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_greedy_samples_that_would_all_be_the_same_are_refused(tasks: Path, tmp_path: Path) -> None:
    done = autosurgeon(
        "bench", "run", "--format", "humaneval", "--tasks", tasks, "--out", tmp_path / "o.jsonl", "--samples", 4
    )
    assert done.returncode == 2
    assert "--temperature above 0" in done.stderr


def test_a_pack_of_a_workspace_that_is_none_is_refused(tasks: Path, tmp_path: Path) -> None:
    done = autosurgeon(
        *("bench", "run", "--format", "humaneval", "--tasks", tasks, "--out", tmp_path / "o.jsonl"),
        *("--pack", "abc", "--workspace", tmp_path),
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
