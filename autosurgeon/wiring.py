"""The composition root: the only file that builds concrete objects."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from autosurgeon.audit.mask import Masking, masking_of
from autosurgeon.bench.formats.read import read_tasks
from autosurgeon.bench.grade import Grader
from autosurgeon.config import CONFIG_FILE, Settings, load_settings, shipped
from autosurgeon.core.ports import Beat, Report, Reporter, no_beat, no_report
from autosurgeon.core.recipe import Quantization
from autosurgeon.core.task import Task
from autosurgeon.core.workspace import Workspace
from autosurgeon.errors import PolicyError, UserError
from autosurgeon.lab.corpus import BENCHES
from autosurgeon.lab.dispatcher import Dispatcher
from autosurgeon.loop.baseline.bench_tasks import read_benches
from autosurgeon.loop.engine.in_force import Named, choose, find_source, policy_in_force
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.limits import Limits
from autosurgeon.loop.keys import ready_key
from autosurgeon.loop.memory.traces import open_memory
from autosurgeon.packs.chat_template import with_prompt
from autosurgeon.packs.checkpoint import check_base, check_checkpoint
from autosurgeon.packs.hub import fetch_checkpoint
from autosurgeon.packs.packstore import PackStore
from autosurgeon.policy.findings import find
from autosurgeon.policy.load import load_policy
from autosurgeon.policy.params import Overrides
from autosurgeon.policy.rehearsal import rehearse
from autosurgeon.policy.schema import Policy
from autosurgeon.proposer.bounds import Bounds, clip
from autosurgeon.proposer.sampler import Proposer
from autosurgeon.runner.capsules import Capsules
from autosurgeon.runner.stack import check_stack
from autosurgeon.runner.usage_meter import Meter
from autosurgeon.simulator.graded_answers import TrustingGrader
from autosurgeon.simulator.setup import simulated_settings
from autosurgeon.simulator.simulated_capsules import MindedCapsules, Modelless
from autosurgeon.simulator.weights import write_checkpoint
from autosurgeon.store.lock import workspace_lock
from autosurgeon.store.place import refuse_read_only
from autosurgeon.store.sqlstore import SqlStore

if TYPE_CHECKING:
    from autosurgeon.benchrun.answer_sources import Source

NOTHING_NAMED = Named()
"""No policy, parameters or seed, so that those in force stay, as in every command except `run`."""


def settings_of(
    workspace: Path, config: Path | None = None, *, seed: int | None = None, policy: Path | None = None
) -> Settings:
    """Load a workspace's settings: from the named config file, its own `autosurgeon.toml`, or the defaults."""
    own = workspace / CONFIG_FILE
    return load_settings(config or (own if own.is_file() else None), seed=seed, policy=policy)


def lab_tasks() -> dict[str, Task]:
    """Read the shipped benches' tasks by id."""
    tasks = [task for bench, _, _ in BENCHES for task in read_tasks(shipped("data", "lab", f"{bench}.jsonl"))]
    return {task.task_id: task for task in tasks}


def tasks_in(root: Path, settings: Settings) -> dict[str, Task]:
    """Read a workspace's tasks by id: those of its settings' benches, or the lab's without any."""
    return read_benches(settings.benches, Workspace(root.resolve()).relatives) if settings.benches else lab_tasks()


def with_organ_folder(settings: Settings) -> Settings:
    """Return the settings with the organ's folder, downloading it if needed; UserError for an invalid organ."""
    if settings.organ.hub is not None and settings.organ.revision is not None:
        folder = fetch_checkpoint(settings.organ.hub, settings.organ.revision)
        settings = settings.model_copy(update={"organ": settings.organ.model_copy(update={"model": folder})})
    check_base(settings.organ_folder)
    return settings.model_copy(update={"organ": with_prompt(settings.organ, settings.organ_folder)})


def model_folder(root: Path, settings: Settings, model: Path | None, pack: str | None) -> tuple[str, Path]:
    """Return the name and the verified folder of the model to bench: a checkpoint, a pack, or the organ."""
    if model is not None and pack is not None:
        raise UserError("only one model can be benched", got="--model and --pack", wanted="one of them")
    if pack is not None:
        packs = PackStore(Workspace(root.resolve()).packs)
        with open_store(root) as store:
            digest = store.find_pack(pack)
        packs.verify(digest)
        return digest, packs.path(digest)
    if model is None:
        folder = with_organ_folder(settings).organ_folder
        return settings.organ.hub or folder.name, folder
    check_checkpoint(model)
    return model.name, model


