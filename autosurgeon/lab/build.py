"""Build and check the shipped lab: three bench files, and a base model trained from scratch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from autosurgeon.bench.envelopes import Answer, grade_answers
from autosurgeon.bench.formats.native import write_tasks
from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.bench.grade import Grader
from autosurgeon.bench.splits import split_of
from autosurgeon.core.envelope import ORGAN, Condition, Mode
from autosurgeon.core.jobs import GenerateJob, GenerateResult, PretrainJob, PretrainResult
from autosurgeon.core.ports import CapsuleRunner, OnProgress
from autosurgeon.core.task import Task
from autosurgeon.core.value import Value
from autosurgeon.errors import UserError
from autosurgeon.lab.corpus import BENCHES, bench_tasks, pretraining_rows
from autosurgeon.packs.checkpoint import stage_checkpoint
from autosurgeon.packs.files import hash_file
from autosurgeon.sections import OrganSettings

MANIFEST = "manifest.json"
SHARE_WANTED = (0.25, 0.60)
"""The range of the base's share of wins on lab-mbpp and lab-humaneval, so that there are wins to lose and to gain."""


class LabRecipe(Value):
    """The recipe of the shipped base; a changed value makes another lab."""

    rows: int = 32000
    rare_share: float = 0.008
    """The share of rows with an option that the base shall fail; without any, surgery does not generalize."""
    vocabulary: int = 768
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    batch_rows: int = 32
    lr: float = 2e-3
    seed: int = 2


class LabManifest(Value):
    """The recipe, files and measurements of a built lab."""

    format: str = "autosurgeon.lab/1"
    recipe: LabRecipe
    parameters: int
    tokens: int
    loss: float
    wins: dict[str, int]
    files: dict[str, str]
    """SHA-256 by file name."""


def build_lab(
    capsules: CapsuleRunner, grader: Grader, target: Path, recipe: LabRecipe, on_progress: OnProgress
) -> LabManifest:
    """Write the bench files, train the base, measure it, and write the manifest last.

    Raises:
        UserError: the target exists already; nothing is overwritten.

    """
    if target.exists():
        raise UserError("the target of a lab build exists already", got=target, wanted="a new folder, with --target")
    work = target.with_name(target.name + ".part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    tasks = bench_tasks(split_of)
    for bench, _, _ in BENCHES:
        write_tasks(work / f"{bench}.jsonl", [task for task in tasks if task.bench == bench])
    rows = work / "rows.jsonl"
    with rows.open("w", encoding="utf-8") as file:
        for row in pretraining_rows(recipe.rows, recipe.rare_share, recipe.seed):
            file.write(json.dumps(row._asdict()) + "\n")
    shape = recipe.model_dump(exclude={"rows", "rare_share"})
    result = capsules.run(PretrainJob(rows=rows.resolve(), **shape), work / "pretrain", on_progress)
    assert isinstance(result, PretrainResult)
    stage_checkpoint(work / "pretrain" / result.model, work / "base")
    wins = bench_base(capsules, grader, work / "base", tasks, work / "check", on_progress)
    for part in ("pretrain", "check"):
        shutil.rmtree(work / part)
    rows.unlink()
    manifest = LabManifest(
        recipe=recipe,
        parameters=result.parameters,
        tokens=result.tokens,
        loss=result.loss,
        wins=wins,
        files=_digests(work),
    )
    (work / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    work.rename(target)
    return manifest


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {str(path.relative_to(folder)): hash_file(path) for path in files}


def bench_base(
    capsules: CapsuleRunner, grader: Grader, model: Path, tasks: list[Task], workdir: Path, on_progress: OnProgress
) -> dict[str, int]:
    """Return a model's wins per bench; the model answers every prompt."""
    workdir.mkdir(parents=True, exist_ok=True)
    prompts = workdir / "prompts.jsonl"
    stops = {"stdin": "end", "function": "function"}
    prompts.write_text(
        "".join(json.dumps({"task_id": t.task_id, "prompt": t.prompt, "stop": stops[t.kind]}) + "\n" for t in tasks),
        encoding="utf-8",
    )
    organ = OrganSettings()
    job = GenerateJob(
        model=model.resolve(),
        prompts=prompts.resolve(),
        max_new_tokens=organ.max_new_tokens,
        batch_rows=organ.generate_batch_rows,
    )
    result = capsules.run(job, workdir / "generate", on_progress)
    assert isinstance(result, GenerateResult)
    cond = Condition(
        mode=Mode.ORGAN_ALONE, pack=model.name, handler=ORGAN, fallback=False, fingerprint=result.fingerprint
    )
    with (workdir / "generate" / result.completions).open(encoding="utf-8") as lines:
        texts = {row["task_id"]: row["completion"] for row in map(json.loads, lines)}
    wins = dict.fromkeys((bench for bench, _, _ in BENCHES), 0)
    for envelope in grade_answers(grader, [Answer(task, texts[task.task_id], cond) for task in tasks]):
        wins[envelope.bench] += envelope.passed
    return wins


def check_lab(
    capsules: CapsuleRunner, grader: Grader, folder: Path, workdir: Path, say: Callable[[str, bool], None]
) -> bool:
    """Compare a lab with its manifest, its generator and its range of wins, and return whether all checks pass.

    `say` receives the text of each check and whether it passes. UserError if the folder holds no lab.
    """
    try:
        manifest = LabManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise UserError("there is no lab here", got=str(error).splitlines()[0], where=folder) from error
    passed: list[bool] = []

    def report(text: str, good: bool) -> None:
        passed.append(good)
        say(text, good)

    found = _digests(folder)
    changed = sorted(
        name for name in manifest.files.keys() | found.keys() if manifest.files.get(name) != found.get(name)
    )
    report(f"files as built: {', '.join(changed) if changed else 'all'}", not changed)
    generated = bench_tasks(split_of)
    shipped = [task for bench, _, _ in BENCHES for task in read_tasks(folder / f"{bench}.jsonl")]
    report(f"tasks as generated: {len(shipped)}", generated == shipped)
    wins = bench_base(capsules, grader, folder / "base", shipped, workdir, lambda done, total, metrics: None)
    check_shares(wins, report)
    return all(passed)


def check_shares(wins: Mapping[str, int], report: Callable[[str, bool], None]) -> None:
    """Report whether the base's share of wins on each bench is in its range."""
    low, high = SHARE_WANTED
    for bench, _, size in BENCHES:
        share = wins[bench] / size
        is_checked = bench != "lab-lcb"
        wanted = f"wanted {low:.0%} to {high:.0%}" if is_checked else "with the route repaired"
        report(
            f"{bench}: the base wins {wins[bench]} of {size} ({share:.0%}), {wanted}",
            not is_checked or low <= share <= high,
        )
