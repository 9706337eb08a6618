"""Presets of `init`: settings for organs of known sizes, and the text of the settings file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autosurgeon.errors import UserError, nearest
from autosurgeon.sections import BenchSettings


class Batches(NamedTuple):
    """Sizes of batches and limits of capsules, on a GPU or a CPU."""

    train_rows: int
    generate_rows: int
    capsule_gib: int
    capsule_wall_s: int


class Preset(NamedTuple):
    """Settings for an organ of a known size."""

    about: str
    reference_lr: float
    max_tokens: int
    max_new_tokens: int
    cpu: Batches
    gpu: Batches


CPU = Batches(train_rows=8, generate_rows=16, capsule_gib=16, capsule_wall_s=14400)
GPU = Batches(train_rows=8, generate_rows=256, capsule_gib=32, capsule_wall_s=3600)
PRESETS: Mapping[str, Preset] = {
    "qwen2.5-coder-0.5b": Preset(
        about="a base code model of 0.5B parameters on HumanEval, MBPP and LiveCodeBench, as in the incident",
        reference_lr=1e-4,
        max_tokens=1024,
        max_new_tokens=512,
        cpu=CPU,
        gpu=GPU,
    ),
    "generic": Preset(
        about="a base code model of 0.1B to 3B parameters",
        reference_lr=1e-4,
        max_tokens=1024,
        max_new_tokens=512,
        cpu=CPU,
        gpu=GPU,
    ),
}

# The incident used MBPP's tasks 11 to 110, the first hundred of the published test part: it names Mbpp/14 as its
# lowest loss and Mbpp/105 as its highest.
INCIDENT_ROWS = {"mbpp": {"first": 11, "count": 100}, "livecodebench": {"count": 50}}
# Contest problems have dozens of tests and no reference that shows their time.
LIMITS = {"livecodebench": {"cpu_s": 30.0, "wall_s": 120.0}}


def preset_of(name: str) -> Preset:
    """Find a preset by name; UserError for an unknown one."""
    if name not in PRESETS:
        raise UserError("there is no such preset", got=repr(name), wanted=nearest(name, PRESETS))
    return PRESETS[name]


def published_bench(name: str, file: Path, rows: int | None) -> BenchSettings:
    """Return a published bench with the incident's rows, at most the first `rows` of them."""
    taken = INCIDENT_ROWS.get(name, {})
    if rows is not None:
        taken = taken | {"count": min(rows, taken.get("count", rows))}
    return BenchSettings.model_validate({"tasks": file.resolve(), "format": name, **taken, **LIMITS.get(name, {})})


_LAB = """\
# Settings of autosurgeon for the embedded lab, with its own organ and benches.
# `autosurgeon init --organ PATH` writes settings for your own organ.

[lab]
stdin_route = "planner"    # "organ" repairs the lab's leaking route, so that lab-lcb counts
"""
_HEAD = """\
# Settings of autosurgeon: {about}.
# Only the organ answers (mode B). The policy is bd62.yaml unless `policy` names another.
# Relative paths start at this file's folder.

[organ]
{organ}
prompt = "{prompt}"    # completion, or chat by the checkpoint's template
reference_lr = {reference_lr:g}    # a high but safe rate for this organ; the policy bounds the ratio to it
max_tokens = {max_tokens}        # of a training row
max_new_tokens = {max_new_tokens}     # of an answer
train_batch_rows = {batches.train_rows}    # rows of an optimizer step
generate_batch_rows = {batches.generate_rows}    # answers at once; results are compared only under equal values
quantization = "{quantization}"    # of the frozen base in training

[capsule]
memory_gib = {batches.capsule_gib}    # host memory of a capsule and its child processes
wall_s = {batches.capsule_wall_s}
"""


def lab_file() -> str:
    """Return the text of the lab's settings."""
    return _LAB


def organ_lines(organ: str, revision: str | None) -> str:
    """Return the settings of the organ: a folder, or a commit of a checkpoint on the hub."""
    return f"hub = {_text(organ)}\nrevision = {_text(revision)}" if revision else f"model = {_text(organ)}"


def settings_file(
    preset: Preset, organ: str, benches: Mapping[str, BenchSettings], *, gpu: bool, prompt: str = "completion"
) -> str:
    """Return the text of a settings file: the preset's values, and a table for each bench."""
    head = _HEAD.format(
        about=preset.about,
        organ=organ,
        prompt=prompt,
        reference_lr=preset.reference_lr,
        max_tokens=preset.max_tokens,
        max_new_tokens=preset.max_new_tokens,
        batches=preset.gpu if gpu else preset.cpu,
        quantization="nf4" if gpu else "none",
    )
    return "\n".join([head, *(_table(name, bench) for name, bench in benches.items())])


def _table(name: str, bench: BenchSettings) -> str:
    lines = [f"[benches.{name}]", f"tasks = {_text(str(bench.tasks))}", f'format = "{bench.format}"']
    lines += _numbers(bench, ("first", "count", "cpu_s", "wall_s"))
    return "\n".join(lines) + "\n"


def _numbers(bench: BenchSettings, names: Sequence[str]) -> list[str]:
    given = bench.model_dump(exclude_unset=True, exclude_none=True)
    return [f"{name} = {given[name]:g}" for name in names if name in given]


def _text(value: str | None) -> str:
    """Quote a string for TOML, whose basic strings differ from JSON only in DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
