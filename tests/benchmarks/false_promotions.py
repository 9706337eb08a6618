"""How often packs that are no better get promoted, by six rules; and the losses that benches of three sizes can see.

    python tests/benchmarks/false_promotions.py [--passes 100] [--tasks 264] [--flaky 0.25] [--campaigns 300] [--seed 7]

Each campaign makes passes whose packs have no true effect: a task gives the same result each time, or, for the flaky
share, a coin flip. Against the live pack's results as recorded when it was promoted, and against its results run anew
each time. "Greedy" promotes when the total rises. The shipped rule, `gain-is-no-luck` of bd62.yaml, counts gains that
some samples of each pack bear out and asks how likely so many are by luck; beside it exact McNemar for a gain, and the
e-process, which may stop after any task. All three pay from one alpha budget for the whole campaign, and the goal is
0.05 false promotions a campaign at most. Nothing here is a test.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import log

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import binom

from autosurgeon.config import shipped
from autosurgeon.policy.load import load_policy
from autosurgeon.sections import StatisticsSettings
from autosurgeon.stats.alpha import AlphaBudget
from autosurgeon.stats.eprocess import log_e_value
from autosurgeon.stats.paired import p_luck, p_regression, power_line

Results = NDArray[np.bool_]
# From running counts of losses and gains (campaigns x flaky tasks), confirmed gains (campaigns) and the number of the
# pass: which packs it promotes.
Rule = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int], Results]
SAMPLES = StatisticsSettings().samples
SHIPPED = "gain-is-no-luck"
SIZES, LOSSES = (100, 264, 378), (5, 7, 9, 11)


def rules(flaky: int, tasks: int, passes: int, alpha: float) -> dict[str, Rule]:
    """The rules by name, each with what it needs worked out once."""
    shipped_rule = next(rule for rule in load_policy(shipped("policies", "bd62.yaml")).rules if rule.id == SHIPPED)
    assert shipped_rule.expr == "total.p_luck <= budget.alpha", "the shipped rule is another one than is measured here"
    counts = range(flaky + 1)
    p_gain = np.array([[p_regression(gained, lost) for gained in counts] for lost in counts])
    luck = np.array([p_luck(confirmed, tasks, SAMPLES) for confirmed in counts])
    log_e_gain = np.array([[log_e_value(gained, lost) for gained in counts] for lost in counts])
    budget, shares = AlphaBudget(total=alpha), []
    for _ in range(passes):
        share, budget = budget.spend()
        shares.append(share)
    return {
        'greedy, "total rises"': lambda lost, gained, sure, _: gained[:, -1] > lost[:, -1],
        f"McNemar once a pass at {alpha:g}": lambda lost, gained, sure, _: p_gain[lost[:, -1], gained[:, -1]] <= alpha,
        f"McNemar after each task at {alpha:g}": lambda lost, gained, sure, _: (p_gain[lost, gained] <= alpha).any(
            axis=1
        ),
        f"{SHIPPED}, {alpha:g} a campaign": lambda lost, gained, sure, number: luck[sure] <= shares[number],
        f"McNemar, {alpha:g} a campaign": lambda lost, gained, sure, number: (
            p_gain[lost[:, -1], gained[:, -1]] <= shares[number]
        ),
        f"e-process, {alpha:g} a campaign": lambda lost, gained, sure, number: (
            log_e_gain[lost, gained] >= -log(shares[number])
        ).any(axis=1),
    }


def promotions(rule: Rule, flaky: int, passes: int, campaigns: int, rerun: bool, seed: int) -> NDArray[np.int64]:
    """False promotions of each campaign; stable tasks never flip, so only the flaky ones are drawn."""
    rng = np.random.default_rng(seed)
    live = rng.random((campaigns, flaky)) < 0.5
    promoted = np.zeros(campaigns, dtype=np.int64)
    for number in range(passes):
        new = rng.random((campaigns, flaky)) < 0.5
        if rerun:
            live = rng.random((campaigns, flaky)) < 0.5
        # Live fails its samples too, and the pack passes its own, each by the same coin.
        sure = (new & ~live & (rng.random((campaigns, flaky)) < 4.0**-SAMPLES)).sum(axis=1)
        chosen = rule((live & ~new).cumsum(axis=1), (new & ~live).cumsum(axis=1), sure, number)
        live = np.where(chosen[:, None], new, live)
        promoted += chosen
    return promoted


def promotions_table(args: argparse.Namespace) -> Table:
    """False promotions by rule, for a live pack recorded and run anew."""
    flaky = round(args.tasks * args.flaky)
    table = Table(
        title=f"False promotions in {args.passes} passes without effect, {args.tasks} tasks, {flaky} of them flaky "
        f"({args.campaigns} campaigns)"
    )
    table.add_column("rule")
    for live in ("recorded", "run anew"):
        table.add_column(f"a campaign, live {live}", justify="right")
        table.add_column("campaigns with any", justify="right")
    for name, rule in rules(flaky, args.tasks, args.passes, args.alpha).items():
        cells = []
        for rerun in (False, True):
            found = promotions(rule, flaky, args.passes, args.campaigns, rerun, args.seed)
            error = found.std() / args.campaigns**0.5
            cells += [f"{found.mean():.3f} ± {error:.3f}", f"{(found > 0).mean():.1%}"]
        table.add_row(name, *cells)
    return table


def power_of_loss(loss: int, flaky: int, alpha: float) -> float:
    """Return the chance that exact McNemar calls a loss of so many tasks beside so many coin flips.

    A coin-flip task differs between two runs with a chance of 1/2, and is then lost as often as gained. This is the
    exact power of Miettinen 1968 and Duffy 1984.
    """
    power = 0.0
    for flipped in range(flaky + 1):
        flips = flipped + loss
        called = next((lost for lost in range(flips + 1) if p_regression(lost, flips - lost) <= alpha), flips + 1)
        power += binom.pmf(flipped, flaky, 0.5) * binom.sf(called - loss - 1, flipped, 0.5)
    return power


def power_table(share: float, alpha: float) -> Table:
    """The chance that exact McNemar calls a true loss, on benches of three sizes, with and without coin flips."""
    table = Table(title=f"Chance that one exact McNemar test at {alpha:g} calls a true loss")
    for head in ("tasks", "coin flips", *(f"{loss} lost" for loss in LOSSES)):
        table.add_column(head, justify="right")
    for n in SIZES:
        for flaky in sorted({0, round(n * share)}):
            table.add_row(str(n), str(flaky), *(f"{power_of_loss(loss, flaky, alpha):.1%}" for loss in LOSSES))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=264)
    parser.add_argument("--flaky", type=float, default=0.25, help="share of the tasks that are coin flips")
    parser.add_argument("--campaigns", type=int, default=300)
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    console = Console(width=140)
    console.print(promotions_table(args))
    console.print(power_table(args.flaky, args.alpha))
    for n in SIZES:
        console.print(f"{n} tasks: {power_line(n, args.alpha)}")


if __name__ == "__main__":
    main()