def folder_source(settings: Settings, capsules: Capsules, model: tuple[str, Path], scratch: Path) -> Source:
    """Build the source of answers from a folder of weights."""
    from autosurgeon.benchrun.answer_sources import FolderSource
    from autosurgeon.loop.stages.generate_answers import Model

    return FolderSource(capsules, with_prompt(settings.organ, model[1]), Model(*model), scratch)


def served_source(settings: Settings, url: str, api_key: SecretStr | None, served: str | None) -> Source:
    """Build the source of answers from a server, which is asked for its models' names."""
    # Imported here, since the HTTP client takes a tenth of a second to import.
    from autosurgeon.benchrun.answer_sources import ServedSource
    from autosurgeon.serving.completions import Server, choose_model
    from autosurgeon.serving.link import address_of

    server = Server(address_of(url), settings.serving, api_key)
    return ServedSource(server, choose_model(server, served), settings.organ.max_new_tokens)


def fallback_source(settings: Settings, capsules: Capsules, scratch: Path) -> Source:
    """Build the source of the fallback model in the settings."""
    named = settings.fallback
    if named.url is not None:
        return served_source(settings, named.url, named.api_key, named.served)
    if named.model is None:
        raise UserError("modes A and C need a fallback", wanted=f"model or url under [fallback] in {CONFIG_FILE}")
    check_checkpoint(named.model)
    return folder_source(settings, capsules, (named.model.name, named.model), scratch)


def policy_at(path: Path, file: Path | None, params: Overrides, config: Path | None = None) -> Policy:
    """Load the policy of a command: the named file's, or the one in force in the workspace at a path.

    Without a workspace, or one that has run, it is the settings' policy or the shipped one.
    """
    if file is None and path.is_dir():
        settings, workspace = settings_of(path, config), Workspace(path.resolve())
        # A folder of evidence is not a workspace, even if the environment names a memory.
        if workspace.database.is_file() or (settings.store.url is not None and workspace.decisions.is_file()):
            with open_store(path) as store:
                return policy_in_force(store, settings, params)
        return load_policy(settings.policy_file, params)
    return load_policy(file or shipped("policies", "bd62.yaml"), params)


def open_store(
    root: Path, *, writes: bool = False, unchecked: bool = False
) -> contextlib.AbstractContextManager[SqlStore]:
    """Open the memory of an existing workspace, where its settings place it; see `loop.memory.traces.open_memory`.

    Args:
        root: the workspace's folder.
        writes: whether the memory or a file that depends on it is changed.
        unchecked: also open a memory that does not match the folder.

    """
    workspace = Workspace(root.resolve())
    return open_memory(workspace, settings_of(root).store.url or workspace.database, writes=writes, unchecked=unchecked)


def masking_in(root: Path) -> Masking:
    """Build the masking of a workspace's settings."""
    return masking_of(Workspace(root.resolve()), settings_of(root).audit.mask)


@contextlib.contextmanager
def hold_workspace(root: Path) -> Iterator[SqlStore]:
    """Open the memory of an existing workspace under its lock, so that no loop runs on it."""
    with open_store(root, writes=True) as store, workspace_lock(Workspace(root.resolve()).lock):
        yield store


@contextlib.contextmanager
def open_capsules(
    settings: Settings, home: Path, beat: Beat = no_beat, meter: Meter | None = None, report: Report = no_report
) -> Iterator[Capsules]:
    """Yield capsules; their warm server ends with the block."""
    capsules = Capsules(settings.capsule, home, beat, meter, report)
    try:
        yield capsules
    finally:
        capsules.close()


def refuse_unusable(policy: Policy, file: Path) -> None:
    """Refuse a policy that cannot be evaluated or can never accept a pass."""
    rehearse(policy)
    for found in find(policy):
        if found.level == "error":
            raise PolicyError(f"{found.rule_id}: {found.message}", wanted="see `autosurgeon policy check`", where=file)


