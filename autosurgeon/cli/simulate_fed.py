"""`autosurgeon simulate --fed-by`: a repetition of a recorded loop's decisions from its task results."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from autosurgeon.errors import ExitCode

if TYPE_CHECKING:
    from autosurgeon.config import Settings
    from autosurgeon.core.task import Task
    from autosurgeon.policy.params import Overrides
    from autosurgeon.policy.schema import Policy
    from autosurgeon.simulator.agreement import Difference
    from autosurgeon.store.sqlstore import SqlStore

MOST_SHOWN = 20


def repeat(
    fed_by: Path, config: Path | None, seed: int | None, policy: Sequence[Path], params: Overrides, *, as_json: bool
) -> None:
    """Repeat a workspace's loop on its measurements and compare the decisions; exit code 15 on a difference."""
    from autosurgeon.cli.render import print_json, say
    from autosurgeon.cli.view import counting
    from autosurgeon.errors import UserError
    from autosurgeon.policy.load import load_policy
    from autosurgeon.wiring import open_store, settings_of, tasks_in

    if len(policy) > 1:
        raise UserError("--fed-by takes one policy", got=len(policy), wanted="at most one --policy")
    settings = settings_of(fed_by, config, seed=seed, policy=policy[0] if policy else None)
    rules = load_policy(settings.policy_file, params) if policy or params else None
    with open_store(fed_by) as store, counting("passes") as progress:
        if seed is None:
            settings = settings.model_copy(update={"seed": _recorded_seed(store, settings.seed)})
        found = run_again(store, fed_by, settings, tasks_in(fed_by, settings), rules, progress)
        decisions, passes = len(store.decisions()), len(store.passes())
    if as_json:
        differences = [difference._asdict() for difference in found.differences]
        print_json({"passes": passes, "decisions": decisions, "differences": differences, "parted": found.parted})
    else:
        for difference in found.differences[:MOST_SHOWN]:
            say(_line(difference))
        if found.parted:
            say(f"the run ended early: {found.parted}")
        parts = len({difference.decision for difference in found.differences})
        alike = f"{parts} differ from the record" if found.differences else "all as recorded"
        say(f"{decisions} decisions of {passes} passes repeated: {alike}")
    if found.differences or found.parted:
        raise typer.Exit(ExitCode.FINDING)


def _recorded_seed(store: SqlStore, otherwise: int) -> int:
    """Read the seed of the last pass; `otherwise` if it is not recorded."""
    last = store.last_passes(1)
    seed = last[0].contract.seed if last and last[0].contract else None
    return otherwise if seed is None else seed


def _recorded_policy(store: SqlStore, settings: Settings) -> Policy:
    """Read the policy of the last pass; the settings' policy if none is recorded."""
    from autosurgeon.loop.engine.in_force import kept_policy
    from autosurgeon.policy.load import load_policy

    last = store.last_passes(1)
    if not last or last[0].contract is None:
        return load_policy(settings.policy_file)
    return kept_policy(store, last[0].contract.policy)


class Again(NamedTuple):
    """The result of a repetition."""

    differences: list[Difference]
    parted: str | None
    """What the repetition needed and the record lacks; None if it completed."""


def run_again(
    store: SqlStore,
    workspace: Path,
    settings: Settings,
    tasks: Mapping[str, Task],
    policy: Policy | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Again:
    """Repeat the loop of a memory on its task results, in a temporary folder.

    Without a policy, the last pass's policy is used.
    """
    from autosurgeon.core.shapes import lora_parameters_of
    from autosurgeon.core.workspace import Workspace
    from autosurgeon.loop.engine.limits import Limits
    from autosurgeon.loop.run_passes import run
    from autosurgeon.simulator.agreement import differences, refuse_what_cannot_repeat
    from autosurgeon.simulator.fed import Fed, UnrecordedError
    from autosurgeon.simulator.setup import QuietReporter, quiet_log, scratch
    from autosurgeon.simulator.simulated_capsules import Modelless
    from autosurgeon.wiring import open_simulated_loop

    policy = policy or _recorded_policy(store, settings)
    passes = refuse_what_cannot_repeat(store, settings, policy, tasks)
    mind, parted = Fed(store, tasks), None
    adapted = lora_parameters_of(Workspace(workspace.resolve()).packs / mind.base.decode(), 1)
    ended = itertools.count(1)
    reporter, model = QuietReporter(lambda: progress(next(ended), passes)), Modelless(mind, mind.base, adapted)
    brakes = Limits(passes=passes)
    with (
        quiet_log(),
        scratch() as root,
        open_simulated_loop(root, settings, model, tasks, reporter, brakes, policy) as ins,
    ):
        try:
            run(ins)
        except UnrecordedError as error:
            parted = str(error)
        records = store.passes(), ins.store.passes()
        return Again(differences(store.decisions(), ins.store.decisions(), records), parted)


def _line(difference: Difference) -> str:
    from autosurgeon.cli.render import one_line

    name, what, recorded, repeated = difference
    return one_line(f"{name}: {what}: {recorded} -> {repeated}")
