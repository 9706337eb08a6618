from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from autosurgeon.config import Settings, load_settings, shipped
from autosurgeon.errors import UserError
from autosurgeon.places import Place, PlaceSetting, anchor_places, is_mapping, named_files, place_settings, section_in
from autosurgeon.sections import Span


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AUTOSURGEON_")]:
        monkeypatch.delenv(name)


def written(folder: Path, text: str) -> Path:
    path = folder / "autosurgeon.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(folder: Path, text: str) -> str:
    with pytest.raises(UserError) as caught:
        load_settings(written(folder, text))
    message = str(caught.value)
    assert "autosurgeon.toml" in message
    assert "\n" not in message
    return message


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(None)
    assert settings == Settings()
    assert settings.policy_file == shipped("policies", "bd62.yaml")
    assert settings.organ_folder == shipped("data", "lab", "base")
    assert settings.lab.stdin_route == "planner"


def test_a_file_sets_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    text = 'seed = 7\npolicy = "p.yaml"\n[organ]\nreference_lr = 1e-4\n[search.epochs]\nhigh = 9\n'
    settings = load_settings(written(tmp_path, text))
    assert (settings.seed, settings.organ.reference_lr) == (7, 1e-4)
    assert settings.organ.max_tokens == Settings().organ.max_tokens
    assert settings.search.epochs == Span(low=Settings().search.epochs.low, high=9)
    assert settings.policy_file == tmp_path / "p.yaml"


def test_paths_of_a_file_begin_at_its_folder_wherever_the_program_is_started(tmp_path: Path) -> None:
    text = 'policy = "p.yaml"\n[organ]\nmodel = "m"\n[audit]\ncheckpoint_copy = "/c"\n'
    text += '[benches.mine]\ntasks = "t.jsonl"\nquarantine = "q.json"\n'
    text += '[search]\nwarm_start = ["../other", "/elsewhere"]\n'
    settings = load_settings(written(tmp_path, text))
    assert (settings.policy, settings.organ.model) == (tmp_path / "p.yaml", tmp_path / "m")
    assert settings.audit.checkpoint_copy == Path("/c")
    assert settings.benches["mine"].tasks == tmp_path / "t.jsonl"
    assert settings.benches["mine"].quarantine == tmp_path / "q.json"
    assert settings.search.warm_start == (tmp_path / "../other", Path("/elsewhere"))


def test_paths_of_the_environment_begin_at_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTOSURGEON_POLICY", "p.yaml")
    monkeypatch.setenv("AUTOSURGEON_NOTIFY__COMMAND", '["./page", "./argument"]')
    (tmp_path / "config").mkdir()
    settings = load_settings(written(tmp_path / "config", "[organ]\nmodel = 'm'\n"))
    assert (settings.policy, settings.organ.model) == (tmp_path / "p.yaml", tmp_path / "config" / "m")
    assert settings.notify.command == (str(tmp_path / "page"), "./argument")


def test_the_programs_of_commands_begin_at_the_files_folder_and_bare_names_stay_names(tmp_path: Path) -> None:
    text = "[capsule]\npython = 'venv/bin/python'\n[notify]\ncommand = ['hooks/page', 'a/b']\n"
    text += "[deploy]\npromote = ['serve', './x']\nrevert = ['{folder}/serve']\n[fallback]\nmodel = 'f'\n"
    settings = load_settings(written(tmp_path, text))
    assert settings.capsule.python == str(tmp_path / "venv/bin/python")
    assert settings.notify.command == (str(tmp_path / "hooks/page"), "a/b")
    assert (settings.deploy.promote, settings.deploy.revert) == (("serve", "./x"), ("{folder}/serve",))
    assert settings.fallback.model == tmp_path / "f"


def test_every_file_and_program_that_settings_name_is_listed(tmp_path: Path) -> None:
    text = "policy = 'p.yaml'\n[capsule]\npython = 'python3'\n[notify]\ncommand = ['./page', './x']\n"
    text += "[search]\nwarm_start = ['a', 'b']\n[benches.mine]\ntasks = 't.jsonl'\n[deploy]\npromote = ['serve']\n"
    named = named_files(load_settings(written(tmp_path, text)))
    assert {file.name for file in named} == {"p.yaml", "page", "a", "b", "t.jsonl"}
    assert all(file.parent == tmp_path for file in named)
    assert named_files(Settings()) == []


