"""The names of a model's tensors in its checkpoint, where transformers renames them as it loads the file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key


def stored_names(base: Path, stored: Iterable[str]) -> dict[str, str]:
    """Return the name of each stored tensor by its name in the model; reads no weights."""
    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    transforms, tensors = get_model_conversion_mapping(model), model.state_dict()
    renamings = [transform for transform in transforms if isinstance(transform, WeightRenaming)]
    converters = [transform for transform in transforms if isinstance(transform, WeightConverter)]
    return {
        rename_source_key(name, renamings, converters, model.base_model_prefix, tensors)[0]: name for name in stored
    }
