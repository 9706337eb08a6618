"""Tiny random checkpoints of many architectures, each with the lab's tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from ggufpacks import write_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

VOCABULARY = 734
"""That of the lab's tokenizer."""
WINDOW = 8
_COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 1,
}
_SLIDING: dict[str, Any] = {"sliding_window": WINDOW}
_ALTERNATING: dict[str, Any] = _SLIDING | {"layer_types": ["sliding_attention", "full_attention"]}
_HEADS: dict[str, Any] = {"head_dim": 8}
_ALL_KEYS: dict[str, Any] = {"num_key_value_heads": 4}
_EXPERTS: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_ROUTED: dict[str, Any] = _EXPERTS | {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
_LATENT: dict[str, Any] = _ALL_KEYS | {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
}
_OLD: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "apertus": {},
    "arcee": {},
    "bitnet": {},
    "bloom": {"n_layer": 2, "n_head": 4},
    "codegen": _OLD | _ALL_KEYS | {"rotary_dim": 4, "n_inner": 64},
    "cohere": {"logit_scale": 0.25},
    "cohere2": {"logit_scale": 0.25, **_ALTERNATING},
    "cwm": _HEADS | {"bos_token_id": 1, **_ALTERNATING},
    "deepseek_v2": _LATENT | _ROUTED,
    "diffllama": {},
    "ernie4_5": _HEADS,
    "exaone4": _ALTERNATING,
    "falcon": {"new_decoder_architecture": True, "num_kv_heads": 2, "bias": False},
    "falcon_h1": {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8},
    "gemma": _HEADS,
    "gemma2": _HEADS
    | {
        "sliding_window": WINDOW,
        "query_pre_attn_scalar": 8,
        "final_logit_softcapping": 4.0,
        "attn_logit_softcapping": 2.0,
    },
    "gemma3_text": _HEADS
    | {"sliding_window": WINDOW, "query_pre_attn_scalar": 8, "layer_types": ["sliding_attention", "full_attention"]},
    "glm": _HEADS,
    "glm4": _HEADS,
    "gpt2": _OLD | _ALL_KEYS,
    "gpt_bigcode": _OLD | _ALL_KEYS,
    "gpt_neo": _ALL_KEYS
    | {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": WINDOW},
    "gpt_neox": _ALL_KEYS,
    "gpt_oss": {"head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": WINDOW},
    "gptj": _OLD | _ALL_KEYS | {"rotary_dim": 4, "n_inner": 64},
    "granite": {"logits_scaling": 4.0, "embedding_multiplier": 2.0, "attention_multiplier": 0.3},
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2, "logits_scaling": 4.0},
    "helium": _HEADS,
    "hunyuan_v1_dense": _HEADS,
    "jamba": {"num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False},
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
    "llama": {},
    "mamba": {"state_size": 8},
    "ministral": _HEADS | _ALTERNATING,
    "mistral": _SLIDING,
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": WINDOW},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 256},
    "nemotron": _HEADS,
    "olmo": {"clip_qkv": 8.0},
    "olmo2": {},
    "olmo3": _ALTERNATING,
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "opt": _ALL_KEYS | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "persimmon": _ALL_KEYS,
    "phi": {"partial_rotary_factor": 0.5},
    "phi3": _SLIDING,
    "qwen2": {},
    "qwen2_moe": _EXPERTS | {"shared_expert_intermediate_size": 24},
    "qwen3": _HEADS,
    "qwen3_moe": _EXPERTS | _HEADS,
    "seed_oss": _HEADS,
    "smollm3": {"no_rope_layers": [1, 0]},
    "stablelm": {"partial_rotary_factor": 0.5},
    "starcoder2": _SLIDING,
    "xglm": _ALL_KEYS | {"d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 48},
    "bamba": {
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
        "mamba_chunk_size": 8,
        "attn_layer_indices": [1],
    },
    "biogpt": {},
    "cohere2_moe": _HEADS | _EXPERTS,
    "ctrl": _OLD | {"dff": 48},
    "deepseek_v3": _LATENT | _ROUTED,
    "dots1": _HEADS | _ROUTED,
    "ernie4_5_moe": _HEADS | {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 24},
    "exaone": {},
    "flex_olmo": _EXPERTS,
    "glm4_moe": _HEADS | _ROUTED,
    "hunyuan_v1_moe": _HEADS | {"num_experts": 4, "moe_topk": 2},
    "jetmoe": {"num_local_experts": 4},
    "lfm2_moe": _EXPERTS | {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "llama4_text": _HEADS
    | {
        "num_local_experts": 2,
        "interleave_moe_layer_step": 2,
        "attention_chunk_size": WINDOW,
        "intermediate_size_mlp": 48,
    },
    "mamba2": _HEADS | {"num_heads": 8, "state_size": 8, "n_groups": 1, "chunk_size": 8},
    "minimax": _HEADS | {"num_local_experts": 4},
    "ministral3": _HEADS,
    "nanochat": _HEADS,
    "openai-gpt": _OLD,
    "qwen3_next": _HEADS
    | _EXPERTS
    | {
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "layer_types": ["linear_attention", "full_attention"],
        "shared_expert_intermediate_size": 24,
    },
    "recurrent_gemma": _HEADS
    | {"attention_window_size": WINDOW, "lru_width": 32, "block_types": ["recurrent", "attention"]},
    "rwkv": {},
    "vaultgemma": _HEADS | _SLIDING | {"query_pre_attn_scalar": 8},
}
"""The settings of each architecture's config beside the common ones, by its `model_type`."""


def make_tiny(kind: str, folder: Path) -> Path:
    """Save a checkpoint whose biases, norms and attention all matter to its predictions."""
    config = AutoConfig.for_model(kind, **(_COMMON | ARCHITECTURES[kind]))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.mul_(0.2 / weight.std().clamp(min=1e-6) if "embed" not in name else 1.0)
            else:
                weight.add_(torch.randn_like(weight) * 0.1)
    model.to(torch.bfloat16).save_pretrained(folder)
    write_tokenizer(folder, kind)
    return folder
