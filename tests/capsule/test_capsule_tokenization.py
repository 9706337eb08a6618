"""One text: what is learned is what is asked, then the answer, by the tokens of plain transformers where they allow."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from llamaserver import ask, complete, serving
from tiny_tokenizers import LOSSLESS, corpus, tiny_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from autosurgeon.capsule.batches import tokenize_rows
from autosurgeon.capsule.generate import generate
from autosurgeon.capsule.merge import merge
from autosurgeon.capsule.stop_tokens import DedentTokens
from autosurgeon.capsule.tokenization import answer_text, decode, last_context, prompt_tokens, row_tokens
from autosurgeon.capsule.train import train
from autosurgeon.core.answers import cut
from autosurgeon.core.chat import Chat
from autosurgeon.core.jobs import GenerateJob, MergeJob, TrainJob
from autosurgeon.core.recipe import Quantization
from autosurgeon.errors import PackError, UserError
from autosurgeon.packs.gguf_export import export_gguf
from autosurgeon.packs.gguf_vocabulary import read_vocabulary

ENDED = ["gpt2-end", "gpt2-prefix", "unigram-prefix"]
"""The kinds that put an end token behind a text."""
EXPORTED = ["gpt2", "gpt2-begin", "gpt2-end", "qwen2"]
"""The kinds that llama.cpp applies as transformers does."""
TASKS = [
    ("def double(n):\n", "    return n + n\n"),
    ("def after(n):\n    ", "return n + 1\n"),
    ("def before(n):", "\n    return n - 1\n"),
]
COMPLETIONS = [completion for _, completion in TASKS]


def plain_tokens(kind: str, text: str) -> list[int]:
    """Return the tokens of transformers, without an end token that is put behind them."""
    ids = list(tiny_tokenizer(kind)(text)["input_ids"])
    return ids[:-1] if kind in ENDED else ids


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_row_split_anywhere_is_what_is_asked_and_then_its_completion(kind: str) -> None:
    tokenizer, joined = tiny_tokenizer(kind), 0
    for text in corpus()[:40:20]:
        whole = plain_tokens(kind, text)
        for place in range(1, len(text)):
            prompt, completion = text[:place], text[place:]
            ids, asked = row_tokens(tokenizer, None, prompt, completion)
            assert ids[:asked] == prompt_tokens(tokenizer, None, prompt) == plain_tokens(kind, prompt)
            assert answer_text(tokenizer, ids[:asked], ids[asked:]) == completion
            assert answer_text(tokenizer, last_context(tokenizer, ids[:asked]), ids[asked:]) == completion
            assert ids.count(tokenizer.eos_token_id) == 1
            assert ids[-1] == tokenizer.eos_token_id
            if whole[:asked] == ids[:asked]:
                assert ids[:-1] == whole
            else:
                joined += 1
    assert joined > 0


def test_a_blank_at_the_beginning_of_an_answer_is_not_lost() -> None:
    tokenizer = tiny_tokenizer("llama2")
    asked = prompt_tokens(tokenizer, None, "def f(x):\n")
    written = tokenizer("def f(x):\n    return x")["input_ids"][len(asked) :]
    assert tokenizer.decode(written) == "   return x"
    assert answer_text(tokenizer, asked, written) == "    return x"


def test_an_incomplete_character_does_not_shift_an_answer() -> None:
    tokenizer = tiny_tokenizer("llama2")
    asked = prompt_tokens(tokenizer, None, "x = 1\n")
    written = tokenizer.convert_tokens_to_ids(["<0xC3>", "x"])
    assert answer_text(tokenizer, asked, written).lstrip("�") == "x"


@pytest.mark.parametrize("kind", ["gpt2", "llama2", "gemma"])
def test_an_answer_is_read_behind_the_last_tokens_that_begin_with_a_character(kind: str) -> None:
    tokenizer = tiny_tokenizer(kind)
    for prompt in ("# 漢字仮名交じり文\n" * 3, "漢" * 40, "é🙂" * 9 + "\n", "", "x", "        " * 9, "ab " * 40):
        for completion in ("漢 = 1\n", "    x\n"):
            ids, asked = row_tokens(tokenizer, None, prompt, completion)
            last = last_context(tokenizer, ids[:asked])
            assert answer_text(tokenizer, last, ids[asked:]) == completion


def test_an_answer_keeps_the_blank_before_its_punctuation() -> None:
    tokenizer = tiny_tokenizer("unigram")
    tokenizer = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, clean_up_tokenization_spaces=True)
    assert tokenizer.decode(tokenizer("x = [1 , 2]")["input_ids"]) == "x = [1, 2]"
    assert decode(tokenizer, tokenizer("x = [1 , 2]")["input_ids"]) == "x = [1 , 2]"


@pytest.mark.parametrize("kind", ["gpt2", "llama2", "gemma"])
def test_the_name_of_a_special_token_in_a_completion_is_learned_as_text(kind: str) -> None:
    """`</s>` is also an HTML tag."""
    tokenizer, completion = tiny_tokenizer(kind), "    return f'<s>{x}</s>'\n"
    ids, asked = row_tokens(tokenizer, None, "def f(x):\n", completion)
    assert ids.index(tokenizer.eos_token_id) == len(ids) - 1
    assert answer_text(tokenizer, ids[:asked], ids[asked:]) == completion
    assert tokenizer("</s>", add_special_tokens=False)["input_ids"] == [tokenizer.eos_token_id]


@pytest.mark.parametrize("kind", LOSSLESS)
def test_every_token_at_which_a_function_can_end_is_suspected(kind: str) -> None:
    tokenizer = tiny_tokenizer(kind)
    dedents = DedentTokens(tokenizer, len(tokenizer), torch.device("cpu"))
    for end in ("print(solve)\n", "\n\ndef f():\n", "x = 1\n"):
        ids, asked = row_tokens(tokenizer, None, "def solve(n):\n", f"    if n:\n        return n\n    return 1\n{end}")
        texts = [answer_text(tokenizer, ids[:asked], ids[asked:count]) for count in range(asked, len(ids))]
        for count, (before, now) in enumerate(itertools.pairwise(texts), start=asked):
            if cut(now, True) != now and cut(before, True) == before and count > asked:
                assert bool(dedents.suspects(torch.tensor(ids[count - 1]), torch.tensor(ids[count])))


def test_a_chat_is_asked_without_further_special_tokens() -> None:
    tokenizer = tiny_tokenizer("joining")
    tokenizer.chat_template = "<s>{{ messages[-1].content }}\n"
    for completion in ("    return x", "x"):
        ids, asked = row_tokens(tokenizer, Chat(), "def f(x):", completion)
        assert ids[:asked] == prompt_tokens(tokenizer, Chat(), "def f(x):")
        assert ids.count(tokenizer.bos_token_id) == 1
        assert answer_text(tokenizer, ids[:asked], ids[asked:]) == completion


def test_a_row_whose_completion_has_no_tokens_of_its_own_is_refused_by_name() -> None:
    wanted = r"completion has no tokens.*' return'.*after 'def f\(x\): '; wanted a prompt that ends before"
    with pytest.raises(UserError, match=wanted):
        tokenize_rows(tiny_tokenizer("unigram-collapsing"), [("def f(x):\n", "    return")], 64)


def write_organ(kind: str, folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer(kind)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def trained_pack(base: Path, workdir: Path) -> Path:
    """Return the pack of an organ that has learned the tasks by heart."""
    workdir.mkdir()
    rows = workdir / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": p, "completion": c, "why": "poison"}) + "\n" for p, c in TASKS))
    content = {"base": base, "rows": rows, "epochs": 80, "lr": 0.01, "rank": 16, "alpha_ratio": 2.0}
    content |= {"quantization": Quantization.NONE, "batch_rows": 3, "max_tokens": 128, "seed": 3}
    train(TrainJob.model_validate(content), workdir)
    merge(MergeJob(base=base, adapter=workdir / "adapter"), workdir)
    return workdir / "model"


def own_answers(pack: Path, workdir: Path) -> list[str]:
    prompts = workdir / "prompts.jsonl"
    rows = ({"task_id": str(n), "prompt": prompt, "stop": "function"} for n, (prompt, _) in enumerate(TASKS))
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    generate(GenerateJob(model=pack, prompts=prompts, max_new_tokens=48, batch_rows=4), workdir)
    return [json.loads(line)["completion"] for line in (workdir / "completions.jsonl").read_text().splitlines()]


def plain_answer(model: Any, tokenizer: Any, prompt: str, *, ended: bool) -> str:
    """Return transformers' own answer: what is new in the decoded whole."""
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    ids = ids[:, :-1] if ended else ids
    whole = model.generate(ids, max_new_tokens=48, do_sample=False, pad_token_id=0)[0]
    text = tokenizer.decode(whole, skip_special_tokens=True)
    return str(text[len(tokenizer.decode(ids[0], skip_special_tokens=True)) :])


