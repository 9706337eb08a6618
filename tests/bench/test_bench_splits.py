from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.bench.splits import SHARES, split_of
from autosurgeon.core.task import Split


@given(st.text())
def test_every_cluster_has_a_split_and_keeps_it(cluster: str) -> None:
    assert split_of(cluster) in Split
    assert split_of(cluster) == split_of(cluster)


def test_the_shares_name_every_split_and_add_up_to_a_hundred() -> None:
    assert {split for split, _ in SHARES} == set(Split)
    assert sum(share for _, share in SHARES) == 100


def test_many_clusters_fall_into_the_shares() -> None:
    counts = Counter(split_of(f"cluster {n}") for n in range(5000))
    for split, share in SHARES:
        assert counts[split] / 50 == pytest.approx(share, abs=3)
