"""Training rows, and the hits of a contamination check among them."""

from __future__ import annotations

from typing import Literal

from autosurgeon.core.digest import digest_text
from autosurgeon.core.value import Value

Why = Literal["poison", "anchor", "mastered"]


class Row(Value):
    """One training row: the model learns the completion; the other fields are provenance."""

    prompt: str
    completion: str
    task_id: str
    bench: str
    split: str
    why: Why
    weight: float = 1.0
    """The weight of its tokens in the loss; not written if it is 1, which keeps the digests of unweighted rows."""


class Dataset(Value):
    """The rows of a pass, in a fixed order."""

    rows: tuple[Row, ...]
    left_out: int = 0
    """The number of failures that are not rows, because no task near them is won."""

    @property
    def jsonl(self) -> str:
        """The file that the capsule reads."""
        return "".join(row.model_dump_json(exclude_defaults=True) + "\n" for row in self.rows)

    @property
    def digest(self) -> str:
        """The SHA-256 of that file."""
        return digest_text(self.jsonl)

    @property
    def anchor_ids(self) -> frozenset[str]:
        """The anchors that are trained on, and so are no longer tests."""
        return frozenset(row.task_id for row in self.rows if row.why == "anchor")


Layer = Literal["program", "prompt", "family", "10-gram", "minhash"]
TWIN_LAYERS: frozenset[Layer] = frozenset({"program", "prompt", "family"})


class Hit(Value):
    """One row that may repeat a held-out task, with the layer that found it."""

    layer: Layer
    row: str
    """The task of the row."""
    held_out: str
    """The held-out task."""
    bench: str
    split: str
    similarity: float
    """1 for a twin, otherwise the share of 10-grams or the Jaccard similarity."""

    @property
    def is_twin(self) -> bool:
        """Whether the hit is certain enough to stop a pass."""
        return self.layer in TWIN_LAYERS

    @property
    def description(self) -> str:
        """The pair, formatted for people."""
        how = f"same {self.layer}" if self.is_twin else f"{self.layer} {self.similarity:.2f}"
        return f"{self.row} ~ {self.held_out} ({self.split}, {how})"
