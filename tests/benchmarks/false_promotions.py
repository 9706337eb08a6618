"""How often packs without effect get promoted, by seven rules; and the gains and losses that can be seen.

    python tests/benchmarks/false_promotions.py [--passes 100] [--tasks 264] [--flaky 0.25] [--campaigns 300] [--seed 7]

Each campaign makes passes whose packs have no true effect: a task gives the same result each time, or, for the flaky
share, a coin flip. Against the live pack's results as recorded when it was promoted, and against its results run anew
each time. "Greedy" promotes when the total rises. The shipped rule, `gain-is-no-luck` of bd62.yaml, samples both packs
on the gained tasks in pairs, for as long as the evidence may still suffice; with the budget begun anew at each
promotion, or not. Beside it what it replaced, gains of which 8 of 8 samples of the pack pass and 0 of 8 of live; exact
McNemar for a gain; and the e-process over tasks, which may stop after any. All pay from one alpha budget for the whole
campaign, and the goal is 0.05 false promotions a campaign at most. The last table has the power for true gains.
Nothing here is a test.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import bdtrc
from scipy.stats import binom

from autosurgeon.config import shipped
from autosurgeon.policy.load import load_policy
from autosurgeon.sections import StatisticsSettings
from autosurgeon.stats.alpha import AlphaBudget
from autosurgeon.stats.eprocess import log_e_value
from autosurgeon.stats.gains import SHARES, Pairs
from autosurgeon.stats.paired import p_regression, power_line

Results = NDArray[np.bool_]
Counts = NDArray[np.int64]
SHIPPED = "gain-is-no-luck"
PAIRS = StatisticsSettings().samples
EIGHT = 8
"""Samples of the rule that the sequential one replaced."""
ROUNDS = (*(size for size in (4, 8, 16, 32, 64, 128) if size < PAIRS), PAIRS)
SIZES, LOSSES = (100, 264, 378), (5, 7, 9, 11)
GAINS, LOOKS = (1, 2, 3, 5), (1, 6, 20, 100)


class Looked(NamedTuple):
    """What the passes of all campaigns show: a row a campaign."""

    lost: Counts
    """Running counts over the flaky tasks."""
    gained: Counts
    sure: Counts
    """Gains that 8 of 8 samples of the pack and 0 of 8 of live confirm."""
    log_e: NDArray[np.float64]
    """The largest evidence of the paired samples."""


Rule = Callable[[Looked, NDArray[np.float64]], Results]
"""Which packs a rule promotes, by what is seen and the alpha of each campaign's look."""


def rules(flaky: int, tasks: int, alpha: float) -> dict[str, Rule]:
    """The rules by name, each with what it needs worked out once."""
    shipped_rule = next(rule for rule in load_policy(shipped("policies", "bd62.yaml")).rules if rule.id == SHIPPED)
    assert shipped_rule.expr == "total.p_luck <= budget.alpha", "the shipped rule is another one than is measured here"
    counts = range(flaky + 1)
    p_gain = np.array([[p_regression(gained, lost) for gained in counts] for lost in counts])
    log_e_tasks = np.array([[log_e_value(gained, lost) for gained in counts] for lost in counts])
    return {
        'greedy, "total rises"': lambda seen, _: seen.gained[:, -1] > seen.lost[:, -1],
        f"McNemar once a pass at {alpha:g}": lambda seen, _: p_gain[seen.lost[:, -1], seen.gained[:, -1]] <= alpha,
        f"McNemar, {alpha:g} a campaign": lambda seen, share: p_gain[seen.lost[:, -1], seen.gained[:, -1]] <= share,
        f"e-process over tasks, {alpha:g} a campaign": lambda seen, share: (
            log_e_tasks[seen.lost, seen.gained] >= -np.log(share)[:, None]
        ).any(axis=1),
        f"8 of 8 against 0 of 8, {alpha:g} a campaign": lambda seen, share: (
            (seen.sure > 0) & (bdtrc(seen.sure - 1, tasks, 4.0 ** -(EIGHT + 1)) <= share)
        ),
        f"{SHIPPED}, {alpha:g} a campaign": lambda seen, share: seen.log_e >= -np.log(share),
    }


LOG_E = np.array([[Pairs(won, lost).log_e for lost in range(PAIRS + 1)] for won in range(PAIRS + 1)])


