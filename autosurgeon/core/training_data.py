"""Training rows, and what a contamination check finds among them."""

from __future__ import annotations

from typing import Literal

from autosurgeon.core.digest import digest_text
from autosurgeon.core.value import Value

Why = Literal["poison", "anchor", "mastered"]


class Row(Value):
    """One training row: the model is taught the completion, and the rest says where it comes from."""

    prompt: str
    completion: str
    task_id: str
    bench: str
    split: str
    why: Why
    weight: float = 1.0
    """Of its tokens in the loss; not written where it is 1, so that rows without weights have the digest they had."""


class Dataset(Value):
    """The rows of a pass, in a fixed order."""

    rows: tuple[Row, ...]
    left_out: int = 0
    """Failures that may not be rows yet, since nothing near them is won."""

    @property
    def jsonl(self) -> str:
        """The file that the capsule reads."""
        return "".join(row.model_dump_json(exclude_defaults=True) + "\n" for row in self.rows)

    @property
    def digest(self) -> str:
        """SHA-256 of that file."""
        return digest_text(self.jsonl)

    @property
    def anchor_ids(self) -> frozenset[str]:
        """Anchors that are trained on, and so are no test any more."""
        return frozenset(row.task_id for row in self.rows if row.why == "anchor")


Layer = Literal["program", "prompt", "family", "10-gram", "minhash"]
TWIN_LAYERS: frozenset[Layer] = frozenset({"program", "prompt", "family"})


class Hit(Value):
    """One row that may be a held-out task, and what says so."""

    layer: Layer
    row: str
    """The task that the row was made of."""
    held_out: str
    """The task that it is held against, with its bench and its split."""
    bench: str
    split: str
    similarity: float
    """1 for a twin; else the share of 10-grams, or the Jaccard similarity."""

    @property
    def is_twin(self) -> bool:
        """Whether it is certain enough to stop a pass."""
        return self.layer in TWIN_LAYERS

    @property
    def told(self) -> str:
        """The pair as people read it."""
        how = f"same {self.layer}" if self.is_twin else f"{self.layer} {self.similarity:.2f}"
        return f"{self.row} ~ {self.held_out} ({self.split}, {how})"
