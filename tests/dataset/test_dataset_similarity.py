from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from autosurgeon.dataset.similarity import Neighbours, Overlap, Shingles, jaccard, shingles

WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=30)
PARTS = WORDS.map(lambda words: shingles(words, 2))


def test_a_text_shorter_than_a_shingle_is_one_shingle_and_an_empty_one_has_none() -> None:
    assert shingles(["a", "b"], 10) == {("a", "b")}
    assert shingles([], 10) == frozenset()
    assert shingles(["a", "b", "c"], 2) == {("a", "b"), ("b", "c")}


@given(PARTS, PARTS)
def test_the_jaccard_similarity_is_symmetric_and_one_only_for_equal_sets(one: Shingles, other: Shingles) -> None:
    assert jaccard(one, other) == jaccard(other, one)
    assert (jaccard(one, other) == 1) == (one == other and bool(one))


@given(st.lists(PARTS, max_size=6), PARTS, st.sampled_from([0.3, 0.7, 1.0]))
def test_only_true_neighbours_are_reported_with_their_exact_similarity(
    known: list[Shingles], asked: Shingles, at_least: float
) -> None:
    neighbours = Neighbours()
    for number, parts in enumerate(known):
        neighbours.add(str(number), parts)
    for name, similarity in neighbours.near(asked, at_least).items():
        assert similarity == jaccard(asked, known[int(name)]) >= at_least


@given(st.lists(PARTS, max_size=6), PARTS)
def test_an_indexed_text_is_always_found(known: list[Shingles], text: Shingles) -> None:
    neighbours = Neighbours()
    for number, parts in enumerate([*known, text]):
        neighbours.add(str(number), parts)
    assert neighbours.near(text, 1.0) == {
        str(n): 1.0 for n, parts in enumerate([*known, text]) if parts == text != frozenset()
    }


def test_the_bands_miss_almost_nothing_at_the_threshold() -> None:
    rng = random.Random(0)
    neighbours, asked = Neighbours(), {}
    for number in range(300):
        parts = [(f"{number}-{part}",) for part in range(40)]
        neighbours.add(str(number), frozenset(parts))
        changed = rng.randint(0, 7)  # at least 33 of 47 are shared: 0.70
        asked[str(number)] = frozenset([*parts[changed:], *((f"new-{part}",) for part in range(changed))])
    found = [name for name, parts in asked.items() if name in neighbours.near(parts, 0.7)]
    assert len(found) >= 299


@given(st.lists(PARTS, max_size=6), PARTS, st.sampled_from([0.5, 1.0]))
def test_overlap_is_the_share_of_the_indexed_text(known: list[Shingles], asked: Shingles, at_least: float) -> None:
    overlap = Overlap()
    for number, grams in enumerate(known):
        overlap.add(str(number), grams)
    wanted = {str(n): len(grams & asked) / len(grams) for n, grams in enumerate(known) if grams & asked}
    assert overlap.found_in(asked, at_least) == {name: share for name, share in wanted.items() if share >= at_least}
