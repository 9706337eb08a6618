"""Presets of `init`: what fits an organ of a known size, as data, and the settings file that is written from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from autosurgeon.errors import UserError, nearest
from autosurgeon.sections import BenchSettings


class Batches(NamedTuple):
    """What one step holds, on a GPU or on a CPU."""

    train_rows: int
    generate_rows: int
    capsule_gib: int
    capsule_wall_s: int


class Preset(NamedTuple):
    """The settings of an organ of a known size."""

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
        about="the incident's pipeline: a base code model of 0.5B parameters on HumanEval, MBPP and LiveCodeBench",
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

# The incident's MBPP rows are tasks 11 to 110, the first hundred of the published test part; with them it names
# Mbpp/14 as its lowest loss and Mbpp/105 as its highest.
INCIDENT_ROWS = {"mbpp": {"first": 11, "count": 100}, "livecodebench": {"count": 50}}
# Contest problems have dozens of tests and no reference that says how long they take.
LIMITS = {"livecodebench": {"cpu_s": 30.0, "wall_s": 120.0}}


def preset_of(name: str) -> Preset:
    """The preset of a name; UserError with the nearest for an unknown one."""
    if name not in PRESETS:
        raise UserError("there is no such preset", got=repr(name), wanted=nearest(name, PRESETS))
    return PRESETS[name]


def published_bench(name: str, file: Path, rows: int | None) -> BenchSettings:
    """A published bench with the rows that the incident ran, of which only the first so many where `rows` says so."""
    taken = INCIDENT_ROWS.get(name, {})
    if rows is not None:
        taken = taken | {"count": min(rows, taken.get("count", rows))}
    return BenchSettings.model_validate({"tasks": file.resolve(), "format": name, **taken, **LIMITS.get(name, {})})


_LAB = """\
# Settings of autosurgeon. As they are they run the embedded lab, with its own organ and benches.
# `autosurgeon init --organ PATH` writes settings for an organ of yours.

[lab]
stdin_route = "planner"    # "organ" repairs the lab's leaking route and makes lab-lcb a target
"""
_HEAD = """\
# Settings of autosurgeon: {about}.
# The organ answers alone (mode B); the policy is the default one, bd62.yaml, unless `policy` names another.
# Relative paths begin at this file's folder.

[organ]
{organ}
prompt = "{prompt}"    # as text to complete, or by the checkpoint's chat template
reference_lr = {reference_lr:g}    # warm but safe for this organ; the policy bounds the ratio to it
max_tokens = {max_tokens}        # of a training row
max_new_tokens = {max_new_tokens}     # of an answer
train_batch_rows = {batches.train_rows}    # rows of an optimizer step
generate_batch_rows = {batches.generate_rows}    # answers at once; part of the conditions that results compare under
quantization = "{quantization}"    # of the frozen base while it trains

[capsule]
memory_gib = {batches.capsule_gib}    # of host memory, for a capsule and all that it starts
wall_s = {batches.capsule_wall_s}
"""


def lab_file() -> str:
    """The text of the lab's settings."""
    return _LAB


def organ_lines(organ: str, revision: str | None) -> str:
    """The settings that name the organ: a folder, or a hub's checkpoint by commit."""
    return f"hub = {_text(organ)}\nrevision = {_text(revision)}" if revision else f"model = {_text(organ)}"


def settings_file(
    preset: Preset, organ: str, benches: Mapping[str, BenchSettings], *, gpu: bool, prompt: str = "completion"
) -> str:
    """The text of a settings file: the preset's values, and a table for each bench."""
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
    """A basic string of TOML, which is one of JSON but for what only JSON escapes."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
