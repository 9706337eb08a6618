"""The product against what else one would run for a night: the same lab, the same tokens, the same seeds.

    python tests/benchmarks/campaign.py [--seeds 10] [--tokens 80000] [--arms abcde] [--flaky 0.0] [--home FOLDER]

Each campaign is the real loop on the lab until its tokens, trained and generated, are spent; who has no guard is not
charged for one. Prints a table and, with `--plot FILE.png`, draws wins and losses over tokens. Each campaign's result
is kept in `--home`, so that a benchmark that was cut goes on. With `--flaky` that share of the tasks are coins, which
are left out of every count.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from campaign_report import plot, print_report
from campaignarms import ARMS, Arm
from campaignrun import Campaign, run_campaign


def main() -> None:
    """Run and print."""
    parser = arguments(__doc__, seeds=10)
    parser.add_argument("--arms", default="abcde", help="their letters")
    options = parser.parse_args()
    arms = [arm for arm in ARMS if arm.name[0] in options.arms]
    found = run_all(arms, options)
    print_report(arms, found, options.tokens)
    if options.plot is not None:
        plot(options.plot, arms, found, options.tokens)


def arguments(about: str | None, *, seeds: int) -> argparse.ArgumentParser:
    """What both benchmarks of campaigns are asked with."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--tokens", type=int, default=80_000)
    parser.add_argument("--flaky", type=float, default=0.0)
    parser.add_argument("--passes", type=int, default=1 << 30, help="at most so many a campaign")
    parser.add_argument("--home", type=Path, default=Path("campaigns"), help="where results are kept, and found again")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--plot", type=Path)
    return parser


def run_all(arms: Sequence[Arm], options: argparse.Namespace) -> list[Campaign]:
    """Every arm with every seed, a seed a process; one thread each, so that all seeds see the same arithmetic."""
    os.environ["OMP_NUM_THREADS"] = "1"
    options.home.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with ProcessPoolExecutor(options.workers, get_context("spawn"), max_tasks_per_child=1) as pool:
        futures = [
            pool.submit(run_seed, arms, seed, options.tokens, options.flaky, options.home, options.passes)
            for seed in range(1, options.seeds + 1)
        ]
        found = []
        for done, future in enumerate(futures, start=1):
            found += future.result()
            sys.stderr.write(f"{done} of {len(futures)} seeds, {time.monotonic() - began:.0f} s\n")
    return found


def run_seed(arms: Sequence[Arm], seed: int, tokens: int, flaky: float, home: Path, passes: int) -> list[Campaign]:
    """All arms of one seed, one after the other."""
    return [run_campaign(arm, seed, tokens, flaky, home, passes) for arm in arms]


if __name__ == "__main__":
    main()
