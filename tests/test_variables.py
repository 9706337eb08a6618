"""Variables of the environment: a mistyped one is an error with the nearest name, and no value is ever shown."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from program import autosurgeon

from autosurgeon.config import Settings, load_settings
from autosurgeon.errors import UserError
from autosurgeon.variables import OTHER_NAMES, PREFIX, all_names

ROOT = Path(__file__).resolve().parent.parent
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def refused(file: Path | None = None, /, **variables: str) -> str:
    with pytest.raises(UserError) as caught:
        load_settings(file, environment=variables)
    line = str(caught.value)
    assert "\n" not in line
    assert SECRET not in line
    return line


def written(folder: Path, text: str) -> Path:
    path = folder / "autosurgeon.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("AUTOSURGEON_LOOP__FAILURES_IN_ROW", "AUTOSURGEON_LOOP__FAILURES_IN_A_ROW"),
        ("AUTOSURGEON_POLCY", "AUTOSURGEON_POLICY"),
        ("AUTOSURGEON_LOOP_ATTEMPTS", "AUTOSURGEON_LOOP__ATTEMPTS"),
        ("AUTOSURGEON_ORGAN_MODEL", "AUTOSURGEON_ORGAN__MODEL"),
        ("AUTOSURGEON__SEED", "AUTOSURGEON_SEED"),
        ("autosurgeon_polcy", "AUTOSURGEON_POLICY"),
        ("AUTOSURGEON_ORGN__MODEL", "AUTOSURGEON_ORGAN__MODEL"),
        ("AUTOSURGEON_SEARCH__EPOCHS__HIHG", "AUTOSURGEON_SEARCH__EPOCHS__HIGH"),
        ("AUTOSURGEON_SEED__LOW", "AUTOSURGEON_SEED"),
        ("AUTOSURGEON_WORKSAPCE", "AUTOSURGEON_WORKSPACE"),
        ("autosurgeon_workspace", "AUTOSURGEON_WORKSPACE"),
        ("AUTOSURGON_POLICY", "AUTOSURGEON_POLICY"),
    ],
)
def test_a_mistyped_variable_is_an_error_with_the_nearest_name(name: str, near: str) -> None:
    line = refused(**{name: SECRET})
    assert name in line
    assert re.search(rf"{near}\b(?!_)", line.replace(name, "", 1))


def test_a_variable_that_is_like_no_setting_is_refused_with_what_removes_it() -> None:
    assert "`unset AUTOSURGEON_FOOBARBAZ`" in refused(AUTOSURGEON_FOOBARBAZ=SECRET)


def test_a_variable_of_another_program_is_left_alone() -> None:
    others = {"AUTOSURGERY_POLICY": "x", "SURGEON_SEED": "x", "AUTOSURGEON": "x", "PATH": "", "AUTOSURGEONS_X": "x"}
    assert load_settings(None, environment=others) == Settings()


@pytest.mark.parametrize("command", [["status"], ["doctor"], ["run", "-n", "1"], ["audit", "verify"], ["pass", "list"]])
def test_every_command_that_reads_settings_refuses_a_mistyped_variable(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSURGEON_POLCY", "mine.yaml")
    done = autosurgeon(*command, "--workspace", tmp_path)
    assert done.returncode == 2
    assert "AUTOSURGEON_POLICY?" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_name_that_the_product_reads_itself_is_no_mistake() -> None:
    assert load_settings(None, environment=dict.fromkeys(OTHER_NAMES, "x")) == Settings()


def test_every_variable_that_the_code_names_is_known() -> None:
    known = {*all_names(Settings), *OTHER_NAMES}
    files = [*(ROOT / "autosurgeon").rglob("*.py"), ROOT / "README.md"]
    for file in files:
        text = file.read_text(encoding="utf-8")
        named = set(re.findall(r"\bAUTOSURGEON_[A-Z_]*[A-Z]\b", text)) - {"AUTOSURGEON_LIVE"}
        assert named <= known, f"{file}: {named - known}"


def test_the_variable_of_every_setting_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSURGEON_SEARCH__EPOCHS__HIGH", "9")
    monkeypatch.setenv("AUTOSURGEON_SEARCH__PARENTS", '["base"]')
    monkeypatch.setenv("AUTOSURGEON_CAPSULE", '{"wall_s": 7, "warm": false}')
    monkeypatch.setenv("AUTOSURGEON_CAPSULE__WALL_S", "8")
    monkeypatch.setenv("AUTOSURGEON_SERVING__EXTRA_BODY__TOP_K", "5")
    settings = load_settings(None)
    assert (settings.search.epochs.low, settings.search.epochs.high) == (Settings().search.epochs.low, 9)
    assert settings.search.parents == ("base",)
    assert (settings.capsule.warm, settings.capsule.wall_s) == (False, 8)
    assert settings.serving.extra_body == {"top_k": 5}


def test_a_bench_of_the_file_is_set_by_a_variable_in_whatever_case_its_name_is_written(tmp_path: Path) -> None:
    file = written(tmp_path, "[benches.Mine]\ntasks = 't.jsonl'\n[benches.a__b]\ntasks = 'u.jsonl'\n")
    variables = {"AUTOSURGEON_BENCHES__MINE__CPU_S": "3", "AUTOSURGEON_BENCHES__A__B__COUNT": "4"}
    settings = load_settings(file, environment=variables)
    assert list(settings.benches) == ["Mine", "a__b"]
    assert (settings.benches["Mine"].cpu_s, settings.benches["a__b"].count) == (3, 4)
    assert settings.benches["Mine"].tasks == tmp_path / "t.jsonl"


def test_a_bench_may_be_named_by_variables_alone() -> None:
    settings = load_settings(None, environment={"AUTOSURGEON_BENCHES__X__TASKS": "/t.jsonl"})
    assert settings.benches["x"].tasks == Path("/t.jsonl")


def test_a_mistyped_bench_or_field_of_one_is_refused_with_the_nearest(tmp_path: Path) -> None:
    file = written(tmp_path, "[benches.mbpp]\ntasks = 't.jsonl'\n")
    assert "did you mean 'mbpp'?" in refused(file, AUTOSURGEON_BENCHES__MBP__CPU_S="3")
    assert "did you mean 'cpu_s'?" in refused(file, AUTOSURGEON_BENCHES__MBPP__CPU="3")
    both = written(tmp_path, "[benches.mbpp]\ntasks = 't'\n[benches.MBPP]\ntasks = 'u'\n")
    assert "MBPP" in refused(both, AUTOSURGEON_BENCHES__MBPP__CPU_S="3")


@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({"AUTOSURGEON_SEED": ""}, "a variable is empty"),
        ({"AUTOSURGEON_STORE__URL": ""}, "`unset AUTOSURGEON_STORE__URL`"),
        ({"AUTOSURGEON_WORKSPACE": ""}, "`unset AUTOSURGEON_WORKSPACE`"),
        ({"AUTOSURGEON_SEED": "1", "autosurgeon_seed": "2"}, "is in the environment twice"),
        ({"AUTOSURGEON_NOTIFY__COMMAND": SECRET}, "a variable is not valid JSON"),
        ({"AUTOSURGEON_NOTIFY__COMMAND": f'["{SECRET}", 3]'}, "'notify.command.1'"),
        ({"AUTOSURGEON_NOTIFY": f'{{"webhok": "{SECRET}"}}'}, "did you mean 'webhook'?"),
        ({"AUTOSURGEON_FALLBACK": f'["{SECRET}"]'}, "setting 'fallback'"),
        ({"AUTOSURGEON_SERVING__CONCURRENCY": SECRET}, "(AUTOSURGEON_SERVING__CONCURRENCY)"),
        ({"AUTOSURGEON_DEPLOY__URL": f"ftp://{SECRET}"}, "setting 'deploy.url'"),
        ({"AUTOSURGEON_ORGAN": '{"max_tokens": 8, "max_tokens": 9}'}, "an object repeats a key"),
        ({"AUTOSURGEON_ORGAN": "[" * 100_000}, "AUTOSURGEON_ORGAN"),
        ({"AUTOSURGEON_SEED": "x"}, "(AUTOSURGEON_SEED)"),
        ({"AUTOSURGEON_POLICY": "~no-such-user/p.yaml"}, "~no-such-user"),
    ],
)
def test_a_value_that_cannot_be_is_one_line_that_names_the_variable(variables: dict[str, str], part: str) -> None:
    assert part in refused(**variables)
