"""The lab's organ benched through llama.cpp against the pack's own answers; and what an export costs at a real size.

    python tests/benchmarks/llamacpp.py [--every 1] [--no-size]

Serves the organ's GGUF file, in BF16 and in FP32, and asks it all 264 tasks of lab-mbpp and lab-humaneval greedily.
Prints how many answers and results are the pack's own, and each task where an answer parts from it, with the lead of
llama.cpp's token over the second there, in nats. Then exports a random pack of Qwen2.5-0.5B's shape, in a process of
its own: seconds with the flush and the reading back, and peak resident memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from ggufpacks import checkpoint
from llamaserver import complete_all, difference, serving

from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.bench.grade import Grader
from autosurgeon.capsule.generate import generate
from autosurgeon.config import shipped
from autosurgeon.core.answers import cut
from autosurgeon.core.jobs import GenerateJob
from autosurgeon.core.task import Task
from autosurgeon.packs.gguf_export import Dtype, export_gguf
from autosurgeon.packs.packstore import PackStore
from autosurgeon.sections import GradingSettings

MAX_NEW_TOKENS = 80
DTYPES: tuple[Dtype, ...] = ("bf16", "f32")
SHAPE: dict[str, Any] = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
}
MEASURE = """
import json, re, sys, time
from pathlib import Path
import gguf
from autosurgeon.packs.gguf_export import export_gguf
began = time.perf_counter()
export_gguf(Path(sys.argv[1]), "ab" * 32, Path(sys.argv[2]), sys.argv[3])
seconds = time.perf_counter() - began
# Not getrusage, whose peak is inherited from the parent process.
peak_kib = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(json.dumps([seconds, peak_kib * 1024 / 1e9]))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1, help="ask only every so many tasks")
    parser.add_argument("--no-size", action="store_true", help="leave the export at a real size out")
    arguments = parser.parse_args()
    benches = ("lab-mbpp", "lab-humaneval")
    tasks = [task for bench in benches for task in read_tasks(shipped("data", "lab", f"{bench}.jsonl"))]
    with tempfile.TemporaryDirectory() as folder:
        hold_against_the_pack(Path(folder), tasks[:: arguments.every])
        if not arguments.no_size:
            export_at_size(Path(folder))


def hold_against_the_pack(folder: Path, tasks: Sequence[Task]) -> None:
    """Both ways to answer, task by task."""
    packs = PackStore(folder / "packs")
    digest = packs.import_checkpoint(shipped("data", "lab", "base")).digest
    rows = ({"task_id": task.task_id, "prompt": task.prompt, "stop": "function"} for task in tasks)
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    generate(
        GenerateJob(model=packs.path(digest), prompts=prompts, max_new_tokens=MAX_NEW_TOKENS, batch_rows=64), folder
    )
    lines = map(json.loads, (folder / "completions.jsonl").read_text().splitlines())
    own = {row["task_id"]: row["completion"] for row in lines}
    passed = grade(tasks, own)
    print(f"the pack itself: {sum(passed.values())} of {len(tasks)} won", flush=True)
    for dtype in DTYPES:
        file = folder / f"{dtype}.gguf"
        export_gguf(packs.path(digest), digest, file, dtype)
        with serving(file, digest) as url:
            began = time.perf_counter()
            replies = complete_all(url, digest, [task.prompt for task in tasks], MAX_NEW_TOKENS)
            seconds = time.perf_counter() - began
        theirs = {task.task_id: cut(one.text, True) for task, one in zip(tasks, replies, strict=True)}
        served = grade(tasks, theirs)
        pairs = zip(tasks, replies, strict=True)
        found = (difference(task, own[task.task_id], theirs[task.task_id], one) for task, one in pairs)
        parted = [one for one in found if one is not None]
        same = sum(passed[name] == served[name] for name in passed)
        print(
            f"llama.cpp, {dtype}: {sum(served.values())} won in {seconds:.0f} s; "
            f"{same} of {len(tasks)} results and {len(tasks) - len(parted)} answers are the pack's own",
            flush=True,
        )
        for one in parted:
            lead = "an answer ended" if one.lead is None else f"lead {one.lead:.4f}"
            print(f"  {one.task_id}: {passed[one.task_id]} -> {served[one.task_id]}, {lead}")


def grade(tasks: Sequence[Task], answers: Mapping[str, str]) -> dict[str, bool]:
    """What passes."""
    with Grader(GradingSettings()) as grader:
        grades = grader.stream((task, answers[task.task_id]) for task in tasks)
        return {task.task_id: grade.verdict == "pass" for task, grade in zip(tasks, grades, strict=True)}


def export_at_size(folder: Path) -> None:
    """A random pack of Qwen2.5-0.5B's shape."""
    checkpoint(folder / "large", **SHAPE)
    weights = (folder / "large" / "model.safetensors").stat().st_size / 1e9
    for dtype in DTYPES:
        command = [sys.executable, "-c", MEASURE, str(folder / "large"), str(folder / "large.gguf"), dtype]
        seconds, peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"export of {weights:.2f} GB at Qwen2.5-0.5B's shape, {dtype}: {seconds:.1f} s, peak {peak:.2f} GB")


if __name__ == "__main__":
    main()
