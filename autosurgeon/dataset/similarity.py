"""Similar texts: shared n-grams, and MinHash with locality-sensitive hashing over shingles.

MinHash only selects candidate pairs; their similarity is then computed exactly, so that no estimate is reported. Its
hashes are fixed here, because they decide which tasks share a split: those of a library could change with its version.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from hashlib import shake_128

Shingles = frozenset[tuple[str, ...]]

# 32 bands of 4: a pair of similarity 0.7 is missed in 2 of 10,000 cases, (1 - 0.7**4) ** 32.
BANDS, BAND_ROWS = 32, 4
SKETCH = struct.Struct(f"<{BANDS * BAND_ROWS}I")


def shingles(words: Sequence[str], size: int) -> Shingles:
    """Return all runs of `size` words; a shorter text is one run, an empty one has none."""
    if not words:
        return frozenset()
    return frozenset(tuple(words[start : start + size]) for start in range(max(1, len(words) - size + 1)))


def jaccard(one: Shingles, other: Shingles) -> float:
    """Return the Jaccard similarity: the size of the intersection over that of the union; 0 for two empty sets."""
    return len(one & other) / len(one | other) if one or other else 0.0


class Overlap:
    """An index of texts by n-grams, for the share of an indexed text that another text contains."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._holders: dict[tuple[str, ...], list[str]] = defaultdict(list)

    def add(self, name: str, grams: Shingles) -> None:
        """Add a text to the index."""
        self._sizes[name] = len(grams)
        for gram in grams:
            self._holders[gram].append(name)

    def found_in(self, grams: Shingles, at_least: float) -> dict[str, float]:
        """Return the indexed texts of whose n-grams at least that share is among these, with the share."""
        shared = Counter(name for gram in grams for name in self._holders.get(gram, ()))
        shares = {name: count / self._sizes[name] for name, count in shared.items()}
        return {name: share for name, share in shares.items() if share >= at_least}


class Neighbours:
    """An index of texts by the bands of their MinHash sketches: similar texts very likely share a band."""

    def __init__(self) -> None:
        self._known: dict[str, Shingles] = {}
        self._bands: dict[tuple[int, ...], set[str]] = defaultdict(set)

    def add(self, name: str, parts: Shingles) -> None:
        """Add a text to the index."""
        self._known[name] = parts
        for band in _bands(parts):
            self._bands[band].add(name)

    def near(self, parts: Shingles, at_least: float) -> dict[str, float]:
        """Return the indexed texts of at least that Jaccard similarity, with the similarity."""
        candidates = set().union(*(self._bands.get(band, ()) for band in _bands(parts)))
        similarities = {name: jaccard(parts, self._known[name]) for name in candidates}
        return {name: similarity for name, similarity in similarities.items() if similarity >= at_least}


def _bands(parts: Shingles) -> Iterable[tuple[int, ...]]:
    """Return the bands of a sketch with their positions, as only equal positions compare; none for an empty set."""
    if not parts:
        return ()
    sketch = [min(column) for column in zip(*map(_hashes, parts), strict=True)]
    return [(band, *sketch[band * BAND_ROWS : (band + 1) * BAND_ROWS]) for band in range(BANDS)]


def _hashes(shingle: tuple[str, ...]) -> tuple[int, ...]:
    """Return 128 hashes of one shingle, from one long digest, so that they are the same in every process."""
    return SKETCH.unpack(shake_128("\0".join(shingle).encode("utf-8", "surrogatepass")).digest(SKETCH.size))
