"""The delta report of the bd62 scenario: the sections of the incident's report with measured values."""

from __future__ import annotations

from autosurgeon.audit.mask import Masked, masked_summary
from autosurgeon.core.decision import RuleResult
from autosurgeon.core.recipe import Recipe
from autosurgeon.core.value import Value

LISTED = 40


class Refusal(Value):
    """A rule that a pass broke, and the seconds after which it would have ended the pass."""

    phase: str
    rule: RuleResult
    spent_s: float


class PassStory(Value):
    """One pass of the scenario, as measured."""

    number: int
    state: str
    recipe: Recipe
    pack: str
    rows: dict[str, int]
    epochs: float
    steps: int
    first_loss: float | None
    last_loss: float | None
    wins: dict[str, int]
    lost: tuple[str, ...]
    gained: tuple[str, ...]
    held_out_gained: int
    anchors_lost: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    seconds: dict[str, float]


class Variant(Value):
    """Pass 2 with one change, and the effect of its adapter on pass 1's wins."""

    name: str
    rows: int
    lost: int
    gained: int
    anchors_lost: int


class Delta(Value):
    """The whole scenario."""

    seed: int
    sizes: dict[str, int]
    counted: tuple[str, ...]
    excluded: dict[str, str]
    base: str
    base_wins: dict[str, int]
    first: PassStory
    second: PassStory
    live_version: int
    live_pack: str
    prompts: dict[str, str]
    variants: tuple[Variant, ...] = ()
    masked: tuple[Masked, ...] = ()
    """What was masked in the report."""

    @property
    def refusal(self) -> Refusal | None:
        """The first rule that would have refused pass 2; `warn` and `stop` rules do not refuse."""
        return next((r for r in self.second.refusals if r.rule.otherwise in ("reject", "hold", "revert")), None)


def render_delta(delta: Delta) -> str:
    """Render the report as Markdown."""
    parts = [_head(delta), _pipeline(delta), _numbers(delta), _constraints(delta), _wrong(delta), _lessons(delta)]
    masked = [f"## Masked\n\n{masked_summary(delta.masked)}"] if delta.masked else []
    return "\n\n".join([*parts, _production(delta), _files(delta), *masked]) + "\n"


def _net(story: PassStory, before: dict[str, int], bench: str) -> str:
    return f"{story.wins[bench] - before[bench]:+d}"


def _head(delta: Delta) -> str:
    moves = ", ".join(f"{bench} {_net(delta.second, delta.first.wins, bench)}" for bench in delta.counted)
    worse = sum(delta.second.wins[b] - delta.first.wins[b] for b in delta.counted) < 0
    what = "a regression" if worse else "no regression in total, although wins were lost"
    refusal = delta.refusal
    refused = (
        f"The policy would have refused it at phase `{refusal.phase}` by rule `{refusal.rule.rule_id}`, "
        f"{refusal.spent_s:.1f} s into the pass."
        if refusal
        else "No rule of the policy would have refused it."
    )
    return (
        f"# BD6.2 on the lab, seed {delta.seed}: what the overtrained pass did\n\n"
        f"**TL;DR.** Pass 2 was {what}: {moves} against pass 1; {len(delta.second.lost)} wins lost, "
        f"{len(delta.second.gained)} gained. {refused} Live is back on pass 1, as version {delta.live_version}."
    )


def _pipeline(delta: Delta) -> str:
    lines = ["## Pipeline", "", "Each pass trains in a disposable capsule of its own:", "", "```"]
    for story in (delta.first, delta.second):
        recipe, rows = story.recipe, story.rows
        first = f"{story.first_loss:.2f}" if story.first_loss is not None else "no number"
        last = f"{story.last_loss:.2f}" if story.last_loss is not None else "no number"
        lines += [
            f"pass {story.number}: mix {recipe.mix.value}: {rows['poison']} poison, {rows['anchor']} anchor, "
            f"{rows['mastered']} mastered rows",
            f"  -> LoRA rank {recipe.rank}, alpha {recipe.alpha_ratio * recipe.rank:g}, lr {recipe.lr:g}, "
            f"{story.epochs:g} epoch{'s' if story.epochs != 1 else ''}, {story.steps} steps, "
            f"loss {first} (first epoch) -> {last}",
            f"  -> merge, BF16 pack {story.pack[:12]}, bench in mode B -> {story.state}",
        ]
    return "\n".join([*lines, "```"])


def _numbers(delta: Delta) -> str:
    lines = [
        "## Numbers",
        "",
        "| bench | n | base | pass 1 | pass 2 | pass 2 against pass 1 |",
        "|---|---|---|---|---|---|",
    ]
    for bench, size in delta.sizes.items():
        story = f"{delta.base_wins[bench]} | {delta.first.wins[bench]} | {delta.second.wins[bench]}"
        note = _net(delta.second, delta.first.wins, bench) if bench in delta.counted else "not counted"
        lines.append(f"| {bench} | {size} | {story} | {note} |")
    return "\n".join(lines)