def test_a_relative_config_file_makes_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "policy = 'p.yaml'\n")
    monkeypatch.chdir(tmp_path)
    assert load_settings(Path("autosurgeon.toml")).policy == tmp_path / "p.yaml"


def test_a_tilde_is_the_home_folder_and_an_unknown_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = load_settings(written(tmp_path, "policy = '~/p.yaml'\n[notify]\ncommand = ['~/page']\n"))
    assert settings.policy == tmp_path / "p.yaml"
    assert settings.notify.command == (str(tmp_path / "page"),)
    assert "'capsule.python'" in refused(tmp_path, "[capsule]\npython = '~no-such-user/python'\n")


PLACES = list(place_settings(Settings))


@pytest.mark.parametrize("setting", PLACES, ids=lambda setting: setting.name)
def test_every_setting_that_names_a_path_or_a_program_is_anchored(setting: PlaceSetting, tmp_path: Path) -> None:
    value: Any = "a/b" if setting.place in (Place.PATH, Place.PROGRAM) else ["a/b"]
    for step in reversed(setting.steps):
        value = {"x" if step == "*" else step: value}
    anchor_places(Settings, value, tmp_path)
    for step in setting.steps:
        value = value["x" if step == "*" else step]
    assert value == ["a/b"] if setting.place == Place.ADDRESS else str(tmp_path / "a/b") in (value, *value)


NO_PLACE = {
    "grading.packages",
    "organ.hub",
    "organ.revision",
    "organ.system_prompt",
    "serving.api_key",
    "fallback.served",
    "fallback.api_key",
    "levers.salvage",
}
"""Settings of free text that name neither a path, nor a program, nor an address; `doctor` tries the hub by itself."""


def free_text(model: type[BaseModel], before: tuple[str, ...] = ()) -> Iterator[str]:
    """The settings that hold any text, or a path."""
    for name, field in model.model_fields.items():
        inner = section_in(field.annotation)
        if inner is not None:
            between = ("*",) if is_mapping(field.annotation) else ()
            yield from free_text(inner, (*before, name, *between))
        elif {str, SecretStr, Path} & set(plain_types(field.annotation)):
            yield ".".join((*before, name))


def plain_types(annotation: Any) -> Iterator[Any]:
    yield annotation
    if get_origin(annotation) not in (Literal, dict):
        for inner in get_args(annotation):
            yield from plain_types(inner)


def test_no_setting_names_a_place_without_the_mark_of_one() -> None:
    assert set(free_text(Settings)) == {setting.name for setting in PLACES} | NO_PLACE


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("policy = ''", "'policy'"),
        ('policy = "a\\u0000b"', "'policy'"),
        ("[notify]\ncommand = ['']", "'notify.command'"),
        ("[notify]\nwebhook = ''", "'notify.webhook'"),
        ("[capsule]\npython = ''", "'capsule.python'"),
        ("[store]\nurl = ''", "'store.url'"),
        ("[search]\nwarm_start = ['a', '']", "'search.warm_start'"),
    ],
)
def test_an_empty_place_is_refused_by_name(tmp_path: Path, text: str, name: str) -> None:
    assert f"setting {name}" in refused(tmp_path, text)


def test_the_environment_stands_above_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSURGEON_SEED", "8")
    monkeypatch.setenv("AUTOSURGEON_ORGAN__MAX_TOKENS", "64")
    settings = load_settings(written(tmp_path, "seed = 7\n[organ]\nmax_tokens = 32\nreference_lr = 1e-4\n"))
    assert settings.seed == 8
    assert (settings.organ.max_tokens, settings.organ.reference_lr) == (64, 1e-4)


def test_flags_stand_above_both_unless_they_were_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSURGEON_SEED", "8")
    path = written(tmp_path, 'seed = 7\npolicy = "p.yaml"\n')
    settings = load_settings(path, seed=9, policy=None)
    assert settings.seed == 9
    assert settings.policy == tmp_path / "p.yaml"


