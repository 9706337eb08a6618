"""`autosurgeon doctor`: whether everything is here that a night run needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autosurgeon.cli.options import ConfigOption, JsonOption, WorkspaceOption
from autosurgeon.errors import ExitCode

if TYPE_CHECKING:
    from autosurgeon.config import Settings

STACK = ("torch", "transformers", "peft", "bitsandbytes", "safetensors", "accelerate")
ASK = f"""
import importlib.metadata, json
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
print(json.dumps({{name: version(name) for name in {STACK!r}}}))
"""
DEVICES = """
import json, torch
seen = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
found = [torch.cuda.get_device_properties(number) for number in seen]
print(json.dumps([[one.name, one.total_memory] for one in found]))
"""


def doctor(
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
    failpoints: Annotated[
        bool, typer.Option("--failpoints", help="List the places where a test can let the world fail, and end.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check interpreter, capsule stack, organ, policy, jail and disk; exit code 15 when something is missing."""
    if failpoints:
        _list_failpoints(as_json)
        return
    from autosurgeon.bench.selfcheck import check_jail
    from autosurgeon.cli.render import print_json, print_table
    from autosurgeon.errors import AutosurgeonError
    from autosurgeon.wiring import settings_of

    settings = settings_of(workspace, config)
    findings = []
    for name, look in _checks(workspace, settings).items():
        try:
            findings.append({"check": name, "ok": True, "found": look()})
        except (AutosurgeonError, OSError, subprocess.SubprocessError, ValueError) as error:
            findings.append({"check": name, "ok": False, "found": str(error)})
    findings += [
        {"check": f"jail: {promise}", "ok": holds, "found": seen}
        for promise, holds, seen in check_jail(settings.grading)
    ]
    if as_json:
        print_json(findings)
    else:
        rows = [(finding["check"], "passed" if finding["ok"] else "failed", finding["found"]) for finding in findings]
        print_table("doctor", ("check", "result", "found"), rows)
    if not all(finding["ok"] for finding in findings):
        raise typer.Exit(ExitCode.FINDING)


def _checks(workspace: Path, settings: Settings) -> dict[str, Callable[[], str]]:
    """What is looked at, by name; each says what it found, or raises."""
    return {
        "interpreter": _interpreter,
        "capsule stack": lambda: _stack(settings.capsule.python or sys.executable),
        "device": lambda: _device(settings.capsule.python or sys.executable),
        "memory": lambda: _memory(settings.capsule.memory_gib),
        "organ": lambda: _organ(settings),
        "benches": lambda: _benches(workspace, settings),
        "policy": lambda: _policy(settings.policy_file),
        "disk": lambda: _disk(workspace, settings.loop.min_free_mib),
        "capsules' end": _capsules_end,
    }


def _list_failpoints(as_json: bool) -> None:
    from autosurgeon.cli.render import print_json, print_table
    from autosurgeon.failpoints import ACTIONS, FAILPOINTS, VARIABLE

    if as_json:
        print_json([{"failpoint": name, "where": where} for name, where in FAILPOINTS.items()])
        return
    print_table(f"{VARIABLE}=name:{'|'.join(ACTIONS)}[:n]", ("failpoint", "where"), list(FAILPOINTS.items()))


def _interpreter() -> str:
    return f"Python {sys.version.split()[0]} on {sys.platform}"


def _stack(python: str) -> str:
    from autosurgeon.errors import UserError

    done = subprocess.run([python, "-c", ASK], capture_output=True, text=True, timeout=60, check=True)
    versions = json.loads(done.stdout)
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        raise UserError(
            f"{', '.join(missing)} not installed", wanted="pip install 'autosurgeon[capsule]'", where=python
        )
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _device(python: str) -> str:
    """What capsules compute on; UserError where there is a GPU that this torch cannot use."""
    from autosurgeon.errors import UserError

    done = subprocess.run([python, "-c", DEVICES], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise UserError("torch cannot be asked", got=(done.stderr.strip().splitlines() or [""])[-1], where=python)
    found = json.loads(done.stdout.splitlines()[-1])
    if found:
        return ", ".join(f"{name}, {size / (1 << 30):.0f} GiB" for name, size in found)
    if shutil.which("nvidia-smi"):
        raise UserError(
            "there is a GPU that torch cannot use", wanted="the build of torch for its driver", where=python
        )
    return "no GPU: capsules compute on the CPU, which suits the lab; a model of 0.5B wants a GPU"


def _memory(limit_gib: float) -> str:
    total_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    told = f"{total_gib:.0f} GiB; a capsule may take {limit_gib:g} (setting capsule.memory_gib)"
    return told if limit_gib <= total_gib else f"{told}, so the kernel would be the one to end it"


def _organ(settings: Settings) -> str:
    from autosurgeon.wiring import organ_at_hand

    folder = organ_at_hand(settings).organ_folder
    return f"{sum(file.stat().st_size for file in folder.glob('*.safetensors')) / 1e6:.1f} MB of weights in {folder}"


def _benches(workspace: Path, settings: Settings) -> str:
    from collections import Counter

    from autosurgeon.wiring import tasks_in

    sizes = Counter(task.bench for task in tasks_in(workspace, settings).values())
    return ", ".join(f"{bench}: {count} tasks" for bench, count in sizes.items())


def _policy(file: Path) -> str:
    from autosurgeon.policy.load import load_policy

    policy = load_policy(file)
    return f"{policy.name}, {len(policy.rules)} rules"


def _capsules_end() -> str:
    from autosurgeon.runner.cgroup import make_cgroup, own_cgroup, remove_cgroup

    own = own_cgroup()
    group = make_cgroup(own)
    if group is None:
        return (
            "no cgroup v2 that may be divided: a keeper process kills what a capsule started; where it is killed too, "
            "only the capsule's own process dies with it (systemd-run --user --scope -p Delegate=yes gives a cgroup)"
        )
    remove_cgroup(group)
    return f"each capsule has a cgroup of its own, below {own}, and is killed as a whole"


def _disk(workspace: Path, wanted_mib: int) -> str:
    from autosurgeon.errors import UserError

    folder = next(path for path in (workspace.resolve(), *workspace.resolve().parents) if path.exists())
    free_mib = shutil.disk_usage(folder).free >> 20
    if free_mib < wanted_mib:
        raise UserError("the disk is nearly full", got=f"{free_mib} MiB free", wanted=wanted_mib, where=folder)
    return f"{free_mib} MiB free"
