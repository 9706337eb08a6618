"""Plain data for property tests, and the two modules that run inside the jails, imported from their folder."""

from __future__ import annotations

import collections
import importlib
import sys
from typing import Any

from hypothesis import strategies as st

from autosurgeon.bench.jail import INSIDE

sys.path.append(str(INSIDE))
cross: Any = importlib.import_module("cross")
agree: Any = importlib.import_module("agree")

HASHABLE: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(1 << 200), max_value=1 << 200)
    | st.floats()
    | st.text()
    | st.binary()
    | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
PLAIN: st.SearchStrategy[Any] = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(HASHABLE, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.dictionaries(st.text(), inner, max_size=3).map(collections.OrderedDict)
    ),
    max_leaves=8,
)


def has_nan(value: Any) -> bool:
    return "nan" in repr(value)
