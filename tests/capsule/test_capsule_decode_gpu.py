"""On a GPU the decode loop replays graphs of fused layers, with the answers of transformers and peft."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from test_capsule_decode import BASE, PROMPTS

from autosurgeon.capsule.decode import Engine, Row
from autosurgeon.capsule.load_checkpoint import open_model, open_tokenizer

TOKENS = 60

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no NVIDIA GPU"),
]


def adapted() -> Any:
    """The lab's base in FP32, where near ties are rare, with an adapter that changes its answers."""
    torch.manual_seed(3)
    model = get_peft_model(open_model(BASE).float(), LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    return model.eval()


@pytest.mark.parametrize("with_adapter", [False, True])
def test_greedy_answers_are_those_of_transformers(with_adapter: bool) -> None:
    tokenizer = open_tokenizer(BASE)
    model = adapted() if with_adapter else open_model(BASE).float().eval()
    texts = []
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"].cuda()
        whole = model.generate(
            input_ids=ids, max_new_tokens=TOKENS, do_sample=False, pad_token_id=tokenizer.pad_token_id
        )
        texts.append(tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True))
    rows = [Row(tokenizer(prompt)["input_ids"], False, 0) for prompt in PROMPTS]
    engine = Engine(model, tokenizer, rows=len(rows), slots=200, temperature=0)
    for _ in range(2):  # recorded, and replayed
        assert [answer.text for answer in engine.complete(rows, TOKENS)] == texts