@contextlib.contextmanager
def open_loop(
    root: Path,
    settings: Settings,
    reporter: Reporter,
    brakes: Limits,
    named: Named = NOTHING_NAMED,
    beat: Beat = no_beat,
) -> Iterator[Instruments]:
    """Build everything for a run under the workspace's lock; all of it is closed with the block.

    Args:
        root: the workspace.
        settings: the workspace's settings; their policy and seed apply to its first run.
        reporter: shows events.
        brakes: the limits that end the run.
        named: policy, parameters and seed that a person names; otherwise the workspace's.
        beat: called during work.

    """
    workspace = Workspace(root.resolve())
    refuse_read_only(workspace)
    if named.policy is not None or (settings.store.url is None and not workspace.database.exists()):
        # An unusable policy is refused before any file is created.
        file = named.policy or settings.policy_file
        refuse_unusable(load_policy(file, named.params), file)
    settings = with_organ_folder(settings)
    check_stack(settings.capsule.python, Quantization(settings.organ.quantization))
    grader = Grader(settings.grading, beat, settings.benches)
    if grader.level == "plain" and not settings.grading.allow_plain_jail:
        raise UserError(
            "no sandbox works on this machine, and a model's programs would run unattended",
            got="the plain jail",
            wanted="bubblewrap installed, or grading.allow_plain_jail = true",
            where="see `autosurgeon doctor`",
        )
    tasks = tasks_in(root, settings)
    with contextlib.ExitStack() as stack:
        stack.enter_context(workspace_lock(workspace.lock))
        memory = open_memory(workspace, settings.store.url or workspace.database, create=True, writes=True)
        store = stack.enter_context(memory)
        stack.enter_context(store.sole_loop())
        ready_key(workspace, store, settings.audit.checkpoint_copy, reporter.say)
        chosen = choose(store, settings, named)
        file = find_source(chosen.file) if chosen.file is not None else settings.policy_file
        refuse_unusable(chosen.policy, file)
        bounds = clip(settings.search, chosen.policy)
        settings = settings.model_copy(update={"seed": chosen.seed, "policy": file})
        opened = open_capsules(settings, workspace.capsule_home, beat, meter := Meter(), reporter.say)
        capsules = stack.enter_context(opened)
        yield Instruments(
            settings=settings,
            workspace=workspace,
            policy=chosen.policy,
            policy_file=chosen.file,
            assigned=chosen.assigned,
            notes=chosen.notes,
            tasks=tasks,
            store=store,
            packs=PackStore(workspace.packs, beat),
            capsules=capsules,
            grader=grader,
            dispatcher=dispatcher_of(settings),
            proposer=_proposer(settings, bounds),
            reporter=reporter,
            brakes=brakes,
            beat=beat,
            meter=meter,
        )


def dispatcher_of(settings: Settings) -> Dispatcher:
    """Build the dispatcher: a user's organ answers every task; only the lab has a leaking route."""
    return Dispatcher("organ" if settings.benches else settings.lab.stdin_route)


def _proposer(settings: Settings, bounds: Bounds) -> Proposer:
    return Proposer(
        bounds,
        settings.search,
        seed=settings.seed,
        reference_lr=settings.organ.reference_lr,
        quantization=Quantization(settings.organ.quantization),
    )


@contextlib.contextmanager
def open_simulated_loop(
    root: Path,
    settings: Settings,
    model: Modelless,
    tasks: Mapping[str, Task],
    reporter: Reporter,
    brakes: Limits,
    policy: Policy,
) -> Iterator[Instruments]:
    """Build everything for a simulated run in an empty folder, with a simulated model and no reports.

    Args:
        root: the folder.
        settings: settings of the simulated run.
        model: the simulated organ.
        tasks: tasks by id.
        reporter: shows the passes.
        brakes: the limits that end the run.
        policy: the policy.

    """
    workspace = Workspace(root.resolve())
    refuse_unusable(policy, settings.policy_file)
    bounds = clip(settings.search, policy)
    settings = simulated_settings(settings, root / "organ")
    write_checkpoint(settings.organ_folder, model.base, model.adapted)
    check_base(settings.organ_folder)
    with contextlib.closing(SqlStore(workspace.database, create=True)) as store:
        yield Instruments(
            settings=settings,
            workspace=workspace,
            policy=policy,
            tasks=tasks,
            store=store,
            packs=PackStore(workspace.packs),
            capsules=MindedCapsules(model.mind, workspace.stage("scope", "stage").parent.parent),
            grader=TrustingGrader(settings.grading),
            dispatcher=dispatcher_of(settings),
            proposer=_proposer(settings, bounds),
            reporter=reporter,
            brakes=brakes,
            reports=False,
        )
