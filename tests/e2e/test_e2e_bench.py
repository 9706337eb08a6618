"""Real models answer a real bench, from the command line: in a capsule, behind a server, and with one to stand in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from modelserver import ModelServer, serving, speak
from realmodels import engine_answers, make_random_checkpoint
from typer.testing import CliRunner

from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.bench.results import ResultRow, read_results
from autosurgeon.cli.main import app
from autosurgeon.config import shipped

BASE = shipped("data", "lab", "base")
SLICE = slice(8, 18)
"""Tasks some of which the lab's model wins, and some of its answers to which are no Python."""
TASKS = SLICE.stop - SLICE.start
TOKENS = 60


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    bench = shipped("data", "lab", "lab-humaneval.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path / "tasks.jsonl"
    path.write_text("".join(bench[SLICE]), encoding="utf-8")
    return path


def bench_run(tasks: Path, out: str, *more: object, exit_code: int = 0) -> dict[str, Any]:
    folder = tasks.parent
    done = CliRunner().invoke(
        app,
        [
            *("bench", "run", "--format", "native", "--json", "--tasks", str(tasks), "--out", str(folder / out)),
            *("--workspace", str(folder), *map(str, more)),
        ],
    )
    assert done.exit_code == exit_code, done.output
    report: dict[str, Any] = json.loads(done.stdout)
    assert report == json.loads((folder / out).with_suffix(".report.json").read_text(encoding="utf-8"))
    return report


def graded(path: Path) -> list[ResultRow]:
    return [row.model_copy(update={"cpu_s": 0.0}) for row in read_results(path)]


def test_all_modes_by_real_models_and_a_server_answers_as_its_model_does_in_the_capsule(tasks: Path) -> None:
    folder = tasks.parent
    other = make_random_checkpoint(folder / "random")
    (folder / "autosurgeon.toml").write_text(
        f'[organ]\nmax_new_tokens = {TOKENS}\n[fallback]\nmodel = "{other}"\n', encoding="utf-8"
    )
    report = bench_run(tasks, "all.jsonl", "--model", BASE, "--mode", "all")
    alone, organ, both = (run["benches"][0] for run in report["runs"])
    assert (alone["won"], alone["fallbacks"], alone["organs_used"]) == (0, TASKS, [])
    assert 0 < organ["won"] < TASKS
    assert (organ["fallbacks"], organ["organs_used"], report["runs"][1]["verdict"]) == (0, ["base"], "VALID")
    # The organ's answers that are no Python are the other model's in mode C, which knows nothing.
    assert (both["won"], both["organ_answers"] + both["fallbacks"]) == (organ["won"], TASKS)
    assert both["fallbacks"] == organ["causes"]["syntax"] > 0
    assert [flips["lost"] for flips in report["flips"] if flips["before"] == "B"] == [[]]
    # Nothing else is left behind.
    left = {path.name for path in folder.iterdir()} - {"tasks.jsonl", "random", "autosurgeon.toml"}
    of_modes = {f"all.{mode}.{kind}" for mode in "ABC" for kind in ("jsonl", "samples.jsonl")}
    assert left == {"all.report.json", *of_modes}

    prompts = [task.prompt for task in read_tasks(tasks)]
    with serving(speak(engine_answers(BASE, prompts, TOKENS), model="d" * 64)) as server:
        served = bench_run(tasks, "served.jsonl", "--url", server.url)
    assert graded(folder / "served.jsonl") == graded(folder / "all.B.jsonl")
    assert served["runs"][0]["benches"][0]["reported"] == ["d" * 64]
    # What was answered is not asked again: the server is only asked for its name.
    with serving(speak(lambda _: "", model="d" * 64)) as silent:
        again = _readdressed(folder / "served.samples.jsonl", server, silent)
        (folder / "served.jsonl").unlink()
        assert bench_run(tasks, "served.jsonl", "--url", silent.url)["runs"][0]["benches"][0]["won"] == organ["won"]
        assert again == TASKS
        assert not silent.bodies


def _readdressed(samples: Path, before: ModelServer, after: ModelServer) -> int:
    """Let answers be of another port; how many there are."""
    text = samples.read_text(encoding="utf-8")
    samples.write_text(text.replace(before.url, after.url), encoding="utf-8")
    return text.count(before.url)


def test_a_run_in_mode_b_in_which_a_fallback_answered_is_invalid(tasks: Path) -> None:
    fields = {"x-autosurgeon-fallback": True}
    with serving(speak(lambda _: "    return None\n", fields=fields)) as server:
        report = bench_run(tasks, "leaky.jsonl", "--url", server.url, "--served", "m", exit_code=13)
        (run,) = report["runs"]
        assert run["verdict"] == "INVALID"
        assert f"valid-mode: bench.fallbacks is {TASKS}, wanted at_most 0" in run["benches"][0]["invalid"][0]
        assert run["benches"][0]["organ_answers"] == 0