def _constraints(delta: Delta) -> str:
    lines = ["## Constraints", "", "| rule | phase | pass 1 | pass 2 |", "|---|---|---|---|"]
    first = {refusal.rule.rule_id: refusal for refusal in delta.first.refusals}
    second = {refusal.rule.rule_id: refusal for refusal in delta.second.refusals}
    for rule_id in sorted(first.keys() | second.keys(), key=lambda r: (first | second)[r].spent_s):
        known = (first | second)[rule_id]
        lines.append(f"| {rule_id} | {known.phase} | {_seen(first.get(rule_id))} | {_seen(second.get(rule_id))} |")
    if len(lines) == 4:
        return "## Constraints\n\nEvery rule held for both passes."
    return "\n".join([*lines, "", "All other rules held for both passes."])


def _seen(refusal: Refusal | None) -> str:
    if refusal is None:
        return "held"
    return f"**broken**: {refusal.rule.seen}, wanted {refusal.rule.bound}"


def _wrong(delta: Delta) -> str:
    second = delta.second
    share = len(second.lost) / max(1, sum(delta.first.wins[b] for b in delta.counted))
    lines = [
        "## What went wrong",
        "",
        f"Pass 2 read {sum(second.rows.values())} rows {second.epochs:g} times, {second.rows['mastered']} of them "
        f"already mastered, at {second.recipe.lr / delta.first.recipe.lr:g} times the learning rate and "
        f"{second.recipe.rank / delta.first.recipe.rank:g} times the rank of pass 1. It lost {len(second.lost)} of "
        f"pass 1's wins ({share:.0%}), {len(second.anchors_lost)} of them confirmed, and gained {len(second.gained)}, "
        f"{second.held_out_gained} of these on tasks that were never trained on.",
        "",
        *_causes(delta),
        "### Wins of pass 1 that pass 2 lost",
        "",
    ]
    for task_id in second.lost[:LISTED]:
        sentence = delta.prompts[task_id].strip('#" ').splitlines()[-1].strip('" ')
        mark = " (anchor)" if task_id in second.anchors_lost else ""
        lines.append(f"- {task_id}{mark}: {sentence}")
    if len(second.lost) > LISTED:
        lines.append(f"- and {len(second.lost) - LISTED} more: {', '.join(second.lost[LISTED:])}")
    return "\n".join(lines)


def _causes(delta: Delta) -> list[str]:
    """List pass 2's variants with one change each, as measured causes."""
    if not delta.variants:
        return []
    ranked = sorted(delta.variants, key=lambda variant: variant.lost)
    return [
        "### Causes",
        "",
        "Pass 2 and variants of its adapter with one change each, on every counted task except the canary's:",
        "",
        "| variant | rows | wins of pass 1 lost | anchors among them | gained |",
        "|---|---|---|---|---|",
        *(f"| {v.name} | {v.rows} | {v.lost} | {v.anchors_lost} | {v.gained} |" for v in delta.variants),
        "",
        f"`{ranked[0].name}` lost the fewest wins and `{ranked[-1].name}` the most.",
        "",
    ]


def _lessons(delta: Delta) -> str:
    lines = ["## Lessons, as rules", ""]
    for refusal in delta.second.refusals:
        rule = refusal.rule
        lines.append(
            f"- **{rule.rule_id}** ({refusal.phase}, after {refusal.spent_s:.1f} s): {rule.fact} was {rule.seen}, "
            f"wanted {rule.bound}. {rule.lesson}"
        )
    for bench, reason in delta.excluded.items():
        lines.append(f"- **{bench}**: {reason}.")
    return "\n".join(lines)


def _production(delta: Delta) -> str:
    return (
        "## Production state\n\n"
        f"Live is version {delta.live_version}: pack `{delta.live_pack[:12]}`, the one of pass "
        f"{delta.first.number if delta.live_pack == delta.first.pack else '?'}. "
        f"The pack of pass 2, `{delta.second.pack[:12]}`, is kept as the negative result."
    )


def _files(delta: Delta) -> str:
    lines = ["## Files this run touched", ""]
    for story in (delta.first, delta.second):
        scope = f"data/passes/pass-{story.number:04d}"
        lines += [
            f"- `{scope}/dataset/rows.jsonl`: the rows of pass {story.number}, each with its provenance",
            f"- `{scope}/train/adapter/`: its adapter",
            f"- `data/packs/{story.pack}/`: its pack",
        ]
    return "\n".join([*lines, "- `logs/decisions.jsonl`: every decision, rule by rule", "- this file"])
