"""Which split a task belongs to: a pure function of its cluster's digest, the same on every machine for ever."""

from __future__ import annotations

from autosurgeon.core.digest import digest_text
from autosurgeon.core.task import Split

# Shares of a hundred. PassSpine is large since a lab task teaches its neighbours; the gate is as large as the rest
# allows, since a paired test on few tasks sees little.
SHARES = ((Split.SURGERY, 60), (Split.DEV, 10), (Split.GATE, 20), (Split.CANARY, 10))


def split_of(cluster: str) -> Split:
    """The split of a cluster of near-related tasks."""
    point = int(digest_text(f"autosurgeon.split/1:{cluster}")[:12], 16) % 100
    for split, share in SHARES:
        if point < share:
            return split
        point -= share
    raise AssertionError("shares do not add up to 100")
