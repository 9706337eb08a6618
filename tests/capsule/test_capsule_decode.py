"""The decode loop: rows are independent, ended rows leave the batch, and answers are those of transformers."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autosurgeon.capsule.attention import cache_argument
from autosurgeon.capsule.decode import Answer, Engine, Row
from autosurgeon.capsule.load_checkpoint import open_model, open_tokenizer
from autosurgeon.capsule.plain_decode import PaddedEngine, UncachedEngine, UnpaddedEngine
from autosurgeon.capsule.stop_tokens import DedentTokens
from autosurgeon.config import shipped
from autosurgeon.core.answers import cut

BASE = shipped("data", "lab", "base")
PROMPTS = [f"# Write a function solve(xs): the sum, plus {n}{' and so on' * (n % 4)}.\n" for n in range(24)]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return open_tokenizer(BASE)


def engine_of(tokenizer: Any, rows: int = 24, temperature: float = 0.0, engine: type[Engine] = Engine) -> Engine:
    return engine(open_model(BASE).eval(), tokenizer, rows=rows, slots=200, temperature=temperature)


def rows_of(tokenizer: Any, prompts: list[str] = PROMPTS, *, dedent: bool = True) -> list[Row]:
    return [Row(tokenizer(prompt)["input_ids"], dedent, seed) for seed, prompt in enumerate(prompts)]


def test_greedy_answers_are_those_of_transformers(tokenizer: Any) -> None:
    model = open_model(BASE).eval()
    found = engine_of(tokenizer).complete(rows_of(tokenizer, dedent=False), 40)
    for prompt, answer in zip(PROMPTS[:8], found, strict=False):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        whole = model.generate(ids, max_new_tokens=40, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        assert answer.text == tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_the_answer_of_a_row_does_not_depend_on_its_batch(tokenizer: Any, temperature: float) -> None:
    rows, engine = rows_of(tokenizer), engine_of(tokenizer, temperature=temperature)
    together = engine.complete(rows, 50)
    assert engine.complete(rows[::-1], 50)[::-1] == together
    assert [engine.complete([row], 50)[0] for row in rows[:5]] == together[:5]


@pytest.mark.parametrize("kind", [PaddedEngine, UnpaddedEngine, UncachedEngine])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_each_decode_loop_gives_the_same_answers(
    tokenizer: Any, kind: type[Engine], temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autosurgeon.capsule.prefill.PREFILL_TOKENS", 100)
    rows = rows_of(tokenizer)[:12]
    found = engine_of(tokenizer, temperature=temperature, engine=kind).complete(rows, 30)
    assert found == engine_of(tokenizer, temperature=temperature).complete(rows, 30)


@pytest.mark.parametrize("kind", [Engine, PaddedEngine, UnpaddedEngine])
def test_ended_rows_leave_the_batch_with_complete_answers(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, kind: type[Engine]
) -> None:
    rows, engine = rows_of(tokenizer), engine_of(tokenizer, engine=kind)
    widths: list[int] = []
    advance = engine._advance

    def noted(count: int) -> None:
        widths.append(count)
        advance(count)

    monkeypatch.setattr(engine, "_advance", noted)
    shrinking = engine.complete(rows, 60)
    assert widths[0] == 24
    assert widths[-1] < 24
    monkeypatch.setattr("autosurgeon.capsule.decode.SMALLEST_BATCH", 1000)
    assert engine.complete(rows, 60) == shrinking


def test_less_frequent_checks_change_no_text(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, engine = rows_of(tokenizer), engine_of(tokenizer)
    often = [answer.text for answer in engine.complete(rows, 50)]
    engine._check_every = 16
    assert [answer.text for answer in engine.complete(rows, 50)] == often


def test_each_seed_draws_its_own_answers(tokenizer: Any) -> None:
    ids = tokenizer(PROMPTS[0])["input_ids"]
    engine = engine_of(tokenizer, temperature=1.5)
    answers = engine.complete([Row(ids, True, seed) for seed in (1, 2, 3, 1)], 40)
    assert answers[0] == answers[3]
    assert len({answer.text for answer in answers}) > 1


def test_samples_of_one_prompt_share_its_prefill_with_equal_answers(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(tokenizer, temperature=0.8)
    rows = [Row(tokenizer(PROMPTS[n // 3])["input_ids"], False, n) for n in range(8)]
    alone = [engine.complete([row], 12)[0] for row in rows]
    read: list[int] = []
    read_prompts = engine._prefill

    def noted(prompts: list[list[int]], start: int) -> torch.Tensor:
        read.append(len(prompts))
        return read_prompts(prompts, start)

    monkeypatch.setattr(engine, "_prefill", noted)
    assert engine.complete(rows, 12) == alone
    assert read == [3]
    monkeypatch.setattr("autosurgeon.capsule.prefill.PREFILL_TOKENS", 2 * len(rows[0].ids))
    assert engine.complete(rows, 12) == alone
    assert sum(read[1:]) == 3
    assert len(read) > 2


def test_a_row_ends_at_its_stop_and_is_cut_before_it(tokenizer: Any) -> None:
    engine = engine_of(tokenizer)
    (free,) = engine.complete(rows_of(tokenizer, PROMPTS[:1], dedent=False), 60)
    stop = free.text[10:14]
    (row,) = rows_of(tokenizer, PROMPTS[:1], dedent=False)
    (stopped,) = engine.complete([row._replace(stops=(stop,))], 60)
    assert stopped.text == cut(free.text, False, stops=(stop,))
    assert stopped.tokens < free.tokens


def test_an_answer_of_one_token_and_a_prompt_of_one_token_work(tokenizer: Any) -> None:
    answers = engine_of(tokenizer).complete([Row(tokenizer("def")["input_ids"][:1], True, 0)], 1)
    assert [type(answer) for answer in answers] == [Answer]
    assert answers[0].tokens == 1


def test_every_token_at_which_a_function_can_end_is_suspected(tokenizer: Any) -> None:
    dedents = DedentTokens(tokenizer, len(tokenizer) + 3, torch.device("cpu"))
    text = "    return 1\n\n    # more\nprint(solve(2))\nx = [\n]\n"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    flags = [False] + [
        bool(dedents.suspects(torch.tensor(before), torch.tensor(token))) for before, token in itertools.pairwise(ids)
    ]
    for count in range(1, len(ids) + 1):
        now, before = tokenizer.decode(ids[:count]), tokenizer.decode(ids[: count - 1])
        if cut(now, True) != now and cut(before, True) == before:
            assert flags[count - 1]
    assert not bool(dedents.suspects(torch.tensor(0), torch.tensor(len(tokenizer) + 2)))


@pytest.mark.parametrize("name", ["cache", "past_key_values"])
def test_the_cache_is_passed_by_the_keyword_of_the_installed_transformers(name: str) -> None:
    decoder = SimpleNamespace(forward=eval(f"lambda input_ids, {name}=None, **rest: None"))
    assert cache_argument(decoder) == name
