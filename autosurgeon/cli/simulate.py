"""`autosurgeon simulate`: campaigns of the loop on a synthetic learner, or a repetition of a recorded loop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from autosurgeon.cli.options import ConfigOption, JsonOption, SetOption, WorkspaceOption

if TYPE_CHECKING:
    from autosurgeon.config import Settings
    from autosurgeon.policy.params import Overrides
    from autosurgeon.policy.schema import Policy
    from autosurgeon.simulator.simulated_campaign import Tally

USUAL_PASSES, USUAL_CAMPAIGNS = 30, 10
LOOK_S = 0.2


def simulate(
    policy: Annotated[
        list[Path] | None,
        typer.Option("--policy", help="Policy file; the workspace's policy when empty; repeatable, to compare."),
    ] = None,
    passes: Annotated[int, typer.Option("--passes", "-n", min=1, help="Passes per campaign.")] = USUAL_PASSES,
    campaigns: Annotated[
        int, typer.Option("--campaigns", "-m", min=1, max=10_000, help="Number of campaigns.")
    ] = USUAL_CAMPAIGNS,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of the first campaign; setting `seed` when empty.")
    ] = None,
    flaky: Annotated[float, typer.Option("--flaky", min=0, max=1, help="Share of tasks with random results.")] = 0.25,
    params: SetOption = None,
    workspace: WorkspaceOption = Path("."),
    config: ConfigOption = None,
    fed_by: Annotated[
        Path | None,
        typer.Option("--fed-by", help="A workspace: repeat its loop on its recorded task results."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, max=1024, help="Processes; one per core when empty."),
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="Plot the campaigns into this PNG file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the loop with a simulated model, and show what a policy accepts and at what cost.

    The learner's law is known, so each decision can be compared with the truth. Settings and benches are the
    workspace's, and nothing is written there. --fed-by repeats a recorded loop: exit code 15 if a decision differs from
    the recorded one.
    """
    from autosurgeon.policy.params import parse_assignments

    overrides = parse_assignments(params or ())
    if fed_by is not None:
        from autosurgeon.cli.simulate_fed import repeat

        repeat(fed_by, config, seed, policy or [], overrides, as_json=as_json)
        return
    from autosurgeon.wiring import settings_of, with_organ_folder

    settings = with_organ_folder(settings_of(workspace, config, seed=seed))
    judges = _judges(workspace, config, policy or [], overrides)
    seeds = [settings.seed + number for number in range(campaigns)]
    wanted = [
        Wanted(settings.model_copy(update={"seed": seed, "policy": file}), workspace, passes, flaky, rules)
        for file, rules in judges.items()
        for seed in seeds
    ]
    began = time.monotonic()
    tallies = _run_all(wanted, min(len(wanted), workers or os.cpu_count() or 1))
    seconds = time.monotonic() - began
    found = {file: tallies[number * campaigns : (number + 1) * campaigns] for number, file in enumerate(judges)}
    if plot is not None:
        from autosurgeon.cli.plot import draw_campaigns

        draw_campaigns(plot, {file.stem: tallies for file, tallies in found.items()})
    _print_campaigns(found, seconds, flaky, as_json=as_json)


def _judges(workspace: Path, config: Path | None, files: Sequence[Path], params: Overrides) -> dict[Path, Policy]:
    """Load the policies to compare by file; without a file, the workspace's policy by its name."""
    from autosurgeon.policy.load import load_policy
    from autosurgeon.wiring import policy_at

    if files:
        return {file: load_policy(file, params) for file in files}
    policy = policy_at(workspace, None, params, config)
    return {Path(policy.name): policy}


class Wanted(NamedTuple):
    """A campaign to run, in the form that another process gets."""

    settings: Settings
    workspace: Path
    passes: int
    flaky: float
    policy: Policy


