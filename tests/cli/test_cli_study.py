"""`study`: tables, JSON, a picture and an Optuna storage, of many passes and of none."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from builders import make_contract, make_recipe
from program import autosurgeon

from autosurgeon.core.decision import Decision
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import Feedback
from autosurgeon.core.workspace import Workspace
from autosurgeon.store.database import utc_now
from autosurgeon.store.sqlstore import SqlStore


def make_workspace(root: Path, count: int) -> Path:
    """Passes of which every third climbs and every second one is refused, for its rate."""
    store = SqlStore(Workspace(root).database, create=True)
    for n in range(1, count + 1):
        hot = {"anchor-wins-kept": 2.0} if n % 2 else {}
        recipe = make_recipe(lr=(2e-3 if hot else 5e-4) * (1 + n / 900), epochs=1 + (n % 3 == 0))
        number = store.begin_pass(recipe, "p", "p", make_contract())
        told = Feedback(value=float(n % 3 == 0), violations=hot, spent_share=0.25 if hot else None)
        decision = Decision(
            decision_id=f"d-{n}", pass_number=number, judgement=None, action="stop", reason="", at=utc_now()
        )
        store.decide(decision, state=PassState.REJECTED if hot else PassState.HELD, feedback=told)
    store.close()
    return root


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("night"), 40)


def test_a_study_shows_importance_region_refusals_and_history(workspace: Path) -> None:
    done = autosurgeon("study", "-w", workspace)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    shares = {line.split("\t")[0]: line.split("\t")[1:] for line in lines[1:8]}
    assert max(shares, key=lambda name: float(shares[name][0] or 0)) == "epochs"
    assert max(shares, key=lambda name: float(shares[name][1] or 0)) == "lr_ratio"
    assert "anchor-wins-kept\t20\t2" in lines
    assert any(line.startswith("39\tREJECTED\t1\tanchor-wins-kept 2\t25%\tlive") for line in lines)
    assert "newest 30 of 40 passes" in done.stdout


def test_a_study_draws_prints_json_and_exports_in_one_go(workspace: Path, tmp_path: Path) -> None:
    picture, target = tmp_path / "study.png", f"sqlite:///{tmp_path / 'study.db'}"
    done = autosurgeon("study", "-w", workspace, "--plot", picture, "--export", target, "--json", "--last", 25)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["passes"], len(found["history"])) == (25, 25)
    assert found["plateau"]["passes"] == 20
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(optuna.load_study(study_name=workspace.name, storage=target).trials) == 25


@pytest.mark.parametrize("count", [0, 3])
def test_of_few_passes_it_says_what_it_cannot_tell_yet(tmp_path: Path, count: int) -> None:
    done = autosurgeon("study", "-w", make_workspace(tmp_path, count), "--plot", tmp_path / "study.png")
    assert done.returncode == 0, done.stderr
    assert "what makes a pass climb is not known yet" in done.stdout
    assert ("no pass has run yet" in done.stdout) == (count == 0)
    assert (tmp_path / "study.png").stat().st_size > 1000


def test_what_cannot_be_studied_or_written_is_one_line_and_exit_code_2(workspace: Path, tmp_path: Path) -> None:
    for options, told in (
        (["-w", tmp_path], "there is no workspace here"),
        (["-w", workspace, "--export", tmp_path], "a study cannot be exported"),
        (["-w", workspace, "--export", "mysql://host/db"], "a study is exported into a file"),
        (["-w", workspace, "--plot", tmp_path / "no" / "study.png"], "the plot cannot be written"),
    ):
        done = autosurgeon("study", *options)
        assert done.returncode == 2
        assert told in done.stderr
        assert len(done.stderr.splitlines()) == 1
