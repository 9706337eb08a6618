"""A rule that cannot be evaluated is the world's failure: it ends the run, and no pass is held or refused by it."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from theatre import learns_everything, small_theatre

from autosurgeon.cli.run import _loop as end_of_loop
from autosurgeon.core.decision import Verdict
from autosurgeon.core.jobs import MergeJob
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.value import Value
from autosurgeon.errors import EvaluatorError, ExitCode


def test_an_evaluator_that_breaks_in_the_night_ends_the_run_at_its_first_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(source: str) -> None:
        raise ImportError("cannot import name 'cel'")

    def uninstall(job: Value) -> None:
        if isinstance(job, MergeJob):
            monkeypatch.setattr("autosurgeon.policy.expression._compiled", broken)

    with small_theatre(tmp_path, learns_everything, before=uninstall, passes=24) as ins:
        with pytest.raises(typer.Exit) as ended:
            end_of_loop(ins)
        (record,) = ins.store.passes()
        *_, last = ins.store.decisions(record.number)
        run = ins.store.last_run()
    assert ended.value.exit_code == ExitCode.BRAKED
    assert run is not None and run.end_reason == "evaluation"
    assert (record.state, record.feedback) == (PassState.FAILED, None)
    assert last.judgement is not None
    assert (last.judgement.phase, last.judgement.verdict) == ("merge", Verdict.ERROR)
    assert "could not be evaluated: ImportError: cannot import name 'cel'" in record.reason
    assert "missing" not in record.reason


def test_a_broken_evaluator_ends_the_run_before_any_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_theatre(tmp_path, learns_everything, passes=24) as ins:

        def broken(source: str) -> None:
            raise ImportError("cannot import name 'cel'")

        monkeypatch.setattr("autosurgeon.policy.expression._compiled", broken)
        with pytest.raises(EvaluatorError, match="pip install --force-reinstall"):
            end_of_loop(ins)
        assert not ins.store.is_committed("pass-0001", "train")
        assert not any(record.state.is_finished for record in ins.store.passes()), "it goes on once that is mended"
