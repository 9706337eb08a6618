"""Real faults: the loop's process is killed, or its disk fails, at every failpoint; the next start ends as if not."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from invariants import check
from kills import DISTINCT, PASSES, Nights

from autosurgeon.failpoints import FAILPOINTS


class Place(NamedTuple):
    """Where a failpoint is reached first: in which scenario, after how many undisturbed passes, before which end."""

    scenario: str = "story"
    begun: int = 3
    passes: int = PASSES


IN_CAPSULES = {"capsule-started", "capsule-ended"}
"""Reached with real capsules only: tests/e2e/test_e2e_kills.py."""
PLACES = dict.fromkeys(sorted(FAILPOINTS.keys() - IN_CAPSULES), Place()) | {
    "base-staged": Place(begun=0, passes=1),
    "watch-fallen": Place(begun=2, passes=3),
    "pack-set-aside": Place("damaged"),
    "weights-in-trash": Place("gc", begun=4),
    "ballast-released": Place("full"),
    "pause-noted": Place("full"),
}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    served = Nights(tmp_path_factory.mktemp("nights"))
    yield served
    served.close()
    print(f"{served.runs} runs, {served.killed} of them killed")  # noqa: T201


@pytest.mark.parametrize("name", PLACES)
def test_a_loop_that_is_killed_at_a_failpoint_ends_as_one_that_was_not(nights: Nights, name: str) -> None:
    scenario, begun, passes = PLACES[name]
    root = nights.workspace(begun, scenario)
    ended = nights.run(root, passes, scenario=scenario, fail=f"{name}:kill")
    assert ended.status == -signal.SIGKILL, f"{name} was never reached: {ended.output}"
    nights.recovered(root, passes, nights.looked_at(root), begun, scenario)
