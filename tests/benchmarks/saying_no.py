"""The cost of saying no: tokens and seconds until the incident's recipe is refused, as shares of a pass to the end.

    python tests/benchmarks/saying_no.py [--seed 7] [--policy FILE]

Runs the real loop of the lab: a careful pass first, then the recipe of BD6.2 as often as there are rows in the table.
The proposal gate is in audit, or it would refuse the recipe for nothing; every later gate binds, but in the pass that
goes to the end, which the shares are of. Nothing here is a test: no machine's speed can fail it.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from autosurgeon.cli.logs import logging_to
from autosurgeon.cli.view import PlainReporter
from autosurgeon.core.recipe import Mix, Recipe
from autosurgeon.incident.scenario import CAREFUL_LR_RATIO, HOT_LR_RATIO
from autosurgeon.levers import LeverSettings
from autosurgeon.loop.baseline.baseline import pass_scope, read_baseline
from autosurgeon.loop.decide.live import revert
from autosurgeon.loop.engine.instruments import Instruments
from autosurgeon.loop.engine.limits import Limits
from autosurgeon.loop.run_passes import begin_pass, finish_pass, prepare_run
from autosurgeon.policy.schema import Policy
from autosurgeon.wiring import open_loop, settings_of


class Bill(NamedTuple):
    """What a pass cost."""

    name: str
    trained: int
    generated: int
    seconds: float
    end: str
    stages: dict[str, int]
    """Tokens by stage."""

    @property
    def tokens(self) -> int:
        return self.trained + self.generated


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--policy", type=Path, help="whose later gates bind; bd62.yaml when left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        quiet = PlainReporter(Console(quiet=True))
        settings = settings_of(root, seed=options.seed, policy=options.policy)
        with logging_to(root / "log"), open_loop(root, settings, quiet, Limits(passes=9)) as ins:
            bills = measure_all(ins)
    print(f"{'pass':28} {'trained':>8} {'generated':>9} {'share':>7} {'seconds':>8} {'share':>7}  end")
    for bill in bills:
        # Each kind of loop against a whole pass of its own kind: racing makes that one cheaper too.
        whole = next(one for one in reversed(bills) if one.name.startswith("racing") == bill.name.startswith("racing"))
        shares = f"{bill.tokens / whole.tokens:7.1%} {bill.seconds:8.2f} {bill.seconds / whole.seconds:7.1%}"
        print(f"{bill.name:28} {bill.trained:8} {bill.generated:9} {shares}  {bill.end[:100]}")
        print(f"{'':28} {', '.join(f'{name} {count}' for name, count in bill.stages.items() if count)}")


def measure_all(ins: Instruments) -> list[Bill]:
    """The passes, one after another, on the same live pack."""
    reference, seed = ins.settings.organ.reference_lr, ins.settings.seed
    careful = Recipe(parent="live", anchor_share=1.0, epochs=1, lr=CAREFUL_LR_RATIO * reference, rank=8, seed=seed)
    hot = careful.model_copy(
        update={"mix": Mix.UNION, "anchor_share": 0.0, "epochs": 4, "lr": HOT_LR_RATIO * reference, "rank": 16}
    )
    racing = replace(ins, settings=ins.settings.model_copy(update={"levers": LeverSettings(racing=True)}))
    audit, late = ins.policy.in_audit(watch=True), _proposal_in_audit(ins.policy)
    prepare_run(ins)
    bills = [_operate(ins, "careful", careful, audit)]
    # Racing before the others, while no candidate of this recipe has shown which anchors are fragile; and once after.
    bills.append(_operate(racing, "racing, nothing known yet", hot, late))
    bills.append(_operate(ins, "plain", hot, late))
    live = read_baseline(ins).live
    bills.append(_operate(ins, "plain, to the end", hot, audit))
    whole = ins.store.get_pass(len(bills)).pack
    assert whole is not None
    revert(ins, None, whole, "the benchmark goes on from the careful pass", to=live)
    bills.append(_operate(racing, "racing, fragile ones known", hot, late))
    # Of another seed: the same weights again would be the pack whose gains were sampled already.
    again = hot.model_copy(update={"seed": seed + 1})
    bills.append(_operate(racing, "racing, to the end", again, audit))
    return bills


def _proposal_in_audit(policy: Policy) -> Policy:
    rules = [r.model_copy(update={"mode": "audit"}) if r.phase == "proposal" else r for r in policy.rules]
    return policy.model_copy(update={"rules": tuple(rules)})


def _operate(ins: Instruments, name: str, recipe: Recipe, policy: Policy) -> Bill:
    standing = read_baseline(ins)
    ended = finish_pass(ins, begin_pass(ins, recipe, standing, policy), standing, policy)
    outputs = {stage.name: stage for stage in ins.store.stage_outputs(pass_scope(ended.number))}
    tokens = {kind: {n: s.output.get("tokens", {}).get(kind, 0) for n, s in outputs.items()} for kind in KINDS}
    trained, generated = (tokens[kind] for kind in KINDS)
    return Bill(
        name,
        sum(trained.values()),
        sum(generated.values()),
        sum(stage.seconds for stage in outputs.values()),
        f"{ended.state.value}: {ended.reason}",
        {stage: trained[stage] + generated[stage] for stage in outputs},
    )


KINDS = ("trained", "generated")


if __name__ == "__main__":
    main()
