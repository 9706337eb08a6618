"""Streamed merge against peft's merge_and_unload and save_pretrained, on a random model of Qwen2.5-0.5B's shape.

    python tests/benchmarks/merge.py [--rank 16] [--repeats 3]

Each runs in a process of its own, so that peak memory is its own; imports are left out of the time, the flush to disk
is not. Prints seconds, peak resident memory, and whether the merged tensors are the same bit for bit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MAKE = """
import sys, torch
from pathlib import Path
from peft import LoraConfig, get_peft_model
from transformers import Qwen2Config, Qwen2ForCausalLM
folder, rank = Path(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(0)
config = Qwen2Config(vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24,
    num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True, max_position_embeddings=32768)
model = Qwen2ForCausalLM(config).to(torch.bfloat16)
model.save_pretrained(folder / "base")
adapted = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))
for name, weight in adapted.named_parameters():
    if "lora_" in name:
        torch.nn.init.normal_(weight, std=0.02)
adapted.save_pretrained(folder / "adapter")
"""
MEASURE = """
import json, resource, sys, time
from pathlib import Path
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir()
{imports}
began = time.perf_counter()
{work}
seconds = time.perf_counter() - began
print(json.dumps({{"seconds": seconds, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}}))
"""
STREAMED = MEASURE.format(
    imports="from autosurgeon.capsule.merge import merge\nfrom autosurgeon.core.jobs import MergeJob",
    work="merge(MergeJob(base=folder / 'base', adapter=folder / 'adapter'), out)",
)
PEFT = MEASURE.format(
    imports="import os, torch\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM",
    work=(
        "model = AutoModelForCausalLM.from_pretrained(folder / 'base', dtype=torch.bfloat16)\n"
        "PeftModel.from_pretrained(model, str(folder / 'adapter')).merge_and_unload().save_pretrained(out / 'model')\n"
        "descriptor = os.open(out / 'model' / 'model.safetensors', os.O_RDONLY); os.fsync(descriptor)"
    ),
)
COMPARE = """
import sys, torch
from safetensors import safe_open
one, two = (safe_open(sys.argv[i] + "/model/model.safetensors", "pt") for i in (1, 2))
names = set(one.keys()) | set(two.keys())
print(sum(not torch.equal(one.get_tensor(n), two.get_tensor(n)) for n in names), len(names))
"""


def run(code: str, *arguments: object) -> str:
    """A fresh interpreter's last line of output."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(MAKE, folder, options.rank)
        results: dict[str, list[dict[str, Any]]] = {"streamed": [], "peft": []}
        for repeat in range(options.repeats):
            for label, code in (("streamed", STREAMED), ("peft", PEFT)):
                results[label].append(json.loads(run(code, folder, folder / f"{label}-{repeat}")))
        different, tensors = run(COMPARE, folder / "streamed-0", folder / "peft-0").split()
        print(f"{'merge':10} {'best s':>8} {'worst s':>8} {'peak GB':>8}")
        for label, runs in results.items():
            times = [run["seconds"] for run in runs]
            print(f"{label:10} {min(times):8.2f} {max(times):8.2f} {max(run['peak_gb'] for run in runs):8.2f}")
        best = {label: min(run["seconds"] for run in runs) for label, runs in results.items()}
        peak = {label: max(run["peak_gb"] for run in runs) for label, runs in results.items()}
        faster, smaller = best["peft"] / best["streamed"], peak["peft"] / peak["streamed"]
        print(f"peft over streamed: {faster:.1f} x the time, {smaller:.1f} x the memory")
        print(f"tensors that differ: {different} of {tensors}")


if __name__ == "__main__":
    main()
