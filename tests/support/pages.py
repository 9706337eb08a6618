"""Reports for tests, and an HTML page as a browser would take it apart."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from builders import NOON, make_decision, make_policy, make_record, make_rule

from autosurgeon.audit.pass_report import BenchRun, FlipStory, LiveWins, PassReport, StageCost
from autosurgeon.core.decision import Cost, Decision, Evidence, Override, Phase
from autosurgeon.core.jobs import TrainResult
from autosurgeon.core.pass_states import PassState
from autosurgeon.core.records import PassRecord
from autosurgeon.policy.judge import judge

VOID = {"meta", "img", "br", "hr", "link"}
POLICY = make_policy(
    make_rule("few-epochs", "recipe.epochs", phase="proposal", at_most=2),
    make_rule("loss-floor", "training.loss_fraction", phase="training", at_least=0.5, otherwise="stop"),
    make_rule("loss-is-a-number", "training.loss", phase="training", at_least=0, otherwise="hold"),
    make_rule("anchors-kept", "smoke.lost", phase="smoke", at_most=0, lesson="BD6.2 lost its wins."),
    make_rule("measured-only", "smoke.tried", phase="smoke", at_least=99, mode="audit"),
    make_rule("gain", "gate.net", at_least=1, otherwise="hold"),
    make_rule("canary", "watch.canary_net", phase="watch", at_least=0, otherwise="revert"),
)
GOOD: dict[Phase, Evidence] = {
    "proposal": {"recipe.epochs": 1, "selftest.failed": 0, "targets.leaking": 0, "targets.benches": 2},
    "training": {"training.loss": 0.4, "training.loss_fraction": 0.8},
    "smoke": {"smoke.lost": 0, "smoke.tried": 7},
    "promotion": {
        "gate.net": 3,
        "bench.tasks": 30,
        "bench.missing": 0,
        "bench.same_conditions": True,
        "bench.fallbacks": 0,
        "bench.foreign": 0,
    },
    "watch": {"watch.canary_net": 0, "watch.canary_tasks": 4},
}


def decided(phase: Phase, evidence: Evidence | None = None, **changes: Any) -> Decision:
    """The decision of one phase of pass 4; on evidence that every rule likes, but for what is named."""
    content: dict[str, Any] = {"pass_number": 4, "judgement": judge(POLICY, phase, GOOD[phase] | (evidence or {}))}
    return make_decision(f"pass-0004-{phase}", **(content | changes))


def all_accepted(**live: Any) -> tuple[Decision, ...]:
    """Every gate of a pass that was promoted as version 2."""
    before: tuple[Phase, ...] = ("proposal", "training", "smoke")
    promoted = decided("promotion", action="promote", live_version=2, **live)
    return (*(decided(phase) for phase in before), promoted, decided("watch"))


def refused_at_smoke(**changes: Any) -> tuple[Decision, ...]:
    """A pass that lost two anchors on the smoke."""
    lost: Evidence = {"smoke.lost": 2, "smoke.lost_names": ("b/1", "b/2")}
    cut = decided("smoke", lost, action="stop", lost=("b/1", "b/2"), **changes)
    return decided("proposal"), decided("training"), cut


def overruled(decision_id: str) -> Decision:
    """A person's word against a decision."""
    word = Override(
        by="ada",
        reason="it is wrong",
        expires_at="2030-01-02T00:00:00",
        overrules=decision_id,
        verdict="ACCEPT",
    )
    return make_decision("override-1", pass_number=4, action="override", override=word)


def record_of(state: PassState, **changes: Any) -> PassRecord:
    """Pass 4 in that state."""
    ended = NOON if state.is_finished else None
    content = {"state": state, "ended_at": ended, "parent": "0123456789abcdef", "pack": None}
    return make_record(4).model_copy(update=content | changes)


def make_training(**changes: Any) -> TrainResult:
    """Two epochs whose loss fell from 0.8 to 0.4."""
    content: dict[str, Any] = {
        "adapter": "adapter",
        "rows": 20,
        "steps": 10,
        "epochs": 2.0,
        "tokens": 4321,
        "trainable_parameters": 1,
        "loss": 0.4,
        "first_epoch_loss": 0.8,
        "loss_fraction": 0.5,
        "gradient_norm": 1.0,
        "stopped_by": None,
        "epoch_losses": (0.8, 0.45),
    }
    return TrainResult.model_validate(content | changes)


def make_flip(task_id: str = "b/1", kind: str = "lost", **changes: Any) -> FlipStory:
    """A task that live wins and the candidate fails with another program."""
    content: dict[str, Any] = {
        "task_id": task_id,
        "bench": "b",
        "split": "gate",
        "kind": kind,
        "prompt": "# add one",
        "before": "def solve(x):\n    return x + 1\n",
        "after": "def solve(x):\n    return x - 1\n",
        "poison": "wrong",
        "detail": "solve(1) is 0, wanted 2",
    }
    return FlipStory.model_validate(content | changes)


def make_live(version: int, won: int = 0, how: str = "promote", **changes: Any) -> LiveWins:
    """A live version with so many wins of 30 on bench b."""
    content = {"version": version, "pack": f"pack{version}", "how": how, "wins": {"b": won}, "tasks": {"b": 30}}
    return LiveWins.model_validate(content | changes)


def make_report(state: PassState = PassState.REJECTED, **changes: Any) -> PassReport:
    """Pass 4, trained and refused at the smoke, with everything that such a pass leaves."""
    content: dict[str, Any] = {
        "record": record_of(state),
        "proposer": "The sampler proposed it.",
        "rows": {"anchor": 5, "poison": 15},
        "decisions": refused_at_smoke(avoided=Cost(seconds=61.5, trained_tokens=0, generated_tokens=900)),
        "stages": (
            StageCost(name="train", attempts=2, seconds=12.5),
            StageCost(name="smoke", attempts=1, seconds=2.0),
        ),
        "cost": Cost(seconds=14.5, trained_tokens=4321),
        "training": make_training(),
        "steps": ((1, 1.0), (5, 0.7), (10, 0.41)),
        "flips": (make_flip("b/1", marks=("anchor",)), make_flip("b/2")),
        "trend": (make_live(1, 10, "baseline"), make_live(2, 14)),
    }
    return PassReport.model_validate(content | changes)


def make_bench(bench: str = "b", **changes: Any) -> BenchRun:
    """A bench of 30 tasks that ran whole, in mode B."""
    return BenchRun.model_validate({"bench": bench, "tasks": 30, "written": 30, "organ_alone": 30} | changes)


class Page(HTMLParser):
    """A page: every tag with its attributes, the text, and whether each tag that was opened was closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.misfits: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.misfits += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " "
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.misfits.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def names(self) -> set[str]:
        """The tags that the page has."""
        return {tag for tag, _ in self.tags}
