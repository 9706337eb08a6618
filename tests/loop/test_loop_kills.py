"""Real faults: the loop's process is killed, or its disk fails, at every failpoint; the next start ends as if not."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from kills import DISTINCT, PASSES, Nights

from autosurgeon.core.hash_chain import Head
from autosurgeon.failpoints import FAILPOINTS


class Place(NamedTuple):
    """Where a failpoint is reached first: in which scenario, after how many undisturbed passes, before which end."""

    scenario: str = "story"
    begun: int = 3
    passes: int = PASSES


IN_CAPSULES = {
    "capsule-started",
    "capsule-ended",
    "training-checkpoint-saved",
    "training-state-staged",
    "training-state-written",
}
"""Reached with real capsules only: tests/runner/test_runner_lifetime.py, tests/capsule/test_capsule_resume.py."""
IN_ROTATIONS = {"key-staged", "key-recorded", "key-kept", "key-published", "key-in-place"}
"""Reached where a person rotates the signing key: tests/cli/test_cli_audit_keys.py."""
PLACES = dict.fromkeys(sorted(FAILPOINTS.keys() - IN_CAPSULES - IN_ROTATIONS), Place()) | {
    "base-staged": Place(begun=0, passes=1),
    "watch-fallen": Place(begun=2, passes=3),
    "pack-set-aside": Place("damaged"),
    "weights-in-trash": Place("gc", begun=4),
    **dict.fromkeys(("deploy-begun", "deploy-run", "deploy-done", "deploy-failed"), Place("deploy", begun=2)),
    "ballast-released": Place("full"),
    "pause-noted": Place("full"),
}


ENDS = {
    "kill": {-signal.SIGKILL},
    "eio": set(DISTINCT),
    # The loop waits and continues, or reports it in a line.
    "enospc": {0, 2},
    "hang": {-signal.SIGKILL},
}
SUPPRESSED = {("pause-noted", "eio")}
"""A pause that cannot be noted is noted with the next look, and no reason to end."""


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    served = Nights(tmp_path_factory.mktemp("nights"))
    yield served
    served.close()
    print(f"{served.runs} runs, {served.killed} of them killed")  # noqa: T201


def logged(root: Path) -> str:
    """What the loop noted of its work."""
    return (root / "logs" / "operations.jsonl").read_text()


def fail_at_one_after_another(nights: Nights, action: str, most: int = len(PLACES)) -> None:
    """Nights of which each start fails at another failpoint, as many as `most` a night, until none is left."""
    named = [name for name, place in PLACES.items() if place == Place()]
    waiting = sorted(named, key=list(FAILPOINTS).index)
    while waiting:
        root, heads, first = nights.workspace(3), list[Head](), waiting[0]
        for name in waiting[:most]:
            ended = nights.run(root, PASSES, fail=f"{name}:{action}")
            heads += nights.looked_at(root)
            if ended.status == 0:
                break  # the night is over; those that it did not reach are for the next one
            assert ended.status in ENDS[action], f"{name}: {ended.output}"
            assert "Traceback" not in ended.output
            waiting.remove(name)
        assert first not in waiting, f"{first} was never reached"
        nights.recovered(root, PASSES, heads, 3)


def test_a_loop_that_is_killed_at_one_failpoint_after_another_ends_as_one_that_was_not(nights: Nights) -> None:
    fail_at_one_after_another(nights, "kill", most=8)


@pytest.mark.parametrize("name", [name for name, place in PLACES.items() if place != Place()])
def test_a_loop_that_is_killed_at_a_failpoint_of_no_plain_pass_ends_as_one_that_was_not(
    nights: Nights, name: str
) -> None:
    scenario, begun, passes = PLACES[name]
    root = nights.workspace(begun, scenario)
    ended = nights.run(root, passes, scenario=scenario, fail=f"{name}:kill")
    assert ended.status == -signal.SIGKILL, f"{name} was never reached: {ended.output}"
    nights.recovered(root, passes, nights.looked_at(root), begun, scenario)


@pytest.mark.slow
@pytest.mark.parametrize("action", ENDS)
@pytest.mark.parametrize("name", PLACES)
def test_a_failpoint_fails_at_each_of_its_passages_and_the_next_start_ends_as_if_not(
    nights: Nights, name: str, action: str
) -> None:
    scenario, begun, passes = PLACES[name]
    for number in range(1, 1000):
        root = nights.workspace(begun, scenario)
        ended = nights.run(root, passes, scenario=scenario, fail=f"{name}:{action}:{number}")
        wanted = ENDS[action] | ({0} if (name, action) in SUPPRESSED else set())
        if ended.status == 0 and (action != "enospc" or "failpoint" not in logged(root)):
            assert number > 1 or 0 in wanted, f"{name} was never reached: {ended.output}"
            return
        assert ended.status in wanted, ended.output
        assert "Traceback" not in ended.output
        assert ended.hung == (action == "hang")
        nights.recovered(root, passes, nights.looked_at(root), begun, scenario)


@pytest.mark.slow
def test_a_disk_that_fails_at_one_failpoint_after_another_ends_each_start_with_a_code_of_its_own(
    nights: Nights,
) -> None:
    fail_at_one_after_another(nights, "eio")


@pytest.mark.parametrize(
    ("name", "action"), [("stage-worked", "eio"), ("transaction-written", "enospc"), ("judged", "hang")]
)
def test_a_disk_that_fails_or_fills_and_a_loop_that_hangs_cost_nothing_but_time(
    nights: Nights, name: str, action: str
) -> None:
    root = nights.workspace(3)
    ended = nights.run(root, PASSES, fail=f"{name}:{action}:3")
    assert ended.status in ENDS[action], ended.output
    assert "Traceback" not in ended.output
    nights.recovered(root, PASSES, nights.looked_at(root), 3)


def test_a_disk_that_fills_up_right_after_a_commit_of_a_stage_does_not_commit_it_twice(nights: Nights) -> None:
    root, commit_of_first_stage = nights.workspace(3), 6
    ended = nights.run(root, PASSES, fail=f"transaction-committed:enospc:{commit_of_first_stage}")
    assert ended.status == 0, ended.output
    assert "paused" in ended.output
    nights.recovered(root, PASSES, nights.looked_at(root), 3)


@pytest.mark.parametrize("name", ["run-begun", "run-ended"])
def test_a_disk_that_is_full_where_a_run_begins_or_ends_makes_it_wait(nights: Nights, name: str) -> None:
    root = nights.workspace(3)
    ended = nights.run(root, PASSES, fail=f"{name}:enospc")
    assert ended.status == 0, ended.output
    assert "paused" in ended.output
    nights.recovered(root, PASSES, nights.looked_at(root), 3)


def test_a_loop_that_is_killed_while_it_recovers_three_times_in_a_row_recovers_all_the_same(nights: Nights) -> None:
    root, heads = nights.workspace(3), []
    for point in ("decided:kill:4", "theatre-swept:kill", "checkpoint-signed:kill", "packs-checked:kill"):
        assert nights.run(root, PASSES, fail=point).status == -signal.SIGKILL
        heads += nights.looked_at(root)
    nights.recovered(root, PASSES, heads, 3)


def killed_at_random(nights: Nights, kills: int, seed: int) -> None:
    """Nights from the very first start on, each killed over and over at random moments and then let go."""
    chance, left = random.Random(seed), kills
    while left > 0:
        root, heads = nights.workspace(), []
        for _ in range(min(left, 25)):
            # What a start takes before it does something new grows with the machine's load.
            ended = nights.run(root, PASSES, kill_after=chance.uniform(0.0, 1.6) * nights.slowness)
            heads += nights.looked_at(root)
            left -= ended.status == -signal.SIGKILL
            if ended.status == 0:
                break
            assert ended.status == -signal.SIGKILL, ended.output
        nights.recovered(root, PASSES, heads)


def test_a_loop_that_is_killed_at_random_moments_ends_as_one_that_was_not(nights: Nights) -> None:
    killed_at_random(nights, 8, seed=1)


@pytest.mark.slow
def test_a_thousand_kills_at_random_moments_change_nothing(nights: Nights) -> None:
    killed_at_random(nights, 1000, seed=2)
