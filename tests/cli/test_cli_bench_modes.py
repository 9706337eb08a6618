"""`bench run` from the command line: who is asked, and what is refused before anyone is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import make_task
from modelserver import Handler, serving, speak
from typer.testing import CliRunner, Result

from autosurgeon.bench.formats.native import write_tasks
from autosurgeon.cli.main import app
from autosurgeon.config import shipped
from autosurgeon.errors import AutosurgeonError, UserError

RIGHT = "def solve(x):\n    return x\n"


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    write_tasks(path, [make_task(f"b/{n}") for n in range(3)])
    return path


def bench_run(tasks: Path, *more: object) -> Result:
    folder = tasks.parent
    files = ["--tasks", tasks, "--out", folder / "o.jsonl", "--workspace", folder, "--config", folder / "a.toml"]
    command = ["bench", "run", "--format", "native", *files, *more]
    (folder / "a.toml").touch()
    return CliRunner().invoke(app, [str(word) for word in command])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mode", "D"], "unknown mode; got D; wanted one of A, B, C, all"),
        (["--mode", "C"], "modes A and C need a fallback"),
        (["--mode", "A", "--url", "http://h/v1"], "mode A asks only the fallback; got --url"),
        (["--url", "http://h/v1", "--model", "m"], "the organ is named twice; got --model and --url"),
        (["--served", "x"], "--served names a server's model"),
        (["--url", "localhost:8000"], "this is not a server's address"),
        (["--mode", "A", "--tasks", "no-such-file"], "no-such-file"),
    ],
)
def test_a_slip_of_the_hand_is_said_before_anyone_is_asked(tasks: Path, options: list[str], said: str) -> None:
    done = bench_run(tasks, *options)
    assert isinstance(done.exception, AutosurgeonError)
    assert done.exception.exit_code == 2
    assert said in str(done.exception)
    assert not (tasks.parent / "o.jsonl").exists()


def test_a_fallback_behind_a_server_stands_in_and_the_table_says_so(tasks: Path) -> None:
    small = speak(lambda body: RIGHT if "b/0" in body["prompt"] else "no idea", "small-digest")
    big = speak(lambda _: RIGHT, "big-model")
    with serving(small) as organ, serving(big) as fallback:
        (tasks.parent / "a.toml").write_text(f'[fallback]\nurl = "{fallback.url}"\napi_key = "hush"\n', "utf-8")
        done = bench_run(tasks, "--mode", "all", "--url", organ.url, "--served", "small-digest")
        assert done.exit_code == 0, done.output
        # The key is for the fallback's server, and not for the organ's.
        assert all(headers["Authorization"] == "Bearer hush" for _, _, headers in fallback.requests)
        assert not any("Authorization" in headers for _, _, headers in organ.requests)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    columns = rows[0]
    table = {row[1]: dict(zip(columns, row, strict=True)) for row in rows[1:4]}
    told = {mode: [row[name] for name in ("won", "organ", "fallback", "verdict")] for mode, row in table.items()}
    assert told == {"A": ["3", "0", "3", ""], "B": ["1", "3", "0", "VALID"], "C": ["3", "1", "2", ""]}
    assert table["B"]["organs used"] == "small-digest"
    assert "B to C\tgained\tb/1" in done.stdout
    assert "mode C: b: 2 of 3 wins are the fallback's, not the organ's" in done.stdout
    assert "hush" not in done.output + (tasks.parent / "o.report.json").read_text("utf-8")


def test_a_leak_in_mode_b_is_exit_code_13_in_the_table_and_in_json(tasks: Path) -> None:
    with serving(speak(lambda _: RIGHT, fields={"x-autosurgeon-handler": "plan\nner"})) as server:
        done = bench_run(tasks, "--url", server.url)
        as_json = bench_run(tasks, "--url", server.url, "--json")
    assert (done.exit_code, as_json.exit_code) == (13, 13)
    assert "\tINVALID\t" in done.stdout
    assert "plan\\nner 3" in done.stdout
    assert "mode B: b: INVALID: valid-route: bench.foreign is 3" in done.stdout
    assert json.loads(as_json.stdout)["runs"][0]["verdict"] == "INVALID"


def test_a_key_that_is_no_text_is_not_told(tasks: Path) -> None:
    (tasks.parent / "a.toml").write_text('[serving]\napi_key = ["hush"]\n', "utf-8")
    done = bench_run(tasks)
    assert "serving.api_key" in str(done.exception)
    assert "hush" not in str(done.exception)


def test_progress_says_whether_tasks_were_answered_or_graded(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autosurgeon.cli.view.PLAIN_EVERY_S", 0.0)
    with serving(speak(lambda _: RIGHT)) as server:
        done = bench_run(tasks, "--url", server.url)
    assert "3 of 3 answered" in done.stderr
    assert "3 of 3 graded" in done.stderr


def test_a_task_without_an_answer_is_named_and_asked_again_by_the_same_command(tasks: Path) -> None:
    good, is_whole = speak(lambda _: RIGHT), [False]

    def refuse(handler: Handler) -> None:
        if "b/1" in handler.body.get("prompt", "") and not is_whole[0]:
            handler.send(b"prompt too long", 400)
        else:
            good(handler)

    with serving(refuse) as server:
        first = bench_run(tasks, "--url", server.url)
        assert first.exit_code == 6, first.output
        assert "mode B: b: b/1 has no answer and no score: server" in first.stdout
        assert "prompt too long" in first.stdout
        is_whole[0] = True
        before = len(server.bodies)
        second = bench_run(tasks, "--url", server.url, "--json")
        assert second.exit_code == 0, second.output
        assert len(server.bodies) == before + 1
    bench = json.loads(second.stdout)["runs"][0]["benches"][0]
    assert (bench["won"], bench["unanswered"], bench["without_samples"]) == (3, {}, [])


@pytest.mark.parametrize("command", ["bench", "doctor", "run"])
def test_a_chat_without_a_chat_template_is_refused_in_a_line(tasks: Path, command: str) -> None:
    folder = tasks.parent
    bench = f'[benches.b]\ntasks = "{tasks}"\n'
    text = f'[organ]\nmodel = "{shipped("data", "lab", "base")}"\nprompt = "chat"\n{bench}'
    (folder / "a.toml").write_text(text, "utf-8")
    if command == "bench":
        done = bench_run(tasks)
    else:
        done = CliRunner().invoke(app, [command, "--workspace", str(folder), "--config", str(folder / "a.toml")])
    where = done.output + str(done.exception)
    assert 'a checkpoint has no chat template; got organ.prompt = "chat"' in where
    assert command == "doctor" or (isinstance(done.exception, UserError) and done.exception.exit_code == 2)


def test_a_server_is_not_asked_by_chat(tasks: Path) -> None:
    (tasks.parent / "a.toml").write_text('[organ]\nprompt = "chat"\n', "utf-8")
    done = bench_run(tasks, "--url", "http://127.0.0.1:9/v1")
    assert "a completions server does not accept chats" in str(done.exception)
