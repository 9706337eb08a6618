"""The composition root: the one file that builds concrete objects."""

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
"""What every command but `run` names: what is in force stays."""


def settings_of(
    workspace: Path, config: Path | None = None, *, seed: int | None = None, policy: Path | None = None
) -> Settings:
    """Settings of a workspace: the named config file, or its own `autosurgeon.toml`, or the defaults."""
    own = workspace / CONFIG_FILE
    return load_settings(config or (own if own.is_file() else None), seed=seed, policy=policy)


def lab_tasks() -> dict[str, Task]:
    """The shipped benches, by task id."""
    tasks = [task for bench, _, _ in BENCHES for task in read_tasks(shipped("data", "lab", f"{bench}.jsonl"))]
    return {task.task_id: task for task in tasks}


def tasks_in(root: Path, settings: Settings) -> dict[str, Task]:
    """The tasks of a workspace by id: those of its settings' benches, or the lab's where they name none."""
    return read_benches(settings.benches, Workspace(root.resolve()).relatives) if settings.benches else lab_tasks()


def organ_at_hand(settings: Settings) -> Settings:
    """The settings with the organ's folder, a hub's checkpoint fetched; UserError if it cannot be, or is refused."""
    if settings.organ.hub is not None and settings.organ.revision is not None:
        folder = fetch_checkpoint(settings.organ.hub, settings.organ.revision)
        settings = settings.model_copy(update={"organ": settings.organ.model_copy(update={"model": folder})})
    check_base(settings.organ_folder)
    return settings.model_copy(update={"organ": with_prompt(settings.organ, settings.organ_folder)})


def model_folder(root: Path, settings: Settings, model: Path | None, pack: str | None) -> tuple[str, Path]:
    """The name and the verified folder of what a command shall bench: a checkpoint, a pack, or the organ itself."""
    if model is not None and pack is not None:
        raise UserError("a model and a pack were named", wanted="one of --model and --pack")
    if pack is not None:
        packs = PackStore(Workspace(root.resolve()).packs)
        with open_store(root) as store:
            digest = store.find_pack(pack)
        packs.verify(digest)
        return digest, packs.path(digest)
    if model is None:
        folder = organ_at_hand(settings).organ_folder
        return settings.organ.hub or folder.name, folder
    check_checkpoint(model)
    return model.name, model


def folder_source(settings: Settings, capsules: Capsules, model: tuple[str, Path], scratch: Path) -> Source:
    """Whoever answers from a folder of weights, by name and folder."""
    from autosurgeon.benchrun.answer_sources import FolderSource
    from autosurgeon.loop.stages.generate_answers import Model

    return FolderSource(capsules, with_prompt(settings.organ, model[1]), Model(*model), scratch)


def served_source(settings: Settings, url: str, api_key: SecretStr | None, served: str | None) -> Source:
    """Whoever answers at an address; the server is asked for the names of its models."""
    # Here, and not above: the HTTP client takes a tenth of a second that nobody else has to wait.
    from autosurgeon.benchrun.answer_sources import ServedSource
    from autosurgeon.serving.completions import Server, choose_model
    from autosurgeon.serving.link import address_of

    server = Server(address_of(url), settings.serving, api_key)
    return ServedSource(server, choose_model(server, served), settings.organ.max_new_tokens)


def fallback_source(settings: Settings, capsules: Capsules, scratch: Path) -> Source:
    """The model that the settings name to stand in for the organ."""
    named = settings.fallback
    if named.url is not None:
        return served_source(settings, named.url, named.api_key, named.served)
    if named.model is None:
        raise UserError("modes A and C need a fallback", wanted=f"model or url under [fallback] in {CONFIG_FILE}")
    check_checkpoint(named.model)
    return folder_source(settings, capsules, (named.model.name, named.model), scratch)


def policy_at(path: Path, file: Path | None, params: Overrides, config: Path | None = None) -> Policy:
    """The policy that a command judges with: the named file's, or what is in force on the workspace at a path.

    Where there is no workspace, or none that has run, it is that of the settings or the shipped one.
    """
    if file is None and path.is_dir():
        settings, workspace = settings_of(path, config), Workspace(path.resolve())
        # A folder of evidence is no workspace, wherever the environment keeps a memory.
        if workspace.database.is_file() or (settings.store.url is not None and workspace.decisions.is_file()):
            with open_store(path) as store:
                return policy_in_force(store, settings, params)
        return load_policy(settings.policy_file, params)
    return load_policy(file or shipped("policies", "bd62.yaml"), params)


def open_store(
    root: Path, *, writes: bool = False, as_it_is: bool = False
) -> contextlib.AbstractContextManager[SqlStore]:
    """The memory of a workspace that exists, at the place that its settings name; see `loop.traces.open_memory`.

    Args:
        root: the workspace's folder.
        writes: whether the memory, or what depends on it, is changed.
        as_it_is: open also a memory that does not fit the folder.

    """
    workspace = Workspace(root.resolve())
    return open_memory(workspace, settings_of(root).store.url or workspace.database, writes=writes, as_it_is=as_it_is)


def masking_in(root: Path) -> Masking:
    """What a workspace's settings want masked in what leaves it."""
    return masking_of(Workspace(root.resolve()), settings_of(root).audit.mask)


@contextlib.contextmanager
def hold_workspace(root: Path) -> Iterator[SqlStore]:
    """The memory of a workspace that is there already, while no loop works on it."""
    with open_store(root, writes=True) as store, workspace_lock(Workspace(root.resolve()).lock):
        yield store


@contextlib.contextmanager
def open_capsules(
    settings: Settings, home: Path, beat: Beat = no_beat, meter: Meter | None = None, report: Report = no_report
) -> Iterator[Capsules]:
    """Capsules, whose warm server ends with the block."""
    capsules = Capsules(settings.capsule, home, beat, meter, report)
    try:
        yield capsules
    finally:
        capsules.close()


def refuse_unusable(policy: Policy, file: Path) -> None:
    """Refuse a policy that cannot be evaluated here, or by which a whole night could accept nothing."""
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
    """Everything that a run needs, under the workspace's lock; let go of, whatever happens.

    Args:
        root: the workspace.
        settings: of the workspace; their policy and seed count for its first run.
        reporter: shown what happens.
        brakes: what ends the run.
        named: the policy, parameters and seed that a person names; the workspace's own count otherwise.
        beat: called while work goes on.

    """
    workspace = Workspace(root.resolve())
    refuse_read_only(workspace)
    if named.policy is not None or (settings.store.url is None and not workspace.database.exists()):
        # A policy that cannot be used is refused before anything is made.
        file = named.policy or settings.policy_file
        refuse_unusable(load_policy(file, named.params), file)
    settings = organ_at_hand(settings)
    check_stack(settings.capsule.python, Quantization(settings.organ.quantization))
    grader = Grader(settings.grading, beat, settings.benches)
    if grader.level == "plain" and not settings.grading.allow_plain_jail:
        raise UserError(
            "no sandbox works on this machine, and programs of a model would run unattended",
            got="the plain jail",
            wanted="bubblewrap installed, or grading.allow_plain_jail = true",
            where="autosurgeon doctor tells more",
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
    """A person's organ answers whatever it is asked; only the lab's runtime has a route that leaks."""
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
    """Everything that a run needs in an empty folder, with a mind where the capsules have a model; no reports.

    Args:
        root: where to work.
        settings: of the run that is simulated.
        model: what stands for the organ.
        tasks: by id.
        reporter: told of the passes.
        brakes: what ends the run.
        policy: what judges.

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