def paired_evidence(ours: Results, live: Results, gained: Results) -> NDArray[np.float64]:
    """The largest evidence at the end of any round; arrays are campaigns x tasks x samples, and campaigns x tasks.

    A task is sampled on only while the pack wins more pairs than it loses, as in the product; the product's first
    groups are left out, since they only save samples.
    """
    won, lost = (ours & ~live).cumsum(axis=2), (~ours & live).cumsum(axis=2)
    going, values = gained.copy(), np.zeros(gained.shape)
    largest = np.zeros(gained.shape[0])
    for size in ROUNDS:
        values = np.where(going, LOG_E[won[:, :, size - 1], lost[:, :, size - 1]], values)
        products = [np.logaddexp(log(1 - q), log(q) + values).sum(axis=1, where=gained) for q in SHARES]
        largest = np.maximum(largest, np.logaddexp.reduce(products) - log(len(SHARES)))
        going &= won[:, :, size - 1] > lost[:, :, size - 1]
    return largest


def eight_of_eight(ours: Results, live: Results, gained: Results) -> Counts:
    """The gains that all of eight samples confirm."""
    sure: Results = gained & ours[:, :, :EIGHT].all(axis=2) & ~live[:, :, :EIGHT].any(axis=2)
    return np.asarray(sure.sum(axis=1), dtype=np.int64)


def price(look: Counts, alpha: float) -> NDArray[np.float64]:
    """The alpha of each campaign's look, as `AlphaBudget` has it."""
    return alpha * AlphaBudget(total=0.5).spend()[0] / 0.5 / look.astype(float) ** 2


def promotions(
    rule: Rule, flaky: int, args: argparse.Namespace, *, rerun: bool, anew: bool = False
) -> NDArray[np.int64]:
    """False promotions of each campaign; stable tasks never flip, so only the flaky ones are drawn."""
    rng, campaigns = np.random.default_rng(args.seed), args.campaigns
    live = rng.random((campaigns, flaky)) < 0.5
    promoted, looks = np.zeros(campaigns, dtype=np.int64), np.zeros(campaigns, dtype=np.int64)
    for _ in range(args.passes):
        new = rng.random((campaigns, flaky)) < 0.5
        if rerun:
            live = rng.random((campaigns, flaky)) < 0.5
        ours, theirs = (rng.random((campaigns, flaky, PAIRS), dtype=np.float32) < 0.5 for _ in range(2))
        seen = Looked(
            (live & ~new).cumsum(axis=1),
            (new & ~live).cumsum(axis=1),
            eight_of_eight(ours, theirs, new & ~live),
            paired_evidence(ours, theirs, new & ~live),
        )
        looks += 1
        chosen = rule(seen, price(looks, args.alpha))
        live = np.where(chosen[:, None], new, live)
        looks = np.where(chosen & anew, 0, looks)
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
    arms = [(name, rule, False) for name, rule in rules(flaky, args.tasks, args.alpha).items()]
    arms.append((f"{arms[-1][0]}, begun anew at each promotion", arms[-1][1], True))
    for name, rule, anew in arms:
        cells = []
        for rerun in (False, True):
            found = promotions(rule, flaky, args, rerun=rerun, anew=anew)
            error = found.std() / args.campaigns**0.5
            cells += [f"{found.mean():.3f} ± {error:.3f}", f"{(found > 0).mean():.1%}"]
        table.add_row(name, *cells)
    return table


def gains_table(args: argparse.Namespace) -> Table:
    """The chance that true gains are promoted by the samples, beside coins, at several looks of a campaign."""
    rng, runs, flaky = np.random.default_rng(args.seed), 4 * args.campaigns, round(args.tasks * args.flaky)
    table = Table(title="Chance that true gains (pass rate 0.02 before, 0.6 to 0.98 after) are promoted, beside coins")
    table.add_column("truly gained")
    for look in LOOKS:
        table.add_column(f"8 of 8, look {look}", justify="right")
        table.add_column(f"pairs, look {look}", justify="right")
    for gains in GAINS:
        after = np.hstack([rng.uniform(0.6, 0.98, (runs, gains)), np.full((runs, flaky), 0.5)])
        before = np.hstack([np.full((runs, gains), 0.02), np.full((runs, flaky), 0.5)])
        gained = (rng.random(after.shape) < after) & (rng.random(before.shape) >= before)
        ours, live = (rng.random((*p.shape, PAIRS), dtype=np.float32) < p[:, :, None] for p in (after, before))
        sure, log_e = eight_of_eight(ours, live, gained), paired_evidence(ours, live, gained)
        chance = np.where(sure > 0, bdtrc(np.maximum(sure, 1) - 1, args.tasks, 4.0 ** -(EIGHT + 1)), 1.0)
        cells = []
        for look in LOOKS:
            alpha = float(price(np.array([look]), args.alpha)[0])
            cells += [f"{(chance <= alpha).mean():.2f}", f"{(log_e >= -log(alpha)).mean():.2f}"]
        table.add_row(str(gains), *cells)
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
    console.print(gains_table(args))
    console.print(power_table(args.flaky, args.alpha))
    for n in SIZES:
        console.print(f"{n} tasks: {power_line(n, args.alpha)}")


if __name__ == "__main__":
    main()