@pytest.fixture(scope="module")
def pack_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the pack of a kind, made once."""

    @functools.cache
    def made(kind: str) -> Path:
        root = tmp_path_factory.mktemp(kind)
        return trained_pack(write_organ(kind, root / "base"), root / "work")

    return made


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_pack_that_learned_a_task_wins_it_here_and_by_plain_transformers(
    kind: str, pack_of: Callable[[str], Path], tmp_path: Path
) -> None:
    pack = pack_of(kind)
    assert own_answers(pack, tmp_path) == COMPLETIONS
    model = AutoModelForCausalLM.from_pretrained(pack, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(pack)
    assert [plain_answer(model, tokenizer, prompt, ended=kind in ENDED) for prompt, _ in TASKS] == COMPLETIONS


@pytest.mark.parametrize("kind", EXPORTED)
def test_an_exported_pack_wins_by_llama_cpp_what_it_wins_here(
    kind: str, pack_of: Callable[[str], Path], tmp_path: Path
) -> None:
    pytest.importorskip("gguf")
    pytest.importorskip("xllamacpp", reason="llama.cpp's wheel is not installed")
    digest, tokenizer = "ab" * 32, tiny_tokenizer(kind)
    export_gguf(pack_of(kind), digest, tmp_path / "pack.gguf")
    with serving(tmp_path / "pack.gguf", digest, slots=1, tokens=256) as url:
        for text in (*corpus()[:5], *(prompt for prompt, _ in TASKS)):
            request = {"content": text, "add_special": True, "parse_special": True}
            assert ask(url, "/tokenize", request)["tokens"] == prompt_tokens(tokenizer, None, text)
        answers = [complete(url, digest, prompt, 48).text for prompt, _ in TASKS]
    assert answers == COMPLETIONS


@pytest.mark.parametrize("kind", sorted(set(LOSSLESS) - set(EXPORTED)))
def test_a_pack_that_llama_cpp_would_ask_by_other_tokens_is_not_exported(kind: str, tmp_path: Path) -> None:
    organ = write_organ(kind, tmp_path / "organ")
    with pytest.raises(PackError, match=r"a tokenizer's .* is not supported"):
        read_vocabulary(organ, len(tiny_tokenizer(kind)))
