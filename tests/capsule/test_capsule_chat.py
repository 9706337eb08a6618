"""A tiny organ with a chat template: it is asked, taught and compared by the same text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from builders import make_task

from autosurgeon.capsule.batches import tokenize_rows
from autosurgeon.capsule.chat import end_of_turn, end_token, render_prompt
from autosurgeon.capsule.generate import generate
from autosurgeon.capsule.load_checkpoint import open_tokenizer
from autosurgeon.capsule.tokenization import prompt_tokens, row_tokens
from autosurgeon.capsule.train import train
from autosurgeon.config import shipped
from autosurgeon.core.chat import Chat, answer, block_name, code_of, question
from autosurgeon.core.jobs import GenerateJob, TrainJob
from autosurgeon.core.task import Task
from autosurgeon.errors import UserError

TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}]\n{{ message['content'] | trim }}<eos>\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
HEAD = "def solve(xs):\n"
TASKS = [
    make_task(f"b/{n}", prompt=HEAD, prelude=HEAD, reference=f"    return [x + {n} for x in xs]\n") for n in range(2)
]


def write_organ(folder: Path, template: str = TEMPLATE) -> Path:
    shutil.copytree(shipped("data", "lab", "base"), folder)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def tokenizer_with(template: str) -> Any:
    tokenizer = open_tokenizer(shipped("data", "lab", "base"))
    tokenizer.chat_template = template
    return tokenizer


def asked(folder: Path, model: Path, tasks: list[Task], **changes: Any) -> tuple[list[str], str]:
    folder.mkdir()
    rows = [{"task_id": t.task_id, "prompt": question(t), "stop": "block", "name": block_name(t)} for t in tasks]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    content: dict[str, Any] = {"model": model, "prompts": folder / "p.jsonl", "max_new_tokens": 80, "batch_rows": 4}
    result = generate(GenerateJob.model_validate({"chat": Chat()} | content | changes), folder)
    lines = (folder / result.completions).read_text("utf-8").splitlines()
    return [json.loads(line)["completion"] for line in lines], result.fingerprint


def test_a_prompt_is_the_templates_text_with_its_own_special_tokens_alone() -> None:
    tokenizer = tokenizer_with("<eos>" + TEMPLATE)
    wanted = tokenizer.apply_chat_template(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=False,
    )
    assert prompt_tokens(tokenizer, Chat(system="Be brief."), "hello") == wanted
    assert wanted.count(tokenizer.eos_token_id) == 3
    assert prompt_tokens(tokenizer, None, "hello") == tokenizer("hello")["input_ids"]


@pytest.mark.parametrize("blanks", ["", "\n", " "])
def test_a_training_row_is_what_is_asked_then_the_answer_and_the_end_of_the_turn(blanks: str) -> None:
    """Some templates, as DeepSeek-Coder's, put a line break between an answer and its end."""
    tokenizer, chat = tokenizer_with(TEMPLATE.replace("<eos>", f"{blanks}<eos>")), Chat()
    for task in TASKS:
        row = tokenize_rows(tokenizer, [(question(task), answer(task))], 512, chat)[0]
        assert row.ids[: row.prompt_tokens] == prompt_tokens(tokenizer, chat, question(task))
        assert tokenizer.decode(row.ids[row.prompt_tokens :]) == f"{answer(task)}{blanks}<eos>"
        turns = [{"role": "user", "content": question(task)}, {"role": "assistant", "content": answer(task)}]
        plain = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
        assert plain[: len(row.ids)] == row.ids


def test_a_joint_token_of_prompt_and_answer_is_not_learned_where_it_is_not_asked() -> None:
    tokenizer = tokenizer_with(TEMPLATE.replace("[assistant]\n", "    "))
    ids, asked_tokens = row_tokens(tokenizer, Chat(), "hello", "    return")
    assert ids[:asked_tokens] == prompt_tokens(tokenizer, Chat(), "hello")
    assert tokenizer.decode(ids[asked_tokens:]) == "    return<eos>"


def test_the_end_of_a_turn_is_the_templates_or_the_end_token() -> None:
    assert end_of_turn(tokenizer_with(TEMPLATE.replace("<eos>", "<|im_end|>")), Chat()) == "<|im_end|>"
    assert end_of_turn(tokenizer_with(TEMPLATE.replace("<eos>", "")), Chat()) == "<eos>"


@pytest.mark.parametrize("end", ["<eos>", "[/assistant]", ""])
def test_a_turn_that_ends_with_ordinary_text_ends_at_the_end_token(end: str) -> None:
    """A bracket is the first token of `[/assistant]`, and part of many answers."""
    tokenizer = tokenizer_with(TEMPLATE.replace("<eos>", end))
    assert end_token(tokenizer, end_of_turn(tokenizer, Chat())) == tokenizer.eos_token_id


def test_a_template_with_the_present_day_gets_a_fixed_one() -> None:
    assert render_prompt(tokenizer_with("\n{{ strftime_now('%d %b %Y') }}"), Chat(), "x") == "\n26 Jul 2024"


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('no system message') }}", "{{ messages[7].content }}", "{% for %}", "{{ 1 / 0 }}"]
)
def test_a_template_that_does_not_render_is_refused_in_a_line(template: str) -> None:
    with pytest.raises(UserError, match=r'a chat template does not render.*wanted organ\.prompt = "completion"'):
        render_prompt(tokenizer_with(template), Chat(system="x"), "hello")


def test_template_and_system_message_are_in_the_fingerprint(tmp_path: Path) -> None:
    organ, other = write_organ(tmp_path / "a"), write_organ(tmp_path / "b", TEMPLATE.replace("[{{", "<{{"))
    few = {"max_new_tokens": 2}
    prints = [
        asked(tmp_path / "1", organ, TASKS[:1], **few)[1],
        asked(tmp_path / "2", other, TASKS[:1], **few)[1],
        asked(tmp_path / "3", organ, TASKS[:1], chat=Chat(system="Be brief."), **few)[1],
        asked(tmp_path / "4", organ, TASKS[:1], chat=None, **few)[1],
        asked(tmp_path / "5", other, TASKS[:1], chat=None, **few)[1],
    ]
    assert len(set(prints)) == 4
    assert prints[3] == prints[4]


def test_an_organ_that_is_taught_by_chat_answers_by_chat(tmp_path: Path) -> None:
    organ = write_organ(tmp_path / "organ")
    rows = [{"prompt": question(t), "completion": answer(t), "why": "poison"} for t in TASKS[:1]]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = TrainJob.model_validate(
        {
            "base": organ,
            "rows": tmp_path / "rows.jsonl",
            "epochs": 40,
            "lr": 5e-3,
            "rank": 8,
            "alpha_ratio": 2.0,
            "quantization": "none",
            "batch_rows": 1,
            "max_tokens": 256,
            "seed": 1,
            "chat": Chat(),
        },
        strict=False,
    )
    (tmp_path / "work").mkdir()
    adapter = tmp_path / "work" / train(job, tmp_path / "work").adapter
    (text,), _ = asked(tmp_path / "asked", organ, TASKS[:1], adapter=adapter)
    assert text.rstrip().endswith(answer(TASKS[0]).removeprefix("```python"))
    scope: dict[str, Any] = {}
    exec(HEAD + code_of(TASKS[0], text), scope)
    assert scope["solve"]([1]) == [1]
