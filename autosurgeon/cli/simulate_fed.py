"""`autosurgeon simulate --fed-by`: a recorded loop's decisions, made once more from its task results."""

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
    """Run a workspace's loop again on what it measured, and report whether it decided alike; exit code 15 where not."""
    from autosurgeon.cli.render import print_json, say
    from autosurgeon.cli.view import counting
    from autosurgeon.errors import UserError
    from autosurgeon.policy.load import load_policy
    from autosurgeon.wiring import open_store, settings_of, tasks_in

    if len(policy) > 1:
        raise UserError("a loop had one policy", got=f"{len(policy)} of them")
    settings = settings_of(fed_by, config, seed=seed, policy=policy[0] if policy else None)
    rules = load_policy(settings.policy_file, params) if policy or params else None
    with open_store(fed_by) as store, counting("passes") as tell:
        if seed is None:
            settings = settings.model_copy(update={"seed": _recorded_seed(store, settings.seed)})
        found = run_again(store, fed_by, settings, tasks_in(fed_by, settings), rules, tell)
        decisions, passes = len(store.decisions()), len(store.passes())
    if as_json:
        told = [difference._asdict() for difference in found.differences]
        print_json({"passes": passes, "decisions": decisions, "differences": told, "parted": found.parted})
    else:
        for difference in found.differences[:MOST_SHOWN]:
            say(_line(difference))
        if found.parted:
            say(f"the run ended there: {found.parted}")
        parts = len({difference.decision for difference in found.differences})
        alike = f"{parts} otherwise than recorded" if found.differences else "every one as recorded"
        say(f"{decisions} decisions of {passes} passes made again: {alike}")
    if found.differences or found.parted:
        raise typer.Exit(ExitCode.FINDING)


def _recorded_seed(store: SqlStore, otherwise: int) -> int:
    """The seed that the last pass was begun under; another one where it is not recorded."""
    last = store.last_passes(1)
    seed = last[0].contract.seed if last and last[0].contract else None
    return otherwise if seed is None else seed


def _recorded_policy(store: SqlStore, settings: Settings) -> Policy:
    """The policy that the last pass was begun under; that of the settings where none is recorded."""
    from autosurgeon.loop.engine.in_force import kept_policy
    from autosurgeon.policy.load import load_policy

    last = store.last_passes(1)
    if not last or last[0].contract is None:
        return load_policy(settings.policy_file)
    return kept_policy(store, last[0].contract.policy)


class Again(NamedTuple):
    """What came of running a loop again."""

    differences: list[Difference]
    parted: str | None
    """Where it asked for what was never recorded."""


def run_again(
    store: SqlStore,
    workspace: Path,
    settings: Settings,
    tasks: Mapping[str, Task],
    policy: Policy | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Again:
    """Run the loop of a memory again, in a folder of its own, on the task results that the memory holds.

    Without a policy it is the one that the last pass was begun under.
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
    reporter, model = QuietReporter(lambda: tell(next(ended), passes)), Modelless(mind, mind.base, adapted)
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