@pytest.mark.parametrize(
    ("text", "name", "near"),
    [
        ("sed = 1", "'sed'", "'seed'"),
        ("[organn]\nmodel = 'x'", "'organn'", "'organ'"),
        ("[organ]\nmax_token = 5", "'organ.max_token'", "'max_tokens'"),
        ("[search.epochs]\nlow = 1\nhigh = 2\nhihg = 3", "'search.epochs.hihg'", "'high'"),
        ("[benches.mine]\ntasks = 't'\ncuont = 3", "'benches.mine.cuont'", "'count'"),
    ],
)
def test_an_unknown_setting_is_named_with_the_nearest_one(tmp_path: Path, text: str, name: str, near: str) -> None:
    message = refused(tmp_path, text)
    assert name in message
    assert f"did you mean {near}" in message


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("seed = -1", "'seed'"),
        ("seed = 9007199254740992", "'seed'"),
        ("seed = 'x'", "'seed'"),
        ("organ = 5", "'organ'"),
        ("[organ]\nreference_lr = 2", "'organ.reference_lr'"),
        ("[search]\nparents = []", "'search.parents'"),
        ("[search]\nparents = ['live2']", "'search.parents.0'"),
        ("[search.epochs]\nlow = 3\nhigh = 1", "'search.epochs'"),
        ("[search.epochs]\nlow = 0\nhigh = inf", "'search.epochs.low'"),
        ("[lab]\nstdin_route = 'nobody'", "'lab.stdin_route'"),
        ("[benches.mine]\nformat = 'native'", "'benches.mine.tasks'"),
        ("[benches.mine]\ntasks = 't'\nformat = 'humanevil'", "'benches.mine.format'"),
        ("[benches.mine]\ntasks = 't'\nfirst = 0", "'benches.mine.first'"),
        ("[benches.'a b']\ntasks = 't'", "'benches.a b.[key]'"),
        ("benches = 3", "'benches'"),
        ("[benches]\nmine = 3", "'benches.mine'"),
        ("[organ]\nhub = 'one/two'", "'organ'"),
        ("[organ]\nhub = 'one/two'\nrevision = 'main'", "'organ.revision'"),
        ("[organ]\nrevision = '" + 40 * "0" + "'", "'organ'"),
        ("[organ]\nmodel = 'm'\nhub = 'one/two'\nrevision = '" + 40 * "0" + "'", "'organ'"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tmp_path: Path, text: str, name: str) -> None:
    assert f"setting {name}" in refused(tmp_path, text)


def test_an_unknown_setting_of_the_environment_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOSURGEON_ORGAN__MAX_TOKEN", "5")
    with pytest.raises(UserError, match=r"'organ\.max_token'.*did you mean 'max_tokens'.*\(environment\)"):
        load_settings(None)


@pytest.mark.parametrize("text", ["seed = ", "[organ", "seed = 1\nseed = 2", "\x00", "seed = 1" + 5000 * "0"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    assert "not TOML" in refused(tmp_path, text)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "autosurgeon.toml"
    path.write_bytes("policy = 'ä.yaml'".encode("latin-1"))
    with pytest.raises(UserError, match="not TOML"):
        load_settings(path)


def test_a_missing_file_is_the_users_to_fix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_settings(tmp_path / "none.toml")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings(None).seed = 3  # type: ignore[misc]


def test_a_span_may_be_a_point_and_not_turned_around() -> None:
    assert Span(low=1, high=1).low == 1
    with pytest.raises(ValidationError, match="low is above high"):
        Span(low=2, high=1)


@pytest.mark.parametrize(
    "text",
    ["[store]\nurl = ['postgresql://ann:hunter2@host/db']", "store = 'postgresql://ann:hunter2@host/db'"],
)
def test_what_was_meant_as_the_stores_url_is_not_printed_again(tmp_path: Path, text: str) -> None:
    message = refused(tmp_path, text)
    assert "setting 'store" in message
    assert "hunter2" not in message


def test_settings_do_not_show_the_stores_url() -> None:
    settings = Settings(store={"url": "postgresql://ann:hunter2@host/db"})
    assert settings.store.url is not None
    assert "hunter2" not in f"{settings!r} {settings}"