def campaign(wanted: Wanted, on_pass: Callable[[], None]) -> Tally:
    """Run one campaign in a folder of its own."""
    from autosurgeon.core.shapes import lora_parameters_of
    from autosurgeon.loop.engine.limits import Limits
    from autosurgeon.simulator.law import draw_traits
    from autosurgeon.simulator.learner import Learner
    from autosurgeon.simulator.setup import QuietReporter, quiet_log, scratch
    from autosurgeon.simulator.simulated_campaign import run_campaign
    from autosurgeon.simulator.simulated_capsules import Modelless
    from autosurgeon.wiring import open_simulated_loop, tasks_in

    settings = wanted.settings
    tasks = tasks_in(wanted.workspace, settings)
    traits = draw_traits(tasks, settings.seed, wanted.flaky)
    learner = Learner(traits, settings.seed, settings.organ.reference_lr)
    model = Modelless(learner, learner.base, lora_parameters_of(settings.organ_folder, 1))
    brakes, reporter = Limits(passes=wanted.passes), QuietReporter(on_pass)
    with (
        quiet_log(),
        scratch() as root,
        open_simulated_loop(root, settings, model, tasks, reporter, brakes, wanted.policy) as ins,
    ):
        return run_campaign(ins, traits)


def _run_all(wanted: Sequence[Wanted], workers: int) -> list[Tally]:
    from autosurgeon.cli.view import counting

    total = sum(one.passes for one in wanted)
    done = 0
    with counting("passes") as progress:
        if workers == 1:

            def count() -> None:
                nonlocal done
                done += 1
                progress(done, total)

            return [campaign(one, count) for one in wanted]
        context = get_context("spawn")
        shared: Any = context.Value("q", 0)
        with ProcessPoolExecutor(workers, context, _share, (shared,)) as pool:
            futures = [pool.submit(_in_worker, one) for one in wanted]
            waiting = set(futures)
            while waiting:
                ended, waiting = wait(waiting, LOOK_S, FIRST_COMPLETED)
                if any(future.exception() for future in ended):
                    pool.shutdown(cancel_futures=True)
                    break
                progress(shared.value, total)
            # Raises the first error instead of a later cancellation.
            for future in futures:
                if future.done() and not future.cancelled():
                    future.result()
            return [future.result() for future in futures]


_shared: Any = None


def _share(counter: Any) -> None:
    global _shared
    _shared = counter


def _in_worker(wanted: Wanted) -> Tally:
    def count() -> None:
        with _shared.get_lock():
            _shared.value += 1

    return campaign(wanted, count)


COLUMNS = (
    "policy",
    "accepted",
    "false",
    "wins lost",
    "lost at end",
    "reverted",
    "better",
    "missed",
    "first gain",
    "tokens to it",
    "never",
    "held-out wins",
)


def _print_campaigns(found: dict[Path, list[Tally]], seconds: float, flaky: float, *, as_json: bool) -> None:
    from autosurgeon.cli.render import print_json, print_table, say
    from autosurgeon.cli.run import ENDINGS

    passes = sum(tally.passes for tallies in found.values() for tally in tallies)
    rate = 60 * passes / seconds
    if as_json:
        policies = [
            {"policy": str(file), "campaigns": [tally.model_dump(mode="json") for tally in tallies]}
            for file, tallies in found.items()
        ]
        print_json({"flaky": flaky, "passes_per_minute": round(rate, 1), "policies": policies})
        return
    count = len(next(iter(found.values())))
    title = f"{count} campaigns a policy, means of each; {flaky:.0%} of the tasks are coins"
    print_table(title, COLUMNS, [(file.stem, *_means(tallies)) for file, tallies in found.items()])
    for file, tallies in found.items():
        early = [tally for tally in tallies if tally.ended != "passes"]
        if early:
            say(f"{file.stem}: {len(early)} of {count} campaigns ended early: {ENDINGS[early[0].ended]}")
    say(f"{passes} passes in {seconds:.1f} s, {rate:,.0f} a minute")


def _means(tallies: Sequence[Tally]) -> list[str]:
    names = ("accepted", "false_accepts", "losses", "lost_at_end", "reverted", "better", "missed")
    means = [f"{sum(getattr(tally, name) for tally in tallies) / len(tallies):.2f}" for name in names]
    gained = [tally for tally in tallies if tally.first_gain is not None]
    first = f"{sum(tally.first_gain or 0 for tally in gained) / len(gained):.1f}" if gained else ""
    tokens = f"{sum(tally.tokens_to_gain or 0 for tally in gained) / len(gained):,.0f}" if gained else ""
    wins = [sum(tally.wins[at] for tally in tallies) / len(tallies) for at in (0, -1)]
    return [*means, first, tokens, str(len(tallies) - len(gained)), f"{wins[0]:.1f} -> {wins[1]:.1f}"]
