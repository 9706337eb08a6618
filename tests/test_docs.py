"""Documentation agrees with the code: facts, rules, settings, commands, links and the README's own lines."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import reference
import typer.main

from autosurgeon.cli.main import app
from autosurgeon.config import load_settings
from autosurgeon.core.envelope import Mode
from autosurgeon.policy.expression import FUNCTIONS
from autosurgeon.policy.facts import FACTS, SLICES, Fact
from autosurgeon.policy.judge import VALIDITY, Validity
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.policy_tests import Case, CaseFile
from autosurgeon.policy.schema import BOUNDS, TOP_KEYS, Param, Rule

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
POLICY_FILES = sorted(set((ROOT / "policies").glob("*.yaml")) - set((ROOT / "policies").glob("*_test.yaml")))
POLICIES = (ROOT / "policies" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_every_fact_is_documented_with_type_unit_and_sentence(fact: Fact) -> None:
    assert f"| `{fact.name}` | {fact.phase} | {fact.type} | {fact.unit} | {fact.sentence} |" in POLICIES


@pytest.mark.parametrize("measure", SLICES)
def test_every_measure_of_a_slice_is_documented(measure: str) -> None:
    unit, sentence = SLICES[measure]
    assert f"| `{measure}` | {unit} | {sentence} |" in POLICIES


@pytest.mark.parametrize("validity", VALIDITY, ids=lambda validity: validity.rule_id)
def test_what_the_judge_asks_by_itself_is_documented(validity: Validity) -> None:
    assert f"`{validity.rule_id}`" in POLICIES


@pytest.mark.parametrize(
    "word",
    [
        *BOUNDS,
        "reject",
        "hold",
        "stop",
        "revert",
        "warn",
        *Rule.model_fields,
        *TOP_KEYS,
        *Param.model_fields,
        "disabled",
        *CaseFile.model_fields,
        *Case.model_fields,
    ],
)
def test_every_word_of_a_rule_is_documented(word: str) -> None:
    word = word.removesuffix("_")
    assert re.search(rf"`{word}`|^ *(- )?{word}:|[{{ ]{word}: ", POLICIES, re.MULTILINE)


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_every_function_of_an_expression_is_documented(function: str) -> None:
    called = re.search(r"What may be called: `([^`]*)`", POLICIES)
    assert called is not None
    assert function in called.group(1).split()


def test_the_rule_in_the_policies_readme_is_a_rule(tmp_path: Path) -> None:
    block = re.search(r"```yaml\n(.*?)```", POLICIES, re.DOTALL)
    assert block is not None
    example = block.group(1).split("rules:\n")[1]
    shipped = (ROOT / "policies" / "bd62.yaml").read_text(encoding="utf-8")
    extended = tmp_path / "extended.yaml"
    extended.write_text(shipped + example.replace("id: stop-earlier", "id: stop-earlier-still"), encoding="utf-8")
    assert load_policy(extended).rules[-1].id == "stop-earlier-still"


@pytest.mark.parametrize("path", POLICY_FILES, ids=lambda path: path.name)
def test_every_shipped_policy_is_sound_and_every_rule_has_its_lesson(path: Path) -> None:
    assert all(len(rule.lesson.split()) > 4 for rule in load_policy(path).rules)


@pytest.mark.parametrize("path", POLICY_FILES, ids=lambda path: path.name)
def test_every_shipped_policy_is_documented(path: Path) -> None:
    assert f"`{path.name}`" in POLICIES


def commands() -> list[str]:
    found = []
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]  # it is a group
        verbs = getattr(command, "commands", None)
        found += [f"{name} {verb}" for verb in verbs] if verbs else [name]
    return found


@pytest.mark.parametrize("command", commands())
def test_every_command_has_a_row_in_the_table_of_commands(command: str) -> None:
    noun, *verb = command.split()
    table = PAGES["commands.md"].partition(reference.MARK)[0]
    assert re.search(rf"`{noun}[^`]*{verb[0] if verb else ''}[^`]*`", table), command


def test_every_folder_of_the_house_is_on_the_map() -> None:
    for folder in sorted((ROOT / "autosurgeon").iterdir()):
        if folder.is_dir() and folder.name != "__pycache__":
            assert re.search(rf"^\s+{folder.name}/ +\S+", README, re.MULTILINE), folder.name


def test_the_two_set_up_commands_are_one_line_each_and_pin_torch() -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv ")]
    assert len(lines) == 2
    assert all("torch==2.13.0" in line for line in lines)
    assert lines[0].split("&&")[-1].strip().startswith(".venv/bin/autosurgeon run")
    assert lines[1].endswith(".venv/bin/pytest")


def test_every_setting_is_described_in_a_sentence() -> None:
    files = [ROOT / "autosurgeon" / name for name in ("sections.py", "endpoints.py")]
    nodes = [node for file in files for node in ast.parse(file.read_text(encoding="utf-8")).body]
    tables = [node for node in nodes if isinstance(node, ast.ClassDef) and node.name.endswith(("Settings", "Span"))]
    assert len(tables) > 5
    for section in tables:
        for field, after in zip(section.body, [*section.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and section.name != "Settings":
                assert isinstance(after, ast.Expr), f"{section.name}.{ast.unparse(field.target)}"


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", "".join(PAGES.values()), re.DOTALL))
def test_every_setting_that_the_documentation_shows_is_one(block: str, tmp_path: Path) -> None:
    (tmp_path / "autosurgeon.toml").write_text(block, encoding="utf-8")
    assert load_settings(tmp_path / "autosurgeon.toml").model_fields_set


def test_each_mode_has_a_row() -> None:
    assert all(re.search(rf"^\| `{mode.value}` \| \S+", PAGES["benches.md"], re.MULTILINE) for mode in Mode)


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 8 * 1024


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_reference_pages_match_the_code(name: str) -> None:
    assert PAGES[name] == reference.page(name), "run `python tests/support/reference.py`"


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_every_link_leads_to_a_file(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).is_file(), target


def test_every_page_is_linked_from_the_readme() -> None:
    assert all(f"(docs/{name})" in README for name in PAGES)


def test_the_changelog_is_kept() -> None:
    assert "## 0.1.0" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
